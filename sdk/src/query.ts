/** The query of a call as input. */

import { type JsonSchema, checkJson, resolve } from "./json-schema.js"

type Json = { [key: string]: unknown }

/**
 * An object from a query: each name is a member. A value is text where the schema admits text, else the JSON that it is;
 * a name that comes several times is an array.
 *
 * @param root JSON Schema of the input, as far as it is known.
 */
export function parseQuery(query: string, root: JsonSchema | undefined): unknown {
  const params = new URLSearchParams(query)
  const properties = within(root, root).properties as Json | undefined
  return Object.fromEntries([...new Set(params.keys())].map((name) => {
    const own = properties && Object.hasOwn(properties, name) ? properties[name] : undefined
    return [name, readValues(params.getAll(name), own, root)]
  }))
}

/** A schema past its `$ref`. */
function within(schema: unknown, root: unknown): Json {
  for (let hops = 0; hops < 9 && (schema as Json | undefined)?.$ref; hops++) schema = resolve(root, (schema as Json).$ref)
  return (schema ?? {}) as Json
}

/** The first reading of the texts that fits the schema. If none does: the one of which the checks will say most. */
function readValues(texts: string[], schema: unknown, root: unknown): unknown {
  const [first = ""] = texts
  const { items, type } = within(schema, root)
  const list = () => texts.map((text) => readValues([text], items, root))
  if (texts.length > 1) return list()
  const fits = (value: unknown) => {
    try {
      return !checkJson(root, value, schema ?? true).length
    } catch {
      return false
    }
  }
  let json: unknown = first
  try {
    json = JSON.parse(first)
  } catch { /* mere text */ }
  const types = [type].flat()
  const best = types.includes("string") ? first : types.includes("array") && !Array.isArray(json) ? list() : json
  return [first, json, ...(items ? [list()] : [])].find(fits) ?? best
}
