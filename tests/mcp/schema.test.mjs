/** Whatever the relay answers at the MCP door is valid by the schema of the revision that was asked in. */

import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { readFileSync, readdirSync } from "node:fs"
import { after, before, test } from "node:test"
import { Ajv } from "ajv"
import { Ajv2020 } from "ajv/dist/2020.js"
import addFormats from "ajv-formats"
import { openApp } from "../app.mjs"
import { sharedRelay } from "../boot.mjs"
import { LEGACY, MODERN, legacy, modern, post } from "./setup.mjs"
import { suiteTools } from "./tools.mjs"

const SCHEMAS = new URL("../schemas/", import.meta.url)

test("the schemas are the specification's, unchanged", () => {
  const listed = readFileSync(new URL("README.md", SCHEMAS), "utf8").matchAll(/^\| `(mcp\/[^`]+)` \|.*\| `([0-9a-f]{64})` \|$/gm)
  const sums = Object.fromEntries([...listed].map(([, file, sum]) => [file, sum]))
  const found = readdirSync(new URL("mcp/", SCHEMAS)).sort().map((file) => `mcp/${file}`)
  assert.deepEqual(Object.keys(sums).sort(), found)
  for (const file of found) assert.equal(createHash("sha256").update(readFileSync(new URL(file, SCHEMAS))).digest("hex"), sums[file], file)
})

/** `check(name, value)` asserts that a value is what the revision's schema calls by that name. */
function checker(revision) {
  const schema = JSON.parse(readFileSync(new URL(`mcp/${revision}.json`, SCHEMAS), "utf8"))
  const place = schema.$defs ? "$defs" : "definitions"
  const ajv = new (schema.$defs ? Ajv2020 : Ajv)({ strict: false, allErrors: true })
  addFormats.default(ajv, ["uri", "uri-template", "byte"])
  ajv.addSchema(schema, "mcp")
  return (name, value) => {
    const validate = ajv.getSchema(`mcp#/${place}/${name}`)
    assert.ok(validate, `${revision} has a ${name}`)
    assert.ok(validate(value), `${name}: ${JSON.stringify(validate.errors, null, 1)}\n${JSON.stringify(value, null, 1)}`)
  }
}

/** Tools whose schemas and answers are as odd as an app can make them. */
const oddTools = [
  { path: "/odd/any", input_schema: true, answer: () => ({ status: 200, body: [1, "2", null] }) },
  { path: "/odd/none", input_schema: false, answer: () => ({ status: 200, body: null }) },
  { path: "/odd/loose", input_schema: { properties: { a: true, b: false, c: 7 }, required: "a", $schema: 7 }, answer: () => ({ status: 200, body: "text" }) },
  { path: "/odd/list", input_schema: { type: "array", items: {} }, answer: () => ({ status: 200, body: { a: { b: [] } } }) },
  { path: "/odd/refs", input_schema: { type: "array", items: { $ref: "#/$defs/x" }, $defs: { x: { type: "string" } } }, answer: () => ({ status: 200 }) },
  { method: "GET", path: "/odd/list", answer: () => ({ status: 204 }) },
  { method: "DELETE", path: "/odd/list", answer: () => ({ status: 200, headers: { "content-type": "application/x-odd" }, body: "\u0000" }) },
  { path: `/odd/${"long".repeat(40)}`, answer: () => ({ status: 302 }) },
  { path: "/2/odd.path-x", answer: () => ({ status: 200, headers: { "content-type": "text/csv" }, body: "a,b\r\n" }) },
  { path: "/odd/refused", answer: () => ({ status: 99 }) },
  { path: "/odd/result", answer: () => ({ status: 200, headers: { "content-type": "application/vnd.agent-socket.mcp-result+json" }, body: JSON.stringify({
    content: [{ type: "resource_link", uri: "test://x", name: "x" }], structuredContent: { a: 1 }, isError: true, _meta: { "example/a": 1 },
  }) }) },
]

const relay = sharedRelay()
let app, base, url
before(async () => {
  app = await openApp(relay, { tools: [...suiteTools, ...oddTools] })
  base = await app.mint()
  url = `${base}/mcp`
})
after(() => app?.close())

const INITIALIZE = { capabilities: {}, clientInfo: { name: "test", version: "1" } }
const RESULTS = [
  ["tools/list", "ListToolsResult", {}],
  ["resources/list", "ListResourcesResult", {}],
  ["resources/templates/list", "ListResourceTemplatesResult", {}],
  ["prompts/list", "ListPromptsResult", {}],
  ["prompts/get", "GetPromptResult", { name: "briefing" }],
]
const FAILURES = [["tools/call", { name: "no_such_tool" }], ["tools/call", {}], ["resources/read", { uri: "test://no" }], ["prompts/get", { name: "no" }], ["no/method", {}]]

for (const revision of [...LEGACY, MODERN]) {
  test(revision, async () => {
    const check = checker(revision)
    const isModern = revision === MODERN
    const ask = (method, params) => post(url, isModern
      ? modern(method, params, { capabilities: { sampling: {} } })
      : legacy(revision, method, method === "initialize" ? { ...INITIALIZE, protocolVersion: revision } : params))
    const response = revision < "2025-11-25" ? "JSONRPCResponse" : "JSONRPCResultResponse"
    const failure = revision < "2025-11-25" ? "JSONRPCError" : "JSONRPCErrorResponse"

    const results = isModern ? [["server/discover", "DiscoverResult", {}]] : [["initialize", "InitializeResult", {}], ["ping", "EmptyResult", {}]]
    for (const [method, name, params] of [...results, ...RESULTS, ["resources/read", "ReadResourceResult", { uri: `${base}/agents.md` }]]) {
      const { status, message } = await ask(method, params)
      assert.equal(status, 200, method)
      check(response, message)
      check(name, message.result)
    }

    const { message: { result: { tools } } } = await ask("tools/list", {})
    assert.equal(tools.length, suiteTools.length + oddTools.length)
    assert.equal(new Set(tools.map(({ name }) => name)).size, tools.length)
    for (const { name, inputSchema } of tools) {
      assert.match(name, /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/)
      new Ajv2020({ strict: false }).compile(inputSchema)
      const args = inputSchema.required?.includes("body") ? { body: [] } : {}
      const { status, messages, message } = await ask("tools/call", { name, arguments: args, _meta: { progressToken: name } })
      assert.equal(status, 200, name)
      check(response, message)
      // Links to resources came with 2025-06-18, and this result is the app's own.
      if (revision > "2025-03-26" || name !== "odd_result") check("CallToolResult", message.result)
      assert.notEqual(message.result.content.length, 0, name)
      for (const notification of messages.slice(0, -1)) check("ProgressNotification", notification)
    }

    for (const [method, params] of FAILURES) {
      const { message } = await ask(method, params)
      check(failure, message)
    }
    if (isModern) {
      const mismatch = await post(url, { ...modern("tools/list"), headers: { ...modern("tools/list").headers, "mcp-method": "x" } })
      check("HeaderMismatchError", mismatch.message)
      const version = await post(url, modern("tools/list", { _meta: { "io.modelcontextprotocol/protocolVersion": "v9" } }))
      assert.equal(version.message.error.code, -32020)
      const unknown = modern("tools/list", { _meta: { "io.modelcontextprotocol/protocolVersion": "v9" } })
      unknown.headers["mcp-protocol-version"] = "v9"
      check("UnsupportedProtocolVersionError", (await post(url, unknown)).message)
      check("MissingRequiredClientCapabilityError", (await post(url, modern("tools/call", { name: "test_missing_capability" }))).message)
    }
  })
}
