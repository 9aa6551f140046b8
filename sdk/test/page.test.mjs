import assert from "node:assert/strict"
import { test } from "node:test"
import decodeQr from "qr/decode.js"
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect } from "../dist/index.js"
import { fileStore } from "../dist/node.js"
import { exposeWebMCP, fromWebMCP, qrCode, tabStore, toWebMCP } from "../dist/page.js"
import { WebSocket, startRelay } from "./relay.mjs"

/** The text that a reader sees in the code. */
function read(grid) {
  const scale = 4
  const size = (grid.length + 8) * scale
  const data = new Uint8Array(size * size * 4).fill(255)
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) {
    if (grid[Math.floor(y / scale) - 4]?.[Math.floor(x / scale) - 4]) data.fill(0, (y * size + x) * 4, (y * size + x) * 4 + 3)
  }
  return decodeQr({ width: size, height: size, data })
}

test("QR codes of every length can be read", () => {
  for (let length = 1; length <= 180; length += length < 20 ? 1 : 8) {
    const text = `https://relay.example/v1/t/as_0123ABCD_${"aZ9-_".repeat(40)}`.slice(0, length)
    assert.equal(read(qrCode(text)), text)
  }
  assert.equal(read(qrCode("x".repeat(180))), "x".repeat(180))
  assert.equal(qrCode("x".repeat(181)), null)
})

async function session(t, tools) {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const session = await connect({ appId: "test", agentsMd: "", tools, baseUrl: relay.baseUrl, WebSocket })
  t.after(() => session.close({ keep: true }))
  return session
}
const tools = [
  { path: "/add", description: "Adds.", input: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }, handler: ({ input }) => ({ sum: input.n + 1 }) },
  { method: "GET", path: "/get_grid", description: "", handler: () => "grid" },
  { method: "DELETE", path: "/a/b.c", description: "", handler() {} },
]

test("WebMCP gives the parameters of a path as arguments", async (t) => {
  const seen = []
  const app = await session(t, [{ path: "/u/:id/x", title: "User", description: "", handler: ({ params, path }) => { seen.push([params, path]) } }])
  const [tool] = toWebMCP(app)
  assert.deepEqual([tool.name, tool.title, tool.inputSchema.required], ["u_id_x", "User", ["id"]])
  assert.equal((await tool.execute({ id: "a/b" })).isError, undefined)
  assert.deepEqual(seen, [[{ id: "a/b" }, "/u/a%2Fb/x"]])
})

test("WebMCP gets the same tools, and they are taken back", async (t) => {
  const app = await session(t, tools)
  const offered = new Map()
  const home = (globalThis.document ??= {})
  t.after(() => { delete globalThis.document })
  assert.doesNotThrow(exposeWebMCP(app), "nothing to do without WebMCP")
  home.modelContext = { registerTool: (tool) => offered.set(tool.name, tool), unregisterTool: (name) => offered.delete(name) }
  const stop = exposeWebMCP(app)
  assert.deepEqual([...offered.keys()], ["add", "get_grid", "a_b_c"])
  assert.deepEqual(offered.get("add").inputSchema.required, ["n"])
  assert.deepEqual(await offered.get("add").execute({ n: 1 }), { content: [{ type: "text", text: '{"sum":2}' }] })
  const bad = await offered.get("add").execute({ n: "1" })
  assert.equal(bad.isError, true)
  assert.match(bad.content[0].text, /n: must be of type integer/)
  await app.updateTools(tools.slice(0, 1))
  assert.deepEqual([...offered.keys()], ["add"])
  stop()
  assert.equal(offered.size, 0)
})

test("WebMCP names are unique, valid, and the same in every order", () => {
  const list = ["POST /get_x", "GET /x", "GET /get_x", "POST /x", "DELETE /x", "GET /x.get", "POST /x_get", "GET /1/a", "PUT /a/b", "PUT /a.b", "PUT /a_b", `GET /${"long".repeat(30)}`, `POST /${"long".repeat(30)}`]
    .map((tool) => ({ method: tool.split(" ")[0], path: tool.split(" ")[1], description: "", handler() {} }))
  const names = (tools) => Object.fromEntries(toWebMCP({ tools, call() {} }).map(({ name }, i) => [`${tools[i].method} ${tools[i].path}`, name]))
  const named = names(list)
  const all = Object.values(named)
  assert.equal(new Set(all).size, list.length, all.join())
  for (const name of all) assert.match(name, /^[A-Za-z_][\w-]{0,63}$/)
  assert.deepEqual(["POST /x", "POST /get_x", "GET /get_x", "GET /1/a", "PUT /a.b", "PUT /a/b", "PUT /a_b"].map((key) => named[key]),
    ["x", "get_x", "get_x_get", "_1_a", "a_b", "a_b_put", "a_b_put_2"])
  assert.deepEqual(names(list.toReversed?.() ?? [...list].reverse()), named)
})

test("the older provideContext is taken too", async (t) => {
  const app = await session(t, tools)
  let context
  Object.defineProperty(globalThis, "document", { configurable: true, value: { modelContext: { provideContext: (given) => { context = given } } } })
  t.after(() => { delete globalThis.document })
  exposeWebMCP(app)
  assert.equal(context.tools.length, 3)
  await app.close()
  assert.equal(context.tools.length, 0)
})

test("tools made for WebMCP work over a link", async (t) => {
  const app = await session(t, fromWebMCP([
    { name: "add", description: "", inputSchema: tools[0].input, execute: ({ n }) => ({ content: [{ type: "text", text: String(n + 1) }] }) },
    { name: "plain", description: "", execute: (input) => ({ input }) },
    { name: "fails", description: "", execute: () => ({ isError: true, content: [{ type: "text", text: "no" }] }) },
  ]))
  assert.equal((await app.call("POST", "/add", '{"n":1}')).body, "2")
  assert.equal((await app.call("POST", "/add", '{"n":"x"}')).status, 400)
  assert.deepEqual((await app.call("POST", "/plain", '{"a":1}')).body, { input: { a: 1 } })
  assert.deepEqual((await app.call("POST", "/fails")).status, 400)
  assert.equal(toWebMCP(app)[0].name, "add")
})

test("a tab store keeps a session, and works without storage", async (t) => {
  const kept = new Map()
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) }
  Object.defineProperty(globalThis, "sessionStorage", { configurable: true, writable: true, value: storage })
  t.after(() => { delete globalThis.sessionStorage })
  const saved = { sessionId: "SESS0001", resumeSecret: "s" }
  const store = tabStore("a")
  assert.equal(await store.load(), null)
  store.save(saved)
  assert.deepEqual(await store.load(), saved)
  assert.equal(await tabStore("b").load(), null)
  store.save(null)
  assert.equal(kept.size, 0)
  for (const junk of ["{", "7", '{"sessionId":1}']) {
    kept.set("agent-socket.a", junk)
    assert.equal(await store.load(), null)
  }
  globalThis.sessionStorage = undefined
  store.save(saved)
  assert.equal(await store.load(), null)
})

test("a file store keeps a session for its owner alone, and a restart goes on with it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "agent-socket-store-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, "deep/er/session.json")
  const relay = await startRelay()
  t.after(() => relay.stop())
  const open = () => connect({ appId: "test", agentsMd: "", tools: [], baseUrl: relay.baseUrl, WebSocket, resume: fileStore(file) })
  const first = await open()
  const link = await first.mintAgentToken()
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(join(folder, "deep/er")), ["session.json"])
  await first.close({ keep: true })
  const second = await open()
  assert.deepEqual(second.links, [link])
  await second.close()
  assert.deepEqual(readdirSync(join(folder, "deep/er")), [], "gone with the session")
  writeFileSync(file, "{")
  await assert.rejects(open(), /session\.json is no saved session.*Remove it/)
  assert.equal(readFileSync(file, "utf8"), "{")
  writeFileSync(file, '{"sessionId":7}')
  await assert.rejects(open(), { code: "invalid_option", message: /resume\.sessionId/ })
})

test("stores of one name in a document share their claim; another document's is respected", async (t) => {
  const held = new Map()
  // As browsers do it: one holder of a name, those who wait can give up.
  const locks = {
    async request(name, { signal }, run) {
      while (held.has(name)) {
        await Promise.race([held.get(name), new Promise((_, reject) => { signal.aborted ? reject(signal.reason) : signal.addEventListener("abort", () => reject(signal.reason)) })])
      }
      const done = Promise.resolve(run()).finally(() => held.delete(name))
      held.set(name, done)
      return done
    },
  }
  const kept = new Map()
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) }
  const define = (name, value) => {
    const before = Object.getOwnPropertyDescriptor(globalThis, name)
    Object.defineProperty(globalThis, name, { configurable: true, writable: true, value })
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]))
  }
  define("sessionStorage", storage)
  define("navigator", { locks })
  const saved = { sessionId: "SESS0001", resumeSecret: "s" }
  const first = tabStore("shared")
  first.save(saved)
  assert.deepEqual(await first.load(), saved)
  assert.deepEqual(await tabStore("shared").load(), saved, "a second store of the same document")
  const { tabStore: copy } = await import("../dist/page.js?copy")
  assert.deepEqual(await copy("shared").load(), saved, "a second copy of the module")
  assert.deepEqual([...held.keys()], ["agent-socket.shared.SESS0001"])

  first.save({ ...saved, sessionId: "SESS0002" })
  await first.load()
  assert.deepEqual([...held.keys()], ["agent-socket.shared.SESS0002"], "the old session was let go")

  // Another document has SESS0003, whose copy is in this one's storage.
  held.set("agent-socket.twin.SESS0003", new Promise(() => {}))
  kept.set("agent-socket.twin", JSON.stringify({ ...saved, sessionId: "SESS0003" }))
  t.mock.timers.enable({ apis: ["setTimeout"] })
  const load = tabStore("twin").load()
  t.mock.timers.tick(1_500)
  assert.equal(await load, null)
  t.mock.timers.reset()
})
