/** What a failed call of the SDK is about. The relay's own codes (`origin_denied`, `too_many_tokens`, …) come as they are. */
export type ErrorCode =
  | "invalid_option"
  | "unreachable"
  | "disconnected"
  | "session_closed"
  | "no_websocket"
  | (string & {})

/** Every error that the SDK throws or rejects with. Its message never holds a token or a secret. */
export class AgentSocketError extends Error {
  override readonly name = "AgentSocketError"
  /** What it is about, for code to look at. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** What a {@link ToolError} can say beside its message. */
export interface ToolErrorOptions {
  /** HTTP status of the answer, 400 to 599. Default 400. */
  status?: number
  /** For programs to look at. Default `"tool_error"`. */
  code?: string
}

/**
 * Thrown by a handler, it is the answer: the agent gets its message, as `{"error":{"code","message"}}`. Of any other
 * error the agent learns nothing but that there was one.
 *
 * @example throw new ToolError("There is no item 7; there are 1 to 5.", { status: 404, code: "no_item" })
 */
export class ToolError extends Error {
  override readonly name = "ToolError"
  /** HTTP status of the answer. */
  readonly status: number
  /** For programs to look at. */
  readonly code: string

  constructor(message: string, { status = 400, code = "tool_error" }: ToolErrorOptions = {}) {
    super(message)
    if (!(Number.isInteger(status) && status >= 400 && status <= 599)) throw new RangeError(`A ToolError's status must be a whole number from 400 to 599, not ${String(status)}.`)
    this.status = status
    this.code = code
  }
}

/** An option that is not what it must be. */
export const invalid = (name: string, value: unknown, expected: string): AgentSocketError =>
  new AgentSocketError("invalid_option", `\`${name}\` is ${show(value)}; it must be ${expected}.`)

/** A value as an error may show it: short, and nothing of what is inside. */
function show(value: unknown): string {
  if (value === undefined) return "missing"
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value)
  if (typeof value === "string") return value.length > 40 ? `a string of ${value.length} characters` : JSON.stringify(value)
  return Array.isArray(value) ? "an array" : `${typeof value === "object" ? "an" : "a"} ${typeof value}`
}
