/**
 * JSON Schema, as much of it as tool inputs use: types, bounds, enums, patterns, objects, arrays,
 * combinations and local `$ref`s. Any other keyword is passed on to the agent and not checked.
 */

/** A JSON Schema, as an object. */
export type JsonSchema = { readonly [keyword: string]: unknown }

/** What is wrong with an input, and where. */
export interface Issue {
  /** Where: `pixels[3].x`; empty for the whole body. */
  path: string
  /** What is wrong with it, or what it must be. */
  message: string
}

type Json = { [key: string]: unknown }
type Check = (problem: string, at?: string) => void

/** What a schema's `type` calls the value. */
function typeOf(value: unknown): string {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  return Number.isInteger(value) ? "integer" : typeof value
}

const isObject = (value: unknown): value is Json => typeOf(value) === "object"
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
const array = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const text = (value: unknown): string => JSON.stringify(value)

/** Checks a value against a schema; an empty list means that it fits. */
export function checkJson(schema: unknown, value: unknown, path = "", root: unknown = schema): Issue[] {
  if (schema === false) return [{ path, message: "is not allowed" }]
  if (!isObject(schema)) return []
  const issues: Issue[] = []
  const fail: Check = (message, at = path) => void issues.push({ path: at, message })
  const check = (other: unknown) => checkJson(other, value, path, root)
  const fits = (other: unknown) => !check(other).length
  const { type, enum: values, anyOf, oneOf } = schema

  const actual = typeOf(value)
  const types = [type ?? actual].flat()
  if (!types.includes(actual) && !(actual === "integer" && types.includes("number"))) {
    return [{ path, message: `must be of type ${types.join(" or ")}, not ${actual}` }]
  }
  if (Array.isArray(values) && !values.some((entry) => same(entry, value))) fail(`must be one of ${values.map(text).join(", ")}`)
  if ("const" in schema && !same(schema.const, value)) fail(`must be ${text(schema.const)}`)
  if (typeof schema.$ref === "string") issues.push(...check(resolve(root, schema.$ref)))
  issues.push(...array(schema.allOf).flatMap(check))
  if (Array.isArray(anyOf) && !anyOf.some(fits)) fail("fits none of the allowed forms")
  if (Array.isArray(oneOf) && oneOf.filter(fits).length !== 1) fail("must fit exactly one of the allowed forms")

  if (typeof value === "number") checkNumber(schema, value, fail)
  if (typeof value === "string") checkString(schema, value, fail)
  if (Array.isArray(value)) issues.push(...checkArray(schema, value, path, root, fail))
  if (isObject(value)) issues.push(...checkObject(schema, value, path, root, fail))
  return issues
}

/** A `$ref` within the same schema: `#`, `#/$defs/name`. */
function resolve(root: unknown, ref: string): unknown {
  return ref.split("/").slice(1).reduce<unknown>((at, part) => (at as Json | undefined)?.[part], root)
}

const BOUNDS: [keyword: string, fits: (value: number, bound: number) => boolean, text: string][] = [
  ["minimum", (value, bound) => value >= bound, "at least"],
  ["maximum", (value, bound) => value <= bound, "at most"],
  ["exclusiveMinimum", (value, bound) => value > bound, "over"],
  ["exclusiveMaximum", (value, bound) => value < bound, "under"],
  // Divisions of decimals are off by a little.
  ["multipleOf", (value, bound) => Math.abs(value / bound - Math.round(value / bound)) < 1e-9, "a multiple of"],
]

function checkNumber(schema: Json, value: number, fail: Check): void {
  for (const [keyword, fits, words] of BOUNDS) {
    const bound = schema[keyword]
    if (typeof bound === "number" && !fits(value, bound)) fail(`must be ${words} ${bound}`)
  }
}

function checkSize(schema: Json, size: number, what: string, unit: string, fail: Check): void {
  if (size < (schema[`min${what}`] as number)) fail(`has ${size} ${unit}; at least ${schema[`min${what}`]} are needed`)
  if (size > (schema[`max${what}`] as number)) fail(`has ${size} ${unit}; at most ${schema[`max${what}`]} are allowed`)
}

function checkString(schema: Json, value: string, fail: Check): void {
  checkSize(schema, [...value].length, "Length", "characters", fail)
  if (typeof schema.pattern === "string" && !new RegExp(schema.pattern, "u").test(value)) fail(`must match ${schema.pattern}`)
}

function checkArray(schema: Json, value: unknown[], path: string, root: unknown, fail: Check): Issue[] {
  checkSize(schema, value.length, "Items", "entries", fail)
  const prefix = array(schema.prefixItems)
  return value.flatMap((entry, i) => checkJson(i < prefix.length ? prefix[i] : schema.items, entry, `${path}[${i}]`, root))
}

function checkObject(schema: Json, value: Json, path: string, root: unknown, fail: Check): Issue[] {
  const at = (key: string) => (path ? `${path}.${key}` : key)
  const properties = isObject(schema.properties) ? schema.properties : {}
  for (const key of array(schema.required)) if (!Object.hasOwn(value, key as string)) fail("is missing", at(key as string))
  return Object.entries(value).flatMap(([key, entry]) => {
    if (Object.hasOwn(properties, key)) return checkJson(properties[key], entry, at(key), root)
    if (schema.additionalProperties !== false) return checkJson(schema.additionalProperties, entry, at(key), root)
    return { path: at(key), message: `is unknown; the fields are ${Object.keys(properties).join(", ") || "none"}` }
  })
}

type Flat<T> = { [K in keyof T]: T[K] }
type TypeNames = { string: string; number: number; integer: number; boolean: boolean; null: null }
type Required<S> = S extends { required: readonly (infer K)[] } ? K : never

/** The type of the values that a JSON Schema written as a literal admits; `unknown` where it can't tell. */
export type FromJsonSchema<S> =
  S extends { const: infer C } ? C
  : S extends { enum: readonly (infer E)[] } ? E
  : S extends { anyOf: readonly (infer U)[] } ? FromJsonSchema<U>
  : S extends { oneOf: readonly (infer U)[] } ? FromJsonSchema<U>
  : S extends { type: "array"; items: infer I } ? FromJsonSchema<I>[]
  : S extends { type: "array" } ? unknown[]
  : S extends { type: "object"; properties: infer P } ? Flat<
      { -readonly [K in keyof P as K extends Required<S> ? K : never]: FromJsonSchema<P[K]> }
      & { -readonly [K in keyof P as K extends Required<S> ? never : K]?: FromJsonSchema<P[K]> | undefined }
    >
  : S extends { type: "object" } ? { [key: string]: unknown }
  : S extends { type: infer N } ? N extends readonly (infer M)[]
      ? M extends keyof TypeNames ? TypeNames[M] : unknown
      : N extends keyof TypeNames ? TypeNames[N] : unknown
  : unknown
