/** The official TypeScript clients list and call an app's tools through the relay: the one of before 2026 and the one of both eras. */

import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client"
import { Client as OldClient } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport as OldTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { openApp } from "../app.mjs"
import { sharedRelay } from "../boot.mjs"
import { MODERN } from "./setup.mjs"

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
const number = { type: "number" }

const tools = [
  {
    path: "/math/add", description: "Adds two numbers.",
    input_schema: { type: "object", properties: { a: number, b: number }, required: ["a", "b"] },
    answer({ body }) {
      const { a, b } = JSON.parse(body)
      return { status: 200, body: { sum: a + b } }
    },
  },
  { method: "GET", path: "/items", description: "Lists the items.", read_only: true, answer: ({ query }) => ({ status: 200, body: [query ?? "all"] }) },
  { path: "/shout", description: "Says it louder.", input_schema: { type: "string" }, answer: ({ body }) => ({
    status: 200, headers: { "content-type": "text/plain" }, body: JSON.parse(body).toUpperCase(),
  }) },
  { path: "/picture", description: "One pixel.", answer: () => ({ status: 200, headers: { "content-type": "image/png" }, body: PNG, bodyEncoding: "base64" }) },
  { path: "/nothing", description: "Does it quietly.", answer: () => ({ status: 204 }) },
  { path: "/missing", description: "Finds nothing.", answer: () => ({ status: 404, body: { error: "There is no such item." } }) },
  { path: "/job", description: "Takes a while.", answer(call, app) {
    const taskId = `job-${call.id}`
    app.reply(call, { status: 202, taskId })
    for (const [progress, message] of [[0, "begun"], [0.5, "half"], [1, "all"]]) app.send({ type: "task_progress", taskId, progress, message })
    app.send({ type: "task_complete", taskId, status: 200, body: { done: true } })
  } },
  { path: "/wait", description: "Waits for the test.", timeout_ms: 60_000 },
]

const relay = sharedRelay()
let app, base
before(async () => {
  app = await openApp(relay, { tools })
  base = await app.mint()
})
after(() => app?.close())

const INFO = { name: "relay-tests", version: "1.0.0" }
/** Each opens a client; `era` is the one it ends up in. */
const CLIENTS = {
  "@modelcontextprotocol/sdk": { era: "legacy", open: (url) => open(new OldClient(INFO), new OldTransport(new URL(url))) },
  "@modelcontextprotocol/client, legacy": { era: "legacy", open: (url) => open(new Client(INFO), new StreamableHTTPClientTransport(new URL(url))) },
  "@modelcontextprotocol/client, choosing itself": { era: "modern", open: (url) => open(
    new Client(INFO, { versionNegotiation: { mode: "auto" } }), new StreamableHTTPClientTransport(new URL(url))) },
  "@modelcontextprotocol/client, 2026-07-28": { era: "modern", open: (url) => open(
    new Client(INFO, { versionNegotiation: { mode: { pin: MODERN } } }), new StreamableHTTPClientTransport(new URL(url))) },
}

async function open(client, transport) {
  await client.connect(transport)
  return client
}

const textOf = (result) => result.content[0].text

for (const [name, { era, open }] of Object.entries(CLIENTS)) {
  test(name, async (t) => {
    const client = await open(`${base}/mcp`)
    t.after(() => client.close())

    await t.test("finds out what the server is", async () => {
      if (client.getNegotiatedProtocolVersion) assert.equal(client.getNegotiatedProtocolVersion(), era === "modern" ? MODERN : "2025-11-25")
      assert.equal(client.getServerVersion().name, "as_app_anon")
      assert.equal(client.getServerVersion().description, "Made for tests")
      assert.deepEqual(client.getServerCapabilities(), { tools: {}, resources: {}, prompts: {} })
      assert.match(client.getInstructions(), /\n---\n\n# Test\nAn app made for tests\.\n\n---\n/)
      assert.equal(client.getInstructions(), await fetch(`${base}/agents.md`).then((response) => response.text()))
    })

    await t.test("lists the tools", async () => {
      const { tools } = await client.listTools()
      assert.deepEqual(tools.map(({ name }) => name), ["math_add", "items", "shout", "picture", "nothing", "missing", "job", "wait"])
      assert.equal(tools[0].description, "Adds two numbers.")
      assert.deepEqual(tools[0].inputSchema, { type: "object", properties: { a: number, b: number }, required: ["a", "b"] })
      assert.equal(tools[0].annotations, undefined)
      assert.deepEqual(tools[1].annotations, { readOnlyHint: true })
      assert.deepEqual(tools[2].inputSchema.required, ["body"])
    })

    await t.test("calls them", async () => {
      const sum = await client.callTool({ name: "math_add", arguments: { a: 1, b: 2.5 } })
      assert.deepEqual(sum.structuredContent, { sum: 3.5 })
      assert.deepEqual(JSON.parse(textOf(sum)), { sum: 3.5 })
      assert.ok(!sum.isError)
      const items = await client.callTool({ name: "items", arguments: { q: "a b" } })
      assert.equal(textOf(items), `["q=a+b"]`)
      assert.deepEqual(items.structuredContent, era === "modern" ? ["q=a+b"] : undefined)
      assert.equal(textOf(await client.callTool({ name: "shout", arguments: { body: "hi" } })), "HI")
      assert.deepEqual((await client.callTool({ name: "picture", arguments: {} })).content, [{ type: "image", mimeType: "image/png", data: PNG }])
      assert.equal(textOf(await client.callTool({ name: "nothing" })), "(no content, status 204)")
      const missing = await client.callTool({ name: "missing", arguments: {} })
      assert.equal(missing.isError, true)
      assert.match(textOf(missing), /There is no such item\./)
      await assert.rejects(client.callTool({ name: "no_such_tool", arguments: {} }), (error) => error.code === -32602 && /no_such_tool/.test(error.message))
    })

    await t.test("hears of progress, then has the result", async () => {
      const told = []
      const params = { name: "job", arguments: {} }
      const options = { onprogress: ({ progress, message }) => told.push([progress, message]) }
      // The older client has a schema of the result between the two.
      const result = await (client instanceof OldClient ? client.callTool(params, undefined, options) : client.callTool(params, options))
      assert.deepEqual(result.structuredContent, { done: true })
      assert.deepEqual(told, [[0, "begun"], [0.5, "half"], [1, "all"]])
    })

    await t.test("has several calls at once", async () => {
      const before = app.frames.length
      const running = [1, 2, 3].map((n) => client.callTool({ name: "wait", arguments: { n } }))
      const calls = []
      for (const n of [1, 2, 3]) {
        calls.push(await app.frame((frame) => app.frames.indexOf(frame) >= before && frame.type === "tool_call" && JSON.parse(frame.body).n === n))
      }
      for (const call of calls.toReversed()) app.reply(call, { status: 200, body: { n: JSON.parse(call.body).n } })
      assert.deepEqual((await Promise.all(running)).map(({ structuredContent }) => structuredContent.n), [1, 2, 3])
    })

    await t.test("reads the briefing as a resource and as a prompt", async () => {
      const { resources } = await client.listResources()
      assert.deepEqual(resources.map(({ uri, mimeType }) => [uri, mimeType]), [[`${base}/agents.md`, "text/markdown"]])
      const { contents } = await client.readResource({ uri: resources[0].uri })
      assert.equal(contents[0].text, client.getInstructions())
      const { prompts } = await client.listPrompts()
      assert.deepEqual(prompts.map(({ name }) => name), ["briefing"])
      const { messages } = await client.getPrompt({ name: "briefing" })
      assert.equal(messages[0].content.text, client.getInstructions())
      assert.deepEqual(await client.listResourceTemplates().then(({ resourceTemplates }) => resourceTemplates), [])
      await assert.rejects(client.readResource({ uri: "test://no" }))
    })

    if (era === "modern") {
      await t.test("takes a call back, and the app is told", async () => {
        const before = app.frames.length
        const abort = new AbortController()
        const call = client.callTool({ name: "wait", arguments: {} }, { signal: abort.signal })
        const sent = await app.frame((frame) => app.frames.indexOf(frame) >= before && frame.type === "tool_call")
        abort.abort()
        await assert.rejects(call)
        const cancel = await app.frame((frame) => frame.type === "tool_cancel" && frame.id === sent.id)
        assert.equal(cancel.reason, "disconnected")
      })
    }

    await t.test("works at the other path, too", async () => {
      const other = await open(`${base}/_as_mcp`)
      assert.equal((await other.listTools()).tools.length, tools.length)
      await other.close()
    })
  })
}
