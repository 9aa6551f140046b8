/**
 * What pages need beside the client: a button, a session that outlives a reload, and WebMCP.
 *
 * @packageDocumentation
 */

export { AgentSocketButton, connectButton, defineButton, type ButtonOptions, type SessionSource } from "./button.js"
export { qrCode } from "./qr.js"
export { tabStore } from "./tab-store.js"
export { exposeWebMCP, fromWebMCP, toWebMCP, type WebMCPTool } from "./webmcp.js"
