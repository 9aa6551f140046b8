/** check-config, the vars of a run, and the `_headers` file: mistakes are named, good files pass. */

import assert from "node:assert/strict"
import { test } from "node:test"
import { problemsOf, warningsOf } from "../check-config.mjs"
import { parseHeaders } from "../headers-file.mjs"
import { ROOT, readWrangler, varsOf } from "../wrangler-toml.mjs"

const TODAY = "2026-11-21"
const good = () => structuredClone(readWrangler())
const problems = (change) => {
  const wrangler = good()
  change(wrangler)
  return problemsOf(wrangler, ROOT, TODAY)
}

test("the project's own wrangler.toml has no mistake", () => {
  assert.deepEqual(problems(() => {}), [])
})

test("each bad var is named with what was expected", () => {
  const cases = [
    ["TOKEN_PREFIX", ["AS", "", "1a", "a_b", "abcdefghi", 5]],
    ["MAX_TOOL_MS", ["999", "300001", "", "1e4", "-1", " 5000", 30000]],
    ["MAX_SYNC_TOOL_MS", ["0", "300001", "abc"]],
    ["HEARTBEAT_TIMEOUT_MS", ["99", "86400001", "50s"]],
    ["RESUME_GRACE_MS", ["-1", "2592000001", "1.5"]],
    ["PUBLIC_URL", ["", "relay.example", "https://relay.example/path", "https://Relay.example", "ftp://relay.example", "https://a@b"]],
    ["DEBUG", ["1", "0"]],
    ["RELAY_SECRET", ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]],
    ["TOKEN_PREFX", ["as"]],
  ]
  for (const [name, values] of cases) {
    for (const value of values) {
      const found = problems((wrangler) => { wrangler.vars[name] = value })
      assert.ok(found.some((line) => line.startsWith(`vars.${name}: `)), `${name}=${value}: ${found}`)
    }
  }
})

test("values at the limits pass", () => {
  const cases = { TOKEN_PREFIX: ["a", "abcdefg1"], MAX_TOOL_MS: ["30000", "300000"], MAX_SYNC_TOOL_MS: ["1", "300000"], RESUME_GRACE_MS: ["0"], PUBLIC_URL: ["https://relay.example.com", "http://[::1]:8787/"] }
  for (const [name, values] of Object.entries(cases)) {
    for (const value of values) assert.deepEqual(problems((wrangler) => { wrangler.vars[name] = value }), [], `${name}=${value}`)
  }
})

test("a call cannot wait longer without a timeout of its own than with one", () => {
  const found = problems((wrangler) => { Object.assign(wrangler.vars, { MAX_TOOL_MS: "5000", MAX_SYNC_TOOL_MS: "5001" }) })
  assert.deepEqual(found, ["vars.MAX_SYNC_TOOL_MS: must be no more than MAX_TOOL_MS (5000); it is \"5001\""])
})

test("a domain of one's own asks for the address that links begin with", () => {
  const routes = [{ pattern: "relay.example.com", custom_domain: true }]
  const found = problems((wrangler) => { wrangler.routes = routes })
  assert.deepEqual(found.map((line) => line.split(":")[0]), ["vars.PUBLIC_URL"])
  assert.deepEqual(problems((wrangler) => { Object.assign(wrangler, { routes }).vars.PUBLIC_URL = "https://relay.example.com" }), [])
})

test("each missing or wrong binding is named", () => {
  const cases = {
    name: (wrangler) => { wrangler.name = "Agent_Socket" },
    main: (wrangler) => { delete wrangler.main },
    compatibility_date: (wrangler) => { wrangler.compatibility_date = "2025-01-01" },
    compatibility_flags: (wrangler) => { wrangler.compatibility_flags = [] },
    "durable_objects.bindings": (wrangler) => { delete wrangler.durable_objects },
    migrations: (wrangler) => { wrangler.migrations = [{ tag: "v1", new_classes: ["RelaySession"] }] },
    ratelimits: (wrangler) => { delete wrangler.ratelimits },
    "ratelimits.UPGRADES.simple.period": (wrangler) => { wrangler.ratelimits[0].simple.period = 11 },
    "assets.binding": (wrangler) => { delete wrangler.assets.binding },
    "assets.directory": (wrangler) => { wrangler.assets.directory = "scripts" },
    "assets.not_found_handling": (wrangler) => { wrangler.assets.not_found_handling = "404-page" },
  }
  for (const [entry, change] of Object.entries(cases)) {
    const found = problems(change)
    assert.ok(found.some((line) => line.startsWith(`${entry}: `)), `${entry}: ${found}`)
  }
  assert.match(problems((wrangler) => { wrangler.compatibility_date = "2027-01-01" })[0], /no later than today/)
})

test("apps that anybody may use are named once, with the remedy", () => {
  const app = (allowedOrigins, rest) => ({ label: "x", allowedOrigins, ...rest })
  const warnings = warningsOf({ a: app(["*"]), b: app(["https://b.example"]), c: app(["*"], { keySha256: "00" }), d: app(["*"]) })
  assert.equal(warnings.length, 1)
  assert.match(warnings[0], /register as a, d,.*list your origins.*keySha256.*remove the entry/)
  assert.deepEqual(warningsOf({ b: app(["https://b.example"]), c: null }), [])
})

test("a var of a run must be one that exists, or DEBUG", () => {
  assert.equal(varsOf(good(), ["TOKEN_PREFIX=a=b", "DEBUG=0"], true).TOKEN_PREFIX, "a=b")
  assert.equal(varsOf(good(), [], true).DEBUG, "1")
  assert.equal(varsOf(good(), []).DEBUG, undefined)
  assert.throws(() => varsOf(good(), ["NOPE=1"]), /no var 'NOPE'.*TOKEN_PREFIX.*DEBUG/)
  assert.throws(() => varsOf(good(), ["NOPE"]), /no NAME=VALUE/)
})

test("_headers: paths, splats, placeholders, taking a header away", () => {
  const rules = parseHeaders("# all\n/*\n  X-A: 1\n\n/b/:id\n  ! X-A\n  X-B: a: b\nhttps://example.com/*\n  X-C: 3\n/a.b\n")
  assert.deepEqual(rules.map(({ set, unset }) => ({ set, unset })), [
    { set: [["x-a", "1"]], unset: [] },
    { set: [["x-b", "a: b"]], unset: ["x-a"] },
    { set: [], unset: [] },
  ])
  const fits = (rule, path) => new RegExp(rule.path).test(path)
  assert.ok(fits(rules[0], "/") && fits(rules[0], "/x/y"))
  assert.ok(fits(rules[1], "/b/1") && !fits(rules[1], "/b/1/2") && !fits(rules[1], "/b/"))
  assert.ok(fits(rules[2], "/a.b") && !fits(rules[2], "/aXb"))
})

test("_headers: a mistake is named with its line", () => {
  assert.throws(() => parseHeaders("  X-A: 1\n"), /line 1: a header stands before the first path/)
  assert.throws(() => parseHeaders("/*\n  no colon\n"), /line 2: expected 'Name: value'/)
  assert.throws(() => parseHeaders("/*\nX-A: 1\n"), /line 2: a path starts with/)
})
