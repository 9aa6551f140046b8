import assert from "node:assert/strict"
import { test } from "node:test"
import { connect } from "../dist/index.js"
import { WebSocket, startRelay } from "./relay.mjs"

/** A relay, a store in memory, and `open(signal)`. */
async function setUp(t, answers) {
  const relay = await startRelay(answers)
  t.after(() => relay.stop())
  const store = { saved: null, load: () => store.saved, save(saved) { store.saved = structuredClone(saved) } }
  const open = async (options) => {
    const session = await connect({ appId: "test", agentsMd: "", tools: [], baseUrl: relay.baseUrl, WebSocket, autoReconnect: () => 1, ...options })
    t.after(() => session.close({ keep: true }))
    return session
  }
  return { relay, store, open }
}

test("a signal that was aborted before opens nothing", async (t) => {
  const { relay, open } = await setUp(t)
  await assert.rejects(open({ signal: AbortSignal.abort() }), { name: "AbortError" })
  assert.equal(relay.urls.length, 0)
})

test("aborted while it opens: what was registered is ended, as nobody could resume it", async (t) => {
  const { relay, store, open } = await setUp(t, { register: () => null })
  const abort = new AbortController()
  const opening = open({ signal: abort.signal, resume: store })
  const rejected = assert.rejects(opening, (error) => error === abort.signal.reason)
  await relay.next("register")
  abort.abort(new Error("unmounted"))
  await rejected
  assert.equal((await relay.next("closed")).code, 1000)
  assert.equal(store.saved, null)
})

test("aborted later: with a store the session is left, and the next connect goes on with it", async (t) => {
  const { relay, store, open } = await setUp(t)
  const abort = new AbortController()
  const first = await open({ signal: abort.signal, resume: store })
  const link = await first.mintAgentToken()
  abort.abort()
  assert.equal(first.state, "closed")
  await assert.rejects(first.mintAgentToken(), { name: "AbortError" })
  assert.notEqual((await relay.next("closed")).code, 1000, "left, not ended")
  const second = await open({ resume: store })
  assert.equal(second.sessionId, first.sessionId)
  assert.deepEqual(second.links, [link])
})

test("aborted while it tries to get back: it stops trying", async (t) => {
  const { relay, store, open } = await setUp(t)
  const abort = new AbortController()
  const session = await open({ signal: abort.signal, resume: store, autoReconnect: () => 10 })
  const away = new Promise((resolve) => session.on("state", (state) => { if (state === "reconnecting") resolve() }))
  relay.drop()
  await away
  abort.abort()
  assert.equal(session.state, "closed")
  assert.equal(store.saved.sessionId, session.sessionId)
  await new Promise((resolve) => setTimeout(resolve, 30)) // past the delay that was set
  assert.equal(relay.urls.length, 1)
})

test("without a store nobody could resume it, so it is ended", async (t) => {
  const { relay, open } = await setUp(t)
  const abort = new AbortController()
  await open({ signal: abort.signal })
  abort.abort()
  assert.equal((await relay.next("closed")).code, 1000)
})
