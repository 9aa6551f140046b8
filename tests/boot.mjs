/** What the tests of this folder share: a relay that can be killed, a browser, pages that are watched, and an agent. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { chromium } from "playwright-core"

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..")
/** Where pictures go. */
export const ARTIFACTS = join(ROOT, "test-artifacts")
mkdirSync(ARTIFACTS, { recursive: true })

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address()
  server.close()
  await once(server, "close")
  return port
}

/** Runs scripts/dev.sh; resolves when it is ready. */
async function run(port, state, vars) {
  const args = ["--bare", "--no-build", "--port", String(port), "--debug", "--state", state, ...vars]
  const child = spawn(join(ROOT, "scripts/dev.sh"), args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] })
  const exited = once(child, "exit")
  const output = []
  let pid
  await new Promise((resolve, reject) => {
    const read = (line) => {
      output.push(line)
      pid ??= /^pid (\d+)$/.exec(line)?.[1]
      if (line.startsWith("ready ")) resolve()
    }
    createInterface(child.stdout).on("line", read)
    createInterface(child.stderr).on("line", read)
    exited.then(([code]) => reject(new Error(`scripts/dev.sh ended with ${code}:\n${output.join("\n")}`)))
  })
  return { child, exited, pid: Number(pid) }
}

/**
 * The relay at RELAY_URL, or one of its own: `{ url, kill(), restart(), session(link), stop() }`; a restart finds the
 * state of before.
 *
 * @param vars further arguments for scripts/dev.sh; with any, RELAY_URL does not count.
 */
export async function startRelay(...vars) {
  if (process.env.RELAY_URL && vars.length === 0) return { url: process.env.RELAY_URL.replace(/\/$/, ""), async stop() {} }
  const port = await freePort()
  const state = mkdtempSync(join(tmpdir(), "agent-socket-state-"))
  let running = await run(port, state, vars)
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    /** Kills the runtime, without a goodbye. */
    async kill() {
      process.kill(running.pid, "SIGKILL")
      await running.exited
    },
    async restart() { running = await run(port, state, vars) },
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
 * A page in a context of its own; when the test ends it must have logged no error.
 *
 * @param tolerated errors that the test itself provokes: the browser logs each socket that a killed relay refuses.
 */
export async function newPage(t, browser, { tolerated, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  context.setDefaultTimeout(20_000)
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
