/** What the tests of the OpenAPI document share: tools of every sort, and programs that are run. */

import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { ROOT } from "../boot.mjs"

/** What scripts/setup.sh installed of requirements.txt. */
const PYTHON = join(ROOT, ".tools", "python", "bin")

/** Tools that say what they take, in the ways that schemas are written in the field. */
export const TOOLS = [
  {
    path: "/paint", description: "Paints a pixel.", allow_get: true,
    input_schema: {
      type: "object", required: ["x", "y", "color"], additionalProperties: false,
      properties: {
        x: { type: "integer", minimum: 0, maximum: 31, description: "Column" },
        y: { type: "integer", minimum: 0, maximum: 31 },
        color: { $ref: "#/$defs/color" },
        tags: { type: "array", items: { type: "string" }, maxItems: 3 },
      },
      $defs: { color: { type: "string", enum: ["red", "green"] } },
    },
  },
  { path: "/grid", method: "GET", description: "The picture.", read_only: true },
  {
    path: "/find", method: "GET", read_only: true, description: "Finds pixels.",
    input_schema: {
      $schema: "http://json-schema.org/draft-07/schema#", type: "object", required: ["q"],
      properties: {
        q: { type: "string", minLength: 1, description: "What to find" },
        limit: { anyOf: [{ type: "integer" }, { type: "null" }], default: null },
        exact: { type: "boolean" },
      },
    },
  },
  {
    path: "/tree/add", description: "Adds a tree.",
    input_schema: {
      $ref: "#/definitions/Node",
      definitions: {
        Node: {
          type: "object", required: ["name"],
          properties: { name: { type: "string" }, children: { type: "array", items: { $ref: "#/definitions/Node" }, maxItems: 2 } },
        },
      },
    },
  },
  { path: "/tree/add", method: "DELETE", description: "Removes all trees." },
  { path: "/say", description: "Anything goes." },
]

/** Tools of an app that writes schemas as nobody should; all of them are registered. */
export const ODD_TOOLS = [
  { path: "/a", input_schema: 7 },
  { path: "/b", input_schema: false },
  { path: "/c", input_schema: "text" },
  { path: "/d", input_schema: { type: "banana", properties: { a: 7, "b/~ c": { $ref: "#/nowhere" } }, required: "a" } },
  { path: "/e", input_schema: { type: "string", minLength: -1 } },
  { path: "/f", method: "GET", input_schema: { properties: { "": {}, "a b": { type: ["string", "null"] }, l: { items: [{ $ref: "#" }] } } } },
  { path: "/g", input_schema: { $id: "https://a.example/g", $anchor: "g", $ref: "#g", $defs: { "odd name": { $ref: "https://a.example/other" } } } },
  { path: "/h", input_schema: { discriminator: { mapping: { x: "#/$defs/X" } }, oneOf: [], allOf: [{ $ref: "#/oneOf/0" }], exclusiveMinimum: true } },
  { path: "/i", method: "PROPFIND" },
  { path: "/j/../k", method: "TRACE", input_schema: { type: "object" } },
  { path: "//", method: "OPTIONS", description: "😀".repeat(500) },
  { path: "/l", method: "HEAD", input_schema: { properties: { long: { type: "string", description: "ä".repeat(900) } } } },
]

/** The tools, each answering a call with what it got. */
export const echoing = (tools) => tools.map((tool) => ({
  ...tool,
  answer: ({ method, path, query, body }) => ({ status: 200, body: { method, path, query, body } }),
}))

/** Runs a program of requirements.txt; resolves to `{ code, output }`. */
export async function python(program, args, options = {}) {
  const env = { ...process.env, PATH: `${PYTHON}:${process.env.PATH}`, PYTHONDONTWRITEBYTECODE: "1", NO_COLOR: "1", COLUMNS: "200" }
  const child = spawn(join(PYTHON, program), args, { env, stdio: ["ignore", "pipe", "pipe"], ...options })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { output += text })
  const [code] = await once(child, "close")
  return { code, output }
}
