import type { ReconnectPolicy } from "./backoff.js"
import type { JsonSchema } from "./json-schema.js"
import type { InputOf, InputSchema } from "./schema.js"

/** Who makes a call. */
export interface Agent {
  /** The same for all calls over one link: 8 hex characters that tell nothing about the token. */
  readonly id: string
  /** The link's label. */
  readonly label: string
}

/** A call of a tool, as its handler gets it. */
export interface ToolCall<Input = unknown> {
  /** HTTP method, upper case. */
  readonly method: string
  /** The tool's path. */
  readonly path: string
  /** What came after `?`, undecoded; empty when nothing did. For `new URLSearchParams(query)`. */
  readonly query: string
  /** The request's body as text; empty when there is none or when it is no UTF-8 (see `bytes`). */
  readonly body: string
  /** `content-type` and the `x-*` headers, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** Who calls; `undefined` where the relay does not tell. */
  readonly agent: Agent | undefined
  /** Aborts when nobody waits for the answer any more: the agent left, the time is over, the link was revoked. */
  readonly signal: AbortSignal
  /** What the agent gave, checked by the tool's `input`; `undefined` for a tool without. */
  readonly input: Input
  /** The body, parsed; what is no JSON makes the answer a 400. With `input`: the same as `input`. */
  json(): unknown extends Input ? any : Input
  /** The body's bytes, whatever they are. */
  bytes(): Uint8Array
}

/** An answer with more to say than a value. Known by its fields: it may have no others. */
export interface ToolReply {
  /** HTTP status, 200 to 599. Default 200; 202 with a `taskId`. */
  status?: number
  /** JSON; or with a `content-type` header a string, sent as it is; or bytes. */
  body?: unknown
  /** Only `content-type` reaches the agent. */
  headers?: Record<string, string>
  /** The work goes on as a task of this id (1 to 64 of `A-Z a-z 0-9 _ -`); see {@link Session.completeTask}. */
  taskId?: string
}

/**
 * Something that an agent can call.
 *
 * @typeParam S the type of its `input` schema, if it has one.
 */
export interface Tool<S = any> {
  /** HTTP method. Default `"POST"`. */
  method?: string
  /** Path below the link, like `/set_pixel`: `/` and characters of `A-Z a-z 0-9 _ - / .` */
  path: string
  /** What it does, for the AI that reads it; at most 1024 characters get there. */
  description: string
  /** JSON Schema of the input, for the AI only: nothing is checked. Wins over what `input` says. */
  input_schema?: JsonSchema
  /**
   * Schema of the input: any Standard Schema (zod, valibot, arktype) or a plain JSON Schema. The AI sees it, each
   * input is checked with it, and the handler's `input` has its type. The input is the JSON of the body (an empty one
   * counts as `{}`); a GET, HEAD or DELETE without a body has it in the query: a name that comes several times is an
   * array, and values are read as the schema has them.
   *
   * A JSON Schema with a part that the SDK can't check is refused, as what it forbids would get through.
   */
  input?: S
  /** Whether parts of `input` that the SDK can't check are left to the handler. Default false: they are refused. */
  unchecked?: boolean
  /** How long a call may take, in ms, 1,000 to 300,000. Default: the relay's, mostly 30,000. */
  timeout_ms?: number
  /** Whether it only reads: AIs may then call it without asking, and those that can only fetch links can call it, too. */
  read_only?: boolean
  /** Whether AIs that can only fetch links may call it although it does more than read. */
  allow_get?: boolean
  /**
   * Does the work. What it returns is the answer: a {@link ToolReply}, bytes (`Uint8Array`, `Blob`), or any other
   * value as JSON; nothing makes a 204. What it throws makes a 500 that tells no details, a {@link ToolError} the
   * answer that it says.
   */
  handler(call: ToolCall<InputOf<S>>): unknown
}

/** Checks a tool's types: its handler gets what its `input` admits. Returns the tool as it is. */
export const tool = <const S extends InputSchema | undefined = undefined>(definition: Tool<S>): Tool<S> => definition

/** A link that lets an agent in. */
export interface Link {
  /** **Secret**: whoever has it can call the tools. */
  readonly token: string
  /** **Secret**, for the same reason. What a person pastes into a chat. */
  readonly url: string
  /** Who it is for. */
  readonly label: string
  /** When it stops working, in ms since 1970; `null` for never. */
  readonly expiresAt: number | null
  /** When it was made, in ms since 1970. */
  readonly mintedAt: number
}

/** What a new link may do. */
export interface MintOptions {
  /** Who it is for; at most 256 characters. */
  label?: string
  /** How long it works, in ms, at most a year. Default: for as long as the session. */
  expiresInMs?: number
  /** Which tools it may call: `"/path"` or `"METHOD /path"`, 1 to 100 of them. Default: all. */
  tools?: string[]
  /** How many calls it may make. Default: any number. */
  maxCalls?: number
}

/** What a session can be taken up with again, after a reload for example. **Secret**: keep it where only the app can read it. */
export interface SavedSession {
  /** The session's id. */
  sessionId: string
  /** **Secret.** */
  resumeSecret: string
  /** Its links, so that they can be made anew if the relay has lost the session. */
  links?: (Link & MintOptions)[]
  /** Tokens still to be revoked. */
  revoke?: string[]
}

/** A place where a session is kept across reloads; {@link tabStore} makes one. */
export interface SessionStore {
  /** What was saved last, if it may be used here. */
  load(): SavedSession | null | Promise<SavedSession | null>
  /** Called at each change; `null` when the session ended. */
  save(saved: SavedSession | null): void
}

/** Why and how the connection went. */
export interface DisconnectEvent {
  /** The WebSocket's close code; 1006 for a line that went dead. */
  code: number
  /**
   * `dropped`: the connection broke, and the session is held. The others are final: `ended`, by the app or with
   * `endSession`; `replaced`: it goes on elsewhere, in another tab perhaps; `refused`: the relay refuses the app;
   * `gave_up`: so said `autoReconnect`.
   */
  reason: "dropped" | "ended" | "replaced" | "refused" | "gave_up"
  /** Whether the SDK tries to get back. */
  willReconnect: boolean
  /** What the relay said, if it said something. */
  message?: string
}

/** The connection is back. */
export interface ReconnectEvent {
  /** Whether it is the same session, with the same links. If not, `onSessionChanged` came first. */
  resumed: boolean
}

/** The relay no longer had the session, so there is a new one. */
export interface SessionChangedEvent {
  /** Why: `resume_refused`, as the session ended while the app was away, by its grace time or otherwise. */
  reason: "resume_refused"
  /** The old session's id. */
  oldSessionId: string
  /** The new session's id. */
  sessionId: string
  /** The old links, dead now, and those that take their place. **Secrets.** */
  links: { oldUrl: string; newUrl: string; label: string }[]
}

/** What {@link connect} takes. */
export interface ConnectOptions<Tools extends readonly Tool[] = readonly Tool[]> {
  /** The app's id, as the relay's `apps.json` has it: 1 to 64 of `A-Z a-z 0-9 _ . -` */
  appId: string
  /** One sentence about the app; at most 1024 characters get there. */
  appDescription?: string
  /** The app's key, for a relay that asks for one. **Secret.** */
  appKey?: string
  /** The briefing that the AI reads first, in Markdown; at most 65,536 characters. See {@link defaultAgentsMd}. */
  agentsMd: string
  /** What an agent can call. */
  tools: Tools
  /** The relay: `https://relay.example`. Default: where the page comes from. */
  baseUrl?: string
  /** A saved session to go on with, or a store that has it and keeps it. */
  resume?: SavedSession | SessionStore | null
  /**
   * Aborting it leaves the session, at any time: for the cleanup of components and for hot reload. A session with
   * `resume` is then held by the relay, so that the next `connect` goes on with it; one without is ended.
   */
  signal?: AbortSignal
  /** Whether and how to get back after a drop. Default {@link exponentialBackoff}, for ever. */
  autoReconnect?: boolean | ReconnectPolicy
  /** What the relay should do beyond the basics. Default `["carry_calls"]`: calls outlive a short drop. */
  features?: readonly string[]
  /** The connection is gone. */
  onDisconnect?(event: DisconnectEvent): void
  /** The connection is back. */
  onReconnect?(event: ReconnectEvent): void
  /** The session and so its links are new: tell the person. */
  onSessionChanged?(event: SessionChangedEvent): void
  /**
   * A handler threw, or returned what can't be sent. The agent learns no more than that; see {@link ToolError}.
   * Default: the error goes to the console.
   */
  onError?(error: unknown, call: { method: string; path: string }): void
  /** Time between heartbeats, in ms. Default 20,000; the relay takes 50 s of silence for death. */
  heartbeatIntervalMs?: number
  /** How long the relay may take to answer one, in ms. Default 15,000. */
  heartbeatTimeoutMs?: number
  /** A `WebSocket` class, for runtimes without one of their own: Node before 22 takes that of the package `ws`. */
  WebSocket?: WebSocketClass
}

/** As much of a `WebSocket` as the SDK uses. */
export interface WebSocketLike {
  readonly readyState: number
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  send(text: string): void
  close(code?: number): void
}

/** A class that makes WebSockets, as browsers have it. */
export type WebSocketClass = new (url: string) => WebSocketLike

/** How things stand: `reconnecting` while the SDK tries to get back. */
export type SessionState = "connecting" | "connected" | "reconnecting" | "closed"

/** A call that was answered, for logs that a person sees. */
export interface CallEvent {
  readonly method: string
  readonly path: string
  /** Who called; `undefined` for the browser's own agent and where the relay does not tell. */
  readonly agent: Agent | undefined
  /** Status of the answer. */
  readonly status: number
  /** Body of the answer, as it was sent: JSON, or a string. */
  readonly body: unknown
  /** How long the handler took, in ms. */
  readonly ms: number
}

/** What {@link Session.on} listens to. */
export interface SessionEvents {
  /** The state changed. */
  state: SessionState
  /** Links were made or revoked. */
  links: readonly Link[]
  /** A call was answered. */
  call: CallEvent
  /** The tools changed. */
  tools: readonly Tool[]
}
