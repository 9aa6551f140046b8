/** What the tests of the doors share: an app with tools of every sort, and programs that are run. */

import { spawn } from "node:child_process"
import { once } from "node:events"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..")
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

/**
 * An app at the relay: `{ link(scope), calls, end() }`. It answers each call with what it got, and keeps it in `calls`.
 *
 * @param more further members of its `register` frame.
 */
export async function startApp(relay, more) {
  const socket = new WebSocket(`${relay.replace("http", "ws")}/v1/_ws`)
  await once(socket, "open")
  const calls = []
  const waiting = new Map()
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(data)
    if (frame.type === "tool_call") {
      calls.push(frame)
      const { method, path, query, body } = frame
      socket.send(JSON.stringify({ type: "tool_reply", id: frame.id, status: 200, body: { method, path, query, body } }))
    } else {
      waiting.get(frame.id)?.(frame)
    }
  })
  const request = async (frame) => {
    const reply = await new Promise((resolve, reject) => {
      waiting.set(frame.id, resolve)
      socket.addEventListener("close", ({ code }) => reject(new Error(`the relay closed the socket ${code}`)))
      socket.send(JSON.stringify(frame))
    })
    if (!reply.ok) throw new Error(`${frame.type}: ${reply.error.message}`)
    return reply
  }
  // Its reply has no id.
  await request({ id: undefined, type: "register", appId: "as_app_anon", agentsMd: "For tests.", appDescription: "An app for tests", ...more })
  let minted = 0
  return {
    calls,
    /** The link of a new token, without `/agents.md`. */
    async link(tools) {
      const { url } = await request({ type: "mint_agent_token", id: `m${++minted}`, label: "tests", tools })
      return url.replace("__BASE__", relay).replace(/\/agents\.md$/, "")
    },
    end() { socket.close(1000) },
  }
}

/** Runs a program of requirements.txt; resolves to `{ code, output }`. */
export async function python(program, args, options = {}) {
  const env = { ...process.env, PATH: `${PYTHON}:${process.env.PATH}`, PYTHONDONTWRITEBYTECODE: "1", NO_COLOR: "1", COLUMNS: "200" }
  const child = spawn(join(PYTHON, program), args, { env, stdio: ["ignore", "pipe", "pipe"], ...options })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { output += text })
  const [code] = await once(child, "close")
  return { code, output }
}
