/** What the page tests share: a relay, a browser, and a page that is watched for errors. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync } from "node:fs"
import { createServer } from "node:net"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { chromium } from "playwright-core"

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..")
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

/** The relay at RELAY_URL, or one of its own from scripts/dev.sh: `{ url, stop() }`. */
export async function startRelay() {
  if (process.env.RELAY_URL) return { url: process.env.RELAY_URL.replace(/\/$/, ""), async stop() {} }
  const port = String(await freePort())
  const args = ["--bare", "--no-build", "--port", port, "--debug"]
  const child = spawn(join(ROOT, "scripts/dev.sh"), args, { cwd: ROOT, detached: true, stdio: ["ignore", "pipe", "pipe"] })
  const exited = once(child, "exit")
  const output = []
  const url = await new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error(`no relay after 120 s:\n${output.join("\n")}`)), 120_000)
    const read = (line) => {
      output.push(line)
      const ready = /^ready (http:\/\/\S+?)\/?$/.exec(line.trim())
      if (!ready) return
      clearTimeout(limit)
      resolve(ready[1])
    }
    createInterface(child.stdout).on("line", read)
    createInterface(child.stderr).on("line", read)
    exited.then(([code]) => {
      clearTimeout(limit)
      reject(new Error(`scripts/dev.sh ended with ${code}:\n${output.join("\n")}`))
    })
  })
  return {
    url,
    async stop() {
      child.kill("SIGINT")
      const grace = setTimeout(() => process.kill(-child.pid, "SIGKILL"), 10_000)
      await exited
      clearTimeout(grace)
    },
  }
}

export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  })
}

/** A page in a context of its own; when the test ends it must have logged no error. */
export async function newPage(t, browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  context.setDefaultTimeout(15_000)
  const errors = []
  context.on("page", (page) => watch(page, errors))
  t.after(async () => {
    await context.close()
    assert.deepEqual(errors, [], "the page logs no error")
  })
  return context.newPage()
}

function watch(page, errors) {
  page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()) })
  page.on("pageerror", (error) => errors.push(String(error)))
  page.on("requestfailed", (request) => errors.push(`${request.url()}: ${request.failure()?.errorText}`))
}

/** Waits for the state that the page shows. */
export const state = (page, name) => page.locator(`#state[data-state=${name}]`).waitFor()

/** Presses "Connect with AI" and returns the link. */
export async function connect(page) {
  await page.click("#connect")
  return linkOf(page)
}

/** The link that the page shows, as soon as it is another than `not`. */
export async function linkOf(page, not = "") {
  const handle = await page.waitForFunction((old) => {
    const { value } = document.getElementById("link")
    return value !== "" && value !== old && value
  }, not)
  return handle.jsonValue()
}

/** An agent that has only the link. */
export function agent(link) {
  const base = link.replace(/\/agents\.md$/, "")
  const call = async (method, path, body) => {
    const response = await fetch(base + path, { method, body })
    const text = await response.text()
    let json
    try { json = JSON.parse(text) } catch { /* not JSON */ }
    return { status: response.status, type: response.headers.get("content-type"), text, json }
  }
  return {
    get: (path) => call("GET", path),
    post: (path, body) => call("POST", path, typeof body === "string" ? body : JSON.stringify(body)),
  }
}

/** What the canvas really shows, row after row as #rrggbb. */
export const pixels = (page) => page.evaluate(() => {
  const { data } = document.getElementById("canvas").getContext("2d").getImageData(0, 0, 32, 32)
  const hex = (i) => `#${[...data.slice(i, i + 3)].map((n) => n.toString(16).padStart(2, "0")).join("")}`
  return Array.from({ length: 32 }, (_, y) => Array.from({ length: 32 }, (_, x) => hex((y * 32 + x) * 4)))
})
