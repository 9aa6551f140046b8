/** The OpenAPI document, as programs that others wrote read it. Wants build/ and what setup.sh installs of requirements.txt. */

import assert from "node:assert/strict"
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { openApp } from "../app.mjs"
import { ROOT, sharedRelay } from "../boot.mjs"
import { ODD_TOOLS, TOOLS, echoing, python } from "./tools.mjs"

const relay = sharedRelay()
let folder
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-socket-doors-"))
})
after(() => rm(folder, { recursive: true, force: true }))

/** An app until the test ends. */
async function open(t, tools) {
  const app = await openApp(relay, { tools: echoing(tools) })
  t.after(() => app.close())
  return app
}

/** The document of a link, as a file for the validators. */
async function save(base, name) {
  const response = await fetch(`${base}/openapi.json`)
  assert.equal(response.status, 200)
  const path = join(folder, name)
  await writeFile(path, await response.text())
  return path
}

/** Every `$ref` in a document: none of these tools has one that is no keyword. */
function references(value) {
  if (typeof value !== "object" || value === null) return []
  const own = typeof value.$ref === "string" ? [value.$ref] : []
  return own.concat(...Object.values(value).map(references))
}

/** What a local reference leads to (RFC 6901, section 6). */
function find(document, reference) {
  const [start, ...parts] = decodeURIComponent(reference).split("/")
  assert.equal(start, "#")
  return parts.reduce((value, part) => value?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], document)
}

/** All operations of a document. */
const operations = (document) => Object.values(document.paths).flatMap((item) => Object.values(item))

test("a validator accepts the document, whatever the app registered", async (t) => {
  const many = Array.from({ length: 150 }, (_, n) => ({ path: `/tool/${n}`, method: n % 2 ? "GET" : "POST", input_schema: TOOLS[n % 4].input_schema }))
  for (const [name, tools, scope, count] of [
    ["usual", TOOLS, undefined, TOOLS.length + 1],
    ["scoped", TOOLS, ["/grid"], 2],
    // PROPFIND has no word in OpenAPI.
    ["odd", ODD_TOOLS, undefined, ODD_TOOLS.length],
    ["many", many, undefined, many.length + 1],
    ["none", [], undefined, 1],
  ]) {
    const app = await open(t, tools)
    const base = await app.mint({ tools: scope })
    const { code, output } = await python("openapi-spec-validator", ["--errors", "all", await save(base, `${name}.json`)])
    assert.equal(code, 0, `${name}: ${output}`)
    const document = await (await fetch(`${base}/_as_openapi.json`)).json()
    assert.deepEqual(document.servers, [{ url: base }])
    const all = operations(document)
    assert.equal(all.length, count, name)
    assert.equal(new Set(all.map(({ operationId }) => operationId)).size, count)
    for (const { operationId, description = "", parameters = [], ...rest } of all) {
      assert.match(operationId, /^[A-Za-z0-9_-]{1,64}$/)
      assert.equal(typeof rest["x-openai-isConsequential"], "boolean")
      assert.ok(description.length <= 300, operationId)
      for (const parameter of parameters) assert.ok((parameter.description ?? "").length <= 700, operationId)
    }
    assert.ok(document.info.description.length <= 300)
    for (const reference of references(document)) assert.ok(find(document, reference), `${name}: ${reference} leads nowhere`)
  }
})

test("the validator finds what is wrong with a document", async (t) => {
  const app = await open(t, TOOLS)
  const document = await (await fetch(`${await app.mint()}/openapi.json`)).json()
  document.paths["/paint"].post.operationId = document.paths["/grid"].get.operationId
  const path = join(folder, "broken.json")
  await writeFile(path, JSON.stringify(document))
  const { code, output } = await python("openapi-spec-validator", [path])
  assert.notEqual(code, 0, output)
})

test("a generated client calls tools", async (t) => {
  const app = await open(t, TOOLS)
  const base = await app.mint()
  const made = await python("openapi-python-client", ["generate", "--path", await save(base, "client.json"), "--output-path", join(folder, "generated"), "--meta", "none", "--fail-on-warning"])
  assert.equal(made.code, 0, made.output)
  await cp(join(ROOT, "tests/doors/client.py"), join(folder, "client.py"))
  const { code, output } = await python("python", ["client.py", base], { cwd: folder })
  assert.equal(code, 0, output)
  const [painted, found, added, removed, task] = output.trim().split("\n").map((line) => JSON.parse(line))
  assert.deepEqual([painted.status, painted.body.method, painted.body.path], [200, "POST", "/paint"])
  assert.deepEqual(JSON.parse(painted.body.body), { x: 3, y: 4, color: "red", tags: ["a"] })
  assert.deepEqual([found.status, found.body.method, found.body.body], [200, "GET", ""])
  assert.deepEqual(Object.fromEntries(new URLSearchParams(found.body.query)), { q: "a b&c=ä", limit: "2", exact: "true" })
  assert.deepEqual(JSON.parse(added.body.body), { name: "root", children: [{ name: "leaf" }] })
  assert.deepEqual([removed.status, removed.body.method, removed.body.path], [200, "DELETE", "/tree/add"])
  assert.deepEqual([task.status, task.body.error.code], [404, "not_found"])
  assert.equal(app.calls.length, 4)
})

test("schemathesis finds no answer that the document does not allow, and no 5xx", async (t) => {
  const app = await open(t, TOOLS)
  const base = await app.mint()
  const { code, output } = await python("schemathesis", ["run", `${base}/openapi.json`,
    "--max-examples=20", "--seed=1", "--phases=examples,coverage,fuzzing",
    "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method",
    "--continue-on-failure", "--warnings=off", "--request-timeout=60",
    // A busy machine makes data slowly; that says nothing of the relay.
    "--suppress-health-check=too_slow"], { cwd: folder })
  assert.equal(code, 0, output)
  t.diagnostic(output.trim().split("\n").slice(-12).join("\n"))
  const called = new Set(app.calls.map(({ method, path }) => `${method} ${path}`))
  for (const { method = "POST", path } of TOOLS) assert.ok(called.has(`${method} ${path}`), `${method} ${path} was never called`)
  assert.ok(app.calls.length > 100, `${app.calls.length} calls`)
})
