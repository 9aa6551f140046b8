/**
 * Builds the SDK and the examples:
 * - sdk/dist/: ES modules' bundle and types, as the package has them;
 * - public/sdk.js, public/sdk-checker.js, public/sdk-page.js: what the relay serves, minified; commit them;
 * - public/sdk.tgz: the package, for `npm install https://relay.example/sdk.tgz`;
 * - public/examples/: the pages of examples/, with what they need bundled.
 *
 *   node sdk/build.mjs
 *
 * Builds beside these folders first, then replaces the files that differ, each in one step: a relay that serves them
 * meanwhile, or a test that runs, never finds one missing or half written. Fails when the SDK weighs too much.
 */

import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"

const SDK = dirname(fileURLToPath(import.meta.url))
const ROOT = dirname(SDK)
const PUBLIC = join(ROOT, "public")
const DIST = join(SDK, "dist")

/** What the SDK may weigh, minified and gzipped, in bytes; what checks JSON Schemas is loaded when a tool has one. */
const MAX_GZIPPED = { "sdk.js": 12_000, "sdk-checker.js": 4_000 }

/** What the package has, and what the relay serves of it. */
const ENTRIES = { index: "sdk", checker: "sdk-checker", page: "sdk-page", react: null, node: null }
const base = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", absWorkingDir: ROOT }

/** Where this run builds. */
const STAGING = mkdtempSync(join(SDK, ".build-"))
process.on("exit", () => rmSync(STAGING, { recursive: true, force: true }))
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1))

/** All files below a folder, relative to it. */
function filesIn(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)))
}

/** Puts a file in its place, unless the same is there. */
function place(from, to) {
  const content = readFileSync(from)
  if (existsSync(to) && readFileSync(to).equals(content)) return
  mkdirSync(dirname(to), { recursive: true })
  // A rename is one step only within a file system, so the copy is made beside it.
  const beside = `${to}.${process.pid}.new`
  writeFileSync(beside, content)
  renameSync(beside, to)
}

/** Makes a folder hold what was built, and nothing else. */
function sync(from, to) {
  const built = filesIn(from)
  for (const name of built) place(join(from, name), join(to, name))
  for (const name of filesIn(to)) if (!built.includes(name)) rmSync(join(to, name), { force: true })
}

/** Entries that others import stay files of their own: one is loaded only when it is needed, and none is there twice. */
const apart = (address) => ({
  name: "apart",
  setup: ({ onResolve }) => onResolve({ filter: /^\.\/(checker|index|page)\.js$/ }, ({ path }) => ({ path: address(/\w+/.exec(path)[0]), external: true })),
})
const SERVED = apart((entry) => `./${ENTRIES[entry]}.js`)

/**
 * A short hash of what the served files are made of. They are committed, so that a relay can be built without Node; by
 * the hash in them a test tells whether they are current (crates/cli/tests/it/pages.rs).
 */
function sources() {
  const names = [...readdirSync(join(SDK, "src")).map((name) => `src/${name}`), "build.mjs"].sort()
  const hash = createHash("sha256")
  for (const name of names) {
    const content = readFileSync(join(SDK, name))
    hash.update(`${name} ${content.length}\n`).update(content)
  }
  return hash.digest("hex").slice(0, 16)
}

async function bundle(entry, served) {
  const entryPoints = [join(SDK, `src/${entry}.ts`)]
  await build({ ...base, entryPoints, outfile: join(STAGING, "dist", `${entry}.js`), plugins: [apart((name) => `./${name}.js`)], external: ["react"], platform: entry === "node" ? "node" : "browser", define: { RELAY_URL: "undefined" } })
  if (!served) return { name: entry, size: 0 }
  // A file that the relay serves knows where the relay is, also on a page from elsewhere.
  const define = { RELAY_URL: "relayUrl" }
  const banner = { js: `/* agent-socket, Apache-2.0, sources ${sources()} */${entry === "index" ? "const relayUrl=new URL(import.meta.url).origin;" : ""}` }
  const outfile = join(STAGING, `${served}.js`)
  await build({ ...base, entryPoints, minify: true, define, banner, plugins: [SERVED], outfile })
  const size = gzipSync(readFileSync(outfile), { level: 9 }).length
  console.log(`${served}.js: ${size} bytes gzipped`)
  return { name: `${served}.js`, size }
}

function types() {
  const root = createRequire(import.meta.url).resolve("typescript/package.json")
  const { status } = spawnSync(process.execPath, [join(dirname(root), "bin/tsc"), "-p", SDK, "--outDir", join(STAGING, "dist")], { stdio: "inherit" })
  if (status !== 0) throw new Error("the types are not right; see above")
}

/** Packs what was built, as a publish would. The same files make the same archive. */
function pack() {
  const folder = join(STAGING, "package")
  mkdirSync(folder)
  for (const name of ["package.json", "README.md", "API.md", "FRAMEWORKS.md", "LICENSE"]) cpSync(join(SDK, name), join(folder, name))
  cpSync(join(STAGING, "dist"), join(folder, "dist"), { recursive: true })
  // npm tells its own scripts its options by these, and one of them may be --dry-run.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)))
  const { status, error } = spawnSync("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", STAGING], { cwd: folder, env, stdio: ["ignore", "ignore", "inherit"] })
  if (status !== 0) throw new Error("npm pack failed; see above", { cause: error })
  const [name] = readdirSync(STAGING).filter((file) => file.endsWith(".tgz"))
  place(join(STAGING, name), join(PUBLIC, "sdk.tgz"))
}

async function examples() {
  const from = join(ROOT, "examples")
  const to = join(STAGING, "examples")
  if (!existsSync(from)) return
  mkdirSync(to, { recursive: true })
  // What is for Node, and sources that are bundled, stay behind.
  const served = (path) => !/(?:\.node\.mjs|\.jsx|\.md|package\.json)$/.test(path)
  cpSync(from, to, { recursive: true, filter: served })
  for (const name of readdirSync(from)) {
    const app = join(from, name, "app.jsx")
    if (!existsSync(app)) continue
    // What the example takes of the package is what the relay serves, but for the part for React.
    await build({
      ...base, entryPoints: [app], minify: true, jsx: "automatic", define: { "process.env.NODE_ENV": '"production"' },
      alias: { "@agent-socket/sdk/react": join(SDK, "src/react.ts") }, plugins: [apart((entry) => `/${ENTRIES[entry]}.js`)],
      external: ["/sdk.js", "/sdk-page.js", "/examples/examples.js"], outfile: join(to, name, "app.js"),
    })
  }
}

const sizes = []
for (const [entry, served] of Object.entries(ENTRIES)) sizes.push(await bundle(entry, served))
types()
await examples()
for (const { name, size } of sizes) {
  if (!(size > MAX_GZIPPED[name])) continue
  console.error(`error: ${name} weighs ${size} bytes gzipped; it may weigh ${MAX_GZIPPED[name]}`)
  process.exit(1)
}
sync(join(STAGING, "dist"), DIST)
for (const served of Object.values(ENTRIES).filter(Boolean)) place(join(STAGING, `${served}.js`), join(PUBLIC, `${served}.js`))
sync(join(STAGING, "examples"), join(PUBLIC, "examples"))
pack()
