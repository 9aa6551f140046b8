/**
 * The app side of agent-socket: offers an app's tools to any AI chat, by one link.
 *
 * @packageDocumentation
 */

export { connect } from "./connect.js"
export { endSession, type EndOptions } from "./end.js"
export { defaultAgentsMd, type AgentsMdDetails, type AgentsMdOptions, type OlderAgentsMdOptions } from "./agents-md.js"
export { exponentialBackoff, giveUp, type BackoffOptions, type GiveUpOptions, type ReconnectPolicy } from "./backoff.js"
export { AgentSocketError, ToolError, type ErrorCode, type ToolErrorOptions } from "./errors.js"
export { tool } from "./types.js"
export type { Session } from "./session.js"
export type { InputOf, InputSchema, StandardSchema } from "./schema.js"
export type { FromJsonSchema, Issue, JsonSchema } from "./json-schema.js"
export type * from "./types.js"
