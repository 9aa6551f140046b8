// Says what is wrong with wrangler.toml before anything is uploaded: each line
// on stderr names the file, the entry, what was expected and what is there.
// Exit code 1 if anything is. It warns of an apps.json that admits everybody.
//
//   node scripts/check-config.mjs [FILE]
//
// The Worker checks its vars too; facts.mjs has the same ranges from the same table.

import { existsSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DEBUG_VAR, MILLIS_VARS, SECRET, TOKEN_PREFIX, VARS } from "./facts.mjs"
import { parseHeaders } from "./headers-file.mjs"
import { ROOT, readWrangler } from "./wrangler-toml.mjs"

const FIRST_DATE = "2026-04-07"

/** What is wrong with a configuration, as lines; `folder` is where it lies. */
export function problemsOf(wrangler, folder, today = new Date().toISOString().slice(0, 10)) {
  const problems = []
  const bad = (entry, expected, found) =>
    problems.push(`${entry}: ${expected}${found === undefined ? "" : `; it is ${JSON.stringify(found)}`}`)

  if (!/^[a-z0-9](-?[a-z0-9])*$/.test(wrangler.name ?? "") || wrangler.name.length > 63) {
    bad("name", "must be 1 to 63 characters of a-z, 0-9 and single dashes", wrangler.name ?? "")
  }
  if (wrangler.main !== "build/index.js") bad("main", "must be 'build/index.js', which scripts/build.sh makes", wrangler.main ?? "")

  // TOML has dates of its own, which wrangler doesn't take.
  const date = wrangler.compatibility_date
  if (typeof date !== "string" || !/^\d{4}-\d\d-\d\d$/.test(date)) bad("compatibility_date", "must be a date in quotes, like \"2026-11-01\"", String(date))
  else if (date < FIRST_DATE) bad("compatibility_date", `must be ${FIRST_DATE} or later: the relay was not tested with older ones`, date)
  else if (date > today) bad("compatibility_date", `must be no later than today, ${today}`, date)
  if (!wrangler.compatibility_flags?.includes("enable_request_signal")) {
    bad("compatibility_flags", "must contain \"enable_request_signal\": without it a call goes on after its agent is gone", wrangler.compatibility_flags ?? [])
  }

  const object = (wrangler.durable_objects?.bindings ?? []).find((binding) => binding.name === "RELAY")
  if (object?.class_name !== "RelaySession") bad("durable_objects.bindings", "one binding must have the name RELAY and the class_name RelaySession")
  const migrations = wrangler.migrations ?? []
  if (!migrations.some((migration) => migration.new_sqlite_classes?.includes("RelaySession"))) {
    bad("migrations", "one of them must name RelaySession in new_sqlite_classes")
  }
  if (migrations.some((migration) => migration.new_classes?.includes("RelaySession"))) {
    bad("migrations", "RelaySession belongs in new_sqlite_classes, not in new_classes: its storage is SQLite")
  }

  for (const limit of wrangler.ratelimits ?? []) {
    const entry = `ratelimits.${limit.name}`
    if (!/^\d+$/.test(limit.namespace_id ?? "")) bad(`${entry}.namespace_id`, "must be a positive whole number in quotes", limit.namespace_id ?? "")
    if (!(Number.isInteger(limit.simple?.limit) && limit.simple.limit > 0)) bad(`${entry}.simple.limit`, "must be a positive whole number", limit.simple?.limit ?? "")
    if (![10, 60].includes(limit.simple?.period)) bad(`${entry}.simple.period`, "must be 10 or 60 (seconds): Cloudflare has no others", limit.simple?.period ?? "")
  }
  if (!(wrangler.ratelimits ?? []).some((limit) => limit.name === "UPGRADES")) {
    bad("ratelimits", "one must have the name UPGRADES: without it one address can open sessions without limit")
  }

  if (wrangler.assets?.binding !== "ASSETS") bad("assets.binding", "must be \"ASSETS\"", wrangler.assets?.binding ?? "")
  const pages = resolve(folder, wrangler.assets?.directory ?? "public")
  for (const page of ["index.html", "privacy.html"]) {
    if (!existsSync(join(pages, page))) bad("assets.directory", `the folder must contain ${page}`, wrangler.assets?.directory ?? "")
  }
  if (wrangler.assets?.not_found_handling !== undefined && wrangler.assets.not_found_handling !== "none") {
    bad("assets.not_found_handling", "must be \"none\": otherwise unknown paths never reach the Worker", wrangler.assets.not_found_handling)
  }
  if (existsSync(join(pages, "_headers"))) {
    try {
      parseHeaders(readFileSync(join(pages, "_headers"), "utf8"))
    } catch (error) {
      problems.push(`assets: ${error.message}`)
    }
  }

  if ((wrangler.routes ?? wrangler.route) !== undefined && wrangler.vars?.PUBLIC_URL === undefined) {
    bad("vars.PUBLIC_URL", "must be the address of the domain in routes, such as \"https://relay.example.com\": without it the Worker takes requests under *.workers.dev only")
  }
  problems.push(...varProblems(wrangler.vars ?? {}))
  return problems
}

/** Whether a text is an origin that can be set as PUBLIC_URL; crates/front/src/addresses.rs reads it so. */
function isPublicUrl(text) {
  return /^https?:\/\/[a-z0-9._:[\]-]+\/?$/.test(text)
}

/**
 * What an apps.json admits that its owner may not mean to, as lines; whether the
 * file is valid, the build says.
 */
export function warningsOf(apps) {
  const open = Object.entries(apps).filter(([, app]) => app?.allowedOrigins?.includes("*") && app.keySha256 === undefined).map(([id]) => id)
  if (open.length === 0) return []
  return [`apps.json: anybody may register as ${open.join(", ")}, so everybody can use this relay for apps of their own. To keep it to yours, list your origins instead of "*", set keySha256, or remove the entry`]
}

function varProblems(vars) {
  const problems = []
  const bad = (name, expected) => problems.push(`vars.${name}: ${expected}; it is ${JSON.stringify(vars[name])}`)
  for (const [name, value] of Object.entries(vars)) {
    if (name === DEBUG_VAR) bad(name, "must not be set in a deploy, where it lets anybody inspect and end sessions. `scripts/dev.sh --debug` sets it on this machine")
    else if (name === SECRET) problems.push(`vars.${name}: must not be here, where everybody can read it; scripts/deploy.sh makes it as a secret of the Worker`)
    else if (!VARS.includes(name)) problems.push(`vars.${name}: the relay has no such var; it has ${VARS.join(", ")}`)
    else if (typeof value !== "string") bad(name, "must be a string: put it in quotes")
  }
  if (typeof vars.TOKEN_PREFIX === "string" && !TOKEN_PREFIX.pattern.test(vars.TOKEN_PREFIX)) {
    bad("TOKEN_PREFIX", `must be ${TOKEN_PREFIX.expected}`)
  }
  if (typeof vars.PUBLIC_URL === "string" && !isPublicUrl(vars.PUBLIC_URL)) {
    bad("PUBLIC_URL", "must be an origin such as https://relay.example.com, in lower case and without a path")
  }
  const longest = Number(vars.MAX_TOOL_MS ?? MILLIS_VARS.MAX_TOOL_MS.default)
  for (const [name, { min, max }] of Object.entries(MILLIS_VARS)) {
    const value = vars[name]
    if (typeof value !== "string") continue
    if (!/^\d{1,15}$/.test(value) || Number(value) < min || Number(value) > max) bad(name, `must be a whole number of ms from ${min} to ${max}`)
    else if (name === "MAX_SYNC_TOOL_MS" && Number(value) > longest) bad(name, `must be no more than MAX_TOOL_MS (${longest})`)
  }
  return problems
}

/** The apps in a file; none if it can't be read. */
function readApps(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")) ?? {}
  } catch {
    return {}
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const file = process.argv[2] ?? join(ROOT, "wrangler.toml")
  let problems
  try {
    problems = problemsOf(readWrangler(file), dirname(resolve(file)))
  } catch (error) {
    console.error(`error: ${error.message}`)
    process.exit(1)
  }
  for (const problem of problems) console.error(`error: wrangler.toml: ${problem}`)
  for (const warning of warningsOf(readApps(join(dirname(resolve(file)), "apps.json")))) console.error(`warning: ${warning}`)
  process.exit(problems.length > 0 ? 1 : 0)
}
