/**
 * `<agent-socket-button>`: a button that opens a dialog with a link for an AI: to copy, as a QR code, and with who uses
 * it. No framework; its style is its own, and follows `--agent-socket-accent` and the page's colour scheme.
 */

import { css } from "./button-style.js"
import { qrCode } from "./qr.js"
import type { Session } from "./session.js"
import type { Link, MintOptions } from "./types.js"

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
    <p id="hint">Paste this link into an AI chat. Whoever has it can use this page, so keep it private.</p>
    <div class="row">
      <input id="link" readonly spellcheck="false" autocomplete="off" aria-label="Link" aria-describedby="hint">
      <button class="main" id="copy" type="button">Copy</button>
    </div>
    <button id="show-qr" type="button" aria-expanded="false">Show QR code</button>
    <div id="qr" hidden></div>
  </div>
  <h3 id="links-title">Links</h3>
  <ul id="links" aria-labelledby="links-title"></ul>
  <p id="none">There is no link now.</p>
  <p id="error" role="alert" hidden></p>
  <div class="row end"><button id="new" type="button">New link</button><button id="close" type="button">Close</button></div>
</dialog>`

const Base = (globalThis.HTMLElement ?? Object) as typeof HTMLElement

/** The element. Give it a session by `connectButton` or its property `session`. */
export class AgentSocketButton extends Base {
  /** What new links are like. */
  options: ButtonOptions = {}
  #source: SessionSource | undefined
  #session: Session | undefined
  #shown: Link | undefined
  #serial = 0
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
    await this.#attempt(async (session) => { if (!session.links.length) await this.#mint(session) })
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
    this.#shown = await session.mintAgentToken({ ...options, label: this.#label(options.label) })
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
    if (this.#input.value !== (this.#shown?.url ?? "")) this.#input.value = this.#shown?.url ?? ""
    this.#renderLinks(links)
    this.#renderQr()
  }

  #renderLinks(links: readonly Link[]): void {
    const list = this.#$("links")
    const focused = this.shadowRoot?.activeElement?.getAttribute("data-label")
    list.replaceChildren(...links.map((link) => {
      const item = document.createElement("li")
      const name = Object.assign(document.createElement("b"), { textContent: link.label })
      const last = this.#used.get(link.label)
      const use = Object.assign(document.createElement("span"), { textContent: last ? `last call ${ago(last)}` : "not used yet" })
      if (last && Date.now() - last < 60_000) item.className = "active"
      const revoke = Object.assign(document.createElement("button"), { type: "button", textContent: "Revoke" })
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
    const grid = this.#shown && qrCode(this.#shown.url)
    this.#$("show-qr").hidden = !grid
    if (!grid || box.hidden || box.dataset.url === this.#shown?.url) return
    box.dataset.url = this.#shown?.url
    const path = grid.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + 4} ${y + 4}h1v1h-1z` : ""))).join("")
    const size = grid.length + 8
    box.innerHTML = `<svg viewBox="0 0 ${size} ${size}" role="img" aria-label="QR code of the link" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path fill="#000" d="${path}"/></svg>`
  }

  #say(text: string): void {
    this.#$("error").textContent = text
    this.#$("error").hidden = !text
  }
}

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
