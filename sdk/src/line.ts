/**
 * One WebSocket to the relay, from its opening to its end:
 * - frames go out as JSON, replies find their request by id;
 * - a heartbeat notices a line that went dead without a close;
 * - `onClose` is called once, whoever ended the line.
 *
 * Timers of hidden pages run late, up to a minute once they are set by timers over and over. So each next heartbeat is set
 * by the pong of the last one, and a deadline that passed while the page slept only makes it ask again.
 */

import { AgentSocketError } from "./errors.js"
import { CLOSE_NORMAL, HEARTBEAT, HEARTBEAT_ID } from "./facts.js"
import type { Settings } from "./options.js"
import type { WebSocketLike } from "./types.js"

/** A timer that comes later than this has slept. */
const LATE_MS = 2_000
/** How long an answer may take after a sleep. */
const PROBE_MS = 5_000
const OPEN = 1

/** A frame, parsed. `features`, in `register_reply`, are the additions to the protocol that the relay has; relays of Part I list none. */
export type Frame = {
  type: string
  id?: unknown
  ok?: boolean
  error?: { code?: string; message?: string }
  features?: readonly string[]
} & Record<string, unknown>

interface Handlers {
  onOpen(): void
  onFrame(frame: Frame): void
  /** The heartbeat was answered. */
  onPong?(): void
  /** The code is 1006 when the line went dead. */
  onClose(code: number): void
}

/** The settings that a line needs. */
type LineSettings = Pick<Settings, "WebSocket" | "heartbeatIntervalMs" | "heartbeatTimeoutMs">
type Answer = { resolve(frame: Frame): void; reject(error: Error): void }

export class Line {
  readonly #ws: WebSocketLike
  readonly #settings: LineSettings
  readonly #handlers: Handlers
  readonly #requests = new Map<string, Answer>()
  #serial = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #heardAt = 0
  #closed = false

  /** `offer`: the subprotocols, if any. */
  constructor(url: string, offer: string[], settings: LineSettings, handlers: Handlers) {
    this.#settings = settings
    this.#handlers = handlers
    const ws = (this.#ws = offer.length ? new settings.WebSocket(url, offer) : new settings.WebSocket(url))
    ws.onopen = () => handlers.onOpen()
    ws.onmessage = ({ data }: { data: unknown }) => this.#receive(data)
    ws.onclose = ({ code }: { code: number }) => this.#end(code)
    ws.onerror = () => {} // a close follows, which tells as much
    this.#awaitLife(settings.heartbeatTimeoutMs)
  }

  /** Sends a frame's text; false when the line is not open. */
  send(text: string): boolean {
    if (this.#closed || this.#ws.readyState !== OPEN) return false
    this.#ws.send(text)
    return true
  }

  /** Sends a frame that is answered. Rejects with the relay's error, or `disconnected`. */
  request(type: string, fields: object = {}): Promise<Frame> {
    const id = `r${++this.#serial}`
    return new Promise((resolve, reject) => {
      if (!this.send(JSON.stringify({ type, id, ...fields }))) return reject(disconnected())
      this.#requests.set(id, { resolve, reject })
    })
  }

  /** The page may have slept: asks for a sign of life, which is due soon. */
  probe(): void {
    if (this.send(HEARTBEAT)) this.#awaitLife(Math.min(PROBE_MS, this.#settings.heartbeatTimeoutMs))
  }

  /** Starts the heartbeat, once the session is open. */
  startBeat(): void {
    this.#after(this.#settings.heartbeatIntervalMs, () => {
      if (this.send(HEARTBEAT)) this.#awaitLife(this.#settings.heartbeatTimeoutMs)
    })
  }

  /** Ends the session with its line; resolves when the relay knows. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      this.#after(PROBE_MS, resolve)
      this.#ws.onclose = () => { this.#end(CLOSE_NORMAL); resolve() }
      this.#ws.close(CLOSE_NORMAL)
    })
  }

  /** Ends the line here and now. The relay holds the session. */
  drop(): void {
    this.#end(1006)
    this.#ws.close()
  }

  #receive(data: unknown): void {
    this.#heardAt = Date.now()
    const frame = parse(data)
    if (!frame) return
    if (frame.type === "pong" && frame.id === HEARTBEAT_ID) {
      this.startBeat()
      return this.#handlers.onPong?.()
    }
    const request = typeof frame.id === "string" ? this.#requests.get(frame.id) : undefined
    if (!request || frame.type === "tool_call" || frame.type === "tool_cancel") return this.#handlers.onFrame(frame)
    this.#requests.delete(frame.id as string)
    if (frame.ok === false) request.reject(relayError(frame))
    else request.resolve(frame)
  }

  #awaitLife(ms: number): void {
    const askedAt = Date.now()
    this.#after(ms, () => {
      const slept = Date.now() - askedAt - ms > LATE_MS
      if (!slept && this.#heardAt < askedAt) this.drop()
      else if (!this.send(HEARTBEAT)) this.#awaitLife(ms)
      else this.#awaitLife(slept ? Math.min(PROBE_MS, ms) : ms)
    })
  }

  #after(ms: number, run: () => void): void {
    clearTimeout(this.#timer)
    if (!this.#closed) this.#timer = setTimeout(run, ms)
  }

  #end(code: number): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    this.#ws.onopen = this.#ws.onmessage = this.#ws.onclose = null
    for (const { reject } of this.#requests.values()) reject(disconnected())
    this.#handlers.onClose(code)
  }
}

export const disconnected = () => new AgentSocketError("disconnected", "The connection to the relay dropped before it answered.")
export const relayError = ({ error }: Frame) =>
  new AgentSocketError(error?.code ?? "protocol_error", error?.message ?? "The relay refused, and did not say why.")

function parse(data: unknown): Frame | undefined {
  try {
    const frame: unknown = JSON.parse(String(data))
    return typeof frame === "object" && frame !== null && typeof (frame as Frame).type === "string" ? (frame as Frame) : undefined
  } catch {
    return undefined // not for us
  }
}

/** The address of the relay's socket. */
export const socketUrl = (baseUrl: string, sessionId?: string): string =>
  `${baseUrl.replace(/^http/, "ws")}/v1/_ws${sessionId ? `?session=${sessionId}` : ""}`
