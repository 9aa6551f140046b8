import assert from "node:assert/strict"
import { test } from "node:test"
import { ToolError, connect } from "../dist/index.js"
import { WebSocket, logged, startRelay } from "./relay.mjs"
import { type } from "arktype"
import * as v from "valibot"
import { z } from "zod"

/** Runs a handler as a call over the wire; returns the reply frame without its type and id. */
async function run(t, handler, { input, frame, options } = {}) {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const session = await connect({ appId: "test", agentsMd: "", baseUrl: relay.baseUrl, WebSocket, tools: [{ path: "/x", description: "", handler, ...(input && { input }) }], ...options })
  t.after(() => session.close({ keep: true }))
  relay.send({ type: "tool_call", id: "c1", method: "POST", path: "/x", body: "", headers: {}, agent: { id: "0badcafe", label: "me" }, ...frame })
  const { type, id, text, ...reply } = await relay.next("tool_reply")
  assert.equal(id, "c1")
  return reply
}

const VALUES = [
  ["a value", () => ({ a: [1] }), { status: 200, body: { a: [1] } }],
  ["a string is JSON", () => "hi", { status: 200, body: "hi" }],
  ["null, false and 0 are values", async () => [null, false, 0], { status: 200, body: [null, false, 0] }],
  ["null", () => null, { status: 200, body: null }],
  ["an empty object", () => ({}), { status: 200, body: {} }],
  ["nothing", () => {}, { status: 204 }],
  ["a reply", () => ({ status: 201, body: "x", headers: { "Content-Type": "text/plain" } }), { status: 201, headers: { "content-type": "text/plain" }, body: "x" }],
  ["a reply with a body only", () => ({ body: { ok: true } }), { status: 200, body: { ok: true } }],
  ["a task", () => ({ taskId: "t-1" }), { status: 202, taskId: "t-1" }],
  ["a value that has more fields than a reply", () => ({ status: 500, detail: 1 }), { status: 200, body: { status: 500, detail: 1 } }],
  ["a value whose status is no number", () => ({ status: "open" }), { status: 200, body: { status: "open" } }],
  ["bytes", () => new Uint8Array([1, 2, 255]), { status: 200, headers: { "content-type": "application/octet-stream" }, body: "AQL/", bodyEncoding: "base64" }],
  ["a buffer", () => new Uint8Array([1]).buffer, { status: 200, headers: { "content-type": "application/octet-stream" }, body: "AQ==", bodyEncoding: "base64" }],
  ["a blob", () => new Blob(["hi"], { type: "image/png" }), { status: 200, headers: { "content-type": "image/png" }, body: "aGk=", bodyEncoding: "base64" }],
  ["bytes in a reply", () => ({ status: 201, body: new Uint8Array(), headers: { "Content-Type": "image/gif" } }), { status: 201, headers: { "content-type": "image/gif" }, body: "", bodyEncoding: "base64" }],
]
for (const [name, handler, expected] of VALUES) test(`a handler returns ${name}`, async (t) => assert.deepEqual(await run(t, handler), expected))

test("what stands in the path is in params, and checked with the input", async (t) => {
  const frame = { path: "/users/7", route: "/users/:id", params: { id: "7" } }
  const seen = ({ path, route, params, input }) => ({ path, route, params, input })
  const at = { options: { tools: [{ path: "/users/:id", description: "", handler: seen }] }, frame }
  assert.deepEqual((await run(t, seen, at)).body, { path: "/users/7", route: "/users/:id", params: { id: "7" } })
  const input = { type: "object", properties: { id: { type: "integer" }, name: { type: "string" } }, required: ["id", "name"] }
  const checked = { options: { tools: [{ path: "/users/:id", description: "", input, handler: seen }] }, frame: { ...frame, body: '{"name":"n","id":8}' } }
  assert.deepEqual((await run(t, seen, checked)).body.input, { name: "n", id: 7 })
  const wrong = await run(t, seen, { ...checked, frame: { ...checked.frame, params: { id: "x" } } })
  assert.equal(wrong.status, 400)
  assert.match(wrong.body.error.message, /^id: /)
})

test("tools tell the relay what they are", async (t) => {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const tool = { path: "/u/:id", title: "User", description: "", annotations: { destructive: true }, output: z.object({ n: z.number() }), handler: ({ params }) => params.id }
  const me = { ...tool, path: "/u/me", output: undefined, handler: () => "me" }
  const session = await connect({ appId: "test", appName: "My app", agentsMd: "", baseUrl: relay.baseUrl, WebSocket, tools: [tool, me] })
  t.after(() => session.close({ keep: true }))
  const { appName, tools } = await relay.next("register")
  assert.equal(appName, "My app")
  assert.equal(tools[0].title, "User")
  assert.deepEqual(tools[0].annotations, { destructive: true })
  assert.equal(tools[0].output_schema.properties.n.type, "number")
  assert.equal("output" in tools[0], false)
  // The page's own calls find their tool, too.
  assert.equal((await session.call("POST", "/u/a%2Fb")).body, "a/b")
  assert.equal((await session.call("POST", "/u/me")).body, "me")
  assert.equal((await session.call("POST", "/u/")).status, 404)
  for (const bad of [{ path: "/u/:9" }, { path: "/u/:" }, { annotations: { cruel: true } }, { annotations: { destructive: 1 } }, { title: 7 }, { output: 7 }])
    await assert.rejects(session.updateTools([{ path: "/x", description: "", handler() {}, ...bad }]), { code: "invalid_option" })
})

const cycle = {}
cycle.self = cycle
const NEUTRAL = /^The app failed while it ran this tool\. The reason is in its own log/
const BAD = [
  ["throws", () => { throw new Error("no ink in /home/ada") }, NEUTRAL],
  ["throws a string", () => { throw "plain" }, NEUTRAL],
  ["throws nothing", () => { throw undefined }, NEUTRAL],
  ["rejects", async () => { throw new TypeError("late") }, NEUTRAL],
  ["returns a cycle", () => cycle, /can't be written as JSON/],
  ["returns a BigInt", () => 1n, /can't be written as JSON/],
  ["returns 5 MiB", () => "x".repeat(5 << 20), /takes 524\d{4} characters of JSON; at most 41942\d\d /],
  ["returns 5 MiB of bytes", () => new Uint8Array(5 << 20), /at most 41942\d\d /],
  ["returns a bad status", () => ({ status: 99 }), /status is 99.* 200 to 599/],
  ["returns a bad taskId", () => ({ taskId: "a b" }), /taskId/],
]
for (const [name, handler, message] of BAD) {
  test(`a handler that ${name} makes a 500, and the app's own log has the reason`, async (t) => {
    const lines = await logged(async () => {
      const { status, body } = await run(t, handler)
      assert.equal(status, 500)
      assert.equal(body.error.code, "handler_error")
      assert.match(body.error.message, message)
    })
    assert.equal(lines.length, 1)
    assert.match(lines[0], /^agent-socket: the handler of POST \/x failed /)
  })
}

test("a reply's frame counts in UTF-16 units, as the relay counts it", async (t) => {
  const frame = (body) => JSON.stringify({ type: "tool_reply", id: "c1", status: 200, body })
  const longest = (4 << 20) - frame("").length
  for (const [body, status] of [["あ".repeat(longest), 200], ["é".repeat(longest - 1) + "x", 200], ["あ".repeat(longest + 1), 500]]) {
    assert.equal(frame(body).length <= 4 << 20, status === 200)
    assert.equal((await run(t, () => body, { options: { onError() {} } })).status, status)
  }
})

test("`onError` gets what was thrown, and the console nothing", async (t) => {
  const seen = []
  const lines = await logged(async () => {
    const reply = await run(t, () => { throw new Error("no ink") }, { options: { onError(error, call) { seen.push([error.message, call]); throw new Error("mine") } } })
    assert.equal(reply.status, 500)
  })
  assert.deepEqual(seen, [["no ink", { method: "POST", path: "/x" }]])
  assert.deepEqual(lines.map((line) => /a callback threw.*mine/.test(line)), [true], "a listener that throws harms nobody")
})

test("a ToolError is what the agent gets", async (t) => {
  const error = (status, code, message) => ({ status, body: { error: { code, message } } })
  const lines = await logged(async () => {
    assert.deepEqual(await run(t, () => { throw new ToolError("There is no item 7.", { status: 404, code: "no_item" }) }), error(404, "no_item", "There is no item 7."))
    assert.deepEqual(await run(t, async () => { throw new ToolError("No.") }), error(400, "tool_error", "No."))
  })
  assert.deepEqual(lines, [])
  for (const status of [200, 600, 404.5, "404"]) assert.throws(() => new ToolError("x", { status }), RangeError)
})

test("a handler that never returns is cancelled, and blocks nobody", async (t) => {
  const relay = await startRelay()
  t.after(() => relay.stop())
  let aborted
  const reason = new Promise((resolve) => { aborted = resolve })
  const never = ({ signal }) => new Promise(() => signal.addEventListener("abort", () => aborted(signal.reason)))
  const session = await connect({
    appId: "test", agentsMd: "", baseUrl: relay.baseUrl, WebSocket,
    tools: [{ path: "/never", description: "", handler: never }, { path: "/x", description: "", handler: () => 1 }],
  })
  t.after(() => session.close({ keep: true }))
  const frame = { type: "tool_call", method: "POST", body: "", headers: {}, agent: { id: "a", label: "" } }
  relay.send({ ...frame, id: "c1", path: "/never" })
  relay.send({ ...frame, id: "c2", path: "/x" })
  assert.equal((await relay.next("tool_reply")).id, "c2")
  relay.send({ type: "tool_cancel", id: "c1", reason: "timeout" })
  assert.match((await reason).message, /timeout/)
})

test("a handler gets the whole call", async (t) => {
  let seen
  await run(t, (call) => { seen = call }, { frame: { body: '{"a":1}', query: "q=1", headers: { "x-a": "b" } } })
  const { signal, json, bytes, ...rest } = seen
  assert.deepEqual(rest, { method: "POST", path: "/x", route: "/x", params: {}, query: "q=1", body: '{"a":1}', headers: { "x-a": "b" }, agent: { id: "0badcafe", label: "me" }, input: undefined })
  assert.deepEqual(json(), { a: 1 })
  assert.deepEqual([...bytes()], [...Buffer.from('{"a":1}')])
  assert.ok(signal instanceof AbortSignal)
  await run(t, (call) => { seen = call }, { frame: { body: "AP8=", bodyEncoding: "base64" } })
  assert.equal(seen.body, "")
  assert.deepEqual([...seen.bytes()], [0, 255])
})

test("a body that is no JSON is the agent's mistake", async (t) => {
  for (const [body, message] of [["{", /not valid JSON/], ["", /is empty/]]) {
    const reply = await run(t, ({ json }) => json(), { frame: { body } })
    assert.equal(reply.status, 400)
    assert.equal(reply.body.error.code, "invalid_json")
    assert.match(reply.body.error.message, message)
  }
})

test("an unknown path gets 404", async (t) => {
  const { status, body } = await run(t, () => 1, { frame: { path: "/nope" } })
  assert.equal(status, 404)
  assert.match(body.error.message, /POST \/nope/)
})

const SCHEMAS = {
  zod: z.object({ x: z.number().int().max(31), tags: z.array(z.string()).default([]) }),
  valibot: v.object({ x: v.pipe(v.number(), v.integer(), v.maxValue(31)), tags: v.optional(v.array(v.string()), []) }),
  arktype: type({ x: "number.integer <= 31", "tags?": "string[]" }),
  json: { type: "object", properties: { x: { type: "integer", maximum: 31 }, tags: { type: "array", items: { type: "string" } } }, required: ["x"] },
}
for (const [name, input] of Object.entries(SCHEMAS)) {
  test(`${name}: inputs are checked before the handler`, async (t) => {
    let calls = 0
    const handler = ({ input, json }) => { calls++; assert.equal(json(), input); return input.x }
    assert.deepEqual(await run(t, handler, { input, frame: { body: '{"x":3}' } }), { status: 200, body: 3 })
    for (const [body, path] of [['{"x":32}', "x"], ["{}", "x"], ["", "x"], ['{"x":1,"tags":["a",7]}', "tags[1]"]]) {
      const reply = await run(t, handler, { input, frame: { body } })
      assert.equal(reply.status, 400)
      assert.equal(reply.body.error.code, "invalid_input")
      assert.deepEqual(reply.body.error.issues.map((issue) => issue.path), [path])
      assert.ok(reply.body.error.message.startsWith(`${path}: `), reply.body.error.message)
    }
    assert.equal(calls, 1)
  })
}

/** Calls a tool whose input is in the query; the reply is its input. */
async function query(t, method, input, query, frame) {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const tools = [{ method, path: "/x", description: "", input, handler: ({ input }) => ({ input }) }]
  const session = await connect({ appId: "test", agentsMd: "", baseUrl: relay.baseUrl, WebSocket, tools })
  t.after(() => session.close({ keep: true }))
  relay.send({ type: "tool_call", id: "c1", method, path: "/x", query, body: "", headers: {}, agent: { id: "a", label: "" }, ...frame })
  const { status, body } = await relay.next("tool_reply")
  return status === 200 ? body.input : body.error
}

const QUERY_SCHEMA = {
  type: "object", required: ["q"], additionalProperties: false,
  properties: {
    q: { type: "string" }, n: { type: "integer", maximum: 9 }, on: { type: "boolean" }, tags: { type: "array", items: { type: "string" } }, ids: { $ref: "#/$defs/ids" },
    at: { type: "object", properties: { x: { type: "number" } } }, kind: { enum: [1, "two", null] }, any: {}, both: { type: ["string", "integer"] },
  },
  $defs: { ids: { type: "array", items: { type: "integer" }, minItems: 1 } },
}
const QUERIES = [
  ["q=a+b%26c", { q: "a b&c" }],
  ["q=5&n=5&on=true", { q: "5", n: 5, on: true }],
  ["q=%22x%22&both=5", { q: '"x"', both: "5" }],
  ["q=&tags=a&tags=5", { q: "", tags: ["a", "5"] }],
  ["q=a&tags=a&ids=7", { q: "a", tags: ["a"], ids: [7] }],
  ["q=a&tags=%5B%22a%22%2C%22b%22%5D&ids=%5B1%2C2%5D", { q: "a", tags: ["a", "b"], ids: [1, 2] }],
  ["q=a&ids=1&ids=2", { q: "a", ids: [1, 2] }],
  ["q=a&at=%7B%22x%22%3A1.5%7D", { q: "a", at: { x: 1.5 } }],
  ["q=a&kind=1", { q: "a", kind: 1 }], ["q=a&kind=two", { q: "a", kind: "two" }], ["q=a&kind=null", { q: "a", kind: null }],
  ["q=a&any=5", { q: "a", any: "5" }],
]
for (const method of ["GET", "HEAD", "DELETE"]) {
  test(`${method}: the input is in the query, read as the schema has it`, async (t) => {
    for (const [text, input] of QUERIES) assert.deepEqual(await query(t, method, QUERY_SCHEMA, text), input, text)
  })
}

test("a query that does not fit is told as a body is", async (t) => {
  for (const [text, path, message] of [
    ["", "q", "is missing"], ["q=a&n=x", "n", "must be of type integer, not string"], ["q=a&n=12", "n", "must be at most 9"], ["q=a&more=1", "more", "is unknown; the fields are q, n, on, tags, ids, at, kind, any, both"],
    ["q=a&q=b", "q", "must be of type string, not array"], ["q=a&ids=1&ids=x", "ids[1]", "must be of type integer, not string"], ["q=a&ids=x", "ids[0]", "must be of type integer, not string"], ["q=a&at=5", "at", "must be of type object, not integer"],
  ]) {
    const { code, issues } = await query(t, "GET", QUERY_SCHEMA, text)
    assert.equal(code, "invalid_input")
    assert.deepEqual(issues[0], { path, message }, text)
  }
  for (const text of ["__proto__=1", "a=%7B%22__proto__%22%3A1%7D"]) {
    assert.match((await query(t, "GET", { type: "object", properties: { a: { type: "object" } } }, text)).message, /__proto__/)
  }
})

test("a query for the schemas of libraries: coerced where JSON Schema says how, else text", async (t) => {
  const fields = { n: z.number(), l: z.array(z.number()), s: z.string() }
  assert.deepEqual(await query(t, "GET", z.object(fields), "n=1&l=2&s=3"), { n: 1, l: [2], s: "3" })
  assert.deepEqual(await query(t, "GET", v.object({ n: v.pipe(v.string(), v.transform(Number)), l: v.array(v.string()) }), "n=1&l=2&l=3"), { n: 1, l: ["2", "3"] })
  assert.deepEqual(await query(t, "GET", type({ n: "number" }), "n=1"), { n: 1 })
})

test("a body, as the MCP door sends it with the query, wins; other methods have none in the query", async (t) => {
  assert.deepEqual(await query(t, "GET", QUERY_SCHEMA, "q=5&n=1", { body: '{"q":"x","n":2}' }), { q: "x", n: 2 })
  assert.equal((await query(t, "PUT", QUERY_SCHEMA, "q=5")).issues[0].message, "is missing")
})

test("input_schema is derived where the library can", async (t) => {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const tools = Object.entries(SCHEMAS).map(([name, input]) => ({ path: `/${name}`, description: "", input, handler() {} }))
  const session = await connect({ appId: "test", agentsMd: "", baseUrl: relay.baseUrl, WebSocket, tools })
  t.after(() => session.close({ keep: true }))
  const schemas = Object.fromEntries((await relay.next("register")).tools.map((tool) => [tool.path, tool.input_schema]))
  for (const path of ["/zod", "/arktype", "/json"]) {
    assert.equal(schemas[path].type, "object", path)
    assert.deepEqual(schemas[path].required, ["x"], path)
    assert.ok(!("$schema" in schemas[path]))
  }
})

test("many problems are cut to ten", async (t) => {
  const input = { type: "array", items: { type: "string" } }
  const reply = await run(t, () => 1, { input, frame: { body: JSON.stringify(Array(30).fill(1)) } })
  assert.equal(reply.body.error.issues.length, 10)
  assert.match(reply.body.error.message, /and 20 more$/)
})

const FITS = [
  [{ type: "string", minLength: 2, maxLength: 3, pattern: "^a" }, ["ab", "a😀"], ["a", "abcd", "ba", 1, null]],
  [{ type: ["number", "null"], exclusiveMinimum: 0, exclusiveMaximum: 1, multipleOf: 0.1 }, [0.3, null], [0, 1, 0.25, "1"]],
  [{ type: "integer", minimum: -1, maximum: 1 }, [-1, 0, 1, 1.0], [-2, 2, 0.5]],
  [{ enum: ["a", null, { b: 1 }] }, ["a", null, { b: 1 }], ["b", undefined, {}]],
  [{ const: 7 }, [7], [8, "7"]],
  [{ anyOf: [{ type: "string" }, { type: "integer" }] }, ["x", 1], [1.5, null]],
  [{ oneOf: [{ type: "number" }, { type: "integer" }] }, [1.5], [1, "x"]],
  [{ allOf: [{ minimum: 1 }, { maximum: 2 }] }, [1, 2], [0, 3]],
  [{ type: "array", minItems: 1, maxItems: 2, items: { type: "boolean" } }, [[true], [true, false]], [[], [true, true, true], [1]]],
  [{ type: "array", prefixItems: [{ type: "string" }], items: false }, [["a"], []], [["a", 1], [1]]],
  [{ type: "object", properties: { a: {} }, additionalProperties: false }, [{}, { a: 1 }], [{ b: 1 }, [], JSON.parse('{"__proto__":1}')]],
  [{ type: "object", additionalProperties: { type: "number" } }, [{ a: 1 }], [{ a: "1" }]],
  [{ type: "object", required: ["toString"] }, [{ toString: 1 }], [{}]],
  [{ $ref: "#/$defs/tree", $defs: { tree: { type: "object", properties: { kids: { type: "array", items: { $ref: "#/$defs/tree" } } } } } }, [{ kids: [{ kids: [] }] }], [{ kids: [1] }, 1]],
  [{}, [1, null, {}], []],
]
test("JSON Schema is checked", async (t) => {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const tools = FITS.map(([input], i) => ({ path: `/${i}`, description: "", input, handler: () => true }))
  const session = await connect({ appId: "test", agentsMd: "", baseUrl: relay.baseUrl, WebSocket, tools })
  t.after(() => session.close({ keep: true }))
  for (const [i, [schema, good, bad]] of FITS.entries()) {
    for (const [values, status] of [[good, 200], [bad.filter((value) => value !== undefined), 400]]) {
      for (const value of values) {
        const text = JSON.stringify(value)
        const reply = await session.call("POST", `/${i}`, text)
        assert.equal(reply.status, status, `${JSON.stringify(schema)} ${text}`)
      }
    }
  }
})

test("tasks: what can't be sent is refused here", async (t) => {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const session = await connect({ appId: "test", agentsMd: "", baseUrl: relay.baseUrl, WebSocket, tools: [] })
  t.after(() => session.close({ keep: true }))
  await assert.rejects(session.completeTask("a b", 1), { code: "invalid_option", message: /taskId/ })
  await assert.rejects(session.completeTask("t", "x".repeat(65_536)), /at most 65536/)
  await assert.rejects(session.completeTask("t", { status: 42 }), /status is 42/)
  assert.throws(() => session.progressTask(""), /taskId/)
  await session.completeTask("t1")
  assert.deepEqual(JSON.parse((await relay.next("task_complete")).text), { type: "task_complete", taskId: "t1", status: 200 })
  session.progressTask("t2", 0.5, "half")
  assert.deepEqual(JSON.parse((await relay.next("task_progress")).text), { type: "task_progress", taskId: "t2", progress: 0.5, message: "half" })
  await session.completeTask("t2", new Uint8Array([255]))
  assert.equal((await relay.next("task_complete")).bodyEncoding, "base64")
})
