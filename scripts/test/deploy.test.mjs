/**
 * deploy.sh from an empty machine to an upload, with every tool replaced by one that notes its environment: Cloudflare's
 * credentials reach wrangler, and nothing else.
 */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, test } from "node:test"
import { ROOT } from "../wrangler-toml.mjs"

const TOKEN = "t0ken-that-nobody-may-see"
const ACCOUNT = "0123456789abcdef0123456789abcdef"

/**
 * Stands in for every tool: appends `{ tool, args, env }` to $RECORD, then does the least that the scripts need. `$0` is
 * the name that it was called by.
 */
const FAKE = `#!/bin/bash
tool=\${0##*/}
"${process.execPath}" -e 'require("fs").appendFileSync(process.argv[1], JSON.stringify({ tool: process.argv[2], args: process.argv.slice(3), env: process.env }) + "\\n")' "$RECORD" "$tool" "$@"
fake() { mkdir -p "$1"; cp "$FAKES/fake" "$1/$2"; }
case "$tool $*" in
  "rustc --print target-libdir"*) echo "$FAKES/target" ;;
  "rustc "*) echo "rustc 1.95.0" ;;
  "npm ci"*) for name in wrangler node esbuild wasm-opt; do fake node_modules/.bin $name; done ;;
  "cargo install "*)
    bin=worker-build
    while [ $# -gt 0 ]; do
      case $1 in
        --root) root=$2 ;;
        --version) version=\${2#=} ;;
        --path) bin=\${2##*/}; version=$(sed -n 's/^version = "\\(.*\\)"/\\1/p' "$2/Cargo.toml") ;;
      esac
      shift
    done
    fake "$root/bin" "$bin"; echo "$version" >"$root/bin/$bin.version" ;;
  "worker-build --version" | "wasm-bindgen --version") echo "$tool $(cat "$0.version")" ;;
  "worker-build "*) mkdir -p build; echo code >build/index.js; echo wasm >build/index_bg.wasm ;;
  "node scripts/smoke.mjs"*) echo "smoke was here" ;;
  "node "*) exec "${process.execPath}" "$@" ;;
  "wrangler deploy "*"--message"*) echo '{"type":"deploy","targets":["https://relay.example.com"]}' >"$WRANGLER_OUTPUT_FILE_PATH" ;;
  "wrangler secret list "*) cat "$FAKES/secrets" 2>/dev/null || echo '[]' ;;
  "wrangler secret put RELAY_SECRET "*) cat >"$FAKES/put" ;;
  "git "*) echo abcdef0 ;;
  python3*) exit 1 ;;
esac
`

let folder, fakes
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "agent-socket-test-"))
  fakes = join(folder, "fakes")
  await mkdir(join(fakes, "target"), { recursive: true })
  await writeFile(join(fakes, "target", "libstd-0.rlib"), "")
  await writeFile(join(fakes, "fake"), FAKE, { mode: 0o755 })
  for (const name of ["cargo", "rustc", "rustup", "npm", "git", "python3", "apt-get", "node", "shellcheck", "chromium", "valgrind", "cc", "pkg-config"]) {
    await cp(join(fakes, "fake"), join(fakes, name))
  }
  const project = join(folder, "project")
  for (const path of ["scripts", "public", "src", "crates", "sdk/build.mjs", "tests/doors/requirements.txt", "apps.json", "build.rs", "wrangler.toml", "Cargo.toml", "Cargo.lock", "package.json", "package-lock.json"]) {
    await cp(join(ROOT, path), join(project, path), { recursive: true })
  }
  // What is tested is who gets what, not what the SDK is made of.
  await writeFile(join(project, "sdk/build.mjs"), "")
  // Node finds its packages beside the fakes of its programs.
  await mkdir(join(project, "node_modules"))
  await symlink(join(ROOT, "node_modules/smol-toml"), join(project, "node_modules/smol-toml"))
})
afterEach(() => rm(folder, { recursive: true }))

/** Runs deploy.sh on the empty machine; resolves to its exit code, output, and what each tool noted. */
async function run(args, env) {
  const record = join(folder, "record")
  await writeFile(record, "")
  const child = spawn(join(folder, "project/scripts/deploy.sh"), args, {
    env: { PATH: `${fakes}:/usr/bin:/bin`, HOME: folder, RECORD: record, FAKES: fakes, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  })
  let out = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { out += text })
  const [code] = await once(child, "close")
  const noted = (await readFile(record, "utf8")).split("\n").filter(Boolean).map((line) => JSON.parse(line))
  return { code, out, noted }
}

const secretsIn = (value) => [TOKEN, ACCOUNT].filter((secret) => JSON.stringify(value).includes(secret))
const isSecret = ({ tool, args }) => tool === "wrangler" && args[0] === "secret"
const isUpload = ({ tool, args }) => tool === "wrangler" && args[0] === "deploy" && !args.includes("--dry-run")

/** Every program that installs, checks or builds ran, without the credentials, and all of them before the upload. */
function judge({ code, out, noted }) {
  assert.equal(code, 0, out)
  const ran = new Set(noted.map(({ tool, args }) => `${tool} ${args[0]}`))
  for (const step of ["npm ci", "cargo install", "worker-build --release", "node scripts/check-config.mjs", "wrangler deploy", "node scripts/smoke.mjs"]) {
    assert.ok(ran.has(step), `${step} is missing in ${[...ran].join(", ")}\n${out}`)
  }
  const uploads = noted.filter(isUpload)
  assert.equal(uploads.length, 1)
  for (const one of noted) {
    const found = secretsIn(isUpload(one) || isSecret(one) ? one.args : one)
    assert.deepEqual(found, [], `${one.tool} ${one.args.join(" ")}`)
  }
  assert.equal(uploads[0].env.CLOUDFLARE_API_TOKEN, TOKEN)
  assert.equal(uploads[0].env.CLOUDFLARE_ACCOUNT_ID, ACCOUNT)
  const after = noted.slice(noted.indexOf(uploads[0]) + 1).filter((one) => !(one.tool === "node" && (one.args[0] === "scripts/smoke.mjs" || one.args[0].startsWith("--input-type") || one.args[0] === "--eval")) && !isSecret(one))
  assert.deepEqual(after.map(({ tool, args }) => `${tool} ${args[0]}`), [], "tools and checks come before the upload")
  assert.doesNotMatch(out, new RegExp(`${TOKEN}|${ACCOUNT}`))
  return uploads[0]
}

test("credentials of the environment reach wrangler alone", async () => {
  judge(await run(["deploy"], { CLOUDFLARE_API_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: ACCOUNT }))
})

test("the relay's secret is made once, and goes to wrangler by a pipe alone", async () => {
  const credentials = { CLOUDFLARE_API_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: ACCOUNT }
  const first = await run(["deploy"], credentials)
  judge(first)
  const secret = await readFile(join(fakes, "put"), "utf8")
  assert.match(secret, /^[A-Za-z0-9_-]{43}$/)
  assert.ok(!first.out.includes(secret))
  assert.ok(!JSON.stringify(first.noted).includes(secret), "in no argument and no environment")
  assert.deepEqual(first.noted.filter(isSecret).map(({ args }) => args[1]), ["list", "put"])
  await writeFile(join(fakes, "secrets"), JSON.stringify([{ name: "RELAY_SECRET", type: "secret_text" }]))
  const again = await run(["deploy"], credentials)
  assert.equal(again.code, 0, again.out)
  assert.deepEqual(again.noted.filter(isSecret).map(({ args }) => args[1]), ["list"])
  assert.equal(await readFile(join(fakes, "put"), "utf8"), secret)
})

test("credentials of .env reach wrangler alone, and what it uploads has no build command", async () => {
  const file = join(folder, "credentials")
  await writeFile(file, `CLOUDFLARE_API_TOKEN=${TOKEN}\nCLOUDFLARE_ACCOUNT_ID=${ACCOUNT}\n`)
  await chmod(file, 0o600)
  const { args } = judge(await run(["deploy", "--env", file], {}))
  const config = JSON.parse(await readFile(args[args.indexOf("--config") + 1], "utf8"))
  assert.equal(config.build, undefined)
  assert.equal(config.main, "index.js")
  assert.equal(config.assets.directory, "../public")
  assert.equal(config.durable_objects.bindings[0].name, "RELAY")
})

test("other names for credentials reach nobody", async () => {
  const { code, noted } = await run(["check"], { CLOUDFLARE_API_TOKEN: TOKEN, CLOUDFLARE_API_KEY: TOKEN, CLOUDFLARE_EMAIL: TOKEN, CF_API_TOKEN: TOKEN, CF_API_KEY: TOKEN })
  assert.equal(code, 0)
  assert.ok(noted.length > 10)
  assert.deepEqual(noted.filter((one) => secretsIn(one).length > 0), [])
})

test("a check that fails ends it before wrangler has the credentials", async () => {
  const file = join(folder, "project/wrangler.toml")
  await writeFile(file, (await readFile(file, "utf8")).replace('TOKEN_PREFIX = "as"', 'TOKEN_PREFIX = "NO"'))
  const { code, out, noted } = await run(["deploy"], { CLOUDFLARE_API_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: ACCOUNT })
  assert.equal(code, 1)
  assert.match(out, /vars\.TOKEN_PREFIX/)
  assert.deepEqual(noted.filter((one) => one.tool === "wrangler"), [])
})

test("tail, status and rollback give wrangler the credentials, too", async () => {
  for (const [command, step] of [["tail", "tail"], ["status", "deployments"], ["rollback", "rollback"]]) {
    const { noted } = await run([command], { CLOUDFLARE_API_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: ACCOUNT, DEPLOY_URL: "https://relay.example.com" })
    const [call] = noted.filter(({ tool }) => tool === "wrangler")
    assert.equal(call.args[0], step)
    assert.equal(call.env.CLOUDFLARE_API_TOKEN, TOKEN)
    assert.deepEqual(noted.filter((one) => one !== call && secretsIn(one).length > 0), [], command)
  }
})
