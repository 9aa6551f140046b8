/**
 * What checks plain JSON Schemas and reads queries: a file of its own, loaded by the first tool that needs it. Apps whose
 * schemas are a library's have no use for it.
 */

export { checkJson, findUnchecked } from "./json-schema.js"
export { parseQuery } from "./query.js"
