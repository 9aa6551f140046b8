/** Types are tests: this file is only ever compiled. */

import { type } from "arktype"
import * as v from "valibot"
import WebSocket from "ws"
import { z } from "zod"
import { fileStore } from "../dist/node.js"
import { useAgentSocket } from "../dist/react.js"
import { type Link, type Session, type Tool, connect, defaultAgentsMd, endSession, exponentialBackoff, giveUp, tool } from "../dist/index.js"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => {}

const base = { appId: "a", agentsMd: defaultAgentsMd({ name: "A" }) }

defaultAgentsMd({ appName: "A", appDescription: "B", agentsMdUrl: "/agents.md" })
// @ts-expect-error a name is missing
defaultAgentsMd({ description: "B" })
// @ts-expect-error no such option
defaultAgentsMd({ name: "A", marker: true })

const session: Session = await connect({ ...base, WebSocket, baseUrl: "https://relay.example", tools: [] })
await connect({ ...base, tools: [], autoReconnect: giveUp({ attempts: 3, policy: exponentialBackoff({ baseMs: 1 }) }) })
await connect({ ...base, tools: [], autoReconnect: false, WebSocket: globalThis.WebSocket, resume: session.saved })

// A handler's input has the type of its schema, in `tool` and right in the list.
tool({ path: "/z", description: "", input: z.object({ x: z.number(), s: z.string().default("") }), handler: ({ input, json }) => {
  same<typeof input, { x: number; s: string }>(true)
  same<ReturnType<typeof json>, { x: number; s: string }>(true)
} })
tool({ path: "/v", description: "", input: v.object({ x: v.optional(v.number(), 0) }), handler: ({ input }) => same<typeof input, { x: number }>(true) })
tool({ path: "/a", description: "", input: type({ x: "number" }), handler: ({ input }) => same<typeof input, { x: number }>(true) })
tool({
  path: "/j", description: "",
  input: { type: "object", properties: { x: { type: "integer" }, c: { enum: ["a", "b"] }, l: { type: "array", items: { type: ["string", "null"] } } }, required: ["x"] },
  handler: ({ input }) => same<typeof input, { x: number; c?: "a" | "b" | undefined; l?: (string | null)[] | undefined }>(true),
})
tool({ path: "/n", description: "", handler: ({ input, json, agent, signal, bytes, query }) => {
  same<typeof input, unknown>(true)
  same<ReturnType<typeof json>, any>(true)
  same<typeof agent, { readonly id: string; readonly label: string } | undefined>(true)
  same<[typeof signal, ReturnType<typeof bytes>, typeof query], [AbortSignal, Uint8Array<ArrayBufferLike>, string]>(true)
} })
await connect({ ...base, tools: [
  { path: "/z", description: "", input: z.object({ x: z.number() }), handler: ({ input }) => input.x.toFixed() },
  { path: "/n", description: "", handler: ({ body, json }) => ({ body: body + json().anything }) },
  tool({ path: "/v", description: "", input: v.object({ y: v.string() }), handler: ({ input }) => input.y.trim() }),
] })
// Each handler has its own input, whatever the tools beside it have.
await connect({ ...base, tools: [
  { path: "/z", description: "", input: z.object({ x: z.number() }), handler: ({ input }) => same<typeof input, { x: number }>(true) },
  { path: "/n", description: "", handler: ({ input }) => same<typeof input, unknown>(true) },
  { path: "/j", description: "", input: { type: "object", properties: { a: { type: "string" } }, required: ["a"] }, handler: ({ input }) => same<typeof input, { a: string }>(true) },
  { method: "GET", path: "/n", description: "", handler: () => 1 },
  { method: "PUT", path: "/n", description: "", handler() { return 1 } },
  { path: "/s", description: "", input: z.string(), async handler({ input }) { same<typeof input, string>(true) } },
] })
same<ReturnType<typeof useAgentSocket>["session"], Session | null>(true)
useAgentSocket({ ...base, enabled: false, resume: fileStore("x"), tools: [
  { path: "/z", description: "", input: z.object({ x: z.number() }), handler: ({ input }) => same<typeof input, { x: number }>(true) },
  { path: "/n", description: "", handler: ({ input }) => same<typeof input, unknown>(true) },
] })
const list: Tool[] = [tool({ path: "/z", description: "", input: z.string(), handler: ({ input }) => input.trim() })]
await session.updateTools(list, { agentsMd: "" })
await connect({ ...base, tools: list })

const link: Link = await session.mintAgentToken({ label: "x", expiresInMs: 1, tools: ["/a"], maxCalls: 1 })
await session.revokeAgentToken(link)
session.on("call", ({ path, status }) => path.length + status)()
same<Awaited<ReturnType<typeof endSession>>, boolean>(true)

// @ts-expect-error appId is missing
await connect({ agentsMd: "", tools: [] })
// @ts-expect-error tools are missing
await connect(base)
// @ts-expect-error no such option
await connect({ ...base, tools: [], retries: 3 })
// @ts-expect-error a tool needs a handler
await connect({ ...base, tools: [{ path: "/x", description: "" }] })
// @ts-expect-error no such field
tool({ path: "/x", description: "", handler() {}, inputSchema: {} })
useAgentSocket({ ...base, tools: list })
// @ts-expect-error the hook has a signal of its own
useAgentSocket({ ...base, tools: [], signal: new AbortController().signal })
// @ts-expect-error an input is a schema
tool({ path: "/x", description: "", input: "x", handler: () => 1 })
// @ts-expect-error the input is a number
tool({ path: "/x", description: "", input: z.number(), handler: ({ input }) => input.trim() })
// @ts-expect-error a session's id can't be set
session.sessionId = "x"
// @ts-expect-error no such event
session.on("nope", () => {})
// @ts-expect-error a link's label is a string
await session.mintAgentToken({ label: 7 })
// @ts-expect-error a secret is missing
await endSession({ sessionId: "x" })
