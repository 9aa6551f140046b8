/**
 * A tab in the background, driven by CDP alone: Playwright keeps every page visible and focused, and a visible page
 * can't be frozen.
 */

import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { WebSocket } from "ws"
import { BROWSER_ARGS, BROWSER_BIN } from "../boot.mjs"

/** Opens a URL in a hidden tab: `{ evaluate(source), freeze(), thaw(), close() }`. */
export async function openHidden(url) {
  const profile = mkdtempSync(join(tmpdir(), "agent-socket-browser-"))
  const browser = spawn(BROWSER_BIN, ["--headless", ...BROWSER_ARGS, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] })
  const exited = once(browser, "exit")
  const socket = new WebSocket(await new Promise((resolve) => {
    createInterface(browser.stderr).on("line", (line) => {
      const [, address] = /listening on (ws:\S+)/.exec(line) ?? []
      if (address) resolve(address)
    })
  }))
  await once(socket, "open")
  const answers = new Map()
  let serial = 0
  let loaded
  const load = new Promise((resolve) => { loaded = resolve })
  socket.on("message", (data) => {
    const { id, method, result, error } = JSON.parse(data)
    if (method === "Page.loadEventFired") loaded()
    const answer = answers.get(id)
    answers.delete(id)
    if (error) answer?.reject(new Error(error.message))
    else answer?.resolve(result)
  })
  const send = (method, params = {}, sessionId) => new Promise((resolve, reject) => {
    answers.set(++serial, { resolve, reject })
    socket.send(JSON.stringify({ id: serial, method, params, sessionId }))
  })
  const { targetId } = await send("Target.createTarget", { url: "about:blank", background: true })
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true })
  await send("Page.enable", {}, sessionId)
  await send("Page.navigate", { url }, sessionId)
  await load
  return {
    /** The value of an expression, once it is there if it is a promise. */
    async evaluate(expression) {
      const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true }, sessionId)
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value
    },
    freeze: () => send("Page.setWebLifecycleState", { state: "frozen" }, sessionId),
    thaw: () => send("Page.setWebLifecycleState", { state: "active" }, sessionId),
    async close() {
      await send("Browser.close")
      await exited
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
