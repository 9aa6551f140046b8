/** Checks what `connect` is given: the first thing that is wrong is an error that names it. */

import { exponentialBackoff, type ReconnectPolicy } from "./backoff.js"
import { AgentSocketError, invalid } from "./errors.js"
import {
  APP_ID, CARRY_CALLS, HEARTBEAT_ANSWER_MS, HEARTBEAT_INTERVAL_MS, LARGE_RESULTS, MAX_AGENTS_MD_CHARS, MAX_TOKEN_CALLS, MAX_TOKEN_LIFETIME_MS,
  MAX_TOOL_TIMEOUT_MS, METHOD, MIN_TOOL_TIMEOUT_MS, PATH_PARAMS, RESERVED_PATH, SESSION_ID, TOOL_PATH,
} from "./facts.js"
import { findUnchecked } from "./schema.js"
import { isTaskId, methodOf } from "./tools.js"
import type { ConnectOptions, SessionStore, Tool, WebSocketClass } from "./types.js"

/** Where the SDK itself comes from, if a relay serves it. */
declare const RELAY_URL: string | undefined

/** Longest delay that timers take, in ms. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Options with their defaults in place. */
export interface Settings extends Omit<ConnectOptions, "baseUrl" | "resume" | "autoReconnect" | "features" | "WebSocket"> {
  tools: readonly Tool[]
  baseUrl: string
  /** Where the session is kept, if `resume` was given. */
  store: SessionStore | undefined
  policy: ReconnectPolicy
  features: readonly string[]
  heartbeatIntervalMs: number
  heartbeatTimeoutMs: number
  WebSocket: WebSocketClass
}

/** What a field may be, and how an error says so. */
type Rule = [fits: (value: any) => unknown, expected: string]
type Rules = Record<string, Rule>

const is = (type: string, expected = `a ${type}`): Rule => [(value) => typeof value === type, expected]
const optional = ([fits, expected]: Rule): Rule => [(value) => value === undefined || fits(value), expected]
const matching = (pattern: RegExp, expected: string): Rule => [(value) => typeof value === "string" && pattern.test(value), expected]
const whole = (min: number, max: number): Rule =>
  optional([(value) => Number.isSafeInteger(value) && value >= min && value <= max, `a whole number from ${min} to ${max}`])
const strings: Rule = [(value) => Array.isArray(value) && value.every((entry) => typeof entry === "string"), "an array of strings"]
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value)

const CALLBACK = optional(is("function"))
const TEXT = optional(is("string"))
const TIME: Rule = optional([(value) => value > 0 && value <= MAX_TIMER_MS, `a number of ms from 1 to ${MAX_TIMER_MS}`])
const AGENTS_MD: Rule = [(value) => typeof value === "string" && value.length <= MAX_AGENTS_MD_CHARS, `a string of at most ${MAX_AGENTS_MD_CHARS} characters`]
const TASK: Rule = [isTaskId, "1 to 64 characters of A-Z a-z 0-9 _ -"]

const SCHEMA: Rule = [(value) => isObject(value) || value?.["~standard"], "a JSON Schema or a schema of a library that follows Standard Schema"]
/** A segment of a path that is a parameter. */
const PARAM = /\/:[A-Za-z_]\w{0,31}(?=\/|$)/g

const OPTIONS: Rules = {
  appId: matching(APP_ID, "1 to 64 characters of A-Z a-z 0-9 _ . -"),
  appName: TEXT,
  appDescription: TEXT,
  appKey: TEXT,
  agentsMd: AGENTS_MD,
  tools: [Array.isArray, "an array of tools"],
  baseUrl: TEXT,
  resume: [(value) => value == null || isObject(value), "a saved session or a store"],
  signal: optional([(value) => value instanceof AbortSignal, "an AbortSignal"]),
  autoReconnect: [(value) => value === undefined || /^(boolean|function)$/.test(typeof value), "true, false or a policy such as exponentialBackoff()"],
  features: optional(strings),
  onDisconnect: CALLBACK,
  onReconnect: CALLBACK,
  onSessionChanged: CALLBACK,
  onError: CALLBACK,
  heartbeatIntervalMs: TIME,
  heartbeatTimeoutMs: TIME,
  WebSocket: optional(is("function", "a class")),
}

const TOOL: Rules = {
  method: optional(matching(METHOD, "an HTTP method, such as GET or POST")),
  path: [(value) => typeof value === "string" && TOOL_PATH.test(value.replace(PARAM, "/x")) && !RESERVED_PATH.test(value),
    "a string like /set_pixel or /users/:id, of A-Z a-z 0-9 _ - / . (and none of /agents.md, /tools.json and /_as_…, which the relay serves)"],
  title: TEXT,
  description: is("string", "a string that tells an AI what the tool does"),
  input_schema: optional([isObject, "a JSON Schema, as an object"]),
  input: optional(SCHEMA),
  unchecked: optional(is("boolean")),
  output_schema: optional([isObject, "a JSON Schema, as an object"]),
  output: optional(SCHEMA),
  annotations: optional([(value) => isObject(value) && Object.entries(value).every(([name, mark]) => /^(destructive|idempotent|read_only)$/.test(name) && /^(boolean|undefined)$/.test(typeof mark)),
    "an object of booleans: destructive, idempotent, read_only"]),
  timeout_ms: whole(MIN_TOOL_TIMEOUT_MS, MAX_TOOL_TIMEOUT_MS),
  read_only: optional(is("boolean")),
  allow_get: optional(is("boolean")),
  handler: is("function"),
}

const SAVED: Rules = {
  sessionId: matching(SESSION_ID, "a session's id"),
  resumeSecret: is("string"),
  links: optional([Array.isArray, "an array"]),
  revoke: optional(strings),
  relayFeatures: optional(strings),
}

const MINT: Rules = {
  label: TEXT,
  expiresInMs: whole(1, MAX_TOKEN_LIFETIME_MS),
  tools: optional([(value) => strings[0](value) && value.length, 'an array of strings, each "/path" or "METHOD /path"']),
  maxCalls: whole(1, MAX_TOKEN_CALLS),
}

function check(value: unknown, rules: Rules, at = ""): void {
  if (!isObject(value)) throw invalid(at || "options", value, `an object with ${Object.keys(rules).join(", ")}`)
  const prefix = at && `${at}.`
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(rules, name)) throw new AgentSocketError("invalid_option", `\`${prefix}${name}\` is unknown; there are ${Object.keys(rules).join(", ")}.`)
  }
  for (const [name, [fits, expected]] of Object.entries(rules)) if (!fits(value[name])) throw invalid(prefix + name, value[name], expected)
}

export function readOptions(options: ConnectOptions): Settings {
  check(options, OPTIONS)
  checkTools(options.tools)
  const { resume, autoReconnect = true, features = [CARRY_CALLS, PATH_PARAMS, LARGE_RESULTS], baseUrl, WebSocket, tools, ...rest } = options
  const never = () => null
  return {
    heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS, heartbeatTimeoutMs: HEARTBEAT_ANSWER_MS, ...rest, features, tools: [...tools],
    baseUrl: readBaseUrl(baseUrl), store: readStore(resume), WebSocket: webSocketClass(WebSocket),
    policy: typeof autoReconnect === "function" ? autoReconnect : autoReconnect ? exponentialBackoff() : never,
  }
}

export function checkTools(tools: readonly unknown[]): void {
  if (!Array.isArray(tools)) throw invalid("tools", tools, "an array of tools")
  const seen = new Set<string>()
  tools.forEach((tool: Tool, i) => {
    check(tool, TOOL, `tools[${i}]`)
    const key = `${methodOf(tool)} ${tool.path}`
    if (seen.has(key)) throw new AgentSocketError("invalid_option", `\`tools[${i}]\` is ${key} again; a method and path can be there once.`)
    seen.add(key)
  })
}

/** Looks for parts of an `input` that would not be checked, as what they forbid would get through. */
export async function checkInputs(tools: readonly Tool[]): Promise<void> {
  for (const [i, tool] of tools.entries()) {
    const part = tool.input && !tool.unchecked && (await findUnchecked(tool.input))
    if (part) {
      throw new AgentSocketError("invalid_option", `\`tools[${i}].input\` of ${methodOf(tool)} ${tool.path} has ${part}, which can't be checked. ` +
        "Write it otherwise, or set `unchecked: true` and check it in the handler.")
    }
  }
}

export const checkMint = (options: unknown): void => check(options, MINT)
export const checkAgentsMd = (value: unknown): void => check({ agentsMd: value }, { agentsMd: AGENTS_MD })
export const checkTaskId = (value: unknown): void => check({ taskId: value }, { taskId: TASK })
export const checkSaved = (saved: unknown): void => check(saved, SAVED, "resume")

/** The relay's address without a slash at its end. */
export function readBaseUrl(given: string | undefined): string {
  const page = globalThis.location?.origin
  const value = given ?? (typeof RELAY_URL === "string" ? RELAY_URL : page?.startsWith("http") ? page : undefined)
  try {
    const { protocol, host, pathname, href } = new URL(String(value).replace(/^ws/, "http"))
    const plain = `${protocol}//${host}${pathname}`
    if (/^https?:$/.test(protocol) && href === plain) return plain.replace(/\/+$/, "")
  } catch { /* no address */ }
  throw invalid("baseUrl", value, "the relay's address, like https://relay.example")
}

function readStore(resume: ConnectOptions["resume"]): SessionStore | undefined {
  if (!resume || "load" in resume) return resume ?? undefined
  checkSaved(resume)
  return { load: () => resume, save() {} }
}

/** The class to open sockets with. */
export function webSocketClass(given: WebSocketClass | undefined): WebSocketClass {
  const found = given ?? globalThis.WebSocket
  if (found) return found as WebSocketClass
  throw new AgentSocketError("no_websocket",
    'This runtime has no WebSocket (Node has one since 22): pass that of the package "ws" as the option WebSocket')
}
