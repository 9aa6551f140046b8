// Tries a relay from outside, as a visitor, as the AIs' own fetchers, and as an
// app with an agent: does each of its doors answer as it should?
//
//   node scripts/smoke.mjs URL [--wait SECONDS]
//
// --wait: how long a new deploy may take until it is served everywhere.
// A line for each check; exit code 1 if one failed.

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { ROOT, readWrangler } from "./wrangler-toml.mjs"

const PATIENCE_MS = 15_000
/** A visitor, and the user agents that chats fetch a link with. */
const CALLERS = [undefined, "Claude-User", "ChatGPT-User"]

const { values: options, positionals } = parseArgs({ allowPositionals: true, options: { wait: { type: "string", default: "0" } } })
const base = origin(positionals[0])
const prefix = readWrangler().vars?.TOKEN_PREFIX ?? "as"

let failed = 0
let passed = 0

function origin(text) {
  let url
  try {
    url = new URL(text)
  } catch {
    stop(`'${text ?? ""}' is no URL; it looks like https://agent-socket.example.workers.dev`)
  }
  if (!["http:", "https:"].includes(url.protocol)) stop(`${text}: a relay is at http:// or https://`)
  if (url.pathname !== "/" || url.search !== "") stop(`${text}: only the relay's origin is wanted, which is ${url.origin}`)
  return url.origin
}

function stop(message) {
  console.error(`error: ${message}`)
  process.exit(2)
}

class Unexpected extends Error {}
class NoAnswer extends Unexpected {}
const expect = (condition, message) => {
  if (!condition) throw new Unexpected(message)
}

async function get(path, { caller, ...init } = {}) {
  const headers = { ...init.headers, ...(caller && { "user-agent": caller }) }
  let response
  try {
    response = await fetch(base + path, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE_MS), ...init, headers })
  } catch (error) {
    const reason = error.name === "TimeoutError" ? `no answer within ${PATIENCE_MS / 1000} s` : (error.cause?.message || error.cause?.code || error.message)
    throw new NoAnswer(`no answer: ${reason}`)
  }
  const body = await response.text()
  return { status: response.status, type: response.headers.get("content-type") ?? "", headers: response.headers, body }
}

const shown = (body) => JSON.stringify(body.length > 160 ? `${body.slice(0, 160)}…` : body)

/** The answer is this status with this error code, as JSON. */
function refused(answer, status, code) {
  expect(answer.status === status, `expected ${status} ${code}, got ${answer.status} ${shown(answer.body)}`)
  let error
  try {
    error = JSON.parse(answer.body).error
  } catch {
    throw new Unexpected(`expected JSON, got ${answer.type} ${shown(answer.body)}`)
  }
  expect(error?.code === code, `expected the code ${code}, got ${shown(answer.body)}`)
  expect(error.message?.length > 0, `the error has no message: ${shown(answer.body)}`)
}

async function page(path, caller) {
  const answer = await get(path, { caller })
  expect(answer.status === 200, `expected 200, got ${answer.status} ${shown(answer.body)}`)
  expect(answer.type.startsWith("text/html"), `expected text/html, got ${answer.type}`)
}

const CHECKS = {
  "GET /healthz": async (caller) => {
    const answer = await get("/healthz", { caller })
    expect(answer.status === 200, `expected 200, got ${answer.status} ${shown(answer.body)}`)
    const health = JSON.parse(answer.body)
    expect(health.ok === true && typeof health.version === "string", `expected {"ok":true,"version":…}, got ${shown(answer.body)}`)
  },
  "GET /": (caller) => page("/", caller),
  "GET /privacy": (caller) => page("/privacy", caller),
  "an unknown page": async (caller) => refused(await get("/no-such-page", { caller }), 404, "not_found"),
  "a stale link": async (caller) => {
    const answer = await get(`/v1/t/${prefix}_00000000_${"A".repeat(22)}/agents.md`, { caller })
    expect(answer.status !== 404, `got 404: does this relay have another TOKEN_PREFIX than wrangler.toml here ('${prefix}')?`)
    refused(answer, 503, "app_offline")
  },
  "GET /v1/_ws without an upgrade": async (caller) => refused(await get("/v1/_ws", { caller }), 400, "protocol_error"),
}

/** An app that any origin may register, without a key. */
function openApp() {
  const apps = JSON.parse(readFileSync(join(ROOT, "apps.json"), "utf8"))
  const [id] = Object.entries(apps).find(([, app]) => app.allowedOrigins?.includes("*") && !app.keySha256) ?? []
  return id === "*" ? "smoke_test" : id
}

/** An app connects, mints a link, and answers the agents that have only the link. */
async function roundTrip(appId, during) {
  const socket = new WebSocket(`${base.replace(/^http/, "ws")}/v1/_ws`)
  const waiting = new Map()
  let fail
  const broken = new Promise((_, reject) => { fail = reject })
  broken.catch(() => {})
  const timer = setTimeout(() => fail(new Unexpected(`the app's WebSocket was not done within ${PATIENCE_MS / 1000} s`)), PATIENCE_MS)
  socket.addEventListener("error", (event) => fail(new Unexpected(`the app's WebSocket failed: ${event.message || event.error?.message || "refused"}`)))
  socket.addEventListener("close", (event) => fail(new Unexpected(`the relay closed the app's WebSocket: ${event.code} ${event.reason}`)))
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(data)
    if (frame.type === "tool_call") {
      socket.send(JSON.stringify({ type: "tool_reply", id: frame.id, status: 200, body: { echo: frame.body } }))
    } else {
      waiting.get(frame.type)?.(frame)
    }
  })
  const reply = (type) => Promise.race([broken, new Promise((resolve) => waiting.set(type, resolve))])
  try {
    await Promise.race([broken, new Promise((resolve) => socket.addEventListener("open", resolve))])
    const registered = reply("register_reply")
    socket.send(JSON.stringify({ type: "register", appId, agentsMd: "A smoke test.", tools: [{ path: "/echo" }] }))
    const registration = await registered
    expect(registration.ok === true, `register was refused: ${shown(JSON.stringify(registration))}`)
    const minted = reply("mint_agent_token_reply")
    socket.send(JSON.stringify({ type: "mint_agent_token", id: "1", label: "smoke" }))
    const { ok, token } = await minted
    expect(ok === true, "no link was minted")
    await Promise.race([broken, during(`/v1/t/${token}`)])
  } finally {
    clearTimeout(timer)
    // 1000 ends the session, so that nothing of it stays.
    socket.close(1000)
  }
}

async function call(link, caller) {
  const briefing = await get(`${link}/agents.md`, { caller })
  expect(briefing.status === 200 && briefing.type.startsWith("text/markdown"), `agents.md: expected 200 text/markdown, got ${briefing.status} ${briefing.type}`)
  const answer = await get(`${link}/echo`, { caller, method: "POST", body: "hello" })
  expect(answer.status === 200 && JSON.parse(answer.body).echo === "hello", `a call: expected its echo, got ${answer.status} ${shown(answer.body)}`)
}

/** What a refusal that only AIs' fetchers get is likely to be. */
const BLOCKED = (caller) =>
  `only ${caller} gets this, so it is refused before the relay runs. On Cloudflare that is "Block AI bots" (or a rule of the firewall): ` +
  "turn it off for this domain, under Security in the dashboard; else no chat can read a link."

/** Runs one check and prints its line. `control` tells whether a visitor passes the same. */
async function check(name, caller, run, control) {
  const label = caller ? `${name}, as ${caller}` : name
  const started = performance.now()
  try {
    await run()
    passed += 1
    console.log(`ok    ${label} (${Math.round(performance.now() - started)} ms)`)
    return true
  } catch (error) {
    failed += 1
    console.log(`FAIL  ${label}: ${error.message}`)
    if (caller && control) console.log(`      ${BLOCKED(caller)}`)
    if (!caller && error instanceof NoAnswer && passed === 0) {
      console.log(`${base}: no relay answers there, so nothing else was tried`)
      process.exit(1)
    }
    return false
  }
}

/** A new deploy takes a while until it is served. */
async function served(seconds) {
  const deadline = performance.now() + seconds * 1000
  while (performance.now() < deadline) {
    try {
      await CHECKS["GET /healthz"]()
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2_000))
    }
  }
}

console.log(`smoke test of ${base}`)
await served(Number(options.wait) || 0)
const visitor = {}
for (const caller of CALLERS) {
  for (const [name, run] of Object.entries(CHECKS)) {
    const good = await check(name, caller, () => run(caller), visitor[name])
    if (!caller) visitor[name] = good
  }
}
const appId = openApp()
if (appId === undefined) {
  console.log("skip  a call through an app: apps.json has no app that any origin may register without a key")
} else {
  for (const caller of CALLERS) {
    const good = await check("a call through an app", caller, () => roundTrip(appId, (link) => call(link, caller)), visitor.call)
    if (!caller) visitor.call = good
  }
}
console.log(`${base}: ${failed === 0 ? "all" : passed} of ${passed + failed} checks passed`)
process.exit(failed === 0 ? 0 : 1)
