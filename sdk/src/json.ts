import { InputError } from "./schema.js"

/** A member that code which copies it would take for the prototype of the copy. */
const PROTO = "__proto__"

/**
 * Parses a text that came from outside.
 *
 * @throws InputError for what is no JSON, and for a member `__proto__`.
 */
export function parseJson(text: string): unknown {
  const refuse = (key: string, value: unknown): unknown => {
    if (key === PROTO) throw new InputError("invalid_input", `A field can't be named ${PROTO}.`)
    return value
  }
  try {
    // The name can only be there where it, or an escape, is in the text.
    return JSON.parse(text, text.includes(PROTO) || text.includes("\\u") ? refuse : undefined)
  } catch (error) {
    if (error instanceof InputError) throw error
    throw new InputError("invalid_json", `The body ${text ? "is not valid JSON" : "is empty"}; this tool takes JSON.`)
  }
}
