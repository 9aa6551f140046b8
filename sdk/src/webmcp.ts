/**
 * WebMCP: a page's tools for the browser's own agent. The proposal still moves, so both of its homes
 * (`document.modelContext`, `navigator.modelContext`) and both of its calls (`registerTool`, `provideContext`) are taken.
 */

import type { JsonSchema } from "./json-schema.js"
import type { Session } from "./session.js"
import { methodOf, wireTools } from "./tools.js"
import type { Tool } from "./types.js"

/** A tool as WebMCP has it. */
export interface WebMCPTool {
  /** Its name, of `A-Z a-z 0-9 _ -`. */
  name: string
  /** What it does. */
  description: string
  /** JSON Schema of the input. */
  inputSchema?: JsonSchema
  /** Does the work. */
  execute(input: any, ...rest: any[]): unknown
}

interface ModelContext {
  registerTool?(tool: WebMCPTool, options?: { signal?: AbortSignal }): unknown
  unregisterTool?(name: string): void
  provideContext?(context: { tools: WebMCPTool[] }): void
}

const modelContext = (): ModelContext | undefined =>
  (globalThis.document as { modelContext?: ModelContext } | undefined)?.modelContext ??
  (globalThis.navigator as { modelContext?: ModelContext } | undefined)?.modelContext

/** Longest name. */
const MAX_NAME = 64

/**
 * A name for each tool, by the rule of the relay's MCP door: the path, `set_pixel` for `/set_pixel`. Where several come to
 * the same, POST keeps it and the others add their method: `items`, `items_get`; what is still taken is numbered.
 */
function namesOf(tools: readonly Tool[]): string[] {
  const plain = tools.map(({ path }) => path.slice(1).replace(/:/g, "").replace(/[^\w-]/g, "_").replace(/^(?=[\d-])/, "_").slice(0, MAX_NAME))
  const key = (i: number) => `${methodOf(tools[i] as Tool) === "POST" ? 0 : 1} ${tools[i]?.path} ${methodOf(tools[i] as Tool)}`
  const names: string[] = []
  const taken = new Set<string>()
  for (const i of [...tools.keys()].sort((a, b) => (key(a) < key(b) ? -1 : 1))) {
    const own = plain[i] as string
    let name = own
    for (let n = 1; n === 1 ? taken.has(name) : taken.has(name) || plain.includes(name); n++) {
      const suffix = `_${methodOf(tools[i] as Tool).toLowerCase().replace(/[^\w-]/g, "_")}${n > 1 ? `_${n}` : ""}`.slice(-MAX_NAME / 2)
      name = own.slice(0, MAX_NAME - suffix.length) + suffix
    }
    taken.add(name)
    names[i] = name
  }
  return names
}

/** A schema with the parameters of a path among its properties. */
function withParams(schema: JsonSchema, path: string): JsonSchema {
  const names = [...path.matchAll(/\/:(\w+)/g)].map(([, name]) => name as string)
  if (!names.length) return schema
  const { properties = {}, required = [] } = schema as { properties?: object; required?: string[] }
  return { ...schema, properties: { ...Object.fromEntries(names.map((name) => [name, { type: "string" }])), ...properties }, required: [...new Set([...names, ...required])] }
}

/** A session's tools as WebMCP has them. */
export function toWebMCP(session: Pick<Session, "tools" | "call">): WebMCPTool[] {
  const names = namesOf(session.tools)
  const schemas = wireTools(session.tools) as { input_schema?: JsonSchema }[]
  return session.tools.map((tool, i) => ({
    name: names[i] as string,
    description: tool.description,
    ...(tool.title !== undefined && { title: tool.title }),
    inputSchema: withParams(schemas[i]?.input_schema ?? { type: "object" }, tool.path),
    async execute(input) {
      const path = tool.path.replace(/\/:(\w+)/g, (_, name: string) => `/${encodeURIComponent(String((input as Record<string, unknown> | undefined)?.[name] ?? ""))}`)
      const { status, body } = await session.call(methodOf(tool), path, JSON.stringify(input ?? {}))
      const text = typeof body === "string" ? body : JSON.stringify(body ?? { status })
      return { content: [{ type: "text", text }], ...(status >= 400 && { isError: true }) }
    },
  }))
}

/**
 * Offers a session's tools to the browser's own agent too, where the browser has WebMCP, and keeps them up to date.
 * Elsewhere it does nothing.
 *
 * @returns takes the tools back.
 */
export function exposeWebMCP(session: Session): () => void {
  const context = modelContext()
  if (!context) return () => {}
  let withdraw = () => {}
  const offer = () => {
    withdraw()
    const tools = toWebMCP(session)
    const abort = new AbortController()
    if (context.registerTool) for (const tool of tools) void context.registerTool(tool, { signal: abort.signal })
    else context.provideContext?.({ tools })
    withdraw = () => {
      abort.abort() // newer browsers
      if (context.unregisterTool) for (const { name } of tools) context.unregisterTool(name)
      else if (!context.registerTool) context.provideContext?.({ tools: [] })
    }
  }
  offer()
  const offTools = session.on("tools", offer)
  const stop = () => { offTools(); offState(); withdraw() }
  const offState = session.on("state", (state) => { if (state === "closed") stop() })
  return stop
}

/** And back: tools written for WebMCP as tools of a session, each at `POST /<name>`. */
export function fromWebMCP(tools: readonly WebMCPTool[]): Tool[] {
  return tools.map(({ name, description, inputSchema, execute }) => ({
    path: `/${name}`,
    description,
    ...(inputSchema && { input: inputSchema, unchecked: true }),
    async handler({ input, body }) {
      const result = await execute(inputSchema ? input : body ? JSON.parse(body) : {})
      const { content, isError } = (result ?? {}) as { content?: { type: string; text?: string }[]; isError?: boolean }
      if (!Array.isArray(content)) return result ?? null
      const text = content.map((part) => part.text ?? "").join("\n")
      return { status: isError ? 400 : 200, body: text, headers: { "content-type": "text/plain; charset=utf-8" } }
    },
  }))
}
