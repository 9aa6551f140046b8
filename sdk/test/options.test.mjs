import assert from "node:assert/strict"
import { test } from "node:test"
import { connect, defaultAgentsMd } from "../dist/index.js"
import { WebSocket } from "./relay.mjs"

const good = { appId: "test", agentsMd: "", tools: [], baseUrl: "http://127.0.0.1:9", WebSocket }
const tool = { path: "/x", description: "", handler() {} }
const tools = (...list) => ({ tools: list })
const BAD = {
  appId: [undefined, 7, "", "a b", "x".repeat(65), null],
  appDescription: [7, null],
  appKey: [7],
  agentsMd: [undefined, 7, "x".repeat(65_537)],
  tools: [undefined, {}, "x"],
  baseUrl: [7, "relay.example", "ftp://relay.example", "http://u:p@relay.example", "http://relay.example/?q", "http://relay.example/#f", ""],
  resume: [7, "x"],
  "resume.sessionId": [{ resume: {} }, { resume: { sessionId: "lower", resumeSecret: "" } }],
  "resume.resumeSecret": [{ resume: { sessionId: "SESS0001" } }],
  "resume.links": [{ resume: { sessionId: "SESS0001", resumeSecret: "s", links: {} } }],
  "resume.revoke": [{ resume: { sessionId: "SESS0001", resumeSecret: "s", revoke: [1] } }],
  autoReconnect: ["yes", 1, null],
  features: ["x", [1]],
  onDisconnect: [7], onReconnect: ["x"], onSessionChanged: [{}],
  heartbeatIntervalMs: [0, -1, NaN, 2 ** 31, "x"],
  heartbeatTimeoutMs: [0, Infinity],
  WebSocket: [{}, "ws"],
  typo: [1],
  "tools[0]": [tools(7), tools(null), tools([])],
  "tools[1]": [tools(tool, tool), tools(tool, { ...tool, method: "post" })],
  "tools[0].path": [undefined, "x", "/", "/a b", "/ä", "/agents.md", "/Tools.JSON/x", "/_as_x"].map((path) => tools({ ...tool, path })),
  "tools[0].method": [7, "A B", ""].map((method) => tools({ ...tool, method })),
  "tools[0].description": [undefined, 7].map((description) => tools({ ...tool, description })),
  "tools[0].handler": [undefined, {}].map((handler) => tools({ ...tool, handler })),
  "tools[0].timeout_ms": [999, 300_001, 1500.5, "2000"].map((timeout_ms) => tools({ ...tool, timeout_ms })),
  "tools[0].input_schema": [7, []].map((input_schema) => tools({ ...tool, input_schema })),
  "tools[0].input": [7, "x", () => {}].map((input) => tools({ ...tool, input })),
  "tools[0].inputSchema": [tools({ ...tool, inputSchema: {} })],
}
for (const [name, values] of Object.entries(BAD)) {
  test(`connect names a wrong ${name}`, async () => {
    for (const value of values) {
      const options = { ...good, ...(name.includes(".") || name.includes("[") ? value : { [name]: value }) }
      await assert.rejects(connect(options), (error) => {
        assert.equal(error.code, "invalid_option", String(error))
        assert.ok(error.message.startsWith(`\`${name}\``), `${name}: ${error.message}`)
        return true
      })
    }
  })
}

test("connect wants options, and a relay", async () => {
  for (const options of [undefined, null, 7, []]) await assert.rejects(connect(options), { code: "invalid_option", message: /options.*appId/ })
  const { baseUrl, ...rest } = good
  await assert.rejects(connect(rest), { code: "invalid_option", message: /`baseUrl` is missing/ })
})

test("no error tells a secret", async () => {
  for (const options of [{ resume: { sessionId: "x", resumeSecret: "hush-hush" } }, { appKey: ["hush-hush"] }, { appId: "hush-hush ".repeat(9) }]) {
    await assert.rejects(connect({ ...good, ...options }), (error) => !error.message.includes("hush"))
  }
})

test("mint options are checked", async (t) => {
  const { startRelay } = await import("./relay.mjs")
  const relay = await startRelay()
  t.after(() => relay.stop())
  const session = await connect({ ...good, baseUrl: `${relay.baseUrl}///` })
  t.after(() => session.close({ keep: true }))
  assert.equal(session.baseUrl, relay.baseUrl)
  for (const [name, value] of [["label", 7], ["expiresInMs", 0], ["expiresInMs", 1.5], ["maxCalls", "1"], ["tools", []], ["tools", [7]], ["typo", 1]]) {
    await assert.rejects(session.mintAgentToken({ [name]: value }), { code: "invalid_option", message: new RegExp(`^\`${name}\``) })
  }
  await assert.rejects(session.updateTools({}), /`tools`/)
  await assert.rejects(session.updateTools([], { agentsMd: 7 }), /`agentsMd`/)
  await assert.rejects(session.revokeAgentToken(), /token/)
})

test("defaultAgentsMd writes the app's part, and leaves the rest to the relay", () => {
  const details = { capabilities: ["paint"], limits: ["32 × 32"], conventions: ["x to the right"] }
  const md = defaultAgentsMd({ name: "Board", description: "A board.", ...details })
  assert.equal(md, "# Board\n\nA board.\n\n## What it can do\n\n- paint\n\n## Limits\n\n- 32 × 32\n\n## Conventions\n\n- x to the right\n")
  assert.equal(defaultAgentsMd({ appName: "Board", appDescription: "A board.", agentsMdUrl: "https://relay.example/agents.md", ...details }), md)
  assert.equal(defaultAgentsMd({ name: "Board" }), "# Board\n")
  // Either of these would make older relays leave out their own part.
  for (const word of ["as:contract", "tools.json"]) assert.ok(!md.includes(word), word)
  assert.throws(() => defaultAgentsMd({}), { code: "invalid_option", message: /`name`/ })
  assert.throws(() => defaultAgentsMd(), { code: "invalid_option" })
})
