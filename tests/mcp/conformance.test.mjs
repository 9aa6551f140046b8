/**
 * The official conformance suite of MCP against the relay, for both eras. What fails for a reason stands in
 * expected-failures/<revision>.yaml; the suite itself fails on anything else, and on an entry that passes.
 */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { openApp } from "../app.mjs"
import { ROOT, sharedRelay } from "../boot.mjs"
import { suiteTools } from "./tools.mjs"

const SUITE = join(ROOT, "node_modules/@modelcontextprotocol/conformance/dist/index.js")
const HERE = join(ROOT, "tests/mcp")

/** What has to pass whatever the files of expected failures say. */
const MUST_PASS = {
  "2026-07-28": [
    "server-stateless", "tools-list", "tools-call-simple-text", "tools-call-image", "tools-call-audio", "tools-call-embedded-resource",
    "tools-call-mixed-content", "tools-call-error", "tools-call-with-progress", "server-sse-multiple-streams", "resources-list",
    "sep-2164-resource-not-found", "prompts-list", "dns-rebinding-protection", "caching", "http-header-validation",
    "http-custom-header-server-validation", "json-schema-2020-12",
  ],
  "2025-11-25": [
    "server-initialize", "ping", "tools-list", "tools-call-simple-text", "tools-call-image", "tools-call-audio",
    "tools-call-embedded-resource", "tools-call-mixed-content", "tools-call-error", "tools-call-with-progress",
    "resources-list", "prompts-list", "dns-rebinding-protection", "json-schema-2020-12",
  ],
}

const relay = sharedRelay()
let app
before(async () => {
  app = await openApp(relay, { tools: suiteTools })
})
after(() => app?.close())

for (const [revision, mustPass] of Object.entries(MUST_PASS)) {
  test(`the suite's server scenarios for ${revision}`, async () => {
    const expected = join(HERE, "expected-failures", `${revision}.yaml`)
    for (const scenario of mustPass) {
      assert.doesNotMatch(readFileSync(expected, "utf8"), new RegExp(`^\\s*- ${scenario}(:|$)`, "m"), `${scenario} is expected to fail`)
    }
    const url = `${await app.mint()}/mcp`
    const args = [SUITE, "server", "--url", url, "--suite", "all", "--spec-version", revision, "--expected-failures", expected]
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { output += text })
    const [code] = await once(child, "close")
    assert.equal(code, 0, output)
    // The summary's line, with at least one check that passed.
    for (const scenario of mustPass) assert.match(output, new RegExp(`^✓ ${scenario}: [1-9]\\d* passed, 0 failed$`, "m"), scenario)
    console.log(`${revision}: ${/^Total: (.*)$/m.exec(output)?.[1]}, all of them expected to`)
  })
}
