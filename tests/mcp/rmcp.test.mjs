/** The Rust MCP SDK (rmcp) lists and calls an app's tools through the relay, in both eras: rmcp/src/main.rs says how. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { after, before, test } from "node:test"
import { openApp } from "../app.mjs"
import { ROOT, sharedRelay } from "../boot.mjs"
import { suiteTools } from "./tools.mjs"

const relay = sharedRelay()
let app
before(async () => {
  app = await openApp(relay, { tools: suiteTools })
})
after(() => app?.close())

test("rmcp, in both eras", async () => {
  const url = `${await app.mint()}/mcp`
  const [program, ...args] = process.env.MCP_RMCP ? [process.env.MCP_RMCP] : ["cargo", "run", "--quiet", "-p", "mcp-rmcp", "--"]
  const child = spawn(program, [...args, url], { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { output += text })
  const [code] = await once(child, "close")
  assert.equal(code, 0, output)
  assert.equal(output.match(/all is as it should be/g)?.length, 3, output)
})
