/** What is installed is what was looked at: every package that a lock file names comes with its hash. */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { parse } from "smol-toml"
import { ROOT } from "../wrangler-toml.mjs"

const read = (path) => readFileSync(join(ROOT, path), "utf8")

/**
 * Packages without a hash in package-lock.json: the runtime's builds for systems other than Linux. The registry that the
 * file was written with has every version of the builds for Linux, but not this one of the others, so their hashes could
 * not be had. No machine with Linux, CI's among them, installs these; elsewhere npm checks them by what the registry says
 * at that time, and scripts/setup.sh warns. When wrangler is updated: `npm install --package-lock-only` with a registry
 * that has them all writes the hashes, and this list becomes shorter.
 */
const WITHOUT_HASH = ["@cloudflare/workerd-darwin-64", "@cloudflare/workerd-darwin-arm64", "@cloudflare/workerd-windows-64"]

test("package-lock.json: every package has a hash, but those that are listed here", () => {
  const { packages } = JSON.parse(read("package-lock.json"))
  const names = Object.keys(packages).filter((path) => path !== "")
  assert.ok(names.length > 200)
  const lacking = names.filter((path) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(packages[path].integrity ?? ""))
  assert.deepEqual(lacking, WITHOUT_HASH.map((name) => `node_modules/${name}`))
  for (const path of lacking) {
    assert.ok(packages[path].optional && !packages[path].os.includes("linux"), `${path} is never installed on Linux`)
  }
})

test("package-lock.json names no registry, so that every one will do", () => {
  const { packages } = JSON.parse(read("package-lock.json"))
  assert.deepEqual(Object.keys(packages).filter((path) => packages[path].resolved !== undefined), [])
})

for (const path of ["Cargo.lock", "fuzz/Cargo.lock", "scripts/wasm-bindgen/Cargo.lock"]) {
  test(`${path}: every crate that is fetched comes from crates.io, with a checksum`, () => {
    const fetched = parse(read(path)).package.filter(({ source }) => source !== undefined)
    assert.ok(fetched.length > 10)
    for (const { name, source, checksum } of fetched) {
      assert.equal(source, "registry+https://github.com/rust-lang/crates.io-index", name)
      assert.match(checksum ?? "", /^[0-9a-f]{64}$/, name)
    }
  })
}

test("wasm-bindgen's program is the version that the Worker is linked with", () => {
  const locked = (path, crate) => parse(read(path)).package.filter(({ name }) => name === crate).map(({ version }) => version)
  const wanted = locked("Cargo.lock", "wasm-bindgen")
  assert.equal(wanted.length, 1)
  assert.deepEqual(locked("scripts/wasm-bindgen/Cargo.lock", "wasm-bindgen-cli"), wanted,
    "change scripts/wasm-bindgen/Cargo.toml, then: cargo update --manifest-path scripts/wasm-bindgen/Cargo.toml")
})

test("tests/doors/requirements.txt: every package has its version and its hashes", () => {
  // A requirement goes on over lines that end in a backslash.
  const requirements = read("tests/doors/requirements.txt").replaceAll(/ \\\n\s*/g, " ").split("\n").filter((line) => line !== "" && !line.startsWith("#"))
  assert.ok(requirements.length > 40)
  for (const line of requirements) {
    assert.match(line, /^[a-z0-9._-]+==[0-9][^ ;]*( ; [^\\]+?)?( --hash=sha256:[0-9a-f]{64})+$/)
  }
  for (const asked of read("tests/doors/requirements.in").split("\n").filter((line) => /^[a-z]/.test(line))) {
    assert.ok(requirements.some((line) => line.startsWith(`${asked} `)), `${asked}: requirements.in says how to make requirements.txt anew`)
  }
})
