// Reads wrangler.toml, and the vars that a run on this machine has.

import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parse } from "smol-toml"
import { SECRET } from "./facts.mjs"

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..")

/** wrangler.toml as an object. Throws with the line of a mistake in its syntax. */
export function readWrangler(file = join(ROOT, "wrangler.toml")) {
  const source = readFileSync(file, "utf8")
  try {
    return parse(source)
  } catch (error) {
    throw new Error(`wrangler.toml: ${error.message}`)
  }
}

/**
 * The vars of wrangler.toml with NAME=VALUE arguments over them.
 * A name must be one that wrangler.toml has, the secret's, or DEBUG, so that a mistyped one
 * is not silently without effect.
 */
export function varsOf(wrangler, overrides, debug) {
  const vars = { ...wrangler.vars }
  const known = [...Object.keys(vars), SECRET, "DEBUG"]
  if (debug) vars.DEBUG = "1"
  for (const override of overrides) {
    const [, name, value] = /^([^=]*)=([^]*)$/.exec(override) ?? []
    if (name === undefined) throw new Error(`'${override}' is no NAME=VALUE`)
    if (!known.includes(name)) throw new Error(`there is no var '${name}'; those of wrangler.toml, ${SECRET} and DEBUG can be set: ${known.join(", ")}`)
    vars[name] = value
  }
  return vars
}
