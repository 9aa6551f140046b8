/**
 * Writes sdk/API.md from the types in sdk/dist: each exported declaration with its comment.
 *
 *   node sdk/api-docs.mjs [--check]
 *
 * With --check it fails when API.md is not in step.
 */

import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const SDK = dirname(fileURLToPath(import.meta.url))
const read = (name) => readFileSync(join(SDK, "dist", `${name}.d.ts`), "utf8")

/** The modules and names that an entry exports; null for all of a module's. */
function exportsOf(entry) {
  return [...read(entry).matchAll(/export (?:type )?(?:\{([^}]*)\}|\*) from "\.\/([\w-]+)\.js"/g)]
    .map(([, names, module]) => ({ module, names: names?.split(",").map((name) => name.trim().replace(/^type /, "")) ?? null }))
}

/** The exported declarations of a module: name, comment, source. */
function declarations(module) {
  const pattern = /(?:\/\*\*((?:[^*]|\*(?!\/))*)\*\/\n)?export (?:declare )?(?:abstract )?(?:interface|type|function|class|const) (\w+)[\s\S]*?(?=\n(?:\/\*\*|export|type |declare|interface|\{\};|$(?![\s\S])))/g
  return [...read(module).matchAll(pattern)].map(([source, comment = "", name]) => ({
    name,
    comment: plain(comment),
    source: source.replace(/^\/\*\*[\s\S]*?\*\/\n/, "").replace(/^export (declare )?/, "").trim(),
  }))
}

/** A comment as Markdown. */
function plain(comment) {
  return comment.split("\n").map((line) => line.replace(/^\s*\* ?/, "")).join("\n").trim()
    .replace(/\{@link ([\w.]+)\}/g, "`$1`").replace(/^@param (\S+) /gm, "- `$1`: ").replace(/^@typeParam (\S+) /gm, "- `$1`: ")
    .replace(/^@returns /gm, "Returns: ").replace(/^@throws /gm, "Throws: ").replace(/^@example /gm, "Example: ")
}

function section(title, entry) {
  const parts = exportsOf(entry).flatMap(({ module, names }) => declarations(module).filter(({ name }) => !names || names.includes(name)))
  const missing = exportsOf(entry).flatMap(({ names }) => names ?? []).filter((name) => !parts.some((part) => part.name === name))
  if (missing.length) throw new Error(`no declaration found for ${missing.join(", ")}`)
  const undocumented = parts.filter(({ comment }) => !comment).map(({ name }) => name)
  if (undocumented.length) throw new Error(`no comment on ${undocumented.join(", ")}`)
  const text = parts.sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, comment, source }) => `### ${name}\n\n${comment}\n\n\`\`\`ts\n${source}\n\`\`\``)
  return `## ${title}\n\n${text.join("\n\n")}`
}

const ENTRIES = { index: "@agent-socket/sdk", page: "@agent-socket/sdk/page", react: "@agent-socket/sdk/react", node: "@agent-socket/sdk/node" }
const sections = Object.entries(ENTRIES).map(([entry, title]) => section(title, entry))
const text = `# API\n\nMade from the types by \`node sdk/api-docs.mjs\`.\n\n${sections.join("\n\n")}\n`
const file = join(SDK, "API.md")
if (!process.argv.includes("--check")) writeFileSync(file, text)
else if (readFileSync(file, "utf8") !== text) {
  console.error("error: sdk/API.md is not in step with the types; run node sdk/api-docs.mjs")
  process.exit(1)
}
