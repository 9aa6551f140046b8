/** Runs the handler of a call and makes of what it returns the frame that answers it. */

import { bytesOf, fromBase64, toBase64 } from "./bytes.js"
import { MAX_FRAME_LENGTH, TASK_ID } from "./facts.js"
import { ToolError } from "./errors.js"
import { parseJson } from "./json.js"
import { InputError, jsonSchemaOf, readInput, readQuery } from "./schema.js"
import type { Agent, Tool, ToolCall, ToolReply } from "./types.js"


/** What an agent asks for, as it came over the wire. */
export interface CallFrame {
  id: string
  method: string
  path: string
  route?: string
  params?: Record<string, string>
  query?: string
  body?: string
  bodyEncoding?: string
  headers?: Record<string, string>
  agent?: Agent
}

/** The members of a `tool_reply` or `task_complete`, less the ids. */
export interface WireReply {
  status: number
  body?: unknown
  bodyEncoding?: "base64"
  headers?: Record<string, string>
  taskId?: string
}

export const methodOf = (tool: Pick<Tool, "method">): string => (tool.method ?? "POST").toUpperCase()
export const isTaskId = (id: unknown): id is string => typeof id === "string" && TASK_ID.test(id)

/** The tools as the relay gets them: without what only the app needs. */
export function wireTools(tools: readonly Tool[]): unknown[] {
  return tools.map(({ input, output, handler, unchecked, ...tool }) => ({
    ...tool,
    method: methodOf(tool),
    input_schema: tool.input_schema ?? (input && jsonSchemaOf(input)),
    output_schema: tool.output_schema ?? (output && jsonSchemaOf(output)),
  }))
}

/** Whether a tool's arguments go in the query, as a request of its method has no body with a meaning (RFC 9110, 9.3). */
const takesQuery = ({ method }: { method: string }): boolean => /^(GET|HEAD|DELETE)$/.test(method)

/** The tool with parameters in its path that a path is of, as the relay finds it, and their values; none for other tools. */
export function routeOf(tools: readonly Tool[], method: string, path: string): { route?: string; params?: Record<string, string> } {
  const own = tools.filter((tool) => methodOf(tool) === method)
  if (own.some((tool) => tool.path === path)) return {}
  const given = path.split("/")
  const rank = (route: string) => route.replace(/\/[^:/][^/]*/g, "/!") // what is written out sorts before a parameter
  const [route] = own.map((tool) => tool.path).filter((route) => {
    const parts = route.split("/")
    return parts.length === given.length && parts.every((part, i) => (part[0] === ":" ? given[i] : part === given[i]))
  }).sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
  if (!route) return {}
  const params = route.split("/").flatMap((part, i) => (part[0] === ":" ? [[part.slice(1), decodeURIComponent(given[i] as string)]] : []))
  return { route, params: Object.fromEntries(params) as Record<string, string> }
}

/** What the app wants to know of calls. */
export interface Watch {
  /** The handler failed, and the agent was told only that it did. */
  onError(error: unknown, call: { method: string; path: string }): void
  /** Bytes must go as JSON, as the relay takes no others; says so. Without it they go as they are. */
  asJson?: (() => void) | undefined
}

/** Runs a call to its end; never throws. */
export async function runCall(tools: readonly Tool[], frame: CallFrame, signal: AbortSignal, { onError, asJson }: Watch): Promise<WireReply> {
  const path = frame.route ?? frame.path
  const tool = tools.find((tool) => methodOf(tool) === frame.method && tool.path === path)
  if (!tool) return problem(404, "not_found", `This app has no tool ${frame.method} ${frame.path}. GET $BASE/tools.json lists those it has.`)
  try {
    const result = await tool.handler(await readCall(tool, frame, signal))
    return fitting(await wireReply(result, asJson), frame.id)
  } catch (error) {
    if (error instanceof InputError) return problem(400, error.code, error.message, error.issues)
    if (error instanceof ToolError) return problem(error.status, error.code, error.message)
    onError(error, { method: frame.method, path: frame.path })
    const message = error instanceof ReplyError ? error.message : "The app failed while it ran this tool. The reason is in its own log, for its developer; trying again may help."
    return problem(500, "handler_error", message)
  }
}

/** What a handler returned can't be sent: told to the agent too, as it may ask for less. */
class ReplyError extends Error {}

function problem(status: number, code: string, message: string, issues?: unknown): WireReply {
  return { status, body: { error: { code, message, issues } } }
}

async function readCall(tool: Tool, frame: CallFrame, signal: AbortSignal): Promise<ToolCall> {
  const { method, path, route = path, params = {}, query = "", headers = {}, agent } = frame
  const raw = frame.body ?? ""
  const binary = frame.bodyEncoding === "base64"
  const body = binary ? "" : raw
  const parse = () => parseJson(body)
  const bytes = () => (binary ? fromBase64(raw) : new TextEncoder().encode(raw))
  const checked = tool.input !== undefined
  const read = (text: string) => readQuery(text, tool.input_schema ?? tool.input)
  const given = async () => {
    const value = await (body || binary ? parse() : takesQuery(frame) ? read(query) : {})
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value)
    // What stands in the path is read as it would be in a query, and counts.
    return route === path || !isObject ? value : { ...value, ...((await read(new URLSearchParams(params).toString())) as object) }
  }
  const input = checked ? await readInput(tool.input, await given()) : undefined
  return { method, path, route, params, query, body, headers, agent, signal, input, json: checked ? () => input : parse, bytes } as ToolCall
}

/** What a handler returned, as the wire takes it; with `asJson`, which is then called, bytes become JSON. */
export async function wireReply(result: unknown, asJson?: () => void): Promise<WireReply> {
  const { status, body, headers, taskId } = isReply(result) ? result : result === undefined ? { status: 204 } : { body: result }
  if (status !== undefined && !(Number.isInteger(status) && status >= 200 && status <= 599)) {
    throw new ReplyError(`The handler's status is ${String(status)}; it must be a whole number from 200 to 599.`)
  }
  if (taskId !== undefined && !isTaskId(taskId)) throw new ReplyError("The handler's taskId must be 1 to 64 characters of A-Z a-z 0-9 _ -")
  const reply: WireReply = { status: status ?? (taskId === undefined ? 200 : 202) }
  if (taskId !== undefined) reply.taskId = taskId
  if (headers) reply.headers = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]))
  const bytes = await bytesOf(body)
  if (!bytes) return body === undefined ? reply : { ...reply, body }
  const type = reply.headers?.["content-type"] || (body as Partial<Blob>).type || "application/octet-stream"
  const data = toBase64(bytes)
  if (asJson) {
    asJson()
    return { status: reply.status, body: { encoding: "base64", contentType: type, data } }
  }
  return { ...reply, headers: { ...reply.headers, "content-type": type }, body: data, bodyEncoding: "base64" }
}

/** A reply is known by its fields: any other object is the answer itself. */
function isReply(value: unknown): value is ToolReply {
  if (typeof value !== "object" || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) return false
  const known: Record<string, string> = { status: "number", body: "", headers: "object", taskId: "string" }
  const entries = Object.entries(value)
  return entries.length > 0 && entries.every(([key, entry]) => {
    const type = Object.hasOwn(known, key) ? known[key] : undefined
    return type === "" || (type !== undefined && (entry === undefined || typeof entry === type))
  })
}

/** The reply, or an error that says why it can't be sent: what goes out is the frame with the call's id. */
function fitting(reply: WireReply, id: string): WireReply {
  let text: string
  try {
    text = JSON.stringify(reply)
  } catch (error) {
    throw new ReplyError("The handler's result can't be written as JSON.", { cause: error })
  }
  // Two braces of three become one comma.
  const most = MAX_FRAME_LENGTH - JSON.stringify({ type: "tool_reply", id }).length + 1
  if (text.length > most) throw new ReplyError(`The handler's result takes ${text.length} characters of JSON; at most ${most} can be sent. Ask for a smaller part.`)
  return reply
}
