/**
 * JSON Schema, as much of it as tool inputs use: types, bounds, enums, patterns, objects, arrays,
 * combinations and local `$ref`s. An unknown keyword is passed on to the agent and not checked.
 */

/** A JSON Schema, as an object. */
export type JsonSchema = { readonly [keyword: string]: unknown }

/** What is wrong with an input, and where. */
export interface Issue {
  /** Where: `pixels[3].x`; empty for the whole body. */
  path: string
  /** What it has to be. */
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
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value])
const text = (value: unknown): string => JSON.stringify(value)

/** Checks a value against a schema; an empty list means that it fits. */
export function checkJson(schema: unknown, value: unknown, path = "", root: unknown = schema): Issue[] {
  const issues: Issue[] = []
  if (schema === false) return [{ path, message: "is not allowed" }]
  if (!isObject(schema)) return issues
  const fail: Check = (message, at = path) => void issues.push({ path: at, message })
  const fits = (other: unknown) => checkJson(other, value, path, root).length === 0

  if (typeof schema.$ref === "string") issues.push(...checkJson(resolve(root, schema.$ref), value, path, root))
  const type = typeOf(value)
  const types = list(schema.type)
  if (schema.type && !types.includes(type) && !(type === "integer" && types.includes("number"))) {
    fail(`has to be of type ${types.join(" or ")}, not ${type}`)
    return issues
  }
  if (Array.isArray(schema.enum) && !schema.enum.some((entry) => same(entry, value))) fail(`has to be one of ${schema.enum.map(text).join(", ")}`)
  if ("const" in schema && !same(schema.const, value)) fail(`has to be ${text(schema.const)}`)

  for (const part of Array.isArray(schema.allOf) ? schema.allOf : []) issues.push(...checkJson(part, value, path, root))
  if (Array.isArray(schema.anyOf) && !schema.anyOf.some(fits)) fail("fits none of the allowed forms")
  if (Array.isArray(schema.oneOf) && schema.oneOf.filter(fits).length !== 1) fail("has to fit exactly one of the allowed forms")
  if (schema.not !== undefined && fits(schema.not)) fail("has a form that is not allowed")

  if (typeof value === "number") checkNumber(schema, value, fail)
  if (typeof value === "string") checkString(schema, value, fail)
  if (Array.isArray(value)) issues.push(...checkArray(schema, value, path, root, fail))
  if (isObject(value)) issues.push(...checkObject(schema, value, path, root, fail))
  return issues
}

/** A `$ref` within the same schema: `#`, `#/$defs/name`. */
function resolve(root: unknown, ref: string): unknown {
  let at = root
  for (const part of ref.split("/").slice(1)) {
    at = isObject(at) || Array.isArray(at) ? (at as Json)[decodeURIComponent(part).replace(/~1/g, "/").replace(/~0/g, "~")] : undefined
  }
  return ref[0] === "#" ? at : undefined
}

function checkNumber(schema: Json, value: number, fail: Check): void {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<string, number | undefined>
  if (minimum !== undefined && value < minimum) fail(`has to be at least ${minimum}`)
  if (maximum !== undefined && value > maximum) fail(`has to be at most ${maximum}`)
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) fail(`has to be over ${exclusiveMinimum}`)
  if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) fail(`has to be under ${exclusiveMaximum}`)
  // Divisions of decimals are off by a little.
  const times = value / (multipleOf ?? value)
  if (multipleOf && Math.abs(times - Math.round(times)) > 1e-9) fail(`has to be a multiple of ${multipleOf}`)
}

function checkSize(schema: Json, size: number, what: string, unit: string, fail: Check): void {
  const { [`min${what}`]: min, [`max${what}`]: max } = schema as Record<string, number | undefined>
  if (min !== undefined && size < min) fail(`has ${size} ${unit}; at least ${min} are needed`)
  if (max !== undefined && size > max) fail(`has ${size} ${unit}; at most ${max} are allowed`)
}

function checkString(schema: Json, value: string, fail: Check): void {
  checkSize(schema, [...value].length, "Length", "characters", fail)
  if (typeof schema.pattern === "string" && !new RegExp(schema.pattern, "u").test(value)) fail(`has to match ${schema.pattern}`)
}

function checkArray(schema: Json, value: unknown[], path: string, root: unknown, fail: Check): Issue[] {
  checkSize(schema, value.length, "Items", "entries", fail)
  if (schema.uniqueItems === true && new Set(value.map(text)).size < value.length) fail("has an entry twice")
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : []
  return value.flatMap((entry, i) => checkJson(i < prefix.length ? prefix[i] : schema.items, entry, `${path}[${i}]`, root))
}

function checkObject(schema: Json, value: Json, path: string, root: unknown, fail: Check): Issue[] {
  const at = (key: string) => (/^[\w$-]+$/.test(key) ? (path ? `${path}.${key}` : key) : `${path}[${text(key)}]`)
  const properties = isObject(schema.properties) ? schema.properties : {}
  const patterns = isObject(schema.patternProperties) ? Object.entries(schema.patternProperties) : []
  for (const key of Array.isArray(schema.required) ? schema.required : []) if (!Object.hasOwn(value, key)) fail("is missing", at(key))
  checkSize(schema, Object.keys(value).length, "Properties", "fields", fail)
  return Object.entries(value).flatMap(([key, entry]) => {
    const rules = patterns.filter(([pattern]) => new RegExp(pattern, "u").test(key)).map(([, rule]) => rule)
    if (Object.hasOwn(properties, key)) rules.push(properties[key])
    else if (!rules.length && schema.additionalProperties === false) fail(`is unknown; the fields are ${Object.keys(properties).join(", ") || "none"}`, at(key))
    else if (!rules.length) rules.push(schema.additionalProperties)
    return rules.flatMap((rule) => checkJson(rule, entry, at(key), root))
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
