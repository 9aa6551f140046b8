/**
 * For React: a session that lives as long as a component, through StrictMode, hot reload and page reloads.
 *
 * @packageDocumentation
 */

export { useAgentSocket, type AgentSocket, type AgentSocketOptions } from "./use-agent-socket.js"
