/**
 * Builds the SDK and the examples:
 * - sdk/dist/: ES modules' bundle and types, as the package has them;
 * - public/sdk.js and public/sdk-page.js: what the relay serves, minified;
 * - public/examples/: the pages of examples/, with what they need bundled.
 *
 *   node sdk/build.mjs [--no-types]
 *
 * Fails when the SDK weighs too much.
 */

import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"

const SDK = dirname(fileURLToPath(import.meta.url))
const ROOT = dirname(SDK)
const PUBLIC = join(ROOT, "public")
const DIST = join(SDK, "dist")

/** What the SDK may weigh, minified and gzipped, in bytes. */
const MAX_GZIPPED = 12_000

const ENTRIES = { index: "sdk", page: "sdk-page" }
const base = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", absWorkingDir: ROOT }

async function bundle(entry, served) {
  const entryPoints = [join(SDK, `src/${entry}.ts`)]
  await build({ ...base, entryPoints, outfile: join(DIST, `${entry}.js`), define: { RELAY_URL: "undefined" } })
  // A file that the relay serves knows where the relay is, also on a page from elsewhere.
  const define = { RELAY_URL: "relayUrl" }
  const banner = { js: `/* agent-socket, Apache-2.0 */${entry === "index" ? "const relayUrl=new URL(import.meta.url).origin;" : ""}` }
  const { outputFiles } = await build({ ...base, entryPoints, minify: true, define, banner, outfile: join(PUBLIC, `${served}.js`), write: false })
  await build({ ...base, entryPoints, minify: true, define, banner, outfile: join(PUBLIC, `${served}.js`) })
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length
  console.log(`${served}.js: ${size} bytes gzipped`)
  return size
}

function types() {
  const root = createRequire(import.meta.url).resolve("typescript/package.json")
  const { status } = spawnSync(process.execPath, [join(dirname(root), "bin/tsc"), "-p", SDK], { stdio: "inherit" })
  if (status !== 0) throw new Error("the types are not right; see above")
}

async function examples() {
  const from = join(ROOT, "examples")
  const to = join(PUBLIC, "examples")
  rmSync(to, { recursive: true, force: true })
  if (!existsSync(from)) return
  mkdirSync(to, { recursive: true })
  // What is for Node, and sources that are bundled, stay behind.
  const served = (path) => !/(?:\.node\.mjs|\.jsx|\.md|package\.json)$/.test(path)
  cpSync(from, to, { recursive: true, filter: served })
  for (const name of readdirSync(from)) {
    const app = join(from, name, "app.jsx")
    if (!existsSync(app)) continue
    const define = { "process.env.NODE_ENV": '"production"' }
    await build({ ...base, entryPoints: [app], minify: true, jsx: "automatic", define, external: ["/sdk.js", "/sdk-page.js", "/examples/examples.js"], outfile: join(to, name, "app.js") })
  }
}

rmSync(DIST, { recursive: true, force: true })
const sizes = []
for (const [entry, served] of Object.entries(ENTRIES)) sizes.push(await bundle(entry, served))
if (!process.argv.includes("--no-types")) types()
await examples()
if (sizes[0] > MAX_GZIPPED) {
  console.error(`error: the SDK weighs ${sizes[0]} bytes gzipped; it may weigh ${MAX_GZIPPED}`)
  process.exit(1)
}
