/** JSON Schemas and patterns: as others check them, with an end to how long that may take, and nothing that slips by. */

import assert from "node:assert/strict"
import { test } from "node:test"
import Ajv2020 from "ajv/dist/2020.js"
import { z } from "zod"
import { connect } from "../dist/index.js"
import { checkJson, findUnchecked } from "../dist/checker.js"
import { WebSocket, startRelay } from "./relay.mjs"

/** Numbers that are the same in each run: a small generator (mulberry32). */
function random(seed) {
  const next = () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n) => Math.floor(next() * n)
  return { below, pick: (list) => list[below(list.length)], some: (n, make) => Array.from({ length: below(n + 1) }, make) }
}

const NAMES = ["a", "b", "ab", "c"]

function randomValue(r, depth = 3) {
  const kind = r.below(depth > 0 ? 8 : 5)
  if (kind === 0) return null
  if (kind === 1) return r.below(2) === 0
  if (kind === 2) return r.pick([-1, 0, 1, 2, 3, 1.5, 0.25, 100])
  if (kind < 5) return r.pick(["", "a", "b", "ab", "aab", "é", "😀", "c", "1"])
  if (kind === 5) return r.some(4, () => randomValue(r, depth - 1))
  return Object.fromEntries(r.some(3, () => [r.pick(NAMES), randomValue(r, depth - 1)]))
}

const PATTERNS = ["^a", "b$", "^(a|b)+$", "^[^a]*$", ".", "^$", "\\w{2,}"]
const KEYWORDS = {
  type: (r) => r.pick(["string", "number", "integer", "boolean", "null", "array", "object", ["string", "integer"], ["array", "null"]]),
  enum: (r) => Array.from({ length: 1 + r.below(3) }, () => randomValue(r, 1)),
  const: (r) => randomValue(r, 1),
  minimum: (r) => r.below(3), maximum: (r) => r.below(3), exclusiveMinimum: (r) => r.below(3), exclusiveMaximum: (r) => r.below(3), multipleOf: (r) => r.pick([1, 2, 0.5]),
  minLength: (r) => r.below(3), maxLength: (r) => r.below(3), pattern: (r) => r.pick(PATTERNS),
  minItems: (r) => r.below(3), maxItems: (r) => r.below(3), uniqueItems: (r) => r.below(2) === 0,
  minProperties: (r) => r.below(3), maxProperties: (r) => r.below(3), required: (r) => r.some(2, () => r.pick(NAMES)).filter((name, i, all) => all.indexOf(name) === i),
  items: (r, d) => randomSchema(r, d), prefixItems: (r, d) => [randomSchema(r, d)], contains: (r, d) => randomSchema(r, d), minContains: (r) => r.below(3), maxContains: (r) => r.below(3),
  properties: (r, d) => Object.fromEntries(r.some(2, () => [r.pick(NAMES), randomSchema(r, d)])),
  patternProperties: (r, d) => ({ [r.pick(PATTERNS)]: randomSchema(r, d) }), additionalProperties: (r, d) => randomSchema(r, d), propertyNames: (r, d) => randomSchema(r, d),
  dependentRequired: (r) => ({ [r.pick(NAMES)]: [r.pick(NAMES)] }), dependentSchemas: (r, d) => ({ [r.pick(NAMES)]: randomSchema(r, d) }),
  allOf: (r, d) => [randomSchema(r, d)], anyOf: (r, d) => [randomSchema(r, d), randomSchema(r, d)], oneOf: (r, d) => [randomSchema(r, d), randomSchema(r, d)],
  not: (r, d) => randomSchema(r, d), if: (r, d) => randomSchema(r, d), then: (r, d) => randomSchema(r, d), else: (r, d) => randomSchema(r, d),
  $ref: (r) => r.pick(["#/$defs/text", "#/$defs/tr~1ee", "#/$defs/a%20b"]),
}

function randomSchema(r, depth = 3) {
  if (r.below(12) === 0) return r.below(2) === 0
  const names = Object.keys(KEYWORDS)
  return Object.fromEntries(Array.from({ length: 1 + r.below(3) }, () => r.pick(names))
    .filter((name) => depth > 0 || KEYWORDS[name].length < 2).map((name) => [name, KEYWORDS[name](r, depth - 1)]))
}
const $defs = { text: { type: "string" }, "tr/ee": { type: ["array", "integer"], items: { $ref: "#/$defs/tr~1ee" } }, "a b": { minimum: 1 } }

test("random schemas and values are judged as by ajv", () => {
  const ajv = new Ajv2020({ ownProperties: true, strict: false, validateSchema: false, logger: false })
  let judged = 0
  let refused = 0
  let failed = 0
  for (let seed = 1; seed <= 2_000; seed++) {
    const r = random(seed)
    const schema = { $defs, allOf: [randomSchema(r)] }
    assert.equal(findUnchecked(schema), undefined, JSON.stringify(schema))
    const validate = ajv.compile(schema)
    for (let n = 0; n < 8; n++) {
      const value = randomValue(r)
      let fits
      try {
        fits = validate(value)
      } catch (error) { // ajv writes code that fails for a few of these schemas
        if (!(error instanceof TypeError)) throw error
        failed++
        continue
      }
      const issues = checkJson(schema, value)
      assert.equal(issues.length === 0, fits, `seed ${seed}: ${JSON.stringify(schema)} ${JSON.stringify(value)} ${JSON.stringify(issues)}`)
      judged++
      if (!fits) refused++
    }
  }
  assert.ok(failed < 20, `ajv failed ${failed} times`)
  assert.ok(refused > judged / 5 && refused < (judged * 4) / 5, `both verdicts are common: ${refused} of ${judged}`)
})

/* ---- patterns ---- */

const matches = (pattern, text) => checkJson({ pattern }, text).length === 0

function randomPattern(r, depth = 3) {
  const atom = () => r.pick(["a", "b", ".", "\\d", "[ab]", "[^a]", "\\w", "é", "\\u{1F600}", "\\x61", "\\p{L}"])
  const kind = r.below(depth > 0 ? 9 : 3)
  const inner = () => randomPattern(r, depth - 1)
  if (kind < 3) return atom()
  if (kind === 3) return inner() + inner()
  if (kind === 4) return `(?:${inner()}|${inner()})`
  if (kind === 5) return `(${inner()})${r.pick(["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?", "{0}"])}`
  if (kind === 6) return `(?<n${r.below(1e9)}>${inner()})${inner()}`
  if (kind === 7) return r.pick(["^", "\\b", "\\B", ""]) + inner() + r.pick(["$", "\\b", ""])
  return `${r.pick(["(?=", "(?!"])}${inner()})${inner()}`
}

test("random patterns match what the browser's engine says", () => {
  let matched = 0
  for (let seed = 1; seed <= 4_000; seed++) {
    const r = random(seed)
    const pattern = randomPattern(r)
    const native = new RegExp(pattern, "u")
    for (let n = 0; n < 6; n++) {
      const text = Array.from({ length: r.below(6) }, () => r.pick(["a", "b", "é", "😀", "1", " ", "\n"])).join("")
      assert.equal(matches(pattern, text), native.test(text), `seed ${seed}: /${pattern}/u ${JSON.stringify(text)}`)
      if (native.test(text)) matched++
    }
  }
  assert.ok(matched > 5_000)
})

test("patterns of every day are taken as they are", () => {
  const cases = [
    ["^[a-z0-9]+(?:-[a-z0-9]+)*$", "a-slug-1", "a--b"],
    ["^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", "ada@example.org", "ada@example"],
    ["^\\d{4}-\\d{2}-\\d{2}$", "2026-11-21", "2026-1-21"],
    ["^(?=.*\\d)(?=.*[a-z])(?!.*\\s).{8,}$", "passw0rd", "pass w0rd"],
    ["^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", "#fF5d5d", "#fF5d"],
    ["^\\+?[1-9]\\d{1,14}$", "+4930123456", "+0"],
    ["^\\p{Lu}\\p{L}*( \\p{Lu}\\p{L}*)*$", "Ada Lovelace", "ada"],
    ["^[\\]\\\\^-]+$", "]\\^-", "a"],
    ["[\\ud83d\\ude00-\\ud83d\\ude4f]", "x😀", "x"],
  ]
  for (const [pattern, good, bad] of cases) assert.deepEqual([findUnchecked({ pattern }), matches(pattern, good), matches(pattern, bad)], [undefined, true, false], pattern)
})

test("patterns that explode elsewhere answer at once, and long texts in time", () => {
  const hostile = [
    ["^(a+)+$", `${"a".repeat(28)}!`], ["^(a|aa)+$", `${"a".repeat(60)}!`], ["^(a|a)*$", `${"a".repeat(60)}!`], ["^(.*)*$", "\n".repeat(60)], ["(x+x+)+y", "x".repeat(5_000)],
    ["^(([a-z])+.)+[A-Z]([a-z])+$", "a".repeat(60)], ["^(\\w+\\s?)*$", `${"word ".repeat(200)}!`], ["(a*)*(a*)*(a*)*b", "a".repeat(3_000)],
  ]
  for (const [pattern, text] of hostile) {
    const startedAt = performance.now()
    assert.equal(findUnchecked({ pattern }), undefined)
    assert.equal(matches(pattern, text), false)
    assert.ok(performance.now() - startedAt < 1_000, `${pattern} took ${performance.now() - startedAt} ms`)
  }
  assert.equal(matches("^[A-Za-z0-9+/]*={0,2}$", `${"QUJD".repeat(60_000)}=`), true, "240,000 characters of base64")
})

test("work has an end: what takes too much is refused, never let through", () => {
  const cases = [
    [{ pattern: "(.*)(.*)(.*)(.*)(.*)x" }, "a".repeat(1 << 20)],
    [{ pattern: "(?:){1000000000}b" }, "a"],
    [{ pattern: "^((a?){1000}){1000}b" }, "a".repeat(10_000)],
    [{ $ref: "#" }, 1],
    [{ type: "array", items: { $ref: "#" } }, JSON.parse("[".repeat(200_000) + "]".repeat(200_000))],
    [{ $defs: { t: { anyOf: [{ properties: { k: { $ref: "#/$defs/t" } }, required: ["x"] }, { properties: { k: { $ref: "#/$defs/t" } }, required: ["y"] }] } }, $ref: "#/$defs/t" },
      JSON.parse('{"k":'.repeat(60) + "{}" + "}".repeat(60))],
  ]
  for (const [schema, value] of cases) {
    const startedAt = performance.now()
    assert.throws(() => checkJson(schema, value), Error, JSON.stringify(schema))
    const ms = performance.now() - startedAt
    assert.ok(ms < 5_000, `${JSON.stringify(schema)}: ${ms} ms`)
  }
})

/* ---- what can't be checked ---- */

const object = (properties) => ({ type: "object", properties })
const UNCHECKED = [
  [{ $ref: "https://example.org/schema.json" }, '"$ref": "https://example.org/schema.json"'],
  [{ $ref: "#/$defs/none" }, '"$ref": "#/$defs/none"'],
  [{ $ref: "#/$defs/x/toString", $defs: { x: {} } }, '"$ref": "#/$defs/x/toString"'],
  [object({ a: { unevaluatedProperties: false } }), '"unevaluatedProperties": false'],
  [{ items: [{ type: "string" }] }, '"items": [{"type":"string"}]'],
  [{ anyOf: [{ minlength: 3 }] }, '"minlength": 3'],
  [{ not: { dependencies: {} } }, '"dependencies": {}'],
  [object({ a: { type: "float" } }), '"type": "float"'],
  [{ minimum: "3" }, '"minimum": "3"'],
  [{ exclusiveMinimum: true }, '"exclusiveMinimum": true'],
  [{ maxLength: -1 }, '"maxLength": -1'],
  [{ required: true }, '"required": true'],
  [object({ a: 7 }), '"properties": {"a":7}'],
  [{ nullable: true }, '"nullable": true'],
  [{ pattern: "(" }, '"pattern": "("'],
  [{ pattern: "(a)\\1" }, '"pattern": "(a)\\\\1"'],
  [{ pattern: "(?<!a)b" }, '"pattern": "(?<!a)b"'],
  [{ patternProperties: { "(?<=a)b": {} } }, '"patternProperties": {"(?<=a)b":{}}'],
  [{ $defs: { a: { $id: "other", $ref: "#/b" } } }, '"$id": "other"'],
  [{ $dynamicRef: "#a" }, '"$dynamicRef": "#a"'],
]

async function setUp(t) {
  const relay = await startRelay()
  t.after(() => relay.stop())
  const open = async (tools) => {
    const session = await connect({ appId: "test", agentsMd: "", baseUrl: relay.baseUrl, WebSocket, tools })
    t.after(() => session.close({ keep: true }))
    return session
  }
  return { relay, open }
}
const toolOf = (input, more) => ({ path: "/x", description: "", input, handler: ({ input }) => ({ got: input }), ...more })

test("what can't be checked is refused before anything is offered, unless the app says that it checks it itself", async (t) => {
  const { relay, open } = await setUp(t)
  const session = await open([])
  for (const [schema, part] of UNCHECKED) {
    const expected = { code: "invalid_option", message: new RegExp(`^\`tools\\[0\\]\\.input\` of POST /x has ${part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}, which can't be checked\\.`) }
    await assert.rejects(open([toolOf(schema)]), expected)
    await assert.rejects(session.updateTools([toolOf(schema)]), expected)
    await session.updateTools([toolOf(schema, { unchecked: true })])
  }
  assert.equal(relay.urls.length, 1, "nothing was opened for them")
  const { tools } = await relay.next("update_tools")
  assert.deepEqual(Object.keys(tools[0]).sort(), ["description", "input_schema", "method", "path"], "`unchecked` is the app's own")
  await session.updateTools([toolOf(undefined, { input_schema: { $ref: "nowhere", minlength: 3 } })])
  assert.equal((await session.call("POST", "/x", "7")).status, 200, "`input_schema` is passed on, never checked, never refused")
})

test("with `unchecked` the rest is checked all the same", async (t) => {
  const { open } = await setUp(t)
  const session = await open([toolOf({ type: "object", required: ["a"], properties: { a: { type: "string", pattern: "(?<!a)b", minLength: 2 } }, unevaluatedProperties: false }, { unchecked: true })])
  assert.equal((await session.call("POST", "/x", '{"a":"abc","b":1}')).status, 200)
  assert.equal((await session.call("POST", "/x", '{"a":"a"}')).status, 400)
  assert.equal((await session.call("POST", "/x", "{}")).status, 400)
})

test("keywords that only describe are taken: format, x-…, titles, examples", async () => {
  assert.equal(findUnchecked({ title: "T", description: "d", default: {}, examples: [{ $ref: "x" }], deprecated: true, readOnly: true, format: "email", $comment: "", $schema: "s", $id: "i", "x-order": 1, const: { $ref: "x" }, enum: [{ nope: 1 }] }), undefined)
})

test("no member `__proto__` gets in, by body, escape, depth or query", async (t) => {
  const { open } = await setUp(t)
  const session = await open([
    toolOf({ type: "object" }), toolOf(z.looseObject({}), { path: "/zod" }),
    { path: "/json", description: "", handler: ({ json }) => Object.keys(json()) },
    toolOf({ type: "object" }, { path: "/get", method: "GET" }),
  ])
  for (const path of ["/x", "/zod", "/json"]) {
    for (const body of ['{"__proto__":{"admin":true}}', '{"\\u005f_proto__":{"admin":true}}', '{"a":[{"__pr\\u006fto__":1}]}']) {
      const { status, body: { error } } = await session.call("POST", path, body)
      assert.deepEqual([status, error.code], [400, "invalid_input"], `${path} ${body}`)
      assert.match(error.message, /__proto__/)
    }
    assert.equal((await session.call("POST", path, '{"proto":"__proto__"}')).status, 200)
  }
})
