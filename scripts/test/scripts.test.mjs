/** The scripts as a person calls them: usage, mistakes, and that nothing is given away. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ROOT } from "../wrangler-toml.mjs"

const SECRET = "s3cr3t-t0ken"
let folder
before(async () => { folder = await mkdtemp(join(tmpdir(), "agent-socket-test-")) })
after(() => rm(folder, { recursive: true }))

/** Runs a script to its end: its exit code and all that it printed. */
async function run(script, args = [], env = {}) {
  const { CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID, DEPLOY_URL, ...clean } = process.env
  const child = spawn(join(ROOT, script), args, { cwd: ROOT, env: { ...clean, ...env }, stdio: ["ignore", "pipe", "pipe"] })
  let out = ""
  child.stdout.on("data", (data) => { out += data })
  child.stderr.on("data", (data) => { out += data })
  const [code] = await once(child, "close")
  return { code, out }
}

const envFile = async (text) => {
  const path = join(folder, "env")
  await writeFile(path, text, { mode: 0o600 })
  return path
}

test("every script has a usage text, and refuses what it doesn't know with exit code 2", async () => {
  const scripts = (await readdir(join(ROOT, "scripts"))).filter((name) => name.endsWith(".sh") && name !== "esbuild.sh")
  for (const name of [...scripts.map((name) => `scripts/${name}`), "sdk/test.sh"]) {
    const source = await readFile(join(ROOT, name), "utf8")
    if (/^# .*\bSourced\b/m.test(source)) continue
    const help = await run(name, ["--help"])
    assert.equal(help.code, 0, name)
    assert.match(help.out, new RegExp(`Usage: ${name}`), name)
    const unknown = await run(name, ["--no-such-option"])
    assert.equal(unknown.code, 2, `${name}: ${unknown.out}`)
    assert.match(unknown.out, /'--no-such-option'/, name)
  }
})

test("dev.sh names what is wrong with an argument", async () => {
  for (const [args, expected] of [
    [["--port"], /--port needs a value/],
    [["--inspect", "0"], /from 1 to 65535, not '0'/],
    [["--port", "65536"], /from 0 to 65535, not '65536'/],
    [["--state", join(ROOT, "package.json")], /is a file/],
    [["word"], /neither an option nor NAME=VALUE/],
  ]) {
    const { code, out } = await run("scripts/dev.sh", args)
    assert.equal(code, 2, out)
    assert.match(out, expected)
  }
})

test("dev.sh tells of a port that is taken", async () => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address()
  const { code, out } = await run("scripts/dev.sh", ["--bare", "--no-build", "--port", String(port)])
  server.close()
  assert.equal(code, 1)
  assert.match(out, new RegExp(`port ${port} of this machine is taken.*--port`))
})

test("wrangler's log is shown without the tokens of links", async () => {
  const token = "as_0123ABCD_AAAAAAAAAAAAAAAAAAAAAA"
  const log = ["tools.json 200 OK (3ms)", "mcp?x=1 405", "", " 404"].map((rest) => `GET http://h/v1/t/${token}/${rest}`).join("\\n")
  const child = spawn("bash", ["-c", `. scripts/lib.sh; printf '${log}\\n' | hide_tokens`], { cwd: ROOT })
  let out = ""
  child.stdout.on("data", (data) => { out += data })
  await once(child, "close")
  assert.equal(out, "GET http://h/v1/t/…/tools.json 200 OK (3ms)\nGET http://h/v1/t/…/mcp?x=1 405\nGET http://h/v1/t/…/\nGET http://h/v1/t/…/ 404\n")
})

test("deploy.sh asks for credentials by name, and says where they belong", async () => {
  const none = await run("scripts/deploy.sh", ["deploy", "--env", await envFile("")])
  assert.equal(none.code, 1)
  assert.match(none.out, /CLOUDFLARE_API_TOKEN and no CLOUDFLARE_ACCOUNT_ID.*\.env\.example/)
  const half = await run("scripts/deploy.sh", ["deploy", "--env", await envFile(`CLOUDFLARE_API_TOKEN=${SECRET}\n`)])
  assert.match(half.out, /no CLOUDFLARE_ACCOUNT_ID/)
  assert.doesNotMatch(half.out, new RegExp(SECRET))
})

test("deploy.sh reads .env as text, and shows none of it", async () => {
  const marker = join(folder, "ran")
  for (const [text, expected] of [
    [`CLOUDFLARE_API_TOKEN=$(touch ${marker})${SECRET}\n`, /line 1: the value of CLOUDFLARE_API_TOKEN/],
    [`# a comment\n\n${SECRET} by itself\n`, /line 3: expected NAME=value/],
    [`touch ${marker}; CLOUDFLARE_API_TOKEN=${SECRET}\n`, /line 1: expected NAME=value/],
    [`export CLOUDFLARE_API_TOKEN="${SECRET}" # mine\r\nCLOUDFLARE_ACCOUNT_ID='${SECRET}'`, /CLOUDFLARE_ACCOUNT_ID is not an account id/],
    [`OTHER=${SECRET}\n`, /OTHER is none of/],
  ]) {
    const { code, out } = await run("scripts/deploy.sh", ["deploy", "--env", await envFile(text)])
    assert.equal(code, 1, out)
    assert.match(out, expected)
    assert.doesNotMatch(out, new RegExp(SECRET))
  }
  assert.ok(!(await readdir(folder)).includes("ran"), "nothing of it was run")
})

test("smoke refuses what is no relay's address", async () => {
  for (const url of ["nonsense", "ftp://example.com", "https://example.com/path"]) {
    const { code, out } = await run("scripts/deploy.sh", ["smoke", url])
    assert.equal(code, 2, out)
  }
})

/** A server that answers as a relay does, as far as it goes; `refuse` decides who gets 403. */
async function fakeRelay(refuse) {
  const json = (response, status, code) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error: { code, message: "m" } }))
  const server = createServer((request, response) => {
    if (refuse(request)) response.writeHead(403).end("blocked")
    else if (request.url === "/healthz") response.end(JSON.stringify({ ok: true, version: "1" }))
    else if (request.url === "/" || request.url === "/privacy") response.writeHead(200, { "content-type": "text/html" }).end("page")
    else if (request.url.startsWith("/v1/t/")) json(response, 503, "app_offline")
    else if (request.url === "/v1/_ws") json(response, 400, "protocol_error")
    else json(response, 404, "not_found")
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return { server, url: `http://127.0.0.1:${server.address().port}` }
}

test("smoke says so when only the AIs' fetchers are refused", async () => {
  const { server, url } = await fakeRelay((request) => request.headers["user-agent"] === "Claude-User")
  const { code, out } = await run("scripts/deploy.sh", ["smoke", url])
  server.close()
  assert.equal(code, 1)
  assert.match(out, /ok {4}GET \/healthz, as ChatGPT-User/)
  assert.match(out, /FAIL {2}GET \/healthz, as Claude-User: expected 200, got 403[^\n]*\n[^\n]*Block AI bots/)
  assert.doesNotMatch(out, /FAIL {2}GET \/healthz:/)
})

test("smoke stops at once where nothing answers", async () => {
  const { server, url } = await fakeRelay(() => false)
  server.close()
  await once(server, "close")
  const { code, out } = await run("scripts/deploy.sh", ["smoke", url])
  assert.equal(code, 1)
  assert.match(out, /no relay answers there/)
})
