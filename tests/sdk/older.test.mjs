/** The quick start of an older SDK, as people have it in their projects, runs unchanged. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { after, before, test } from "node:test"
import { ROOT, agent, sharedRelay } from "../boot.mjs"

const PROGRAM = `
import { connect, defaultAgentsMd } from "@agent-socket/sdk"

const session = await connect({
  baseUrl: process.env.RELAY,
  appId: "as_app_anon",
  appDescription: "Echoes what it gets.",
  agentsMd: defaultAgentsMd({
    appName: "Echo",
    appDescription: "Echoes what it gets.",
    agentsMdUrl: "https://relay.example/v1/t/TOKEN/agents.md",
  }),
  tools: [
    {
      method: "POST",
      path: "/echo",
      description: "Echoes its input.",
      input_schema: { type: "object", properties: { text: { type: "string" } } },
      handler: async ({ body }) => JSON.parse(body),
    },
    {
      method: "GET",
      path: "/hello",
      description: "Greets.",
      handler: async () => ({ status: 200, body: "hello", headers: { "content-type": "text/plain" } }),
    },
  ],
})

const link = await session.mintAgentToken({ label: "first link" })
console.log(link.url)
`

const relay = sharedRelay()
let folder
before(() => {
  folder = mkdtempSync(join(tmpdir(), "agent-socket-older-"))
  mkdirSync(join(folder, "node_modules/@agent-socket"), { recursive: true })
  symlinkSync(join(ROOT, "sdk"), join(folder, "node_modules/@agent-socket/sdk"))
  writeFileSync(join(folder, "app.mjs"), PROGRAM)
})
after(() => rmSync(folder, { recursive: true, force: true }))

test("the older quick start runs, and its page has the relay's part and the app's", async (t) => {
  // Node before 22 has its WebSocket behind a flag.
  const flags = globalThis.WebSocket ? [] : ["--experimental-websocket"]
  const child = spawn(process.execPath, [...flags, "app.mjs"], { cwd: folder, env: { ...process.env, RELAY: relay.url }, stdio: ["ignore", "pipe", "inherit"] })
  t.after(() => child.kill("SIGKILL"))
  const { value: link } = await createInterface(child.stdout)[Symbol.asyncIterator]().next()
  assert.match(link, /^http.*\/v1\/t\/as_[0-9A-Z]{8}_[\w-]{22}\/agents\.md$/)
  const ai = agent(link)
  assert.deepEqual((await ai.post("/echo", { text: "ä" })).json, { text: "ä" })
  assert.equal((await ai.post("/echo", "no JSON")).status, 500)
  assert.equal((await ai.get("/hello")).text, "hello")
  const { text } = await ai.get("/agents.md")
  assert.match(text, /# Echo\n\nEchoes what it gets\./)
  for (const part of ["tools.json", "/mcp", "/openapi.json", "token_invalid"]) assert.ok(text.includes(part), `the relay's part: ${part}`)
  assert.deepEqual((await ai.get("/tools.json")).json.tools[0].input_schema, { type: "object", properties: { text: { type: "string" } } })
})
