/** Checks what `connect` is given: the first thing that is wrong is an error that names it. */

import { exponentialBackoff, type ReconnectPolicy } from "./backoff.js"
import { AgentSocketError, invalid } from "./errors.js"
import { methodOf } from "./tools.js"
import type { ConnectOptions, SavedSession, SessionStore, Tool, WebSocketClass } from "./types.js"

/** Set when this is the file that a relay serves: the relay is then known. */
declare const RELAY_URL: string | undefined

const KNOWN = [
  "appId", "appDescription", "appKey", "agentsMd", "tools", "baseUrl", "resume", "autoReconnect", "features",
  "onDisconnect", "onReconnect", "onSessionChanged", "heartbeatIntervalMs", "heartbeatTimeoutMs", "WebSocket", "signal",
]
const TOOL_FIELDS = ["method", "path", "description", "input_schema", "input", "timeout_ms", "handler"]
const RESERVED = /^\/(?:_as_|(?:agents\.md|tools\.json)(?:\/|$))/i
/** Longest delay that timers take. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Options with their defaults in place. */
export interface Settings extends Omit<ConnectOptions, "baseUrl" | "resume" | "autoReconnect" | "features" | "WebSocket"> {
  tools: readonly Tool[]
  baseUrl: string
  store: SessionStore
  policy: ReconnectPolicy
  features: readonly string[]
  heartbeatIntervalMs: number
  heartbeatTimeoutMs: number
  WebSocket: WebSocketClass
}

type Anything = Record<string, unknown>
const isObject = (value: unknown): value is Anything => typeof value === "object" && value !== null && !Array.isArray(value)

function text(options: Anything, name: string, expected: string, fits: (value: string) => boolean = () => true): void {
  const value = options[name]
  if (typeof value !== "string" || !fits(value)) throw invalid(name, value, expected)
}

function optional(options: Anything, name: string, check: () => void): void {
  if (options[name] !== undefined) check()
}

function unknownField(value: Anything, known: string[], at = ""): void {
  for (const name of Object.keys(value)) {
    if (!known.includes(name)) throw new AgentSocketError("invalid_option", `\`${at}${name}\` is no option; there are ${known.join(", ")}.`)
  }
}

export function readOptions(options: ConnectOptions): Settings {
  if (!isObject(options)) throw invalid("options", options, "an object with `appId`, `agentsMd` and `tools`")
  const given: Anything = options
  unknownField(given, KNOWN)
  text(given, "appId", "a string of 1 to 64 characters of A-Z a-z 0-9 _ . -", (id) => /^[\w.-]{1,64}$/.test(id))
  text(given, "agentsMd", "a string of at most 65536 characters", (md) => md.length <= 65_536)
  for (const name of ["appDescription", "appKey"]) optional(given, name, () => text(given, name, "a string"))
  for (const name of ["onDisconnect", "onReconnect", "onSessionChanged"]) {
    optional(given, name, () => { if (typeof given[name] !== "function") throw invalid(name, given[name], "a function") })
  }
  for (const name of ["heartbeatIntervalMs", "heartbeatTimeoutMs"]) {
    optional(given, name, () => {
      const ms = given[name]
      if (typeof ms !== "number" || !(ms > 0 && ms <= MAX_TIMER_MS)) throw invalid(name, ms, `a number of milliseconds over 0, at most ${MAX_TIMER_MS}`)
    })
  }
  optional(given, "signal", () => { if (!(given.signal instanceof AbortSignal)) throw invalid("signal", given.signal, "an AbortSignal") })
  checkTools(options.tools)
  const { resume, autoReconnect, features = ["carry_calls"], baseUrl, WebSocket, ...rest } = options
  return {
    heartbeatIntervalMs: 20_000, heartbeatTimeoutMs: 15_000, ...rest,
    tools: [...options.tools],
    baseUrl: readBaseUrl(baseUrl), store: readStore(resume), policy: readPolicy(autoReconnect),
    features: readFeatures(features), WebSocket: webSocketClass(WebSocket),
  }
}

export function checkTools(tools: unknown): asserts tools is Tool[] {
  if (!Array.isArray(tools)) throw invalid("tools", tools, "an array of tools")
  const seen = new Set<string>()
  tools.forEach((tool: unknown, i) => {
    const at = `tools[${i}]`
    if (!isObject(tool)) throw invalid(at, tool, "an object with `path`, `description` and `handler`")
    checkTool(tool, at)
    const key = `${methodOf(tool as unknown as Tool)} ${tool.path as string}`
    if (seen.has(key)) throw new AgentSocketError("invalid_option", `\`${at}\` is ${key} again; a method and path can be there once.`)
    seen.add(key)
  })
}

function checkTool(tool: Anything, at: string): void {
  unknownField(tool, TOOL_FIELDS, `${at}.`)
  const fail = (name: string, expected: string) => { throw invalid(`${at}.${name}`, tool[name], expected) }
  const { method = "POST", path, description, input_schema, input, timeout_ms, handler } = tool
  if (typeof method !== "string" || !/^[\w!#$%&'*+.^`|~-]+$/.test(method)) fail("method", "an HTTP method, such as GET or POST")
  if (typeof path !== "string" || !/^\/[\w\-/.]+$/.test(path)) fail("path", "a string like /set_pixel, of A-Z a-z 0-9 _ - / .")
  if (RESERVED.test(path as string)) fail("path", "none of /agents.md, /tools.json and /_as_…, which the relay serves itself")
  if (typeof description !== "string") fail("description", "a string that tells an AI what the tool does")
  if (input_schema !== undefined && !isObject(input_schema)) fail("input_schema", "a JSON Schema, as an object")
  if (input !== undefined && !isObject(input) && !(typeof input === "function" && "~standard" in input)) {
    fail("input", "a JSON Schema or a schema of a library that follows Standard Schema")
  }
  if (timeout_ms !== undefined && !(Number.isInteger(timeout_ms) && (timeout_ms as number) >= 1000 && (timeout_ms as number) <= 300_000)) {
    fail("timeout_ms", "a whole number of milliseconds from 1000 to 300000")
  }
  if (typeof handler !== "function") fail("handler", "a function")
}

/** The relay's address without a slash at its end. */
export function readBaseUrl(given: unknown): string {
  const page = globalThis.location?.origin
  const value = given ?? (typeof RELAY_URL === "string" ? RELAY_URL : page?.startsWith("http") ? page : undefined)
  const expected = "the relay's address, like https://relay.example"
  if (typeof value !== "string") throw invalid("baseUrl", value, `${expected}, as there is no page that could tell it`)
  let url: URL
  try {
    url = new URL(value.replace(/^ws/, "http"))
  } catch {
    throw invalid("baseUrl", value, expected)
  }
  if (!/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password) throw invalid("baseUrl", value, `${expected}, and nothing after it`)
  return url.href.replace(/\/+$/, "")
}

function readStore(resume: unknown): SessionStore {
  if (isObject(resume) && typeof resume.load === "function" && typeof resume.save === "function") return resume as unknown as SessionStore
  const saved = resume === undefined || resume === null ? null : checkSaved(resume, "resume")
  return { load: () => saved, save() {} }
}

/** What a store gave, if it is a saved session. */
export function checkSaved(saved: unknown, name: string): SavedSession {
  const { sessionId, resumeSecret, links = [], revoke = [] } = isObject(saved) ? saved : {}
  const fits = typeof sessionId === "string" && /^[0-9A-Z]{8}$/.test(sessionId) && typeof resumeSecret === "string"
  if (!fits) throw invalid(name, saved, "a saved session, { sessionId, resumeSecret }, or a store with load() and save()")
  if (!Array.isArray(links) || !Array.isArray(revoke)) throw invalid(`${name}.${Array.isArray(links) ? "revoke" : "links"}`, saved, "an array")
  return { sessionId, resumeSecret: resumeSecret as string, links, revoke }
}

function readPolicy(autoReconnect: unknown = true): ReconnectPolicy {
  if (typeof autoReconnect === "function") return autoReconnect as ReconnectPolicy
  if (typeof autoReconnect !== "boolean") throw invalid("autoReconnect", autoReconnect, "true, false or a policy such as exponentialBackoff()")
  return autoReconnect ? exponentialBackoff() : () => null
}

function readFeatures(features: unknown): readonly string[] {
  if (!Array.isArray(features) || features.some((name) => typeof name !== "string")) throw invalid("features", features, "an array of strings")
  return features as string[]
}

/** The class to open sockets with. */
export function webSocketClass(given: unknown): WebSocketClass {
  if (given !== undefined && typeof given !== "function") throw invalid("WebSocket", given, "a class")
  const found = given ?? globalThis.WebSocket
  if (found) return found as WebSocketClass
  throw new AgentSocketError("no_websocket",
    'This runtime has no WebSocket of its own (Node has one since 22). Install the package "ws" and pass it: import WebSocket from "ws"; connect({ WebSocket, … })')
}
