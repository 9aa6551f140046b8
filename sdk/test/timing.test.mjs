/** When things happen, on a clock that the test moves, with a socket that does what it is told. */

import assert from "node:assert/strict"
import { test } from "node:test"
import { connect } from "../dist/index.js"

const HEARTBEAT = '{"type":"ping","id":"as_hb"}'

/** Lets promises go on that wait for nothing but each other. */
async function settle() {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

/** Sockets without a network: `sockets` has them in their order, with what was sent and how they were closed. */
function setUp(t) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] })
  const sockets = []
  class WebSocket {
    readyState = 0
    sent = []
    constructor(url) {
      this.url = url
      sockets.push(this)
    }
    send(text) { this.sent.push(text) }
    close(...args) {
      this.closed ??= args
      this.readyState = 3
    }
    open() {
      this.readyState = 1
      this.onopen()
    }
    receive(frame) { this.onmessage?.({ data: JSON.stringify(frame) }) }
    drop(code) {
      this.readyState = 3
      this.onclose?.({ code })
    }
    beats() { return this.sent.filter((text) => text === HEARTBEAT).length }
  }
  const tick = async (ms) => {
    t.mock.timers.tick(ms)
    await settle()
  }
  const register = async (n = 0, more = {}) => {
    sockets[n].open()
    sockets[n].receive({ type: "register_reply", ok: true, sessionId: "SESS0001", resumeSecret: "s", ...more })
    await settle()
  }
  const start = async (options) => {
    const opening = connect({ appId: "a", agentsMd: "", tools: [], baseUrl: "http://relay.example", WebSocket, ...options })
    opening.catch(() => {})
    await settle()
    return opening
  }
  return { sockets, tick, register, start }
}

test("a heartbeat 20 s after each answer; 15 s of silence is a dead line, and the session is resumed", async (t) => {
  const { sockets, tick, register, start } = setUp(t)
  const opening = start()
  await settle()
  await register()
  const session = await opening
  for (let beat = 1; beat <= 3; beat++) {
    await tick(19_999)
    assert.equal(sockets[0].beats(), beat - 1)
    await tick(1)
    assert.equal(sockets[0].beats(), beat)
    if (beat < 3) sockets[0].receive({ type: "pong", id: "as_hb" })
  }
  await tick(14_999)
  assert.equal(session.state, "connected")
  await tick(1)
  assert.equal(session.state, "reconnecting")
  assert.deepEqual(sockets[0].closed, [], "a close without a code: the relay holds the session")
  await tick(500)
  assert.equal(sockets[1].url, "ws://relay.example/v1/_ws?session=SESS0001")
  await register(1, { resumed: true })
  assert.equal(session.state, "connected")
  await session.close({ keep: true })
})

test("any frame is a sign of life while a heartbeat is out", async (t) => {
  const { sockets, tick, register, start } = setUp(t)
  const opening = start()
  await settle()
  await register()
  const session = await opening
  await tick(20_000)
  await tick(10_000)
  sockets[0].receive({ type: "something_new" })
  await tick(5_000)
  assert.equal(session.state, "connected")
  assert.equal(sockets[0].beats(), 2, "it asks again")
  await tick(15_000)
  assert.equal(session.state, "reconnecting")
  await session.close({ keep: true })
})

test("a socket that never opens, or never answers, is given up after 15 s", async (t) => {
  const { sockets, tick, register, start } = setUp(t)
  const opening = start()
  await settle()
  await register()
  const session = await opening
  sockets[0].drop(1006)
  await tick(500)
  await tick(15_000)
  assert.deepEqual(sockets[1].closed, [])
  await tick(1_000)
  sockets[2].open()
  await tick(15_000)
  assert.deepEqual(sockets[2].closed, [])
  assert.equal(session.state, "reconnecting")
  await session.close({ keep: true })
})

test("delays double from half a second to half a minute, and up to half of each is left to chance", async (t) => {
  const { sockets, tick, register, start } = setUp(t)
  const opening = start()
  await settle()
  await register()
  const session = await opening
  for (let n = 0; n < 10; n++) {
    sockets[n].drop(1006)
    const longest = Math.min(30_000, 500 * 2 ** n)
    await tick(longest / 2 - 1)
    assert.equal(sockets.length, n + 1, `try ${n} waits for at least half of ${longest} ms`)
    await tick(longest / 2 + 1)
    assert.equal(sockets.length, n + 2, `try ${n} waits for at most ${longest} ms`)
  }
  await register(10, { resumed: true })
  await tick(20_000)
  sockets[10].receive({ type: "pong", id: "as_hb" })
  sockets[10].drop(1006)
  await tick(500)
  assert.equal(sockets.length, 12, "a line that lasted earns short delays again")
  await session.close({ keep: true })
})
