/** The package as people get it: installed from a relay, compiled with what they may have, published. */

import assert from "node:assert/strict"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { promisify } from "node:util"
import { ROOT, startRelay } from "../boot.mjs"

const exec = promisify(execFile)
const { version } = JSON.parse(readFileSync(join(ROOT, "sdk/package.json"), "utf8"))

let relay, folder
before(async () => {
  relay = await startRelay()
  folder = mkdtempSync(join(tmpdir(), "agent-socket-install-"))
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}')
  // It depends on nothing, so no registry is asked.
  await exec("npm", ["install", `${relay.url}/sdk.tgz`, "--no-audit", "--no-fund", "--registry", "http://127.0.0.1:9"], { cwd: folder })
})
after(async () => {
  await relay?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const APP = `
import { connect, tool, type Session } from "@agent-socket/sdk"
import { connectButton, tabStore } from "@agent-socket/sdk/page"

export async function start(): Promise<Session> {
  const session = await connect({
    appId: "as_app_anon",
    agentsMd: "# App",
    resume: tabStore("app"),
    tools: [
      { path: "/plain", description: "", handler: () => 1 },
      { path: "/add", description: "", input: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] }, handler: ({ input }) => input.n.toFixed() },
      // @ts-expect-error the field is not there
      tool({ path: "/wrong", description: "", input: { type: "object", properties: {} }, handler: ({ input }) => input.n }),
    ],
  })
  document.body.append(connectButton(session))
  return session
}
`

test("installed from the relay it has its version, its types and what it says", async () => {
  const head = await fetch(`${relay.url}/sdk.tgz`, { method: "HEAD" })
  assert.deepEqual([head.status, head.headers.get("access-control-allow-origin")], [200, "*"])
  const installed = JSON.parse(readFileSync(join(folder, "node_modules/@agent-socket/sdk/package.json"), "utf8"))
  assert.equal(installed.version, version)
  const { stdout } = await exec(process.execPath, ["-e", 'import("@agent-socket/sdk").then((all) => console.log(Object.keys(all).sort().join()))'], { cwd: folder })
  assert.equal(stdout.trim(), "AgentSocketError,ToolError,connect,defaultAgentsMd,endSession,exponentialBackoff,giveUp,tool")
})

for (const compiler of ["typescript", "typescript-5.9"]) {
  for (const [module, moduleResolution] of [["ESNext", "Bundler"], ["NodeNext", "NodeNext"]]) {
    test(`an app compiles with ${compiler}, ${moduleResolution}`, async () => {
      writeFileSync(join(folder, "app.ts"), APP)
      const compilerOptions = { module, moduleResolution, target: "ES2022", lib: ["ES2023", "DOM"], types: [], strict: true, noEmit: true }
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["app.ts"] }))
      const { stdout } = await exec(process.execPath, [join(ROOT, "node_modules", compiler, "bin/tsc"), "-p", folder]).catch((error) => error)
      assert.equal(stdout, "")
    })
  }
}

test("it could be published as it is", async () => {
  const { stderr } = await exec("npm", ["publish", "--dry-run", "--registry", "http://127.0.0.1:9", "--fetch-retries", "0"], { cwd: join(ROOT, "sdk") })
  assert.match(stderr, new RegExp(`@agent-socket/sdk@${version}`))
  assert.doesNotMatch(stderr, /auto-corrected|npm error/i, "npm corrects nothing")
})
