/**
 * A session at the relay, over as many connections as it takes:
 * - `register` opens it, `resume` takes it up again after every drop;
 * - only when the relay refuses a resume there is a fresh session, and its links are minted anew;
 * - calls run on while the connection is gone, and their answers go out after the resume.
 */

import { fromBase64, utf8Length } from "./bytes.js"
import { Calls } from "./calls.js"
import { endSession } from "./end.js"
import { AgentSocketError, invalid } from "./errors.js"
import {
  CARRY_CALLS, CLOSE_APP_REFUSED, CLOSE_BAD_REGISTRATION, CLOSE_BRIEFING_REFUSED, CLOSE_NORMAL, CLOSE_ORIGIN_DENIED, CLOSE_REPLACED,
  CLOSE_RESUME_FAILED, LARGE_RESULTS, MAX_LARGE_RESULT_BYTES, MAX_REVOKE_ON_RESUME, MAX_TASK_BODY_BYTES,
} from "./facts.js"
import { type Frame, Line, disconnected, relayError, socketUrl } from "./line.js"
import { type LinkRecord, type OldLink, publicLink, readLink, remaining } from "./links.js"
import { type Settings, checkAgentsMd, checkMint, checkInputs, checkSaved, checkTaskId, checkTools } from "./options.js"
import { Outbox } from "./outbox.js"
import { offerOf } from "./proof.js"
import { type CallFrame, type WireReply, routeOf, runCall, wireReply, wireTools } from "./tools.js"
import type {
  DisconnectEvent, Link, MintOptions, SavedSession, SessionChangedEvent, SessionEvents, SessionState, Tool, ToolReply,
} from "./types.js"
import { watchPage } from "./wake.js"

/** What the relay says for good: the same registration would be refused again. */
const REFUSED: readonly number[] = [CLOSE_APP_REFUSED, CLOSE_ORIGIN_DENIED, CLOSE_BAD_REGISTRATION, CLOSE_BRIEFING_REFUSED]

type Listener = (detail: never) => void

/** What became of a lost session, as far as it is known. */
interface Change {
  oldSessionId: string
  waiting: OldLink[]
  links: SessionChangedEvent["links"]
}

/** A session at the relay; {@link connect} opens one. */
export class Session {
  readonly #settings: Settings
  #tools: readonly Tool[]
  #agentsMd: string
  #state: SessionState = "connecting"
  #id = ""
  #secret = ""
  #relayFeatures: string[] = []
  /** The subprotocols that the next upgrade offers, made ahead. */
  #offer: string[] = []
  #links: LinkRecord[] = []
  #revoke: string[] = []
  #change: Change | undefined
  #line: Line | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #attempt = 0
  #awayAt = 0
  #opened = false
  readonly #calls = new Calls()
  readonly #outbox = new Outbox()
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly #warned = new Set<string>()
  #waiters: { resolve(line: Line): void; reject(error: Error): void }[] = []
  #closing: Error | undefined
  /** Whether the relay knows Part II of the protocol: told by its frames. */
  #modern: boolean | undefined
  readonly #unwatch: () => void

  /** @internal */
  constructor(settings: Settings, saved: SavedSession | null) {
    this.#settings = settings
    this.#tools = settings.tools
    this.#agentsMd = settings.agentsMd
    if (saved) this.#take(saved)
    // The relay can't see that the network is gone: told by the close, it answers calls with 503 at once.
    const unwatch = watchPage({ wake: () => this.#wake(), lost: () => { if (this.connected) this.#line?.drop() } })
    const leave = () => this.#leave()
    settings.signal?.addEventListener("abort", leave)
    this.#unwatch = () => {
      unwatch()
      settings.signal?.removeEventListener("abort", leave)
    }
  }

  /** @internal Resolves when the session is open for the first time. */
  async open(): Promise<Line> {
    await this.#prove()
    if (this.#state !== "closed") this.#connect()
    return this.#whenConnected()
  }

  /** The session's id. It is new after `onSessionChanged`. */
  get sessionId(): string { return this.#id }
  /** **Secret.** With it and the id, the session can be resumed and ended. */
  get resumeSecret(): string { return this.#secret }
  /** Whether the relay is connected right now. */
  get connected(): boolean { return this.#state === "connected" }
  /** The session's state. */
  get state(): SessionState { return this.#state }
  /** The relay's address. */
  get baseUrl(): string { return this.#settings.baseUrl }
  /** The app's tools. */
  get tools(): readonly Tool[] { return this.#tools }
  /** The live links that the SDK knows of. **Secret.** */
  get links(): readonly Link[] { return this.#links.map(publicLink) }
  /** What `connect({ resume })` needs to resume this session later. **Secret.** */
  get saved(): SavedSession {
    const saved = { sessionId: this.#id, resumeSecret: this.#secret, links: [...this.#links], revoke: [...this.#revoke] }
    return this.#relayFeatures.length ? { ...saved, relayFeatures: [...this.#relayFeatures] } : saved
  }

  /** Listens to an event; returns a function that stops listening. */
  on<K extends keyof SessionEvents>(event: K, listener: (detail: SessionEvents[K]) => void): () => void {
    const set = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, set.add(listener as Listener))
    return () => void set.delete(listener as Listener)
  }

  /**
   * Makes a link: `link.url` is what a person pastes into a chat. Waits while there is no connection.
   *
   * @throws AgentSocketError `invalid_option`; `too_many_tokens` with 50 live links; `disconnected`, `session_closed`.
   */
  async mintAgentToken(options: MintOptions = {}): Promise<Link> {
    checkMint(options)
    const record = await this.#mint(await this.#whenConnected(), options)
    this.#setLinks([...this.#links, record])
    return publicLink(record)
  }

  /**
   * Revokes a link, given as itself or by its token; its calls in flight fail. While there is no connection, the relay
   * is told as the first thing on resume.
   */
  async revokeAgentToken(link: string | Link): Promise<void> {
    const token = typeof link === "string" ? link : link?.token
    if (typeof token !== "string") throw invalid("token", token, "a token or a link")
    if (this.#state === "closed") return
    this.#revoke.push(token)
    if (this.#change) this.#change.waiting = this.#change.waiting.filter((old) => old.token !== token)
    this.#setLinks(this.#links.filter((link) => link.token !== token))
    if (!this.connected || !this.#line) return
    try {
      await this.#line.request("revoke_agent_token", { token })
    } catch (error) {
      if (isDisconnect(error)) return // the resume revokes it
      this.#forgetRevoked([token])
      throw error
    }
    this.#forgetRevoked([token])
  }

  /** Lists the live links that the relay has. */
  async listAgentTokens(): Promise<Link[]> {
    const { tokens } = await (await this.#whenConnected()).request("list_agent_tokens")
    return (tokens as Record<string, unknown>[]).map((token) => readLink(this.baseUrl, token))
  }

  /**
   * Replaces the tools, and the briefing if one is given. On error nothing changes. While there is no connection, the
   * change is made here at once, and the relay gets it on resume.
   */
  async updateTools(tools: readonly Tool[], { agentsMd = this.#agentsMd }: { agentsMd?: string } = {}): Promise<void> {
    checkTools(tools)
    checkAgentsMd(agentsMd)
    await checkInputs(tools)
    const before = [this.#tools, this.#agentsMd] as const
    this.#setTools([...tools], agentsMd)
    try {
      await this.#line?.request("update_tools", { tools: wireTools(tools), agentsMd })
    } catch (error) {
      if (isDisconnect(error)) return
      this.#setTools(...before)
      throw error
    }
  }

  /**
   * Finishes a task that a handler started by returning a `taskId`. The agent's next poll gets the result: a value or a
   * {@link ToolReply}, of at most 1 MiB as JSON or bytes (64 KiB of JSON at older relays). It is sent again after a drop; the first completion counts.
   *
   * @throws AgentSocketError `invalid_option` for what can't be sent.
   */
  async completeTask(taskId: string, result?: unknown): Promise<void> {
    checkTaskId(taskId)
    const { taskId: _, ...reply } = await wireReply(result === undefined ? { status: 200 } : result)
    const large = this.#settings.features.includes(LARGE_RESULTS) && (!this.#id || this.#relayFeatures.includes(LARGE_RESULTS))
    const most = large ? MAX_LARGE_RESULT_BYTES : MAX_TASK_BODY_BYTES
    const text = JSON.stringify(reply.body) ?? ""
    const size = large && reply.bodyEncoding ? fromBase64(reply.body as string).length : utf8Length(text)
    if (size > most) throw new AgentSocketError("invalid_option", `The task's result takes ${size} bytes; at most ${most} can be sent.`)
    this.#outbox.delete(`progress ${taskId}`)
    this.#outbox.post(`task ${taskId}`, { type: "task_complete", taskId, ...reply })
  }

  /**
   * Tells those who poll a task how far it is. Older relays ignore it.
   *
   * @param progress how far, from 0 to 1.
   * @param message what is going on; cut to 1024 characters.
   */
  progressTask(taskId: string, progress?: number, message?: string): void {
    checkTaskId(taskId)
    if (this.#modern === false) this.#degrade("task progress", "polls do not show it")
    this.#outbox.post(`progress ${taskId}`, { type: "task_progress", taskId, progress, message })
  }

  /** Pings the relay; resolves with the time that the answer took, in ms. */
  async ping(): Promise<number> {
    const line = await this.#whenConnected()
    const startedAt = performance.now()
    await line.request("ping")
    return performance.now() - startedAt
  }

  /**
   * Runs a tool here, as if an agent had called it. Never rejects: a failure is a reply.
   *
   * @param body the body, as text.
   */
  async call(method: string, path: string, body = "", signal = new AbortController().signal): Promise<{ status: number; body?: unknown }> {
    const frame = { id: "", method, path, body, headers: {}, ...routeOf(this.#tools, method, path) }
    const startedAt = performance.now()
    const reply = await runCall(this.#tools, frame, signal, { onError: this.#failed })
    this.#told(frame, reply, startedAt)
    return reply
  }

  /**
   * Ends the session: its links stop working at once. With `keep: true` the app only leaves it, and can resume it with
   * {@link Session.saved} for as long as the relay holds it (a day).
   *
   * @throws AgentSocketError `unreachable` if the relay could not be told; it then ends the session after a day.
   */
  async close({ keep = false }: { keep?: boolean } = {}): Promise<void> {
    if (this.#state === "closed") return
    const { sessionId, resumeSecret, connected } = this
    const relayFeatures = this.#relayFeatures
    const line = this.#line
    this.#finish({ code: CLOSE_NORMAL, reason: "ended", willReconnect: false }, keep)
    // Of a session whose id is not known yet nobody can take care later.
    if (sessionId && (keep || !connected)) line?.drop()
    else await line?.end()
    if (!keep && !connected && sessionId) await endSession({ ...this.#settings, sessionId, resumeSecret, relayFeatures })
  }

  /** `signal` was aborted. */
  #leave(): void {
    this.#closing ??= this.#settings.signal?.reason as Error
    this.close({ keep: this.#settings.store !== undefined }).catch(() => {}) // the relay ends it in time
  }

  // ---- connecting ----

  /** Every third try offers nothing: a relay that was put back to an older version selects nothing, and browsers give up. */
  #connect(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const line: Line = new Line(socketUrl(this.baseUrl, this.#id), this.#attempt % 3 === 2 ? [] : this.#offer, this.#settings, {
      onOpen: () => line.send(JSON.stringify(this.#firstFrame())),
      onFrame: (frame) => this.#frame(line, frame),
      onPong: () => { this.#attempt = 0; this.#outbox.confirm() },
      onClose: (code) => this.#closed(line, code),
    })
    this.#line = line
  }

  async #prove(): Promise<void> {
    const id = this.#id
    const offer = await offerOf(this.#relayFeatures, id, this.#secret)
    if (id === this.#id) this.#offer = offer
  }

  #firstFrame(): object {
    const { appId, appName, appDescription, appKey, features } = this.#settings
    const registration = { appId, appName, appDescription, appKey, features, agentsMd: this.#agentsMd, tools: wireTools(this.#tools) }
    if (!this.#id) return { type: "register", ...registration }
    const answered = this.#outbox.keys().flatMap((key) => (key.startsWith("call ") ? [key.slice(5)] : []))
    return {
      type: "resume", sessionId: this.#id, secret: this.#secret, ...registration,
      revokeTokens: this.#revoke.slice(-MAX_REVOKE_ON_RESUME), pendingCalls: [...this.#calls.ids, ...answered],
    }
  }

  #frame(line: Line, frame: Frame): void {
    if (line !== this.#line) return
    if (frame.type === "tool_call") this.#called(frame as unknown as CallFrame)
    else if (frame.type === "tool_cancel") this.#calls.cancel(String(frame.id), String(frame.reason))
    else if (frame.type === "task_error") this.#taskError(frame)
    else if (frame.type !== "register_reply") return
    else if (frame.ok) void this.#registered(line, frame)
    else if (frame.error?.code === "resume_failed") this.#startAnew()
    else this.#refused(CLOSE_APP_REFUSED, relayError(frame))
  }

  async #registered(line: Line, { sessionId, resumeSecret, resumed = false, features }: Frame): Promise<void> {
    if (features) this.#learn(true)
    this.#id = String(sessionId)
    this.#secret = String(resumeSecret)
    this.#relayFeatures = [...(features ?? [])]
    const proved = this.#prove()
    if (resumed) this.#forgetRevoked(this.#revoke)
    line.startBeat()
    this.#save()
    this.#outbox.attach((text) => line.send(text))
    try {
      if (this.#change) await this.#mintAgain(line, this.#change)
    } catch {
      return line.drop() // the rest is done after the next connection
    }
    await proved // who is told of the connection finds that the next one is proved
    if (line !== this.#line) return
    const back = this.#opened
    this.#opened = true
    this.#awayAt = 0
    this.#setState("connected")
    if (back) this.#tell("onReconnect", { resumed: Boolean(resumed) })
    for (const { resolve } of this.#waiters.splice(0)) resolve(line)
  }

  #closed(line: Line, code: number): void {
    if (line !== this.#line) return
    this.#line = undefined
    this.#outbox.detach()
    if (code === CLOSE_NORMAL || code === CLOSE_REPLACED) return this.#finish({ code, reason: code === CLOSE_NORMAL ? "ended" : "replaced", willReconnect: false })
    if (code === CLOSE_RESUME_FAILED && this.#id) return this.#startAnew()
    if (REFUSED.includes(code)) return this.#refused(code)
    if (!this.#opened && !this.#id) return this.#giveUp(code) // nothing to get back to
    this.#retry(code)
  }

  #retry(code: number): void {
    this.#awayAt ||= Date.now()
    const delay = this.#settings.policy(this.#attempt++, Date.now() - this.#awayAt)
    if (delay === null) return this.#giveUp(code)
    if (!this.#settings.features.includes(CARRY_CALLS)) this.#calls.cancelAll("the connection dropped")
    this.#timer = setTimeout(() => this.#connect(), delay)
    const wasConnected = this.connected
    this.#setState(this.#opened ? "reconnecting" : "connecting")
    if (wasConnected) this.#tell("onDisconnect", { code, reason: "dropped", willReconnect: true })
  }

  /** The page woke up, or the network is back: no time to sit out a delay. */
  #wake(): void {
    if (this.#timer !== undefined) this.#connect()
    else if (this.connected) this.#line?.probe()
  }

  // ---- a lost session ----

  /** The relay no longer has the session: a fresh one, and the same links on it. */
  #startAnew(): void {
    const before = this.#change
    const known = new Map(before?.links.map(({ oldUrl, newUrl }) => [newUrl, oldUrl]))
    const revoked = new Set(this.#revoke)
    const lost = this.#links.filter(({ token }) => !revoked.has(token)).map((link) => ({ ...link, oldUrl: known.get(link.url) ?? link.url }))
    this.#change = { oldSessionId: before?.oldSessionId ?? this.#id, waiting: [...lost, ...(before?.waiting ?? [])], links: [] }
    this.#id = this.#secret = ""
    this.#offer = []
    this.#links = []
    this.#revoke = []
    this.#calls.cancelAll("the session is over")
    this.#outbox.clear()
    const line = this.#line
    this.#line = undefined
    line?.drop()
    this.#connect()
  }

  async #mintAgain(line: Line, change: Change): Promise<void> {
    for (let old = change.waiting[0]; old; old = change.waiting[0]) {
      const options = remaining(old)
      const record = options && (await this.#mint(line, options))
      if (change.waiting[0] !== old) { // revoked just now
        if (record) await line.request("revoke_agent_token", { token: record.token })
        continue
      }
      change.waiting.shift()
      if (!record) continue
      change.links.push({ oldUrl: old.oldUrl, newUrl: record.url, label: record.label })
      this.#setLinks([...this.#links, record])
    }
    this.#change = undefined
    this.#emit("links", this.links)
    this.#tell("onSessionChanged", { reason: "resume_refused", oldSessionId: change.oldSessionId, sessionId: this.#id, links: change.links })
  }

  // ---- calls and tasks ----

  #called(frame: CallFrame): void {
    if (this.#modern === undefined) this.#learn(Boolean(frame.agent))
    const startedAt = performance.now()
    const asJson = this.#modern ? undefined : () => this.#degrade("binary answers", "bytes are sent as base64 within JSON")
    void this.#calls.run(this.#tools, frame, { onError: this.#failed, asJson }, (reply) => {
      if (this.#state !== "closed") this.#outbox.post(`call ${frame.id}`, { type: "tool_reply", id: frame.id, ...reply })
      this.#told(frame, reply, startedAt)
    })
  }

  #told({ method, path, agent }: CallFrame, { status, body }: WireReply, startedAt: number): void {
    this.#emit("call", { method, path, agent, status, body, ms: performance.now() - startedAt })
  }

  readonly #failed = (error: unknown, { method, path }: { method: string; path: string }): void => {
    const { onError } = this.#settings
    if (onError) guarded(() => onError(error, { method, path }))
    else console.error(`agent-socket: the handler of ${method} ${path} failed`, error)
  }

  /** `unknown_task` may also come of a completion that was sent twice. */
  #taskError({ taskId, code }: Frame): void {
    console.warn(`agent-socket: the relay did not take task ${String(taskId)}: ${String(code)}`)
  }

  // ---- what an older relay does not know ----

  #learn(modern: boolean): void {
    this.#modern = modern
    if (modern) return
    if (this.#tools.some((tool) => tool.timeout_ms !== undefined)) this.#degrade("timeout_ms", "its own time limit holds for every tool")
    if (this.#settings.features.length) this.#degrade("features", "calls fail when the connection drops")
  }

  #degrade(what: string, instead: string): void {
    if (this.#warned.has(what)) return
    this.#warned.add(what)
    console.warn(`agent-socket: this relay ignores ${what}: ${instead}.`)
  }

  // ---- links ----

  async #mint(line: Line, options: MintOptions): Promise<LinkRecord> {
    const { label = "", expiresInMs, tools, maxCalls } = options
    const link = readLink(this.baseUrl, await line.request("mint_agent_token", { label, expiresInMs, tools, maxCalls }))
    if ((expiresInMs ?? tools ?? maxCalls) !== undefined && link.expiresAt === null) await this.#checkLimits(line, options)
    return { ...link, expiresInMs, tools, maxCalls } as LinkRecord
  }

  /** Only a relay that limits links tells in its list when they expire. */
  async #checkLimits(line: Line, { expiresInMs }: MintOptions): Promise<void> {
    const { tokens } = await line.request("list_agent_tokens")
    const honours = expiresInMs === undefined && (tokens as object[]).some((token) => "expiresAt" in token)
    if (!honours) this.#degrade("the limits of links", "links work for every tool until they are revoked")
  }

  #forgetRevoked(tokens: string[]): void {
    this.#revoke = this.#revoke.filter((token) => !tokens.includes(token))
    this.#save()
  }

  // ---- state ----

  #take(saved: SavedSession): void {
    checkSaved(saved)
    const { sessionId, resumeSecret, links = [], revoke = [], relayFeatures = [] } = saved
    this.#id = sessionId
    this.#secret = resumeSecret
    this.#links = links.map((link) => ({ ...link }))
    this.#revoke = [...revoke]
    this.#relayFeatures = [...relayFeatures]
  }

  #whenConnected(): Promise<Line> {
    if (this.#state === "closed") return Promise.reject(this.#closing ?? new AgentSocketError("session_closed", "The session is closed."))
    if (this.connected && this.#line) return Promise.resolve(this.#line)
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  #giveUp(code: number): void {
    this.#closing ??= new AgentSocketError("unreachable", `The relay at ${this.baseUrl} can't be reached (close code ${code}).`)
    this.#finish({ code, reason: "gave_up", willReconnect: false, message: this.#closing.message }, true)
  }

  #refused(code: number, error?: AgentSocketError): void {
    this.#closing ??= error ?? new AgentSocketError("refused", `The relay refused the app (close code ${code}).`)
    const line = this.#line
    this.#finish({ code, reason: "refused", willReconnect: false, message: this.#closing.message }, true)
    line?.drop()
  }

  /** The end. What was saved is kept only where somebody may still resume it. */
  #finish(event: DisconnectEvent, keep = false): void {
    if (this.#state === "closed") return
    const opened = this.#opened
    clearTimeout(this.#timer)
    this.#timer = this.#line = undefined
    this.#unwatch()
    this.#outbox.clear()
    this.#calls.cancelAll("the session is closed")
    if (!keep) this.#keep(null)
    if (!keep && this.#links.length) {
      this.#links = []
      this.#emit("links", [])
    }
    this.#closing ??= new AgentSocketError("session_closed", event.message ?? "The session is closed.")
    this.#setState("closed")
    for (const { reject } of this.#waiters.splice(0)) reject(this.#closing)
    if (opened) this.#tell("onDisconnect", event)
  }

  #setState(state: SessionState): void {
    if (state === this.#state) return
    this.#state = state
    this.#emit("state", state)
  }

  #setLinks(links: LinkRecord[]): void {
    this.#links = links
    this.#save()
    this.#emit("links", this.links)
  }

  #setTools(tools: readonly Tool[], agentsMd: string): void {
    this.#tools = tools
    this.#agentsMd = agentsMd
    this.#emit("tools", tools)
  }

  #save(): void {
    if (this.#id && this.#state !== "closed") this.#keep(this.saved)
  }

  #keep(saved: SavedSession | null): void {
    guarded(() => this.#settings.store?.save(saved))
  }

  #emit<K extends keyof SessionEvents>(event: K, detail: SessionEvents[K]): void {
    for (const listener of this.#listeners.get(event) ?? []) guarded(() => (listener as (detail: SessionEvents[K]) => void)(detail))
  }

  #tell(name: "onDisconnect" | "onReconnect" | "onSessionChanged", event: object): void {
    guarded(() => (this.#settings[name] as ((event: object) => void) | undefined)?.(event))
  }
}

const isDisconnect = (error: unknown): boolean => (error as Partial<AgentSocketError>).code === disconnected().code

/** The app's own mistakes must not stop the session. */
function guarded(run: () => void): void {
  try {
    run()
  } catch (error) {
    console.error("agent-socket: a callback threw", error)
  }
}
