/**
 * The app side of the agent-socket protocol (docs/protocol.md), small enough to read in one go:
 * - one WebSocket to the relay: `register` for a new session, `resume` for a saved one;
 * - a minted token is the link that a person pastes into an AI chat;
 * - each `tool_call` runs the handler of that method and path and is answered with a `tool_reply`;
 * - a heartbeat notices a dead line, and reconnecting resumes the session, so the link stays the same;
 * - only when the relay no longer has the session, a fresh one is made and its links are minted anew.
 */

const HEARTBEAT = '{"type":"ping","id":"as_hb"}' // byte for byte: the relay answers it without waking up
const PING_EVERY_MS = 20_000
const ANSWER_WITHIN_MS = 25_000 // so a line is dead 45 s after its last pong; the relay itself waits 50 s
const MAX_DELAY_MS = 30_000

/** Resolves with the session once the relay has taken `appId`, `appDescription`, `agentsMd` and `tools`. */
export function connect(options) {
  return new Promise((resolve, reject) => {
    const onState = (state, reason, message) => {
      options.onState?.(state, reason, message)
      if (state === "connected") resolve(session)
      if (state === "closed") reject(new Error(message ?? reason))
    }
    const session = new Session({ ...options, onState })
  })
}

export class Session {
  state = "connecting" // then connected | reconnecting | ending | closed
  links = [] // the live ones, { token, url, label }
  #options; #saved; #ws; #retry; #beat
  #requests = new Map() // id → what to do with the reply
  #serial = 0; #attempt = 0; #pingedAt = 0
  #askedAt = 0 // when the relay was asked something that it still has to answer, or 0

  /** `saved` is what `onSaved` last gave: with it the session goes on after a reload. */
  constructor({ baseUrl = location.origin, saved = null, ...options }) {
    this.#options = { baseUrl, onState() {}, onSaved() {}, onLinks() {}, onCall() {}, ...options }
    this.#saved = saved
    if (saved?.ending) this.state = "ending"
    const wake = () => this.#retry && !document.hidden && this.#open() // don't sit out the delay
    addEventListener("online", wake)
    document.addEventListener("visibilitychange", wake)
    this.#open()
  }

  /** Mints a link: `{ token, url, label }`. */
  async mintAgentToken({ label = "" } = {}) {
    this.#setLinks([...this.links, await this.#request("mint_agent_token", { label })])
    return this.links.at(-1)
  }

  /** Revokes a link; when the relay can't be reached now, as the first thing on resume. */
  async revokeAgentToken(token) {
    this.#saved.revoke.push(token)
    this.#setLinks(this.links.filter((link) => link.token !== token))
    if (this.state !== "connected") return
    await this.#request("revoke_agent_token", { token })
    this.#save({ ...this.#saved, revoke: this.#saved.revoke.filter((other) => other !== token) })
  }

  /** Ends the session and its links; while away, as soon as the relay can be reached. */
  close() {
    if (this.state === "closed") return
    if (!this.#saved?.sessionId) return this.#finish("ended")
    const connected = this.state === "connected"
    this.#save({ ...this.#saved, ending: true })
    this.#setState("ending")
    if (!connected) return this.#retry && this.#open() // a socket on its way says `end` by itself
    for (const { token } of this.links) this.#request("revoke_agent_token", { token }).catch(() => {})
    this.#askedAt = Date.now()
    this.#ws.close(1000)
  }

  #open() {
    this.#retry = clearTimeout(this.#retry)
    const path = this.#saved?.sessionId ? `/v1/_ws?session=${this.#saved.sessionId}` : "/v1/_ws"
    const ws = (this.#ws = new WebSocket(new URL(path, this.#options.baseUrl.replace(/^http/, "ws"))))
    ws.onopen = () => ws.send(JSON.stringify(this.#firstFrame()))
    ws.onmessage = ({ data }) => ws === this.#ws && this.#frame(JSON.parse(data))
    ws.onclose = ({ code }) => ws === this.#ws && this.#dropped(code)
    this.#askedAt = this.#pingedAt = Date.now()
    this.#beat = setInterval(() => this.#heartbeat(), 5_000)
  }

  #firstFrame() {
    const { appId, appDescription, agentsMd, tools } = this.#options // handlers don't survive JSON
    const registration = { appId, appDescription, agentsMd, tools }
    if (!this.#saved?.sessionId) return { type: "register", ...registration }
    const { sessionId, secret, revoke } = this.#saved
    if (this.state === "ending") return { type: "end", sessionId, secret }
    return { type: "resume", sessionId, secret, ...registration, revokeTokens: revoke.slice(-50) }
  }

  #frame(frame) {
    if (frame.type === "pong") this.#askedAt = this.#attempt = 0 // a line that lasts earns short delays again
    else if (frame.type === "tool_call") this.#call(this.#ws, frame)
    else if (frame.error?.code === "resume_failed") this.#startAnew()
    else if (frame.type === "end_reply") this.#finish("ended")
    else if (frame.type !== "register_reply") this.#requests.get(frame.id)?.(frame)
    else if (frame.ok) this.#registered(frame).catch(() => {}) // dropped meanwhile: resume goes on from there
    else this.#finish("refused", frame.error.message)
  }

  async #registered({ sessionId, resumeSecret, resumed }) {
    const ending = this.state === "ending"
    const { labels = [], revoke = [] } = this.#saved ?? {}
    this.#save({ sessionId, secret: resumeSecret, labels, revoke, ending })
    if (ending) return this.#ws.close(1000)
    this.#askedAt = 0
    this.#setState("connected")
    if (resumed) {
      const { tokens } = await this.#request("list_agent_tokens")
      this.#setLinks(tokens)
      for (const { token } of tokens) if (revoke.includes(token)) await this.revokeAgentToken(token)
    } else if (labels.length) {
      for (const label of labels) await this.mintAgentToken({ label })
      this.#options.onLinks(this.links, "changed")
    }
  }

  /** The relay no longer has the session: a fresh one, and the same links on it. */
  #startAnew() {
    if (this.state === "ending") return this.#finish("ended")
    this.links = []
    this.#save({ labels: this.#saved.labels })
    this.#letGo()
    this.#open()
  }

  async #call(ws, { type, id, ...call }) {
    const failed = (status, code, message) => ({ status, body: { error: { code, message } } })
    const frame = () => JSON.stringify({ type: "tool_reply", id, status: 200, ...reply })
    const tool = this.#options.tools.find(({ method = "POST", path }) => method === call.method && path === call.path)
    let reply = failed(404, "not_found", `This app has no tool ${call.method} ${call.path}.`)
    try {
      if (tool) reply = await tool.handler({ ...call, json: () => JSON.parse(call.body) })
      frame() // a reply that is no JSON is the handler's error too
    } catch (error) {
      reply = failed(500, "handler_error", String(error?.message ?? error))
    }
    if (ws === this.#ws && ws.readyState === WebSocket.OPEN) ws.send(frame())
    this.#options.onCall({ ...call, status: 200, ...reply })
  }

  async #request(type, fields) {
    if (this.#ws?.readyState !== WebSocket.OPEN) throw new Error("The relay can't be reached right now.")
    const id = `r${++this.#serial}`
    this.#ws.send(JSON.stringify({ type, id, ...fields }))
    const reply = await new Promise((resolve) => this.#requests.set(id, resolve))
    this.#requests.delete(id)
    if (reply.ok === false) throw new Error(reply.error?.message)
    return reply
  }

  /** Timers of hidden tabs run late, so only a question left unanswered proves a dead line. */
  #heartbeat() {
    const now = Date.now()
    if (this.#askedAt && now - this.#askedAt >= ANSWER_WITHIN_MS) return this.#dropped()
    if (this.state !== "connected" || now - this.#pingedAt < PING_EVERY_MS) return
    this.#pingedAt = now
    this.#askedAt ||= now
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.send(HEARTBEAT)
  }

  #dropped(code) {
    this.#letGo()
    if (code === 1000) return this.#finish("ended")
    if (code === 4410) return this.#finish("taken") // another tab resumed this session
    const delay = Math.min(MAX_DELAY_MS, 500 * 2 ** this.#attempt++) * (0.5 + Math.random() / 2)
    this.#retry = setTimeout(() => this.#open(), delay)
    if (this.state !== "ending") this.#setState("reconnecting")
  }

  /** Detaches from the socket; without a close code the relay holds the session, 1000 would end it. */
  #letGo(...code) {
    clearInterval(this.#beat)
    const ws = this.#ws
    this.#ws = null
    ws?.close(...code)
    for (const answer of this.#requests.values()) answer({ ok: false, error: { message: "The connection dropped." } })
  }

  #finish(reason, message) {
    this.#letGo(1000)
    this.#retry = this.#saved = clearTimeout(this.#retry) ?? null // `setLinks` tells `onSaved`
    this.#setLinks([])
    this.#setState("closed", reason, message)
  }

  #setLinks(links) {
    const url = (link) => link.url.replace("__BASE__", this.#options.baseUrl)
    this.links = links.map((link) => ({ token: link.token, url: url(link), label: link.label }))
    this.#save(this.#saved && { ...this.#saved, labels: links.map((link) => link.label) })
    this.#options.onLinks(this.links)
  }

  #save(saved) { this.#options.onSaved((this.#saved = saved)) }
  #setState(state, ...detail) { this.#options.onState((this.state = state), ...detail) }
}
