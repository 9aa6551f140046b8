/** The `input` of a tool: a Standard Schema (zod, valibot, arktype, …) or a plain JSON Schema. */

import { AgentSocketError } from "./errors.js"
import { parseJson } from "./json.js"
import type { FromJsonSchema, Issue, JsonSchema } from "./json-schema.js"

/** A schema of any library that follows Standard Schema version 1. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
    /** Standard JSON Schema, where the library has it. */
    readonly jsonSchema?: { readonly input: (options: { readonly target: any }) => Record<string, unknown> }
  }
}

type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] }

/** What may stand as a tool's `input`. */
export type InputSchema = StandardSchema<any, any> | JsonSchema

/** The type that a handler gets for an `input`. */
export type InputOf<S> =
  [S] extends [undefined] ? unknown
  : S extends StandardSchema<any, infer Output> ? Output
  : FromJsonSchema<S>

/** An input that does not fit: the agent's mistake, so it becomes a 400. */
export class InputError extends Error {
  constructor(readonly code: string, message: string, readonly issues?: Issue[]) {
    super(message)
  }
}

const isStandard = (schema: InputSchema): schema is StandardSchema =>
  (schema as Partial<StandardSchema>)["~standard"]?.version === 1

/** The JSON Schema that the agent sees; `undefined` where the library can't give one. */
export function jsonSchemaOf(schema: InputSchema): JsonSchema | undefined {
  if (!isStandard(schema)) return schema as JsonSchema
  try {
    const derived = schema["~standard"].jsonSchema?.input({ target: "draft-2020-12" })
    const { $schema: _, ...rest } = derived ?? (schema as { toJsonSchema?: () => JsonSchema }).toJsonSchema?.() ?? {}
    return Object.keys(rest).length ? rest : undefined
  } catch {
    return undefined // a schema with parts that JSON Schema has no words for
  }
}

/** Loads what checks plain JSON Schemas. */
const loadChecker = () => import("./checker.js")

/** The part of an `input` that would not be checked, such as `"$ref": "x.json"`; libraries check all of theirs. */
export async function findUnchecked(schema: InputSchema): Promise<string | undefined> {
  if (isStandard(schema)) return undefined
  const checker = await loadChecker().catch((error: unknown) => {
    throw new AgentSocketError("unreachable", `What checks JSON Schemas could not be loaded: ${String(error)}`)
  })
  return checker.findUnchecked(schema)
}

/** The input that a query is, by a tool's schemas; with none that can be read, all of its values are text. */
export async function readQuery(query: string, schema: InputSchema): Promise<unknown> {
  const { parseQuery } = await loadChecker()
  return parseJson(JSON.stringify(parseQuery(query, jsonSchemaOf(schema)))) // with its rules for names
}

/**
 * The input of a call, checked.
 *
 * @throws InputError with the path and the reason of each problem.
 */
export async function readInput(schema: InputSchema, value: unknown): Promise<unknown> {
  if (!isStandard(schema)) {
    refuse(await check(schema as JsonSchema, value))
    return value
  }
  const result = await schema["~standard"].validate(value)
  if (!result.issues) return result.value
  refuse(result.issues.map(({ message, path = [] }) => ({ message, path: pathText(path) })))
  return undefined
}

async function check(schema: JsonSchema, value: unknown): Promise<Issue[]> {
  const { checkJson } = await loadChecker()
  try {
    return checkJson(schema, value)
  } catch { // out of steps, or of stack
    return [{ path: "", message: "is too large or too deeply nested to be checked" }]
  }
}

function refuse(issues: Issue[]): void {
  if (!issues.length) return
  const told = issues.slice(0, 10)
  const more = issues.length > told.length ? `; and ${issues.length - told.length} more` : ""
  const message = told.map(({ path, message }) => `${path || "body"}: ${message}`).join("; ")
  throw new InputError("invalid_input", message + more, told)
}

/** `["pixels", 3, "x"]` as `pixels[3].x`. */
function pathText(path: readonly unknown[]): string {
  return path.reduce<string>((text, part) => {
    const key = typeof part === "object" && part !== null ? (part as { key: unknown }).key : part
    return typeof key === "number" ? `${text}[${key}]` : text ? `${text}.${String(key)}` : String(key)
  }, "")
}
