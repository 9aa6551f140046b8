/** The SDK in this Node against the real relay; agents are plain HTTP. */

import assert from "node:assert/strict"
import { once } from "node:events"
import { request } from "node:http"
import { test } from "node:test"
import * as ws from "ws"
import { connect, endSession, tool } from "../../sdk/dist/index.js"
import { agent, sharedRelay } from "../boot.mjs"

/** Node's own since 22, else that of the package. */
const WebSocket = globalThis.WebSocket ?? ws.WebSocket
const relay = sharedRelay()

async function open(t, options) {
  const session = await connect({
    appId: "as_app_anon", agentsMd: "# Test", tools: [], baseUrl: relay.url, WebSocket, autoReconnect: () => 50,
    ...options,
  })
  t.after(() => session.close())
  return session
}

const until = (session, event, fits) => new Promise((resolve) => {
  const stop = session.on(event, (detail) => {
    if (!fits(detail)) return
    stop()
    resolve(detail)
  })
})
const debug = (path) => fetch(`${relay.url}/_debug/${path}`, { method: "POST" })

test("a call goes there and back, with query, headers, agent and bytes", async (t) => {
  let seen
  const session = await open(t, { tools: [
    { path: "/echo", description: "Echoes.", handler: (call) => { seen = call; return { got: call.body } } },
    { path: "/bytes", description: "", handler: ({ bytes }) => ({ body: bytes().reverse(), headers: { "content-type": "image/png" } }) },
    { path: "/text", description: "", handler: () => ({ status: 201, body: "hällo", headers: { "Content-Type": "text/plain; charset=utf-8" } }) },
    { path: "/none", description: "", handler() {} },
  ] })
  const { url } = await session.mintAgentToken({ label: "Bo" })
  const base = url.replace("/agents.md", "")
  const response = await fetch(`${base}/echo?a=%20b`, { method: "POST", body: "ö", headers: { "x-mine": "1", cookie: "no=1" } })
  assert.deepEqual(await response.json(), { got: "ö" })
  assert.equal(seen.query, "a=%20b")
  assert.equal(seen.headers["x-mine"], "1")
  assert.equal(seen.headers.cookie, undefined)
  assert.equal(seen.agent.label, "Bo")
  assert.match(seen.agent.id, /^[0-9a-f]{8}$/)
  const bytes = await fetch(`${base}/bytes`, { method: "POST", body: new Uint8Array([0, 1, 254, 255]) })
  assert.equal(bytes.headers.get("content-type"), "image/png")
  assert.deepEqual([...new Uint8Array(await bytes.arrayBuffer())], [255, 254, 1, 0])
  const ai = agent(url)
  assert.deepEqual(await ai.post("/text").then(({ status, text }) => [status, text]), [201, "hällo"])
  assert.equal((await ai.post("/none")).status, 204)
  assert.equal((await ai.get("/agents.md")).status, 200)
})

test("handlers that misbehave cost their call only", async (t) => {
  const cycle = {}
  cycle.self = cycle
  let cancelled
  const reason = new Promise((resolve) => { cancelled = resolve })
  const session = await open(t, { onError() {}, tools: [
    { path: "/throws", description: "", handler() { throw new Error("no ink") } },
    { path: "/cycle", description: "", handler: () => cycle },
    { path: "/large", description: "", handler: () => "x".repeat(5 << 20) },
    { path: "/never", description: "", timeout_ms: 1000, handler: ({ signal }) => new Promise(() => signal.addEventListener("abort", () => cancelled(signal.reason.message))) },
    { path: "/x", description: "", handler: () => 1 },
  ] })
  const ai = agent((await session.mintAgentToken()).url)
  const never = ai.post("/never")
  for (const [path, message] of [["/throws", /^The app failed/], ["/cycle", /JSON/], ["/large", /at most 41942\d\d /]]) {
    const { status, json } = await ai.post(path)
    assert.deepEqual([status, json.error.code], [500, "handler_error"])
    assert.match(json.error.message, message)
  }
  assert.equal((await never).status, 504)
  assert.match(await reason, /timeout/)
  assert.equal((await ai.post("/x")).json, 1)
})

test("an agent that goes away aborts its call", async (t) => {
  let started, cancelled
  const [running, reason] = [new Promise((resolve) => { started = resolve }), new Promise((resolve) => { cancelled = resolve })]
  const session = await open(t, { tools: [{ path: "/never", description: "", handler: ({ signal }) => {
    started()
    return new Promise(() => signal.addEventListener("abort", () => cancelled(signal.reason.message)))
  } }] })
  const base = (await session.mintAgentToken()).url.replace("/agents.md", "")
  const call = request(`${base}/never`, { method: "POST", agent: false }).on("error", () => {}).end("{}")
  await running
  call.socket.resetAndDestroy() // a runtime on one machine takes a mere FIN for "still reading"
  assert.match(await reason, /disconnected/)
})

test("a call in flight outlives a drop", async (t) => {
  let started, finish
  const running = new Promise((resolve) => { started = resolve })
  const session = await open(t, { tools: [{ path: "/slow", description: "", handler: () => {
    started()
    return new Promise((resolve) => { finish = resolve })
  } }] })
  const ai = agent((await session.mintAgentToken()).url)
  const call = ai.post("/slow")
  await running
  const away = until(session, "state", (state) => state === "reconnecting")
  const back = until(session, "state", (state) => state === "connected")
  await debug(`kill-ws/${session.sessionId}`)
  await away
  finish("late but there")
  await back
  assert.deepEqual(await call.then(({ status, json }) => [status, json]), [200, "late but there"])
})

test("the relay is killed and restarted: same session, same link, the same tasks", async (t) => {
  const session = await open(t, { tools: [{ path: "/job", description: "", handler: () => ({ taskId: "job-1" }) }] })
  const ai = agent((await session.mintAgentToken()).url)
  assert.deepEqual((await ai.post("/job")).json, { taskId: "job-1" })
  const id = session.sessionId
  const gone = until(session, "state", (state) => state === "reconnecting")
  await relay.kill()
  await gone
  await session.completeTask("job-1", { done: true })
  const back = until(session, "state", (state) => state === "connected")
  await relay.restart()
  await back
  assert.equal(session.sessionId, id)
  const { status, json } = await ai.get("/_as_tasks/job-1?wait=25")
  assert.deepEqual([status, json], [200, { done: true }])
})

test("a task tells its progress", async (t) => {
  const session = await open(t, { tools: [{ path: "/job", description: "", handler: () => ({ taskId: "t1" }) }] })
  const ai = agent((await session.mintAgentToken()).url)
  await ai.post("/job")
  session.progressTask("t1", 0.25, "a quarter")
  await session.ping() // all before it has arrived
  assert.deepEqual((await ai.get("/_as_tasks/t1")).json, { taskId: "t1", completed: false, progress: 0.25, message: "a quarter" })
  const poll = ai.get("/_as_tasks/t1?wait=20")
  await session.completeTask("t1", { status: 418, body: "short", headers: { "content-type": "text/plain" } })
  assert.deepEqual(await poll.then(({ status, text }) => [status, text]), [418, "short"])
})

test("links hold their limits", async (t) => {
  const session = await open(t, { tools: ["/a", "/b"].map((path) => ({ path, description: "", handler: () => path })) })
  const once = agent((await session.mintAgentToken({ maxCalls: 1, expiresInMs: 60_000 })).url)
  assert.equal((await once.post("/a")).status, 200)
  assert.equal((await once.post("/a")).json.error.code, "token_expired")
  const only = agent((await session.mintAgentToken({ tools: ["POST /b"] })).url)
  assert.deepEqual((await only.get("/tools.json")).json.tools.map(({ path }) => path), ["/b"])
  assert.equal((await only.post("/a")).json.error.code, "tool_not_allowed")
  assert.equal((await only.post("/b")).json, "/b")
  const link = await session.mintAgentToken()
  await session.revokeAgentToken(link)
  assert.equal((await agent(link.url).post("/a")).json.error.code, "token_invalid")
  assert.ok(!(await session.listAgentTokens()).some(({ token }) => token === link.token))
})

test("a link revoked while away is dead after the resume", async (t) => {
  const session = await open(t, { tools: [{ path: "/a", description: "", handler: () => 1 }] })
  const [kept, lost] = [await session.mintAgentToken(), await session.mintAgentToken()]
  const away = until(session, "state", (state) => state === "reconnecting")
  const back = until(session, "state", (state) => state === "connected")
  await debug(`kill-ws/${session.sessionId}`)
  await away
  await session.revokeAgentToken(lost)
  await back
  assert.equal((await agent(lost.url).post("/a")).status, 401)
  assert.equal((await agent(kept.url).post("/a")).status, 200)
})

test("a session that the relay ended is made anew, with its links", async (t) => {
  let changed
  const change = new Promise((resolve) => { changed = resolve })
  const first = await open(t, { tools: [{ path: "/a", description: "", handler: () => 1 }] })
  const link = await first.mintAgentToken({ label: "mine", maxCalls: 5 })
  const resume = JSON.parse(JSON.stringify(first.saved))
  await first.close({ keep: true })
  assert.equal(await endSession({ baseUrl: relay.url, WebSocket, ...pick(resume) }), true)
  assert.equal(await endSession({ baseUrl: relay.url, WebSocket, ...pick(resume) }), false)
  assert.equal((await agent(link.url).post("/a")).status, 503)
  const second = await open(t, { resume, tools: first.tools, onSessionChanged: changed })
  const event = await change
  assert.deepEqual([event.oldSessionId, event.sessionId, event.reason], [resume.sessionId, second.sessionId, "resume_refused"])
  assert.deepEqual(event.links.map(({ oldUrl, label }) => [oldUrl, label]), [[link.url, "mine"]])
  assert.equal((await agent(event.links[0].newUrl).post("/a")).json, 1)
})
const pick = ({ sessionId, resumeSecret }) => ({ sessionId, resumeSecret })

test("tools are updated, inputs are checked, and closing ends the links", async (t) => {
  const session = await open(t)
  const ai = agent((await session.mintAgentToken()).url)
  await session.updateTools([tool({
    path: "/add", description: "Adds.", input: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] },
    handler: ({ input }) => input.a + 1,
  })], { agentsMd: "# New" })
  assert.match((await ai.get("/agents.md")).text, /\n---\n\n# New\n/)
  assert.deepEqual((await ai.get("/tools.json")).json.tools[0].input_schema.required, ["a"])
  assert.equal((await ai.post("/add", { a: 1 })).json, 2)
  assert.match((await ai.post("/add", { a: "1" })).json.error.message, /^a: must be of type integer, not string$/)
  assert.ok((await session.ping()) > 0)
  await session.close()
  assert.equal((await ai.post("/add", { a: 1 })).status, 503)
})

test("a GET tool with an input works by its query, by plain links and by MCP", async (t) => {
  const input = { type: "object", required: ["q"], properties: { q: { type: "string" }, limit: { type: "integer" }, tags: { type: "array", items: { type: "string" } } }, additionalProperties: false }
  const session = await open(t, { tools: ["GET", "DELETE"].map((method) => ({ method, path: "/find", description: "Finds.", read_only: method === "GET", input, handler: ({ input }) => input })) })
  const base = (await session.mintAgentToken()).url.replace("/agents.md", "")
  const json = async (path, init) => (await fetch(base + path, init)).json()
  assert.deepEqual(await json("/find?q=5&limit=5&tags=a&tags=b"), { q: "5", limit: 5, tags: ["a", "b"] })
  assert.deepEqual(await json("/find?q=x", { method: "DELETE" }), { q: "x" })
  assert.equal((await json("/find?limit=5")).error.code, "invalid_input")
  assert.deepEqual((await json("/_as_get/find/milk/5")).result, { q: "milk", limit: 5 })
  const all = Buffer.from(JSON.stringify({ q: "5", tags: ["a", "b"] })).toString("base64url")
  assert.deepEqual((await json(`/_as_get/find/j/${all}`)).result, { q: "5", tags: ["a", "b"] })
  const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "find", arguments: { q: "5", limit: 7 } } }
  const called = await json("/mcp", { method: "POST", body: JSON.stringify(message), headers: { "content-type": "application/json", accept: "application/json, text/event-stream" } })
  assert.deepEqual(JSON.parse(called.result.content[0].text), { q: "5", limit: 7 })
})

test("what the relay refuses is told as it says it", async (t) => {
  await assert.rejects(open(t, { appId: "nobody-knows" }), { code: "unknown_app_id" })
  await assert.rejects(open(t, { appId: "as_app_localhost" }), { code: "origin_denied" })
  const session = await open(t)
  for (let i = 0; i < 50; i++) await session.mintAgentToken()
  await assert.rejects(session.mintAgentToken(), { code: "too_many_tokens" })
})

test("a hundred calls at once, each with its own answer", async (t) => {
  const session = await open(t, { tools: [{ path: "/n", description: "", handler: async ({ json }) => { await once(AbortSignal.timeout(1), "abort").catch(() => {}); return json().n } }] })
  const ai = agent((await session.mintAgentToken()).url)
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => ai.post("/n", { n })))
  assert.deepEqual(answers.map(({ json }) => json), Array.from({ length: 100 }, (_, n) => n))
})
