/** client.js on its own: its frames and its timing, with a scripted relay and a clock that the test moves. */

import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { after, before, test } from "node:test"
import { newPage, startBrowser } from "../boot.mjs"

const ORIGIN = "http://relay.test"
let browser
before(async () => { browser = await startBrowser() })
after(() => browser?.close())

/** A page with client.js, a stopped clock, and `sockets`: what the client opened, with frames and close codes. */
async function setUp(t) {
  const page = await newPage(t, browser)
  await page.clock.install()
  const client = await readFile(new URL("../../public/client.js", import.meta.url), "utf8")
  await page.route(`${ORIGIN}/**`, (route) =>
    route.request().url().endsWith("/client.js") ? route.fulfill({ contentType: "text/javascript", body: client })
      : route.fulfill({ contentType: "text/html", body: "<!doctype html><link rel=icon href=data:,><title>test</title>" }))
  const sockets = []
  const waiters = []
  const check = () => { for (const waiter of [...waiters]) waiter() }
  await page.routeWebSocket(/\/v1\/_ws/, (ws) => {
    const socket = { url: ws.url(), frames: [], texts: [], send: (frame) => ws.send(JSON.stringify(frame)), close: (code) => ws.close({ code }) }
    ws.onMessage((text) => {
      socket.texts.push(text)
      socket.frames.push(JSON.parse(text))
      check()
    })
    ws.onClose((code) => {
      socket.closed = code ?? "no code"
      check()
    })
    sockets.push(socket)
    check()
  })
  /** Waits until `find` gives something, looking again whenever the client did something. */
  const until = (find) => new Promise((resolve) => {
    const waiter = () => {
      const found = find()
      if (!found) return
      waiters.splice(waiters.indexOf(waiter), 1)
      resolve(found)
    }
    waiters.push(waiter)
    waiter()
  })
  const frame = (n, type) => until(() => sockets[n]?.frames.find((frame) => frame.type === type))
  await page.goto(ORIGIN)
  await page.evaluate(async () => {
    const { Session } = await import("/client.js")
    window.seen = { states: [], links: [], saved: [] }
    const tool = (path, handler) => ({ method: "POST", path, description: path, handler })
    window.start = (saved) => {
      window.session = new Session({
        appId: "app", agentsMd: "# App", saved,
        tools: [
          tool("/echo", ({ json }) => ({ status: 201, body: json() })),
          tool("/throw", () => { throw new Error("broken") }),
          tool("/cycle", () => { const body = {}; body.self = body; return { body } }),
          tool("/later", async () => ({ body: "done" })),
        ],
        onState: (...state) => seen.states.push(state),
        onLinks: (links, change) => seen.links.push([links.map(({ url }) => url), change]),
        onSaved: (saved) => seen.saved.push(saved),
      })
    }
  })
  const start = (saved) => page.evaluate((saved) => { start(saved) }, saved)
  const register = async (n = 0, more = {}) => {
    await frame(n, more.resumed ? "resume" : "register")
    sockets[n].send({ type: "register_reply", ok: true, sessionId: "SESSION1", resumeSecret: "secret", ...more })
    await page.waitForFunction(() => session.state === "connected")
  }
  return { page, sockets, until, frame, start, register }
}

const tools = ["/echo", "/throw", "/cycle", "/later"].map((path) => ({ method: "POST", path, description: path }))

test("registers, mints, and answers calls", async (t) => {
  const { page, sockets, frame, start, until, register } = await setUp(t)
  await start()
  assert.deepEqual(await frame(0, "register"), { type: "register", appId: "app", agentsMd: "# App", tools })
  assert.ok(sockets[0].url.endsWith("/v1/_ws"))
  await register()

  const link = page.evaluate(() => session.mintAgentToken({ label: "demo" }))
  const mint = await frame(0, "mint_agent_token")
  assert.equal(mint.label, "demo")
  sockets[0].send({ type: "mint_agent_token_reply", id: mint.id, ok: true, token: "tok", url: "__BASE__/v1/t/tok/agents.md", label: "demo", expiresAt: null })
  assert.equal((await link).url, `${ORIGIN}/v1/t/tok/agents.md`)

  const refused = page.evaluate(() => session.mintAgentToken().catch((error) => error.message))
  const second = await until(() => sockets[0].frames.filter(({ type }) => type === "mint_agent_token")[1])
  sockets[0].send({ type: "mint_agent_token_reply", id: second.id, ok: false, error: { code: "too_many_tokens", message: "At most 50." } })
  assert.equal(await refused, "At most 50.")

  const call = async (id, path, body = "", method = "POST") => {
    sockets[0].send({ type: "tool_call", id, method, path, body, headers: {} })
    return until(() => sockets[0].frames.find((frame) => frame.type === "tool_reply" && frame.id === id))
  }
  assert.deepEqual(await call("1", "/echo", '{"a":1}'), { type: "tool_reply", id: "1", status: 201, body: { a: 1 } })
  assert.deepEqual(await call("2", "/later"), { type: "tool_reply", id: "2", status: 200, body: "done" })
  const error = (status, code, message) => ({ type: "tool_reply", status, body: { error: { code, message } } })
  assert.deepEqual(await call("3", "/throw"), { ...error(500, "handler_error", "broken"), id: "3" })
  assert.deepEqual(await call("4", "/nothing"), { ...error(404, "not_found", "This app has no tool POST /nothing."), id: "4" })
  assert.equal((await call("5", "/echo", "", "GET")).status, 404)
  for (const [id, path, body] of [["6", "/cycle", ""], ["7", "/echo", "no JSON"]]) {
    const reply = await call(id, path, body)
    assert.equal(reply.status, 500)
    assert.equal(reply.body.error.code, "handler_error")
  }
  sockets[0].send({ type: "something_new", id: "8" })
  assert.equal((await call("9", "/later")).status, 200, "an unknown frame does no harm")
})

test("a heartbeat every 20 s; 45 s without an answer is a dead line", async (t) => {
  const { page, sockets, until, frame, start, register } = await setUp(t)
  await start()
  await register()
  const pings = () => sockets[0].texts.filter((text) => text === '{"type":"ping","id":"as_hb"}').length
  await page.clock.runFor(19_000)
  assert.equal(pings(), 0)
  await page.clock.runFor(1_500)
  await until(() => pings() === 1)
  sockets[0].send({ type: "pong", id: "as_hb" })
  await page.clock.runFor(20_000)
  await until(() => pings() === 2)
  sockets[0].send({ type: "pong", id: "as_hb" })
  await page.clock.runFor(20_000)
  await until(() => pings() === 3)
  await page.clock.runFor(23_000)
  assert.equal(await page.evaluate(() => session.state), "connected", "43 s after the last pong")
  await page.clock.runFor(5_000)
  assert.equal(await until(() => sockets[0].closed), "no code", "which holds the session")
  await page.clock.runFor(1_000)
  const resume = await frame(1, "resume")
  assert.deepEqual(resume, { type: "resume", sessionId: "SESSION1", secret: "secret", appId: "app", agentsMd: "# App", tools, revokeTokens: [] })
  assert.ok(sockets[1].url.endsWith("/v1/_ws?session=SESSION1"))
})

test("delays grow to half a minute at most, and a socket that never answers is given up", async (t) => {
  const { page, sockets, until, start } = await setUp(t)
  await start()
  for (let n = 0; n < 9; n++) {
    await until(() => sockets[n]?.frames.length)
    sockets[n].close(1011)
    await page.waitForFunction((count) => seen.states.filter(([state]) => state === "reconnecting").length === count, n + 1)
    const longest = Math.min(30_000, 500 * 2 ** n)
    await page.clock.runFor(longest / 2 - 1)
    assert.equal(sockets.length, n + 1, `retry ${n} waits at least half of ${longest} ms`)
    await page.clock.runFor(longest / 2 + 1)
    await until(() => sockets.length === n + 2)
  }
  await until(() => sockets[9].frames.length)
  await page.clock.runFor(30_000)
  await until(() => sockets[9].closed)
})

test("a refused resume makes a fresh session with its links minted anew", async (t) => {
  const { page, sockets, frame, start, register } = await setUp(t)
  await start({ sessionId: "OLDONE00", secret: "old", labels: ["mine"], revoke: ["gone"] })
  assert.deepEqual((await frame(0, "resume")).revokeTokens, ["gone"])
  sockets[0].send({ type: "register_reply", ok: false, error: { code: "resume_failed", message: "No." } })
  sockets[0].close(4401)
  await register(1)
  assert.ok(sockets[1].url.endsWith("/v1/_ws"))
  const mint = await frame(1, "mint_agent_token")
  assert.equal(mint.label, "mine")
  sockets[1].send({ type: "mint_agent_token_reply", id: mint.id, ok: true, token: "new", url: "__BASE__/v1/t/new/agents.md", label: "mine" })
  await page.waitForFunction(() => seen.links.at(-1)?.[1] === "changed")
  assert.deepEqual(await page.evaluate(() => seen.links.at(-1)[0]), [`${ORIGIN}/v1/t/new/agents.md`])
  assert.deepEqual(await page.evaluate(() => seen.saved.at(-1)), { sessionId: "SESSION1", secret: "secret", labels: ["mine"], revoke: [], ending: false })
})

test("closing ends with 1000, and with `end` while away", async (t) => {
  const first = await setUp(t)
  await first.start()
  await first.register()
  await first.page.evaluate(() => { session.close() })
  assert.equal(await first.until(() => first.sockets[0].closed), 1000)
  first.sockets[0].close(1000)
  await first.page.waitForFunction(() => session.state === "closed")
  assert.equal(await first.page.evaluate(() => seen.saved.at(-1)), null)

  const { page, sockets, frame, start, register } = await setUp(t)
  await start()
  await register()
  sockets[0].close(1011)
  await page.waitForFunction(() => session.state === "reconnecting")
  await page.evaluate(() => { session.close() })
  assert.deepEqual(await frame(1, "end"), { type: "end", sessionId: "SESSION1", secret: "secret" })
  sockets[1].send({ type: "end_reply", ok: true })
  await page.waitForFunction(() => session.state === "closed")
  assert.deepEqual(await page.evaluate(() => seen.states.at(-1).slice(0, 2)), ["closed", "ended"])
})

test("a refused registration and a session taken over are final", async (t) => {
  const refused = await setUp(t)
  await refused.start()
  await refused.frame(0, "register")
  refused.sockets[0].send({ type: "register_reply", ok: false, error: { code: "unknown_app_id", message: "No such app." } })
  refused.sockets[0].close(4001)
  await refused.page.waitForFunction(() => session.state === "closed")
  assert.deepEqual(await refused.page.evaluate(() => seen.states.at(-1)), ["closed", "refused", "No such app."])

  const taken = await setUp(t)
  await taken.start()
  await taken.register()
  taken.sockets[0].close(4410)
  await taken.page.waitForFunction(() => session.state === "closed")
  assert.deepEqual(await taken.page.evaluate(() => seen.states.at(-1).slice(0, 2)), ["closed", "taken"])
  await taken.page.clock.runFor(120_000)
  assert.equal(taken.sockets.length, 1)
})
