// Writes a config for workerd, the runtime alone, from wrangler.toml: the same
// modules, bindings, vars and Durable Object as a deploy has, on a local port.
//
//   node scripts/workerd-config.mjs --out DIR --port N [--state DIR] [--debug] [--module FILE] [NAME=VALUE…]
//
// With --module that JavaScript file runs in place of the build: the bench's
// floor is served exactly as the relay is.
//
// Writes DIR/config.capnp and prints the path of the workerd binary. What is
// not in workerd is left out: the rate limit (the Worker runs without it, and
// says so once) and the asset server, for which assets-worker.js stands in.
// A mistake in wrangler.toml or in the arguments ends with exit code 1 and a
// line on stderr.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { parseHeaders } from "./headers-file.mjs"
import { ROOT, readWrangler, varsOf } from "./wrangler-toml.mjs"

const HERE = dirname(fileURLToPath(import.meta.url))

function fail(message) {
  console.error(`error: ${message}`)
  process.exit(1)
}

/** Text as a Cap'n Proto string literal. */
const text = (value) => `"${String(value).replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n").replace(/\r/g, "\\r").replace(/\t/g, "\\t")}"`
const list = (items) => `[\n${items.map((item) => `    ${item},\n`).join("")}  ]`

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: "string" }, port: { type: "string" }, state: { type: "string" }, debug: { type: "boolean" }, module: { type: "string" } },
})

try {
  const wrangler = readWrangler()
  const vars = varsOf(wrangler, positionals, options.debug)

  const main = join(ROOT, wrangler.main)
  const modules = options.module === undefined
    ? [
        [`index.js`, "esModule", main],
        [`./index_bg.wasm`, "wasm", join(dirname(main), "index_bg.wasm")],
      ]
    : [[`index.js`, "esModule", resolve(options.module)]]
  for (const [, , path] of modules) {
    if (!existsSync(path)) fail(`${path} is not there; run ./scripts/build.sh`)
  }

  const objects = wrangler.durable_objects?.bindings ?? []
  const assets = wrangler.assets
  const bindings = [
    ...Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
    ...objects.map((object) => `(name = ${text(object.name)}, durableObjectNamespace = ${text(object.class_name)})`),
  ]
  if (assets?.binding) bindings.push(`(name = ${text(assets.binding)}, service = "assets")`)

  const services = [`(name = "relay", worker = .relay)`]
  const workers = []
  // Objects kept in memory have no SQLite here, so state that nobody wants to
  // keep is on disk too, and goes with the config.
  const state = resolve(options.state ?? join(options.out, "state"))
  mkdirSync(state, { recursive: true })
  services.push(`(name = "state", disk = (path = ${text(state)}, writable = true))`)
  if (assets) {
    const directory = resolve(ROOT, assets.directory)
    if (!existsSync(directory)) fail(`wrangler.toml: assets.directory: there is no folder ${assets.directory}`)
    const headersFile = join(directory, "_headers")
    const rules = existsSync(headersFile) ? parseHeaders(readFileSync(headersFile, "utf8")) : []
    services.push(`(name = "assets", worker = .assets)`, `(name = "files", disk = (path = ${text(directory)}))`)
    workers.push(`const assets :Workerd.Worker = (
  modules = [(name = "assets.js", esModule = embed "assets.js")],
  compatibilityDate = ${text(wrangler.compatibility_date)},
  bindings = [
    (name = "FILES", service = "files"),
    (name = "RULES", json = ${text(JSON.stringify(rules))}),
  ],
);
`)
    writeFileSync(join(options.out, "assets.js"), readFileSync(join(HERE, "assets-worker.js")))
  }

  // Files are embedded by name, so they are copied beside the config: workerd
  // then runs what was built, even while the next build is being written.
  const embedded = modules.map(([name, kind, path], index) => {
    const copy = `module-${index}`
    writeFileSync(join(options.out, copy), readFileSync(path))
    return `(name = ${text(name)}, ${kind} = embed ${text(copy)})`
  })

  writeFileSync(join(options.out, "config.capnp"), `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = ${list(services)},
  sockets = [
    (name = "http", address = "127.0.0.1:${Number(options.port)}", http = (), service = "relay"),
  ],
);

const relay :Workerd.Worker = (
  modules = ${list(embedded)},
  compatibilityDate = ${text(wrangler.compatibility_date)},
  compatibilityFlags = ${list((wrangler.compatibility_flags ?? []).map(text))},
  bindings = ${list(bindings)},
  durableObjectNamespaces = ${list(objects.map((object) =>
    // The key names the objects' files under --state: it must never change.
    `(className = ${text(object.class_name)}, uniqueKey = ${text(`${wrangler.name}-${object.class_name}`)}, enableSql = true)`))},
  durableObjectStorage = (localDisk = "state"),
);

${workers.join("\n")}`)

  // Node's own words would be "Cannot find module"; setup.sh installs it.
  console.log(createRequire(import.meta.url)("workerd").default)
} catch (error) {
  fail(error.message)
}
