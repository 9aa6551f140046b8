import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { inspect } from "node:util"
import { connect, endSession, exponentialBackoff, giveUp } from "../dist/index.js"
import { WebSocket, logged, startRelay } from "./relay.mjs"

const soon = () => 1
/** Longer than a busy machine keeps a process waiting: a patience that is less takes a slow answer for none. */
const A_BUSY_MOMENT_MS = 1_000
/** A relay and a connected session, both gone when the test is over. */
async function setUp(t, options = {}, answers = {}) {
  const relay = await startRelay(answers)
  t.after(() => relay.stop())
  const events = []
  const waiting = new Map()
  const event = (name) => (detail) => {
    events.push({ name, ...detail })
    waiting.get(name)?.(detail)
  }
  const session = await connect({
    appId: "test", agentsMd: "# Test", tools: [], baseUrl: relay.baseUrl, WebSocket, autoReconnect: soon,
    onDisconnect: event("disconnect"), onReconnect: event("reconnect"), onSessionChanged: event("changed"), ...options,
  })
  t.after(() => session.close({ keep: true }))
  return { relay, session, events, happens: (name) => new Promise((resolve) => waiting.set(name, resolve)) }
}

const call = (id, path = "/x", more = {}) => ({ type: "tool_call", id, method: "POST", path, body: "", headers: {}, agent: { id: "0badcafe", label: "me" }, ...more })

test("registers with what the app says, less its handlers", async (t) => {
  const tools = [{ method: "get", path: "/a", description: "A", timeout_ms: 2000, read_only: true, allow_get: false, handler() {} }, { path: "/b", description: "B", input: { type: "object" }, handler() {} }]
  const { relay, session } = await setUp(t, { appDescription: "d", appKey: "k", tools })
  const { text } = await relay.next("register")
  assert.deepEqual(JSON.parse(text), {
    type: "register", appId: "test", appDescription: "d", appKey: "k", agentsMd: "# Test", features: ["carry_calls", "path_params", "large_results"],
    tools: [{ method: "GET", path: "/a", description: "A", timeout_ms: 2000, read_only: true, allow_get: false }, { method: "POST", path: "/b", description: "B", input_schema: { type: "object" } }],
  })
  assert.equal(session.sessionId, "SESS0001")
  assert.equal(session.resumeSecret, "secret-1")
  assert.equal(session.connected, true)
  assert.equal(session.state, "connected")
  assert.ok(!inspect(session).includes("secret"), "printing a session tells no secret")
  assert.ok(!JSON.stringify(session).includes("secret"))
})

test("mints, lists, revokes, updates and pings", async (t) => {
  const { relay, session } = await setUp(t, {}, {
    list_agent_tokens: ({ id }) => ({ type: "list_agent_tokens_reply", id, tokens: [{ token: "as_T", url: "__BASE__/v1/t/as_T/agents.md", label: "l", mintedAt: 5 }] }),
  })
  const link = await session.mintAgentToken({ label: "Bo" })
  assert.deepEqual({ ...link, mintedAt: 0 }, { token: "as_TOKEN1", url: `${relay.baseUrl}/v1/t/as_TOKEN1/agents.md`, label: "Bo", expiresAt: null, mintedAt: 0 })
  assert.deepEqual(session.links, [link])
  assert.deepEqual(await session.listAgentTokens(), [{ token: "as_T", url: `${relay.baseUrl}/v1/t/as_T/agents.md`, label: "l", expiresAt: null, mintedAt: 5 }])
  await session.revokeAgentToken(link)
  assert.equal((await relay.next("revoke_agent_token")).token, link.token)
  assert.deepEqual(session.links, [])
  await session.updateTools([{ path: "/new", description: "", handler: () => 1 }], { agentsMd: "# New" })
  assert.equal((await relay.next("update_tools")).agentsMd, "# New")
  assert.ok((await session.ping()) >= 0)
})

test("what the relay refuses is an error with its code, and changes nothing", async (t) => {
  const refuse = (type) => ({ id }) => ({ type, id, ok: false, error: { code: "too_many_tokens", message: "50 are live" } })
  const { session } = await setUp(t, {}, {
    mint_agent_token: refuse("mint_agent_token_reply"), update_tools: refuse("update_tools_reply"), revoke_agent_token: refuse("revoke_agent_token_reply"),
  })
  await assert.rejects(session.mintAgentToken(), { name: "AgentSocketError", code: "too_many_tokens", message: "50 are live" })
  await assert.rejects(session.updateTools([{ path: "/new", description: "", handler() {} }]), { code: "too_many_tokens" })
  assert.deepEqual(session.tools, [])
  await assert.rejects(session.revokeAgentToken("as_X"), { code: "too_many_tokens" })
  assert.deepEqual(session.saved.revoke, [])
})

test("a refused registration rejects with the relay's reason", async (t) => {
  const relay = await startRelay({ register: () => ({ type: "register_reply", ok: false, error: { code: "origin_denied", message: "not from there" } }) })
  t.after(() => relay.stop())
  const options = { appId: "test", agentsMd: "", tools: [], baseUrl: relay.baseUrl, WebSocket }
  await assert.rejects(connect(options), { code: "origin_denied", message: "not from there" })
})

test("a relay that is not there is `unreachable`", async () => {
  const relay = await startRelay()
  await relay.stop()
  await assert.rejects(connect({ appId: "test", agentsMd: "", tools: [], baseUrl: relay.baseUrl, WebSocket }), { code: "unreachable", message: new RegExp(relay.baseUrl) })
  await assert.rejects(endSession({ baseUrl: relay.baseUrl, WebSocket, sessionId: "SESS0001", resumeSecret: "s" }), { code: "unreachable" })
})

test("a runtime without WebSocket is told what to do", async (t) => {
  const before = globalThis.WebSocket
  globalThis.WebSocket = undefined
  t.after(() => { globalThis.WebSocket = before })
  await assert.rejects(connect({ appId: "test", agentsMd: "", tools: [], baseUrl: "http://relay.example" }), { code: "no_websocket", message: /package "ws"/ })
})

test("resumes after a drop, with tokens to revoke and calls that go on", async (t) => {
  let finish
  const { relay, session, events, happens } = await setUp(t, { tools: [{ path: "/slow", description: "", handler: () => new Promise((resolve) => { finish = resolve }) }] })
  const link = await session.mintAgentToken()
  relay.send(call("c1", "/slow"))
  await session.ping()
  const [gone, back] = [happens("disconnect"), happens("reconnect")]
  const asked = session.on("state", (state) => {
    if (state !== "reconnecting") return
    asked()
    session.revokeAgentToken(link.token)
    session.completeTask("t1", { done: true })
    assert.equal(session.connected, false)
  })
  relay.drop()
  assert.deepEqual(await gone, { code: 1006, reason: "dropped", willReconnect: true })
  const resume = await relay.next("resume")
  assert.equal(relay.urls.at(-1), "/v1/_ws?session=SESS0001")
  assert.equal(resume.secret, "secret-1")
  assert.deepEqual(resume.revokeTokens, [link.token])
  assert.deepEqual(resume.pendingCalls, ["c1"])
  assert.equal(resume.agentsMd, "# Test")
  assert.deepEqual(await back, { resumed: true })
  assert.deepEqual(await relay.next("task_complete").then(({ taskId, body }) => [taskId, body]), ["t1", { done: true }])
  finish("late")
  assert.deepEqual(JSON.parse((await relay.next("tool_reply")).text), { type: "tool_reply", id: "c1", status: 200, body: "late" })
  assert.deepEqual(session.saved.revoke, [])
  assert.deepEqual(events.map(({ name }) => name), ["disconnect", "reconnect"])
})

test("a reply that may not have arrived is sent again; one that has is not", async (t) => {
  const { relay, happens } = await setUp(t, { tools: [{ path: "/x", description: "", handler: () => 1 }], heartbeatIntervalMs: 50, heartbeatTimeoutMs: 20_000 })
  const back = happens("reconnect")
  const { ping } = relay.replies
  // From here to the drop no heartbeat is answered: an answer after the reply would mean that the reply has arrived.
  relay.replies.ping = () => null
  await relay.next("ping")
  relay.send(call("c1"))
  await relay.next("tool_reply")
  relay.replies.ping = ping
  relay.drop()
  assert.deepEqual((await relay.next("resume")).pendingCalls, ["c1"])
  assert.equal((await relay.next("tool_reply")).id, "c1")
  await back
  await relay.next("ping")
  await relay.next("ping")
  relay.drop()
  assert.deepEqual((await relay.next("resume")).pendingCalls, [])
})

test("without carry_calls, a drop ends the calls", async (t) => {
  let started, aborted
  const [running, over] = [new Promise((resolve) => { started = resolve }), new Promise((resolve) => { aborted = resolve })]
  const { relay } = await setUp(t, { features: [], tools: [{ path: "/x", description: "", handler: ({ signal }) => {
    started()
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(aborted())))
  } }] })
  relay.send(call("c1"))
  await running
  relay.drop()
  await over
  assert.deepEqual((await relay.next("resume")).pendingCalls, [])
})

test("only a refused resume makes a fresh session, with the same links anew", async (t) => {
  const { relay, session, events, happens } = await setUp(t)
  const [a, b, c] = [await session.mintAgentToken({ label: "a" }), await session.mintAgentToken({ label: "b" }), await session.mintAgentToken({ label: "c" })]
  relay.replies.resume = () => ({ type: "register_reply", ok: false, error: { code: "resume_failed", message: "gone" } })
  const [changed, back] = [happens("changed"), happens("reconnect")]
  const off = session.on("state", (state) => { if (state === "reconnecting") session.revokeAgentToken(b) })
  relay.drop()
  const { links, ...rest } = await changed
  assert.deepEqual(rest, { reason: "resume_refused", oldSessionId: "SESS0001", sessionId: "SESS0002" })
  assert.deepEqual(links.map(({ oldUrl, label }) => [oldUrl, label]), [[a.url, "a"], [c.url, "c"]])
  assert.deepEqual(links.map(({ newUrl }) => newUrl), session.links.map(({ url }) => url))
  assert.deepEqual(await back, { resumed: false })
  assert.deepEqual(events.map(({ name }) => name), ["disconnect", "changed", "reconnect"])
  off()
  // And once more: the old link is the one that the person had last.
  const again = happens("changed")
  relay.drop()
  assert.deepEqual((await again).links.map(({ oldUrl }) => oldUrl), links.map(({ newUrl }) => newUrl))
})

test("a fresh session that drops while its links are made goes on where it was", async (t) => {
  const { relay, session, happens } = await setUp(t)
  const before = []
  for (const label of ["a", "b", "c"]) before.push((await session.mintAgentToken({ label })).url)
  const { resume, mint_agent_token: mint } = relay.replies
  let minted = 0
  relay.replies.resume = () => ({ type: "register_reply", ok: false, error: { code: "resume_failed", message: "gone" } })
  relay.replies.mint_agent_token = (frame) => {
    if (++minted !== 2) return mint(frame)
    relay.replies.resume = resume
    relay.drop()
  }
  const changed = happens("changed")
  relay.drop()
  const { links, sessionId } = await changed
  assert.equal(sessionId, "SESS0002")
  assert.deepEqual(links.map(({ oldUrl }) => oldUrl), before)
  assert.equal(session.links.length, 3)
})

test("goes on with a saved session", async (t) => {
  const { relay, session } = await setUp(t)
  const link = await session.mintAgentToken({ label: "kept" })
  const saved = JSON.parse(JSON.stringify(session.saved))
  await session.close({ keep: true })
  assert.notEqual((await relay.next("closed")).code, 1000, "left, not ended")
  const again = await connect({ appId: "test", agentsMd: "", tools: [], baseUrl: relay.baseUrl, WebSocket, resume: saved })
  t.after(() => again.close({ keep: true }))
  assert.equal(again.sessionId, session.sessionId)
  assert.deepEqual(again.links, [link])
})

test("a store gets every change, and null at the end", async (t) => {
  const kept = []
  const { session } = await setUp(t, { resume: { load: async () => null, save: (saved) => kept.push(structuredClone(saved)) } })
  await session.mintAgentToken({ label: "x" })
  assert.equal(kept.at(-1).links[0].label, "x")
  assert.equal(kept.at(-1).resumeSecret, "secret-1")
  await session.close()
  assert.equal(kept.at(-1), null)
})

test("a store that fails is logged, and harms nobody", async (t) => {
  const lines = await logged(async () => {
    const { session } = await setUp(t, { resume: { load: () => null, save() { throw new Error("the disk is full") } } })
    assert.ok((await session.mintAgentToken()).url)
  })
  assert.ok(lines.length > 0 && lines.every((line) => line.includes("the disk is full")))
})

test("offline: the line is closed at once and the session held; online: it goes on", async (t) => {
  const listeners = new Map()
  const before = globalThis.addEventListener
  globalThis.addEventListener = (name, listener) => listeners.set(name, listener)
  t.after(() => { globalThis.addEventListener = before })
  const { relay, session, happens } = await setUp(t, { autoReconnect: () => 60_000 })
  const gone = happens("disconnect")
  listeners.get("offline")()
  assert.equal((await gone).reason, "dropped")
  assert.equal(session.state, "reconnecting")
  assert.notEqual((await relay.next("closed")).code, 1000)
  const back = happens("reconnect")
  listeners.get("online")()
  assert.deepEqual(await back, { resumed: true })
})

for (const [code, reason] of [[1000, "ended"], [4410, "replaced"], [4001, "refused"]]) {
  test(`close code ${code} is final: ${reason}`, async (t) => {
    const { relay, session, happens } = await setUp(t)
    const gone = happens("disconnect")
    relay.drop(code)
    const event = await gone
    assert.equal(event.reason, reason)
    assert.equal(event.willReconnect, false)
    assert.equal(session.state, "closed")
    await assert.rejects(session.mintAgentToken(), (error) => typeof error.code === "string")
    assert.equal(relay.urls.length, 1)
  })
}

for (const code of [1001, 1009, 1011, 4408, 4409]) {
  test(`close code ${code} is followed by a resume`, async (t) => {
    const { relay, happens } = await setUp(t)
    const back = happens("reconnect")
    relay.drop(code)
    assert.deepEqual(await back, { resumed: true })
  })
}

/** Session ids, resume secrets and what they make: those of the documentation. */
const PROOFS = [...readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8")
  .matchAll(/^\| `(\w{8})` \| `([\w-]{43})` \| `(agent-socket\.proof\.[\w-]{22})` \|/gm)].map((row) => row.slice(1))

test("a resume proves that it is the owner's, to a relay that knows of it", async (t) => {
  assert.equal(PROOFS.length, 2)
  for (const [sessionId, resumeSecret, proof] of PROOFS) {
    const registered = { type: "register_reply", ok: true, sessionId, resumeSecret, features: ["carry_calls", "upgrade_proof"] }
    const { relay, session, happens } = await setUp(t, {}, { register: () => registered, resume: () => ({ ...registered, resumed: true }) })
    const offer = `agent-socket.v1,${proof}`
    const back = happens("reconnect")
    relay.drop()
    await back
    // What was saved knows it from the first try on.
    const saved = JSON.parse(JSON.stringify(session.saved))
    await session.close({ keep: true })
    const options = { appId: "test", agentsMd: "", tools: [], baseUrl: relay.baseUrl, WebSocket }
    await (await connect({ ...options, resume: saved })).close({ keep: true })
    await endSession({ ...saved, baseUrl: relay.baseUrl, WebSocket })
    assert.deepEqual(relay.offers, [undefined, offer, offer, offer])
    assert.deepEqual(relay.urls.slice(1), Array(3).fill(`/v1/_ws?session=${sessionId}`))
  }
})

test("nothing is offered to a relay that did not say that it knows of it", async (t) => {
  const [[sessionId, resumeSecret]] = PROOFS
  const registered = { type: "register_reply", ok: true, sessionId, resumeSecret, features: ["carry_calls"] }
  const { relay, session, happens } = await setUp(t, {}, { register: () => registered, resume: () => ({ ...registered, resumed: true }) })
  const back = happens("reconnect")
  relay.drop()
  await back
  assert.deepEqual(session.saved.relayFeatures, ["carry_calls"])
  await endSession({ sessionId, resumeSecret, baseUrl: relay.baseUrl, WebSocket })
  assert.deepEqual(relay.offers, [undefined, undefined, undefined])
})

test("a relay that was put back to an older version is reached at the third try", async (t) => {
  const [[sessionId, resumeSecret]] = PROOFS
  const registered = { type: "register_reply", ok: true, sessionId, resumeSecret, features: ["upgrade_proof"] }
  const { relay, session, happens } = await setUp(t, {}, { register: () => registered })
  // As browsers do: a subprotocol that is not selected ends the connection.
  relay.server.options.handleProtocols = () => false
  const back = happens("reconnect")
  relay.drop()
  await back
  assert.equal(relay.offers.at(-1), undefined)
  assert.equal(session.saved.relayFeatures, undefined, "it is known to be older now")
})

test("close ends the session, connected or not", async (t) => {
  const { relay, session } = await setUp(t)
  await session.close()
  assert.equal((await relay.next("closed")).code, 1000)
  await session.close()
  const other = await setUp(t, { autoReconnect: () => 60_000 })
  const gone = other.happens("disconnect")
  other.relay.drop()
  await gone
  await other.session.close()
  const { sessionId, secret } = await other.relay.next("end")
  assert.deepEqual([sessionId, secret], ["SESS0001", "secret-1"])
  assert.equal(await endSession({ baseUrl: other.relay.baseUrl, WebSocket, sessionId, resumeSecret: secret }), true)
  other.relay.replies.end = () => ({ type: "end_reply", ok: false, error: { code: "resume_failed", message: "" } })
  assert.equal(await endSession({ baseUrl: other.relay.baseUrl, WebSocket, sessionId, resumeSecret: secret }), false)
})

test("the heartbeat is exact, and a line that stays silent is dropped", async (t) => {
  const { relay, happens } = await setUp(t, { heartbeatIntervalMs: 20, heartbeatTimeoutMs: A_BUSY_MOMENT_MS })
  assert.equal((await relay.next("ping")).text, '{"type":"ping","id":"as_hb"}')
  await relay.next("ping")
  const back = happens("reconnect")
  relay.replies.ping = () => null
  await relay.next("resume")
  await back
})

test("a connection that never opens is given up and tried again", async (t) => {
  const { relay, happens } = await setUp(t, { heartbeatTimeoutMs: A_BUSY_MOMENT_MS })
  const { resume } = relay.replies
  let tries = 0
  relay.replies.resume = (frame) => (++tries < 3 ? null : resume(frame))
  const back = happens("reconnect")
  relay.drop()
  await back
  // One more for each answer that a busy machine makes late.
  assert.ok(tries >= 3)
})

test("gives up only when told to", async (t) => {
  const { relay, session, events } = await setUp(t, { autoReconnect: giveUp({ attempts: 2, policy: soon }) })
  // The tries may be over before the relay's end is told.
  const closed = new Promise((resolve) => session.on("state", (state) => { if (state === "closed") resolve() }))
  await relay.stop()
  await closed
  const told = events.map(({ reason, willReconnect }) => ({ reason, willReconnect }))
  assert.deepEqual(told, [{ reason: "dropped", willReconnect: true }, { reason: "gave_up", willReconnect: false }])
  assert.equal(session.state, "closed")
})

test("autoReconnect: false stays away", async (t) => {
  const { relay, session, happens } = await setUp(t, { autoReconnect: false })
  const gone = happens("disconnect")
  relay.drop()
  assert.equal((await gone).reason, "gave_up")
  assert.equal(session.state, "closed")
})

test("backoff grows, is capped and jittered, and giveUp stops it", () => {
  const plain = exponentialBackoff({ jitter: 0 })
  assert.deepEqual([0, 1, 2, 6, 7, 5000].map((n) => plain(n, 0)), [500, 1000, 2000, 30_000, 30_000, 30_000])
  for (let i = 0; i < 200; i++) {
    const delay = exponentialBackoff()(i % 10, 0)
    const full = plain(i % 10, 0)
    assert.ok(delay >= full / 2 && delay <= full)
  }
  assert.equal(giveUp({ attempts: 3 })(3, 0), null)
  assert.equal(giveUp({ afterMs: 10 })(0, 10), null)
  assert.ok(giveUp({ attempts: 3, afterMs: 10 })(2, 9) > 0)
})

test("waiting requests are answered after a reconnect, and rejected at the end", async (t) => {
  const { relay, session, happens } = await setUp(t)
  const gone = happens("disconnect")
  relay.drop()
  await gone
  assert.equal((await session.mintAgentToken({ label: "later" })).label, "later")
  const { session: other, relay: itsRelay, happens: itHappens } = await setUp(t, { autoReconnect: () => 60_000 })
  const lost = itHappens("disconnect")
  itsRelay.drop()
  await lost
  const minting = assert.rejects(other.mintAgentToken(), { code: "session_closed" })
  await other.close({ keep: true })
  await minting
})

test("a request that is cut off rejects, and tools that were being updated go with the resume", async (t) => {
  const { relay, session, happens } = await setUp(t, {}, { mint_agent_token: () => relay.drop(), update_tools: () => relay.drop() })
  await assert.rejects(session.mintAgentToken(), { code: "disconnected" })
  await happens("reconnect")
  await session.updateTools([{ path: "/new", description: "", handler() {} }])
  assert.equal((await relay.next("resume", ({ tools }) => tools.length > 0)).tools[0].path, "/new")
})

test("frames that make no sense are ignored", async (t) => {
  const { relay, session } = await setUp(t)
  for (const frame of ["", "x", "null", "[]", "{}", '{"type":7}', '{"type":"nope"}', '{"type":"tool_cancel","id":"none"}', '{"type":"mint_agent_token_reply","id":"r99"}']) relay.send(frame)
  assert.ok((await session.ping()) >= 0)
})

test("a listener that throws is logged and harms nobody", async (t) => {
  const lines = await logged(async () => {
    const { relay, session, happens } = await setUp(t, { onDisconnect() { throw new Error("mine") } })
    const back = happens("reconnect")
    relay.drop()
    await back
    assert.equal(session.connected, true)
  })
  assert.deepEqual(lines.map((line) => /callback threw.*mine/.test(line)), [true])
})

test("a relay that lists its features is no relay of Part I", async (t) => {
  const lines = await logged(async () => {
    const register = () => ({ type: "register_reply", ok: true, sessionId: "SESS0001", resumeSecret: "secret-1", features: ["carry_calls", "later"] })
    const tools = [{ path: "/bytes", description: "", timeout_ms: 5000, handler: () => new Uint8Array([255, 0]) }]
    const { relay } = await setUp(t, { tools }, { register })
    relay.send(call("c1", "/bytes", { agent: undefined }))
    const { body, bodyEncoding } = await relay.next("tool_reply")
    assert.deepEqual([body, bodyEncoding], ["/wA=", "base64"])
  })
  assert.deepEqual(lines, [])
})

test("degrades on a relay of Part I, and says so once", async (t) => {
  let session
  const lines = await logged(async () => {
    const set = await setUp(t, { tools: [{ path: "/bytes", description: "", timeout_ms: 5000, handler: () => new Uint8Array([255, 0]) }] })
    session = set.session
    await session.mintAgentToken({ expiresInMs: 1000 })
    await session.mintAgentToken({ maxCalls: 1 })
    for (const id of ["c1", "c2"]) {
      set.relay.send(call(id, "/bytes", { agent: undefined }))
      assert.deepEqual((await set.relay.next("tool_reply")).body, { encoding: "base64", contentType: "application/octet-stream", data: "/wA=" })
    }
    session.progressTask("t1", 0.5)
  })
  assert.deepEqual(lines.map((line) => /^agent-socket: this relay ignores ([^:]+): /.exec(line)[1]),
    ["the limits of links", "timeout_ms", "features", "binary answers", "task progress"])
  assert.ok(!lines.join().includes("TOKEN") && !lines.join().includes("secret"))
})
