import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

const SDK = join(dirname(fileURLToPath(import.meta.url)), "..")

test("the package has the bundle, the types and the docs, and nothing else", () => {
  const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: SDK, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }))
  const paths = files.map(({ path }) => path)
  for (const path of ["dist/index.js", "dist/index.d.ts", "dist/page.js", "dist/page.d.ts", "README.md", "API.md", "LICENSE", "package.json"]) {
    assert.ok(paths.includes(path), path)
  }
  assert.deepEqual(paths.filter((path) => !/^(dist\/[\w-]+\.(js|d\.ts)|README\.md|API\.md|LICENSE|package\.json)$/.test(path)), [])
})

test("it depends on nothing, and its exports are there", async () => {
  const { dependencies, peerDependencies, exports } = JSON.parse(readFileSync(join(SDK, "package.json"), "utf8"))
  assert.deepEqual([dependencies, peerDependencies], [undefined, undefined])
  const { ".": main, "./page": page } = exports
  for (const { default: path } of [main, page]) {
    assert.doesNotMatch(readFileSync(join(SDK, path), "utf8"), /^import .* from "(?!\.)/m)
    await import(join(SDK, path))
  }
})
