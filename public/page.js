/** The demo page: connects the picture to the relay and shows what happens. */

import { connect, endSession } from "/sdk.js"
import { tabStore } from "/sdk-page.js"
import { PALETTE, Picture, SIZE, agentsMd, description, tools } from "/picture.js"

const $ = (id) => document.getElementById(id)
const MAX_CALLS = 40

/* What a reload needs lives in this tab's sessionStorage. */
const store = {
  get(key) { try { return JSON.parse(sessionStorage.getItem(`agent-socket.${key}`)) } catch { return null } },
  set(key, value) {
    try {
      if (value === null) sessionStorage.removeItem(`agent-socket.${key}`)
      else sessionStorage.setItem(`agent-socket.${key}`, JSON.stringify(value))
    } catch { /* storage is off or full: the page works, a reload starts over */ }
  },
}

/* ---- the picture ---- */

const picture = new Picture($("canvas"), { saved: store.get("picture"), onPaint: painted })
let brush = "#ff5d5d"
let cursor = { x: 16, y: 4 }
let describing = 0

function painted() {
  clearTimeout(describing)
  describing = setTimeout(() => { describe(); store.set("picture", picture.cells) }, 300)
}

const colorName = (color) => PALETTE.find(([, hex]) => hex === color)?.[0] ?? color

/** The text that stands for the picture: its main colours by share. */
function describe() {
  const counts = new Map()
  for (const cell of picture.cells) counts.set(cell, (counts.get(cell) ?? 0) + 1)
  const top = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 5)
  const shares = top.map(([color, n]) => `${colorName(color)} ${Math.max(1, Math.round((n / picture.cells.length) * 100))} %`)
  $("canvas-text").textContent =
    `${counts.size} ${counts.size === 1 ? "colour" : "colours"}, most of it ${shares.join(", ")}.`
}

/** Lights up what the AI has just painted. */
function flash(pixels) {
  const context = $("flash").getContext("2d")
  context.clearRect(0, 0, SIZE, SIZE)
  context.fillStyle = "#ffffff"
  for (const [x, y] of pixels) context.fillRect(x, y, 1, 1)
  for (const animation of $("flash").getAnimations()) animation.cancel()
  $("flash").animate([{ opacity: 0.75 }, { opacity: 0 }], { duration: 700, easing: "steps(6)" })
}
const stillness = matchMedia("(prefers-reduced-motion: reduce)")

function line(from, to) {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1)
  return Array.from({ length: steps + 1 }, (_, i) =>
    [Math.round(from.x + ((to.x - from.x) * i) / steps), Math.round(from.y + ((to.y - from.y) * i) / steps), brush])
}

function setUpBoard() {
  const board = $("board")
  const cellAt = ({ clientX, clientY }) => {
    const box = $("canvas").getBoundingClientRect()
    const cell = (offset, length) => Math.min(SIZE - 1, Math.max(0, Math.floor((offset / length) * SIZE)))
    return { x: cell(clientX - box.left, box.width), y: cell(clientY - box.top, box.height) }
  }
  let last = null
  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return
    board.setPointerCapture(event.pointerId)
    last = cellAt(event)
    picture.paint(line(last, last))
    moveCursor(last)
  })
  board.addEventListener("pointermove", (event) => {
    if (!last) return
    const cell = cellAt(event)
    picture.paint(line(last, cell))
    moveCursor((last = cell))
  })
  for (const type of ["pointerup", "pointercancel"]) board.addEventListener(type, () => { last = null })

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
  board.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return
    const move = moves[event.key]
    const paints = event.key === " " || event.key === "Enter"
    if (!move && !paints) return
    event.preventDefault()
    if (move) {
      const from = cursor
      const clamp = (n) => Math.min(SIZE - 1, Math.max(0, n))
      moveCursor({ x: clamp(cursor.x + move[0]), y: clamp(cursor.y + move[1]) })
      if (event.shiftKey) picture.paint(line(from, cursor))
    } else picture.paint(line(cursor, cursor))
    $("cell").textContent = `x ${cursor.x}, y ${cursor.y}, ${colorName(picture.cells[cursor.y * SIZE + cursor.x])}`
  })
  moveCursor(cursor)
}

function moveCursor(cell) {
  cursor = cell
  $("cursor").style.left = `${(cell.x / SIZE) * 100}%`
  $("cursor").style.top = `${(cell.y / SIZE) * 100}%`
}

function setUpPalette() {
  for (const [name, color] of PALETTE) {
    const label = document.createElement("label")
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "color", value: color })
    const chip = document.createElement("span")
    input.setAttribute("aria-label", name)
    input.checked = color === brush
    label.title = name
    chip.style.backgroundColor = color
    label.append(input, chip)
    $("swatches").append(label)
  }
  $("swatches").addEventListener("change", ({ target }) => { brush = target.value })
  $("custom").addEventListener("input", ({ target }) => {
    brush = target.value
    for (const input of $("swatches").querySelectorAll("input")) input.checked = input.value === brush
  })
  $("clear").addEventListener("click", () => picture.fill(0, 0, SIZE, SIZE, "#ffffff"))
  $("reset").addEventListener("click", () => picture.reset())
}

/* ---- the session ---- */

const STATES = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  away: "You are offline",
  ending: "Disconnecting…",
  closed: "Offline",
}
const AGAIN_MS = 3_000

const sessions = tabStore("demo")
let session = null
let opening = null // aborts the opening of a session

/** Opens a fresh session with a link, or goes on with the one of this tab. */
async function start({ fresh }) {
  notice("")
  show("connecting")
  $("with-link").hidden = $("no-link").hidden = $("revoke").hidden = true
  opening = new AbortController()
  const { signal } = opening
  try {
    session = await connect({
      appId: "as_app_anon", appName: "Pixel picture", appDescription: description, agentsMd, tools: tools(picture).map(flashing), resume: sessions, signal,
      onDisconnect({ reason, message }) {
        if (reason === "replaced") notice("This session goes on in another tab, so it was let go here.")
        if (reason === "refused") notice(`The relay refused the app: ${message}`)
      },
      onSessionChanged: () => notice("The relay no longer had this session, so the link changed. The old one is dead: share the new one."),
    })
  } catch (error) {
    if (signal.aborted) return
    notice(error.message)
    return over()
  }
  session.on("state", (state) => { if (!signal.aborted) (state === "closed" ? over : show)(state) })
  session.on("links", showLinks)
  session.on("call", onCall)
  show(session.state)
  if (fresh) await mint()
  else showLinks(session.links)
}

/** The session is over, or none could be had. */
function over() {
  session = null
  const hadFocus = $("live").contains(document.activeElement)
  show("closed")
  if (hadFocus || document.activeElement === document.body) $("connect").focus({ preventScroll: true })
}

/** Leaves the session here, and ends it. */
async function disconnect() {
  const { sessionId, resumeSecret } = session ?? (await sessions.load()) ?? {}
  store.set("ending", sessionId ? { sessionId, resumeSecret } : null)
  show("ending")
  opening.abort()
  sessions.save(null)
  await end()
}

/** Ends the session that the person left, as soon as the relay can be reached; a reload goes on with it. */
async function end() {
  for (let leaving; (leaving = store.get("ending")); ) {
    try {
      await endSession(leaving)
      store.set("ending", null)
    } catch {
      await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS) })
    }
  }
  over()
}

/** A tool whose painting lights up. */
const flashing = (tool) => ({
  ...tool,
  handler(call) {
    const before = [...picture.cells]
    const reply = tool.handler(call)
    const changed = picture.cells.flatMap((cell, i) => (cell === before[i] ? [] : [[i % SIZE, Math.floor(i / SIZE)]]))
    if (changed.length && !stillness.matches) flash(changed)
    return reply
  },
})

async function mint() {
  try {
    const expiresInMs = Number($("expires").value) || undefined
    const look = $("scope").value === "look"
    await session.mintAgentToken({ label: look ? LOOK_LABEL : "pixel picture", expiresInMs, tools: look ? LOOK : undefined })
    $("link").focus()
  } catch (error) {
    notice(`No link was made: ${error.message}`)
    if (session) showLinks(session.links)
  }
}

function show(state) {
  const offline = state === "closed"
  $("state").textContent = STATES[state === "reconnecting" && !navigator.onLine ? "away" : state]
  $("state").dataset.state = offline ? "offline" : state
  $("start").hidden = !offline
  $("live").hidden = offline
  $("demo").classList.toggle("is-live", !offline)
  $("new-link").disabled = state !== "connected"
  showLimits()
  $("disconnect").disabled = state === "ending"
}

function showLinks(links) {
  const link = links.at(-1)
  $("with-link").hidden = $("revoke").hidden = !link
  $("no-link").hidden = Boolean(link)
  $("link").value = link?.url ?? ""
  $("link-title").textContent = link?.expiresAt ? `The link, until ${clock(link.expiresAt)}; whoever has it can use it` : "The link; whoever has it can use it"
  write()
  showLimits()
}

/** What a new link may do is asked while one can be made. */
function showLimits() {
  $("limits").hidden = $("start").hidden && $("no-link").hidden
}

/** A time for people: the hour, and the day if it is another. */
const clock = (at) => new Date(at).toLocaleString([], { ...(at - Date.now() > 72_000_000 && { day: "numeric", month: "short" }), hour: "2-digit", minute: "2-digit" })

function notice(text) {
  $("notice").textContent = text
  $("notice").hidden = !text
}

/* ---- what to paste ---- */

const task = () => (session?.links.at(-1)?.label === LOOK_LABEL ? "Tell me what you see." : "Look at what is there, then paint a crescent moon into the sky.")
/** Tools that change nothing. */
const LOOK = ["GET /get_grid"]
const LOOK_LABEL = "pixel picture, only to look at"
const base = (link) => link.replace(/\/agents\.md$/, "")
const SAY = {
  chat: (link) => `Please open ${link} – it describes a pixel picture that is open in my browser and the web requests that work on it. ${task()}`,
  mcp: (link) => `${base(link)}/mcp`,
  page: base,
  terminal: (link) => `Fetch ${link} with curl. It describes a pixel picture that is open in my browser and the HTTP calls that work on it. ${task()}`,
  curl: (link) => `curl ${base(link)}/fill_rect -d '{"x":25,"y":1,"w":4,"h":4,"color":"#fff6dc"}'`,
}
const HINTS = {
  chat: "Claude, ChatGPT, Gemini… It needs web access: to send requests, or at least to fetch links.",
  mcp: "The address of an MCP server (streamable HTTP, no sign-in): Claude, ChatGPT, VS Code and others take it.",
  page: "For people: the tools as forms, in any browser.",
  terminal: "Claude Code, Codex, Gemini CLI and the like.",
  curl: "No AI at hand? This paints a square moon.",
}

function write() {
  const target = document.querySelector("input[name=target]:checked").value
  const link = $("link").value
  $("sentence").value = link && SAY[target](link)
  $("sentence").classList.toggle("prose", target === "chat" || target === "terminal")
  $("hint").textContent = link && HINTS[target]
}

async function copy(button, text, field) {
  const label = (button.dataset.label ??= button.textContent)
  button.textContent = label
  let done = true
  try {
    await navigator.clipboard.writeText(text) // missing outside https and localhost
  } catch {
    field?.select()
    done = Boolean(field) && document.execCommand("copy")
  }
  button.textContent = done ? "Copied" : "Press Ctrl+C"
  $("activity").textContent = done ? "Copied." : "The text is selected: copy it with Ctrl+C."
  clearTimeout(button.timer)
  button.timer = setTimeout(() => { button.textContent = label }, 1800)
}

/* ---- what the AI did ---- */

/** The log, oldest first: a reload keeps it. */
const log = store.get("calls") ?? []
const waiting = []
let summary = { calls: 0, pixels: 0, timer: 0 }

function onCall(call) {
  const { method, path, status, body } = call
  const outcome = body?.error?.message ?? (body?.painted ? `${body.painted} px` : "read the picture")
  waiting.push({ at: Date.now(), what: `${method} ${path}`, outcome, status })
  if (waiting.length > MAX_CALLS) waiting.shift()
  if (waiting.length === 1) requestAnimationFrame(listCalls)
  summary.calls += 1
  summary.pixels += call.body?.painted ?? 0
  summary.timer ||= setTimeout(() => {
    $("activity").textContent = `The AI made ${summary.calls} ${summary.calls === 1 ? "call" : "calls"} and painted ${summary.pixels} pixels.`
    summary = { calls: 0, pixels: 0, timer: 0 }
  }, 1500)
}

function listCalls() {
  log.push(...waiting)
  log.splice(0, log.length - MAX_CALLS)
  store.set("calls", log)
  list(waiting.splice(0))
}

function list(calls) {
  for (const { at, what, outcome, status } of calls) {
    const item = document.createElement("li")
    const part = (name, text) => item.append(Object.assign(document.createElement("span"), { className: name, textContent: text }))
    part("time", new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }))
    part("what", what)
    part("outcome", outcome)
    part("status", status)
    item.dataset.ok = status < 400
    $("calls").prepend(item)
  }
  while ($("calls").children.length > MAX_CALLS) $("calls").lastChild.remove()
  $("no-calls").hidden = $("calls").children.length > 0
}

/* ---- all together ---- */

setUpPalette()
setUpBoard()
describe()
list(log)
$("local").hidden = !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|.*\.localhost)$/.test(location.hostname)
$("tunnel").textContent = `cloudflared tunnel --url ${location.origin}`
$("connect").addEventListener("click", () => { start({ fresh: true }); $("live").focus() })
$("new-link").addEventListener("click", () => { notice(""); mint() })
$("disconnect").addEventListener("click", disconnect)
$("revoke").addEventListener("click", async () => {
  const away = !session.connected
  const failed = await session.revokeAgentToken(session.links.at(-1)).then(() => false, () => true)
  notice(away || failed ? "The link will be revoked as soon as the relay can be reached."
    : "The link was revoked: whoever has it can no longer read or paint.")
  $("live").focus()
})
for (const input of document.querySelectorAll("input[name=target]")) input.addEventListener("change", write)
for (const [button, field] of [["copy-link", "link"], ["copy-sentence", "sentence"]])
  $(button).addEventListener("click", () => copy($(button), $(field).value, $(field)))
for (const field of ["link", "sentence"]) $(field).addEventListener("focus", () => $(field).select())
$("copy-snippet").addEventListener("click", () => copy($("copy-snippet"), $("snippet").textContent))

const mine = await sessions.load()
if (store.get("ending")) {
  show("ending")
  end()
} else if (mine) start({ fresh: false })
else if (store.get("demo")) {
  sessions.save(null)
  notice("The session of the tab that this one was copied from stays with that tab.")
}
