/** What the tests of this folder share: a relay that can be killed, a browser, pages that are watched, and an agent. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { after, before } from "node:test"
import { fileURLToPath } from "node:url"
import { chromium } from "playwright-core"

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..")
/** Where pictures go. */
export const ARTIFACTS = join(ROOT, "test-artifacts")
mkdirSync(ARTIFACTS, { recursive: true })

/** Runs scripts/dev.sh, on any free port for 0; resolves to the process and the relay's URL when it is ready. */
async function run(port, state, vars) {
  const args = ["--bare", "--no-build", "--port", String(port), "--debug", "--state", state, ...vars]
  const child = spawn(join(ROOT, "scripts/dev.sh"), args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] })
  const exited = once(child, "exit")
  const output = []
  let pid
  const url = await new Promise((resolve, reject) => {
    const read = (line) => {
      output.push(line)
      pid ??= /^pid (\d+)$/.exec(line)?.[1]
      if (line.startsWith("ready ")) resolve(line.slice("ready ".length))
    }
    createInterface(child.stdout).on("line", read)
    createInterface(child.stderr).on("line", read)
    exited.then(([code]) => reject(new Error(`scripts/dev.sh ended with ${code}:\n${output.join("\n")}`)))
  })
  return { child, exited, pid: Number(pid), url }
}

/**
 * The relay at RELAY_URL, or one of its own: `{ url, kill(), restart(), session(link), stop() }`; a restart finds the
 * state of before.
 *
 * @param vars further arguments for scripts/dev.sh; with any, RELAY_URL does not count.
 */
export async function startRelay(...vars) {
  if (process.env.RELAY_URL && vars.length === 0) return { url: process.env.RELAY_URL.replace(/\/$/, ""), async stop() {} }
  const state = mkdtempSync(join(tmpdir(), "agent-socket-state-"))
  let running = await run(0, state, vars)
  const { url } = running
  return {
    url,
    /** Kills the runtime, without a goodbye. */
    async kill() {
      process.kill(running.pid, "SIGKILL")
      await running.exited
    },
    async restart() { running = await run(new URL(url).port, state, vars) },
    /** What the relay knows of a link's session. */
    async session(link) {
      const response = await fetch(`${url}/_debug/state/${/_([0-9A-Z]{8})_/.exec(link)[1]}`)
      return response.json()
    },
    async stop() {
      running.child.kill("SIGINT")
      await running.exited
      rmSync(state, { recursive: true, force: true })
    },
  }
}

export const BROWSER_BIN = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium"
export const BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"]

export const startBrowser = () => chromium.launch({ executablePath: BROWSER_BIN, args: BROWSER_ARGS })

/**
 * Made before the first test of the file that calls this, and ended after the last. Hooks of one file run side by side:
 * one that needs this awaits its `ready` first.
 */
function shared(start, end) {
  let made
  let isReady
  const ready = new Promise((resolve) => { isReady = resolve })
  before(async () => {
    made = await start()
    isReady()
  })
  after(() => made && end(made))
  return new Proxy({}, {
    get(_, name) {
      if (name === "ready") return ready
      const member = made[name]
      return typeof member === "function" ? member.bind(made) : member
    },
  })
}

/** A relay for all tests of a file; the arguments are those of {@link startRelay}. */
export const sharedRelay = (...vars) => shared(() => startRelay(...vars), (relay) => relay.stop())

/** A browser for all tests of a file. */
export const sharedBrowser = () => shared(startBrowser, (browser) => browser.close())

/**
 * A page in a context of its own; when the test ends it must have logged no error.
 *
 * @param tolerated errors that the test itself provokes: the browser logs each socket that a killed relay refuses.
 */
export async function newPage(t, browser, { tolerated, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  // How long something may take is not what is tested, and a busy machine is slow.
  context.setDefaultTimeout(90_000)
  const errors = []
  const note = (text) => { if (!tolerated?.test(text)) errors.push(text) }
  context.on("page", (page) => {
    page.on("console", (message) => { if (["error", "warning"].includes(message.type())) note(message.text()) })
    page.on("pageerror", (error) => note(String(error)))
    page.on("requestfailed", (request) => note(`${request.url()}: ${request.failure()?.errorText}`))
  })
  t.after(async () => {
    await context.close()
    assert.deepEqual(errors, [], "the page logs no error")
  })
  return context.newPage()
}

/** An agent that has only the link. */
export function agent(link) {
  const base = link.replace(/\/agents\.md$/, "")
  const call = async (method, path, body) => {
    const response = await fetch(base + path, { method, body })
    const bytes = new Uint8Array(await response.arrayBuffer())
    const text = new TextDecoder().decode(bytes)
    let json
    try { json = JSON.parse(text) } catch { /* not JSON */ }
    return { status: response.status, type: response.headers.get("content-type"), bytes, text, json }
  }
  return {
    get: (path) => call("GET", path),
    post: (path, body) => call("POST", path, typeof body === "string" ? body : JSON.stringify(body)),
  }
}

/** A page in light, dark and on a phone, as pictures to look at; none may scroll sideways. */
export async function shoot(page, name) {
  const size = page.viewportSize()
  const phone = { width: 360, height: 740 }
  for (const [kind, colorScheme, viewport] of [["light", "light", size], ["dark", "dark", size], ["phone", "light", phone]]) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize(viewport)
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
    await page.screenshot({ path: join(ARTIFACTS, `${name}-${kind}.png`), fullPage: true })
    assert.equal(wide, false, `${name} scrolls sideways on ${kind}`)
  }
  await page.emulateMedia({ colorScheme: "light" })
  await page.setViewportSize(size)
}
