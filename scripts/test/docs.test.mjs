/** What the documents say of the repository is so: links lead somewhere, the layout is complete, nothing names a machine. */

import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, statSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { test } from "node:test"
import { ROOT } from "../wrangler-toml.mjs"

const TRACKED = execFileSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" }).split("\0").filter((path) => path !== "" && existsSync(join(ROOT, path)))
const read = (path) => readFileSync(join(ROOT, path), "utf8")
const documents = TRACKED.filter((path) => path.endsWith(".md"))

/** Text without its code: neither headings nor links are read from there. */
const prose = (text) => text.replaceAll(/^( *)(```+|~~~+)[^\n]*\n[^]*?\n\1\2 *$/gm, "").replaceAll(/<!--[^]*?-->/g, "")

/** The anchor that a heading gets at the usual hosts: lower case, no punctuation, dashes for spaces. */
const slug = (heading) => heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*]/g, "").trim().toLowerCase()
  .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, "").replaceAll(" ", "-")

/** All anchors of a document; a heading that comes again gets a number. */
function anchors(path) {
  const seen = new Map()
  const found = new Set()
  for (const [, heading] of prose(read(path)).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const name = slug(heading)
    const count = seen.get(name) ?? 0
    seen.set(name, count + 1)
    found.add(count === 0 ? name : `${name}-${count}`)
  }
  for (const [, id] of read(path).matchAll(/<a (?:id|name)="([^"]+)"/g)) found.add(id)
  return found
}

/** Links of a document, as they are written, that lead into the repository. */
function links(path) {
  const text = prose(read(path)).replaceAll(/`[^`\n]*`/g, "")
  const inline = [...text.matchAll(/\]\(\s*<?([^\s)>]+)>?(?: "[^"]*")?\s*\)/g)].map(([, link]) => link)
  const defined = [...text.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)].map(([, link]) => link)
  return [...inline, ...defined].filter((link) => !/^[a-z][a-z0-9+.-]*:/i.test(link))
}

/** What is wrong with a link of a document, or undefined. */
function problem(from, link) {
  const [target, anchor] = link.split("#")
  const path = target === "" ? from : normalize(join(dirname(from), decodeURIComponent(target)))
  if (path.startsWith("..")) return "leads out of the repository"
  const inside = TRACKED.includes(path) || TRACKED.some((one) => one.startsWith(`${path.replace(/\/$/, "")}/`)) || path === "."
  if (!inside) return "leads to nothing that is tracked"
  if (anchor === undefined || anchor === "") return undefined
  if (!path.endsWith(".md")) return "has an anchor into something that is no document"
  return anchors(path).has(anchor) ? undefined : `there is no heading #${anchor} in ${path}`
}

test("anchors are made as the usual hosts make them", () => {
  assert.equal(slug("apps.json: who may register"), "appsjson-who-may-register")
  assert.equal(slug("Block AI bots must be off"), "block-ai-bots-must-be-off")
  assert.equal(slug("What `agents.md` *says*, and [why](x.md)"), "what-agentsmd-says-and-why")
})

test("every link and anchor of every document leads somewhere", () => {
  let count = 0
  const bad = []
  for (const from of documents) {
    for (const link of links(from)) {
      count += 1
      const found = problem(from, link)
      if (found) bad.push(`${from}: ${link} ${found}`)
    }
  }
  assert.ok(count > 100, `${count} links`)
  assert.deepEqual(bad, [])
  for (const link of ["docs/none.md", "docs/protocol.md#no-such-heading", "../x.md"]) assert.ok(problem("README.md", link), link)
})

test("README's layout names every folder", () => {
  const layout = /## Layout\n([^]*?)\n## /.exec(read("README.md"))[1]
  const folders = TRACKED.filter((path) => path.includes("/")).map((path) => path.split("/"))
    .map(([top, next, ...rest]) => (top === "crates" && rest.length > 0 ? `${top}/${next}/` : `${top}/`))
  const missing = [...new Set(folders)].filter((folder) => !folder.startsWith(".") && !["docs/", "crates/"].includes(folder) && !layout.includes(`\`${folder}\``))
  assert.deepEqual(missing, [])
  for (const [, folder] of layout.matchAll(/^\| `([^`]+\/)`/gm)) assert.ok(folders.includes(folder), `${folder} is in the layout only`)
})

test("README leads to every document", () => {
  const reached = new Set(["README.md", "sdk/API.md", "tests/schemas/README.md"])
  for (const from of ["README.md", "docs/doors.md"]) {
    for (const link of links(from)) reached.add(normalize(join(dirname(from), link.split("#")[0])))
  }
  assert.deepEqual(documents.filter((path) => !reached.has(path)), [])
})

/** What must not be in a tracked file, since it is of one machine or of one registry. */
const LOCAL = [
  [/\/(?:home|Users)\/[A-Za-z][\w.-]*\//, "somebody's home"],
  [/(?<![\w.~-])\/(?:root|work|workspace|mnt|media)\/[\w.-]/, "a folder of one machine"],
  [/\b[A-Za-z]:\\(?:Users|Windows)\\/, "a folder of one machine"],
  [/\b(?:registry\.npmjs\.org|registry\.yarnpkg\.com|index\.crates\.io|static\.crates\.io|files\.pythonhosted\.org|pypi\.org\/simple|proxy\.golang\.org)\b/, "a registry's host"],
  [/"resolved":|--(?:extra-)?index-url|--find-links|^registry ?=/m, "a registry"],
]

test("no tracked file names a machine's folders or a package registry", () => {
  const bad = []
  for (const path of TRACKED) {
    // This list itself has to name them.
    if (path === "scripts/test/docs.test.mjs" || statSync(join(ROOT, path)).size > 4_000_000) continue
    const text = read(path)
    if (text.includes("\0")) continue
    for (const [pattern, what] of LOCAL) {
      const found = pattern.exec(text)
      if (found) bad.push(`${path}: ${found[0]} (${what})`)
    }
  }
  assert.deepEqual(bad, [])
})

/** Every function in Rust that is a test: plain, async, or of a property. */
function rustTests() {
  const found = new Set()
  for (const path of TRACKED.filter((path) => path.endsWith(".rs"))) {
    for (const [, name] of read(path).matchAll(/#\[(?:tokio::)?test(?:\([^)]*\))?\][^{;]*?\bfn (\w+)/g)) found.add(name)
  }
  return found
}

/** The numbers of the harness's scenarios. */
function scenarios() {
  const found = new Set()
  for (const path of TRACKED.filter((path) => path.startsWith("harness/src/layers/"))) {
    for (const [, number] of read(path).matchAll(/Scenario::new\(\s*(\d+),/g)) found.add(Number(number))
  }
  return found
}

/** Scenarios that a document names: "scenario 7", "scenarios 19–26, 29 and 110". */
function namedScenarios(text) {
  const numbers = []
  for (const [, list] of text.matchAll(/\b[Ss]cenarios? ((?:\d+(?:–\d+)?(?:, (?=\d)| and (?=\d))?)+)/g)) {
    for (const [, first, last = first] of list.matchAll(/(\d+)(?:–(\d+))?/g)) {
      numbers.push({ first: Number(first), last: Number(last) })
    }
  }
  return numbers
}

/** What a document calls tests: `names_with_two_underscores_or_more`, and what is in quotation marks before "(`tests/…`)". */
const namedTests = (text) => [...text.matchAll(/`([a-z]\w*_\w*_\w+)`/g)].map(([, name]) => name)

test("every test and scenario that docs/security.md names is there", () => {
  const text = read("docs/security.md")
  const rust = rustTests()
  const numbers = scenarios()
  assert.ok(rust.size > 300 && numbers.size > 80, `${rust.size} tests, ${numbers.size} scenarios`)
  const named = namedTests(text)
  assert.ok(named.length > 60, `${named.length} names`)
  assert.deepEqual([...new Set(named)].filter((name) => !rust.has(name)), [])
  const bad = namedScenarios(text).filter(({ first, last }) => ![first, last].every((number) => numbers.has(number)))
  assert.deepEqual(bad, [])
  const scripts = TRACKED.filter((path) => path.startsWith("tests/") && path.endsWith(".mjs")).map(read).join("\n")
  for (const [, name] of text.matchAll(/in Chromium[^.\n]*?"([^"]+)"/g)) assert.ok(scripts.includes(name), name)
  // The check itself: what is not there is found.
  assert.deepEqual(namedTests("`no_such_test_is_there`").filter((name) => !rust.has(name)), ["no_such_test_is_there"])
  assert.deepEqual(namedScenarios("scenarios 7, 19–21 and 999"), [{ first: 7, last: 7 }, { first: 19, last: 21 }, { first: 999, last: 999 }])
  assert.ok(!numbers.has(999))
})
