/**
 * What programs in Node, Deno and Bun need beside the client: a session that outlives a restart.
 *
 * @packageDocumentation
 */

export { fileStore } from "./file-store.js"
