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

/** A call of a tool, as the handler receives it. */
export interface ToolCall<Input = unknown> {
  /** HTTP method, upper case. */
  readonly method: string
  /** The path that was called, undecoded. */
  readonly path: string
  /** The tool's own path: `/users/:id` where `path` is `/users/7`; else the same. */
  readonly route: string
  /** The parameters in the path, decoded: `{ id: "7" }`. With `input`, they are in it too. */
  readonly params: Readonly<Record<string, string>>
  /** What follows `?`, undecoded, for `new URLSearchParams(query)`; empty if there is no query. */
  readonly query: string
  /** The request's body as text; empty if there is none, or if it is not UTF-8 (see `bytes`). */
  readonly body: string
  /** `content-type` and the `x-*` headers, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** Who calls; `undefined` if the relay does not say. */
  readonly agent: Agent | undefined
  /** Aborts when nobody is waiting for the answer any more: the agent left, the call timed out, or the link was revoked. */
  readonly signal: AbortSignal
  /** What the agent gave, checked by the tool's `input`; `undefined` for a tool without. */
  readonly input: Input
  /** The body, parsed. A body that is not JSON becomes a 400. For a tool with `input`, the same as `input`. */
  json(): unknown extends Input ? any : Input
  /** The body's bytes, whatever they are. */
  bytes(): Uint8Array
}

/** An answer with a status, headers or a task. It is recognized by its fields, so it must have no others. */
export interface ToolReply {
  /** HTTP status, 200 to 599. Default 200; 202 with a `taskId`. */
  status?: number
  /** Any JSON value, a string that is sent as it is (with a `content-type` header), or bytes. */
  body?: unknown
  /** Only `content-type` reaches the agent. */
  headers?: Record<string, string>
  /** The work continues as a task with this id (1 to 64 characters of `A-Z a-z 0-9 _ -`); see {@link Session.completeTask}. */
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
  /**
   * Path below the link, like `/set_pixel`: `/` and characters of `A-Z a-z 0-9 _ - / .` A segment may be a parameter,
   * like `/users/:id`: the handler has its value in `params`, and in `input` if the tool has one.
   */
  path: string
  /** Its name for people; cut to 80 characters. */
  title?: string
  /** What it does, for the AI that reads it. Cut to 1024 characters. */
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
  /** JSON Schema of the answer, for the AI and its client; nothing is checked. Wins over what `output` says. */
  output_schema?: JsonSchema
  /** Schema of the answer, as for `input`. The AI's client may refuse an answer that does not fit; here nothing is checked. */
  output?: InputSchema
  /**
   * What it does to what is there: whether it may destroy something (the relay's page asks the person first), whether a
   * second call with the same input changes nothing more, and whether it only reads (as `read_only` says, too).
   */
  annotations?: { destructive?: boolean; idempotent?: boolean; read_only?: boolean }
  /** How long a call may take, in ms, 1,000 to 300,000. Default: the relay's, mostly 30,000. */
  timeout_ms?: number
  /** Whether it only reads. AIs may then call it without asking, and so may those that can only fetch links. */
  read_only?: boolean
  /** Whether AIs that can only fetch links may call it, even though it does more than read. */
  allow_get?: boolean
  /**
   * Does the work. What it returns is the answer: a {@link ToolReply}, bytes (`Uint8Array`, `Blob`), or any other
   * value as JSON; returning nothing makes a 204. A {@link ToolError} that it throws is the answer too; any other error
   * becomes a 500 without details.
   */
  handler(call: ToolCall<InputOf<S>>): unknown
}

/** Gives a tool's handler the type of its `input`, where it stands outside of `connect`. Returns the tool as it is. */
export const tool = <const S extends InputSchema | undefined = undefined>(definition: Tool<S>): Tool<S> => definition

/** A link for an agent. */
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
  /** How long it works, in ms; at most a year. Default: as long as the session. */
  expiresInMs?: number
  /** Which tools it may call: `"/path"` or `"METHOD /path"`, 1 to 100 of them. Default: all. */
  tools?: string[]
  /** How many calls it may make. Default: any number. */
  maxCalls?: number
}

/** What is needed to resume a session, after a reload for example. **Secret**: keep it where only the app can read it. */
export interface SavedSession {
  /** The session's id. */
  sessionId: string
  /** **Secret.** */
  resumeSecret: string
  /** Its links, so that they can be made anew if the relay has lost the session. */
  links?: (Link & MintOptions)[]
  /** Tokens that the relay must still revoke. */
  revoke?: string[]
  /** The additions to the protocol that the relay has, as it said last. */
  relayFeatures?: string[]
}

/** A place where a session is kept across reloads; {@link tabStore} makes one. */
export interface SessionStore {
  /** What was saved last, or `null` if there is nothing that may be used here. */
  load(): SavedSession | null | Promise<SavedSession | null>
  /** Called at each change, and with `null` when the session has ended. */
  save(saved: SavedSession | null): void
}

/** How the connection ended, and why. */
export interface DisconnectEvent {
  /** The WebSocket's close code; 1006 for a connection that went dead. */
  code: number
  /**
   * `dropped`: the connection broke, and the relay holds the session. The others are final. `ended`: the app ended it,
   * or `endSession` did. `replaced`: it was resumed elsewhere, perhaps in another tab. `refused`: the relay refuses the
   * app. `gave_up`: `autoReconnect` says to stop.
   */
  reason: "dropped" | "ended" | "replaced" | "refused" | "gave_up"
  /** Whether the SDK tries to reconnect. */
  willReconnect: boolean
  /** The relay's reason, if it gave one. */
  message?: string
}

/** The connection is back. */
export interface ReconnectEvent {
  /** Whether it is the same session, with the same links. If not, `onSessionChanged` came first. */
  resumed: boolean
}

/** The relay no longer had the session, so the SDK opened a new one. */
export interface SessionChangedEvent {
  /** Why: `resume_refused` means that the session ended while the app was away, because its grace time passed or otherwise. */
  reason: "resume_refused"
  /** The old session's id. */
  oldSessionId: string
  /** The new session's id. */
  sessionId: string
  /** The old links, which no longer work, and those that replace them. **Secrets.** */
  links: { oldUrl: string; newUrl: string; label: string }[]
}

/** The options of {@link connect}. */
export interface ConnectOptions<Tools extends readonly Tool[] = readonly Tool[]> {
  /** The app's id, as in the relay's `apps.json`: 1 to 64 characters of `A-Z a-z 0-9 _ . -` */
  appId: string
  /** What the app calls itself, cut to 80 characters. People see it where the relay has no name of its own for the app. */
  appName?: string
  /** One sentence about the app. Cut to 1024 characters. */
  appDescription?: string
  /** The app's key, for a relay that asks for one. **Secret.** */
  appKey?: string
  /** The briefing that the AI reads first, in Markdown; at most 65,536 characters. See {@link defaultAgentsMd}. */
  agentsMd: string
  /** What an agent can call. */
  tools: Tools
  /** The relay's address: `https://relay.example`. Default: the origin of the page, or of the `sdk.js` that the relay serves. */
  baseUrl?: string
  /** A saved session to resume, or a store that keeps it. */
  resume?: SavedSession | SessionStore | null
  /**
   * Aborting it leaves the session, at any time: for the cleanup of components and for hot reload. A session with
   * `resume` is then held by the relay, so that the next `connect` goes on with it; one without is ended.
   */
  signal?: AbortSignal
  /** Whether and how to reconnect after a drop. Default: {@link exponentialBackoff}, without end. */
  autoReconnect?: boolean | ReconnectPolicy
  /**
   * What the relay should do beyond the basics. Default all: calls survive a short drop (`carry_calls`), paths may have
   * parameters (`path_params`), results of tasks may have 1 MiB (`large_results`).
   */
  features?: readonly string[]
  /** The connection is gone. */
  onDisconnect?(event: DisconnectEvent): void
  /** The connection is back. */
  onReconnect?(event: ReconnectEvent): void
  /** The session is new, and so are its links: tell the person. */
  onSessionChanged?(event: SessionChangedEvent): void
  /**
   * A handler threw, or returned what can't be sent. The agent learns no more than that; see {@link ToolError}.
   * Default: the error goes to the console.
   */
  onError?(error: unknown, call: { method: string; path: string }): void
  /** Time between heartbeats, in ms. Default 20,000; after 50 s of silence the relay takes the app for gone. */
  heartbeatIntervalMs?: number
  /** How long the relay may take to answer a heartbeat, in ms. Default 15,000. */
  heartbeatTimeoutMs?: number
  /** A `WebSocket` class, for runtimes that have none: Node before 22 can use the one of the package `ws`. */
  WebSocket?: WebSocketClass
}

/** The part of a `WebSocket` that the SDK uses. */
export interface WebSocketLike {
  readonly readyState: number
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  send(text: string): void
  close(code?: number): void
}

/** A `WebSocket` class, like that of browsers. */
export type WebSocketClass = new (url: string, protocols?: string[]) => WebSocketLike

/** The state of a session; `reconnecting` while the SDK tries to reconnect. */
export type SessionState = "connecting" | "connected" | "reconnecting" | "closed"

/** A call that was answered, for a log that a person can read. */
export interface CallEvent {
  readonly method: string
  readonly path: string
  /** Who called; `undefined` for the browser's own agent, and if the relay does not say. */
  readonly agent: Agent | undefined
  /** Status of the answer. */
  readonly status: number
  /** Body of the answer, as it was sent: JSON, or a string. */
  readonly body: unknown
  /** How long the handler took, in ms. */
  readonly ms: number
}

/** The events of {@link Session.on}. */
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
