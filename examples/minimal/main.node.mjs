/**
 * The same app in Node: `RELAY=http://localhost:8787 node examples/minimal/main.node.mjs`
 * Node before 22 has no WebSocket of its own, so there that of the package `ws` is taken.
 */
import { connect } from "../../sdk/dist/index.js"
import { app } from "./shopping-list.js"

const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket
const session = await connect({ ...app((items) => console.log(items.join(", "))), baseUrl: process.env.RELAY ?? "http://localhost:8787", WebSocket })
console.log((await session.mintAgentToken({ label: "terminal" })).url)
process.once("SIGINT", async () => { await session.close(); process.exit() })
