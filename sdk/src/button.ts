/**
 * `<agent-socket-button>`: a button that opens a dialog with a link for an AI: to copy for each kind of client, as a QR
 * code, and with who uses it. No framework; its style is its own, and follows `--agent-socket-accent` and the page's colour scheme.
 */

import { css } from "./button-style.js"
import { qrCode } from "./qr.js"
import type { Session } from "./session.js"
import { methodOf } from "./tools.js"
import type { Link, MintOptions, Tool } from "./types.js"

/** A session, or what opens one on the first click. */
export type SessionSource = Session | (() => Promise<Session>)

/** Settings of {@link connectButton}. */
export interface ButtonOptions extends MintOptions {
  /** What the button says. Default "Connect an AI". */
  text?: string
}

const STATES = { connecting: "Connecting…", connected: "Connected", reconnecting: "Reconnecting…", closed: "Disconnected" }

const HTML = `
<button part="button" class="main" id="open" type="button"><i></i><span id="text">Connect an AI</span></button>
<dialog aria-labelledby="title">
  <div class="head"><h2 id="title">Connect an AI</h2><p id="state" role="status"></p></div>
  <div id="with-link">
    <fieldset id="tabs"><legend class="hidden">Where to paste it</legend></fieldset>
    <p id="hint"></p>
    <div class="row">
      <input id="link" readonly spellcheck="false" autocomplete="off" aria-label="Link" aria-describedby="hint">
      <button class="main" id="copy" type="button">Copy</button>
    </div>
    <button id="show-qr" type="button" aria-expanded="false">Show QR code</button>
    <div id="qr" hidden></div>
    <p class="small">Whoever has it can use this page, so keep it private.</p>
  </div>
  <p id="local" class="small" hidden>This relay runs on your own machine, so an AI in a cloud can't reach it. Use an agent in your terminal, or a tunnel, <code id="tunnel"></code>, with the relay's <code>PUBLIC_URL</code> set to its address.</p>
  <h3 id="links-title">Links</h3>
  <ul id="links" aria-labelledby="links-title"></ul>
  <p id="none">There is no link now.</p>
  <details>
    <summary>What a new link may do</summary>
    <label>The link works <select id="expires"></select></label>
    <fieldset><legend>and calls</legend><div id="tools"></div></fieldset>
  </details>
  <p id="error" role="alert" hidden></p>
  <div class="row end"><button id="new" type="button">New link</button><button id="close" type="button">Close</button></div>
</dialog>`

/** What to paste where. */
const TABS: Record<string, { name: string; hint: string; text(link: string, tools: readonly Tool[]): string }> = {
  chat: { name: "Chat", hint: "Paste this link into an AI chat that can open web pages.", text: (link) => link },
  mcp: { name: "MCP", hint: "Add this as an MCP server (streamable HTTP, no sign-in).", text: (link, tools) => `${baseOf(link)}/${tools.some(({ path }) => path === "/mcp") ? "_as_" : ""}mcp` },
  page: { name: "Browser", hint: "For people: the tools as forms.", text: (link) => baseOf(link) },
  terminal: { name: "Terminal", hint: "For an agent in a terminal, or for yourself.", text: (link) => `curl ${link}` },
}
const baseOf = (link: string): string => link.replace(/\/agents\.md$/, "")

const HOUR_MS = 3_600_000
const EXPIRIES: [ms: number | undefined, text: string][] = [
  [undefined, "until it is revoked"], [HOUR_MS, "for an hour"], [24 * HOUR_MS, "for a day"], [168 * HOUR_MS, "for a week"],
]

const Base = (globalThis.HTMLElement ?? Object) as typeof HTMLElement

/** The element. Give it a session by `connectButton` or its property `session`. */
export class AgentSocketButton extends Base {
  /** The options of new links. */
  options: ButtonOptions = {}
  #source: SessionSource | undefined
  #session: Session | undefined
  #shown: Link | undefined
  #serial = 0
  #tab = "chat"
  #stops: (() => void)[] = []
  /** When a link was used last, by its label. */
  readonly #used = new Map<string, number>()
  #timer: ReturnType<typeof setInterval> | undefined

  constructor() {
    super()
    const root = this.attachShadow({ mode: "open", delegatesFocus: true })
    root.innerHTML = HTML
    // No <style>: pages with a strict Content-Security-Policy take this one.
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
    root.adoptedStyleSheets = [sheet]
    const on = (id: string, run: () => void) => this.#$(id).addEventListener("click", run)
    on("open", () => void this.#open())
    on("close", () => this.#dialog.close())
    on("new", () => void this.#attempt((session) => this.#mint(session)))
    on("copy", () => void this.#copy())
    on("show-qr", () => this.#toggleQr())
    for (const [value, { name }] of Object.entries(TABS)) {
      const input = make("input", { type: "radio", name: "tab", value, checked: value === this.#tab })
      input.addEventListener("change", () => { this.#tab = value; this.#render() })
      this.#$("tabs").append(labelled(input, name))
    }
    this.#input.addEventListener("focus", () => this.#input.select())
    this.#dialog.addEventListener("click", (event) => { if (event.target === this.#dialog) this.#dialog.close() })
    this.#dialog.addEventListener("close", () => clearInterval(this.#timer))
  }

  connectedCallback(): void {
    const text = this.options.text ?? this.getAttribute("text")
    if (text) this.#$("text").textContent = text
    this.#render()
  }

  disconnectedCallback(): void {
    clearInterval(this.#timer)
  }

  /** The session that the links are for. */
  get session(): Session | undefined { return this.#session }
  set session(source: SessionSource | undefined) {
    for (const stop of this.#stops.splice(0)) stop()
    this.#source = source
    this.#session = undefined
    if (source && typeof source !== "function") this.#use(source)
    this.#render()
  }

  #$<E extends HTMLElement = HTMLElement>(id: string): E {
    return this.shadowRoot?.getElementById(id) as E
  }
  get #dialog(): HTMLDialogElement { return this.shadowRoot?.querySelector("dialog") as HTMLDialogElement }
  get #input(): HTMLInputElement { return this.#$<HTMLInputElement>("link") }

  #use(session: Session): void {
    for (const stop of this.#stops.splice(0)) stop()
    this.#session = session
    const render = () => this.#render()
    this.#stops = [
      session.on("state", render),
      session.on("links", render),
      session.on("call", ({ agent }) => {
        if (agent) this.#used.set(agent.label, Date.now())
        render()
      }),
    ]
  }

  async #open(): Promise<void> {
    this.#dialog.showModal()
    this.#timer = setInterval(() => this.#render(), 10_000)
    await this.#attempt(async (session) => {
      this.#renderLimits(session)
      if (!session.links.length) await this.#mint(session)
    })
    this.#input.focus()
  }

  /** Does something with the session, which is opened first if need be, and shows what went wrong. */
  async #attempt(run: (session: Session) => Promise<unknown>): Promise<void> {
    this.#say("")
    try {
      if (typeof this.#source === "function" && (!this.#session || this.#session.state === "closed")) {
        this.#$("state").textContent = STATES.connecting
        this.#use(await this.#source())
      }
      if (!this.#session) throw new Error("The page gave this button no session.")
      await run(this.#session)
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error))
    }
    this.#render()
  }

  async #mint(session: Session): Promise<void> {
    const { text: _, ...options } = this.options
    const boxes = [...this.#$("tools").querySelectorAll("input")]
    const chosen = boxes.filter(({ checked }) => checked).map(({ value }) => value)
    if (boxes.length && !chosen.length) throw new Error("Choose at least one tool that the link may call.")
    const limits: MintOptions = {}
    const ms = Number(this.#$<HTMLSelectElement>("expires").value)
    if (ms) limits.expiresInMs = ms
    if (chosen.length < boxes.length || options.tools) limits.tools = chosen
    this.#shown = await session.mintAgentToken({ ...options, ...limits, label: this.#label(options.label) })
  }

  /** The choices for a new link, as the page's options have them to begin with. */
  #renderLimits(session: Session): void {
    const { expiresInMs, tools } = this.options
    const expires = this.#$<HTMLSelectElement>("expires")
    const given: typeof EXPIRIES = EXPIRIES.some(([ms]) => ms === expiresInMs) ? [] : [[expiresInMs, `for ${Math.round((expiresInMs ?? 0) / 60_000)} minutes`]]
    // What the page limits can be limited further, and no less.
    const choices = [...given, ...EXPIRIES].filter(([ms]) => expiresInMs === undefined || (ms !== undefined && ms <= expiresInMs))
    const before = expires.value
    expires.replaceChildren(...choices.map(([ms = "", text]) => make("option", { value: String(ms), textContent: text })))
    expires.value = String(expiresInMs ?? "")
    if (choices.some(([ms = ""]) => String(ms) === before)) expires.value = before
    const off = new Set([...this.#$("tools").querySelectorAll("input")].filter(({ checked }) => !checked).map(({ value }) => value))
    const names = session.tools.map((tool) => `${methodOf(tool)} ${tool.path}`).filter((name) => !tools || tools.includes(name) || tools.includes(name.split(" ")[1] as string))
    this.#$("tools").replaceChildren(...names.map((value) => labelled(make("input", { type: "checkbox", value, checked: !off.has(value) }), value)))
  }

  /** A label that no other link has, so that calls tell the links apart. */
  #label(wanted = "Link"): string {
    const taken = new Set(this.#session?.links.map(({ label }) => label))
    let label: string
    do label = `${wanted} ${++this.#serial}`
    while (taken.has(label))
    return label
  }

  async #copy(): Promise<void> {
    let done = true
    try {
      await navigator.clipboard.writeText(this.#input.value) // missing outside https and localhost
    } catch {
      this.#input.select()
      done = document.execCommand("copy")
    }
    const button = this.#$("copy")
    button.textContent = done ? "Copied" : "Press Ctrl+C"
    setTimeout(() => { button.textContent = "Copy" }, 1800)
  }

  #toggleQr(): void {
    const box = this.#$("qr")
    box.hidden = !box.hidden
    this.#$("show-qr").setAttribute("aria-expanded", String(!box.hidden))
    this.#$("show-qr").textContent = box.hidden ? "Show QR code" : "Hide QR code"
    this.#render()
  }

  #render(): void {
    const state = this.#session?.state
    const links = state === "closed" ? [] : (this.#session?.links ?? [])
    this.#shown = links.find(({ token }) => token === this.#shown?.token) ?? links.at(-1)
    this.#$("open").dataset.state = this.#$("state").dataset.state = state ?? "none"
    if (state) this.#$("state").textContent = state === "reconnecting" && navigator.onLine === false ? "You are offline" : STATES[state]
    this.#$("with-link").hidden = !this.#shown
    this.#$("links-title").hidden = this.#$("links").hidden = !links.length
    this.#$("none").hidden = links.length > 0
    const { hint, text } = TABS[this.#tab] as (typeof TABS)[string]
    const value = this.#shown ? text(this.#shown.url, this.#session?.tools ?? []) : ""
    if (this.#input.value !== value) this.#input.value = value
    this.#$("hint").textContent = hint
    if (this.#session) this.#$("tunnel").textContent = `cloudflared tunnel --url ${this.#session.baseUrl}`
    this.#$("local").hidden = !this.#shown || !isLoopback(this.#shown.url)
    this.#renderLinks(links)
    this.#renderQr()
  }

  #renderLinks(links: readonly Link[]): void {
    const list = this.#$("links")
    const focused = this.shadowRoot?.activeElement?.getAttribute("data-label")
    list.replaceChildren(...links.map((link) => {
      const item = document.createElement("li")
      const name = make("b", { textContent: link.label })
      const last = this.#used.get(link.label)
      const until = link.expiresAt === null ? "" : `, works until ${new Date(link.expiresAt).toLocaleString([], { dateStyle: "short", timeStyle: "short" })}`
      const use = make("span", { textContent: (last ? `last call ${ago(last)}` : "not used yet") + until })
      if (last && Date.now() - last < 60_000) item.className = "active"
      const revoke = make("button", { type: "button", textContent: "Revoke" })
      revoke.setAttribute("aria-label", `Revoke ${link.label}`)
      revoke.dataset.label = link.label
      revoke.addEventListener("click", () => void this.#revoke(link))
      item.append(name, use, revoke)
      return item
    }))
    if (focused) list.querySelector<HTMLElement>(`[data-label="${CSS.escape(focused)}"]`)?.focus()
  }

  async #revoke(link: Link): Promise<void> {
    this.#$("new").focus()
    await this.#attempt((session) => session.revokeAgentToken(link))
  }

  #renderQr(): void {
    const box = this.#$("qr")
    const url = /^http/.test(this.#input.value) ? this.#input.value : ""
    const grid = url && qrCode(url)
    this.#$("show-qr").hidden = !grid
    if (!grid) box.replaceChildren()
    if (!grid || box.hidden) return void delete box.dataset.url
    if (box.dataset.url === url) return
    box.dataset.url = url
    const path = grid.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + 4} ${y + 4}h1v1h-1z` : ""))).join("")
    const size = grid.length + 8
    box.innerHTML = `<svg viewBox="0 0 ${size} ${size}" role="img" aria-label="QR code of the link" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path fill="#000" d="${path}"/></svg>`
  }

  #say(text: string): void {
    this.#$("error").textContent = text
    this.#$("error").hidden = !text
  }
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, members: object): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  Object.assign(element, members)
  return element
}

/** An input with its name beside it. */
function labelled(input: HTMLInputElement, name: string): HTMLLabelElement {
  const label = make("label", {})
  label.append(input, make("span", { textContent: name }))
  return label
}

/** Whether an address is the own machine's, which nobody else reaches by it. */
const isLoopback = (url: string): boolean => /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)

/** A time as "12 s ago". */
function ago(at: number): string {
  const seconds = Math.max(1, Math.round((Date.now() - at) / 1000))
  return seconds < 60 ? `${seconds} s ago` : seconds < 3600 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`
}

/** Makes `<agent-socket-button>` known to the page. */
export function defineButton(): void {
  if (globalThis.customElements && !customElements.get("agent-socket-button")) customElements.define("agent-socket-button", AgentSocketButton)
}

/**
 * Makes a button that mints a link on click, shows it with Copy and as a QR code, tells who uses it and revokes it.
 *
 * @param source the session, or a function that opens one when the person first clicks.
 * @example document.body.append(connectButton(session))
 */
export function connectButton(source: SessionSource, options: ButtonOptions = {}): AgentSocketButton {
  defineButton()
  const button = document.createElement("agent-socket-button") as AgentSocketButton
  button.options = options
  button.session = source as Session
  return button
}

declare global {
  interface HTMLElementTagNameMap {
    "agent-socket-button": AgentSocketButton
  }
}
