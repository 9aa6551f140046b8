/**
 * JSON Schema 2020-12 for the input of tools: all of its keywords but `unevaluated…`, references to other documents and
 * dynamic ones. What can't be checked is found before a tool is offered, by {@link findUnchecked}.
 */

import { type Spend, patternOf } from "./pattern.js"

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
type Fail = (problem: string, at?: string) => void

/**
 * How much work one check may take: schemas applied, and places of texts tried against a part of a pattern. A second or
 * two at the most, and more than sensible inputs of 1 MiB take.
 */
const MAX_STEPS = 3_000_000

/** What a schema's `type` calls the value. */
function typeOf(value: unknown): string {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  return Number.isInteger(value) ? "integer" : typeof value
}

const isObject = (value: unknown): value is Json => typeOf(value) === "object"
const array = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const entries = (value: unknown): [string, unknown][] => (isObject(value) ? Object.entries(value) : [])
/** Equal values have the same text. */
const text = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part))

/** Where a `$ref` leads within the same schema: `#`, `#/$defs/name`; `undefined` if nowhere. */
export function resolve(root: unknown, ref: unknown): unknown {
  try {
    const [start, ...parts] = decodeURIComponent(String(ref)).split("/")
    return start === "#" ? parts.reduce<unknown>((at, part) => {
      const key = part.replace(/~1/g, "/").replace(/~0/g, "~")
      return Object.hasOwn(at as Json, key) ? (at as Json)[key] : undefined
    }, root) : undefined
  } catch {
    return undefined
  }
}

/**
 * Checks a value against a schema; an empty list means that it fits.
 *
 * @throws Error for a value that takes too much work, or is nested too deeply.
 */
export function checkJson(root: unknown, value: unknown, schema = root): Issue[] {
  let left = MAX_STEPS
  const spend: Spend = (steps) => {
    if ((left -= steps) < 0) throw new Error("too much work")
  }

  function check(schema: unknown, value: unknown, path: string): Issue[] {
    spend(2 + path.length / 16) // making paths is most of the work deep inside
    if (schema === false) return [{ path, message: "is not allowed" }]
    if (!isObject(schema)) return []
    const issues: Issue[] = []
    const fail: Fail = (message, at = path) => void issues.push({ path: at, message })
    const also = (other: unknown) => void issues.push(...check(other, value, path))
    const fits = (other: unknown) => !check(other, value, path).length
    const { type, enum: values, anyOf, oneOf } = schema

    const actual = typeOf(value)
    const types = [type ?? actual].flat()
    if (!types.includes(actual) && !(actual === "integer" && types.includes("number"))) {
      return [{ path, message: `must be of type ${types.join(" or ")}, not ${actual}` }]
    }
    if (Array.isArray(values) && !values.map(text).includes(text(value))) fail(`must be one of ${values.map(text).join(", ")}`)
    if ("const" in schema && text(schema.const) !== text(value)) fail(`must be ${text(schema.const)}`)
    if ("$ref" in schema) also(resolve(root, schema.$ref))
    array(schema.allOf).forEach(also)
    if (Array.isArray(anyOf) && !anyOf.some(fits)) fail("fits none of the allowed forms")
    if (Array.isArray(oneOf) && oneOf.filter(fits).length !== 1) fail("must fit exactly one of the allowed forms")
    if ("not" in schema && fits(schema.not)) fail("has a form that is not allowed")
    if ("if" in schema) also(fits(schema.if) ? schema.then : schema.else)

    if (typeof value === "number") checkNumber(schema, value, fail)
    if (typeof value === "string") checkString(schema, value, fail)
    if (Array.isArray(value)) checkArray(schema, value, path, issues, fail)
    if (isObject(value)) checkObject(schema, value, path, issues, fail)
    return issues
  }

  function checkString(schema: Json, value: string, fail: Fail): void {
    checkSize(schema, [...value].length, "Length", "characters", fail)
    if (matches(schema.pattern, value) === false) fail(`must match ${schema.pattern}`)
  }

  /** `undefined` where there is no pattern, or none that can be checked. */
  const matches = (pattern: unknown, value: string) => (typeof pattern === "string" ? patternOf(pattern)?.(value, spend) : undefined)

  function checkArray(schema: Json, value: unknown[], path: string, issues: Issue[], fail: Fail): void {
    checkSize(schema, value.length, "Items", "entries", fail)
    const prefix = array(schema.prefixItems)
    value.forEach((entry, i) => issues.push(...check(i < prefix.length ? prefix[i] : schema.items, entry, `${path}[${i}]`)))
    if (schema.uniqueItems === true && new Set(value.map(text)).size < value.length) fail("has an entry twice; each may be there once")
    if (!("contains" in schema)) return
    const count = value.filter((entry) => !check(schema.contains, entry, "").length).length
    checkSize({ minContains: 1, ...schema }, count, "Contains", "entries of the form that it must contain", fail)
  }

  function checkObject(schema: Json, value: Json, path: string, issues: Issue[], fail: Fail): void {
    const at = (key: string) => (path ? `${path}.${key}` : key)
    const needs = (keys: unknown) => {
      for (const key of array(keys)) if (!Object.hasOwn(value, key as string)) fail("is missing", at(key as string))
    }
    const properties = isObject(schema.properties) ? schema.properties : {}
    const patterns = entries(schema.patternProperties)
    needs(schema.required)
    for (const [key, keys] of entries(schema.dependentRequired)) if (Object.hasOwn(value, key)) needs(keys)
    for (const [key, other] of entries(schema.dependentSchemas)) if (Object.hasOwn(value, key)) issues.push(...check(other, value, path))
    checkSize(schema, Object.keys(value).length, "Properties", "fields", fail)
    for (const [key, entry] of Object.entries(value)) {
      const schemas = patterns.filter(([pattern]) => matches(pattern, key)).map(([, other]) => other)
      if (Object.hasOwn(properties, key)) schemas.push(properties[key])
      if (schemas.length || schema.additionalProperties !== false) {
        for (const other of schemas.length ? schemas : [schema.additionalProperties]) issues.push(...check(other, entry, at(key)))
      } else fail(`is unknown; the fields are ${Object.keys(properties).join(", ") || "none"}`, at(key))
      if ("propertyNames" in schema && check(schema.propertyNames, key, "").length) fail("has a name that is not allowed", at(key))
    }
  }

  return check(schema, value, "")
}

const BOUNDS: [keyword: string, fits: (value: number, bound: number) => boolean, text: string][] = [
  ["minimum", (value, bound) => value >= bound, "at least"],
  ["maximum", (value, bound) => value <= bound, "at most"],
  ["exclusiveMinimum", (value, bound) => value > bound, "over"],
  ["exclusiveMaximum", (value, bound) => value < bound, "under"],
  // Divisions of decimals are off by a little.
  ["multipleOf", (value, bound) => Math.abs(value / bound - Math.round(value / bound)) < 1e-9, "a multiple of"],
]

function checkNumber(schema: Json, value: number, fail: Fail): void {
  for (const [keyword, fits, words] of BOUNDS) {
    const bound = schema[keyword]
    if (typeof bound === "number" && !fits(value, bound)) fail(`must be ${words} ${bound}`)
  }
}

function checkSize(schema: Json, size: number, what: string, unit: string, fail: Fail): void {
  if (size < (schema[`min${what}`] as number)) fail(`has ${size} ${unit}; at least ${schema[`min${what}`]} are needed`)
  if (size > (schema[`max${what}`] as number)) fail(`has ${size} ${unit}; at most ${schema[`max${what}`]} are allowed`)
}

const isSchema = (value: unknown): boolean => isObject(value) || typeof value === "boolean"
const isText = (value: unknown): boolean => typeof value === "string"
const isPattern = (value: unknown): boolean => patternOf(String(value)) !== undefined && isText(value)
const isType = (value: unknown): boolean => /^(string|number|integer|boolean|null|array|object)$/.test(String(value))
const listOf = (fits: (value: unknown) => boolean) => (value: unknown): boolean => Array.isArray(value) && value.every(fits)
const mapOf = (fits: (value: unknown) => boolean) => (value: unknown): boolean => isObject(value) && Object.values(value).every(fits)

/** The keywords that are known, what their value must be like, and the schemas inside of it. */
const KEYWORDS: [keywords: string, fits: (value: any, root: any) => boolean, inside?: (value: any) => unknown[]][] = [
  ["not if then else items contains additionalProperties propertyNames", isSchema, (value) => [value]],
  ["allOf anyOf oneOf prefixItems", listOf(isSchema), (value) => value],
  ["properties $defs definitions dependentSchemas", mapOf(isSchema), Object.values],
  ["patternProperties", (value) => mapOf(isSchema)(value) && Object.keys(value).every(isPattern), Object.values],
  ["dependentRequired", mapOf(listOf(isText))],
  ["required", listOf(isText)],
  ["pattern", isPattern],
  ["type", (value) => [value].flat().every(isType)],
  ["enum", Array.isArray],
  ["uniqueItems", (value) => typeof value === "boolean"],
  ["minimum maximum exclusiveMinimum exclusiveMaximum multipleOf", Number.isFinite],
  ["minLength maxLength minItems maxItems minContains maxContains minProperties maxProperties", (value) => value >= 0 && Number.isInteger(value)],
  ["$ref", (value, root) => isSchema(resolve(root, value))],
  // A second one would change where the `$ref` inside of it start.
  ["$id", (value, root) => root.$id === value],
  // `const` needs nothing. The others describe a value and refuse none; by the standard, `format` too.
  ["const title description default examples example deprecated readOnly writeOnly format contentEncoding contentMediaType contentSchema $comment $schema", () => true],
]
const RULES = new Map(KEYWORDS.flatMap(([keywords, ...rule]) => keywords.split(" ").map((keyword) => [keyword, rule] as const)))

/** The first keyword that can't be checked, with its value, as `"$ref": "x.json"`; `undefined` if all can be. */
export function findUnchecked(schema: unknown, root = schema): string | undefined {
  for (const [keyword, value] of entries(schema)) {
    if (keyword.startsWith("x-")) continue
    const [fits, inside] = RULES.get(keyword) ?? []
    if (!fits?.(value, root)) return `${text(keyword)}: ${String(text(value)).slice(0, 80)}`
    for (const part of inside?.(value) ?? []) {
      const found = findUnchecked(part, root)
      if (found) return found
    }
  }
  return undefined
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
