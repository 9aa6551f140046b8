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
  for (const path of [...["index", "page", "react", "node"].flatMap((entry) => [`dist/${entry}.js`, `dist/${entry}.d.ts`]), "dist/checker.js", "README.md", "API.md", "FRAMEWORKS.md", "LICENSE", "package.json"]) {
    assert.ok(paths.includes(path), path)
  }
  assert.deepEqual(paths.filter((path) => !/^(dist\/[\w-]+\.(js|d\.ts)|README\.md|API\.md|FRAMEWORKS\.md|LICENSE|package\.json)$/.test(path)), [])
})

test("it depends on nothing but React, and that for React alone; its exports are there", async () => {
  const { dependencies, peerDependencies, peerDependenciesMeta, exports } = JSON.parse(readFileSync(join(SDK, "package.json"), "utf8"))
  assert.deepEqual([dependencies, Object.keys(peerDependencies), peerDependenciesMeta], [undefined, ["react"], { react: { optional: true } }])
  const imports = { ".": [], "./page": [], "./react": ["react"], "./node": ["node:fs", "node:path"] }
  for (const [name, packages] of Object.entries(imports)) {
    const path = exports[name].default
    const found = [...readFileSync(join(SDK, path), "utf8").matchAll(/^import .* from "((?!\.)[^"]+)"/gm)].map(([, from]) => from)
    assert.deepEqual(found, packages, name)
    await import(join(SDK, path))
  }
})
