/** What the form asks for. One table makes the fields, their checks, and what the AI is told. */

const today = () => new Date().toISOString().slice(0, 10)

export const FIELDS = {
  name: { label: "Name", type: "text", autoComplete: "name", schema: { type: "string", minLength: 2, maxLength: 80 } },
  email: { label: "Email", type: "email", autoComplete: "email", schema: { type: "string", maxLength: 120, pattern: "^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$" } },
  destination: { label: "Destination", type: "text", schema: { type: "string", minLength: 2, maxLength: 80 } },
  travellers: { label: "Travellers", type: "number", schema: { type: "integer", minimum: 1, maximum: 9 } },
  from: { label: "From", type: "date", schema: { type: "string", pattern: "^\\d{4}-\\d{2}-\\d{2}$", description: "YYYY-MM-DD, not in the past." } },
  to: { label: "To", type: "date", schema: { type: "string", pattern: "^\\d{4}-\\d{2}-\\d{2}$", description: "YYYY-MM-DD, after `from`." } },
  travel: { label: "By", type: "select", schema: { enum: ["train", "plane", "bus", "bicycle"] } },
  wishes: { label: "Wishes", type: "textarea", optional: true, schema: { type: "string", maxLength: 500 } },
}

/** A schema of any number of the fields. */
export const FILL_SCHEMA = {
  type: "object",
  properties: Object.fromEntries(Object.entries(FIELDS).map(([name, { schema }]) => [name, schema])),
  additionalProperties: false,
}

export const EMPTY = Object.fromEntries(Object.keys(FIELDS).map((name) => [name, ""]))

/** What is wrong with a value, in words for a person; empty when nothing is. */
function problem(name, values) {
  const { type, optional, schema } = FIELDS[name]
  const value = values[name]
  if (value === "" || value === undefined) return optional ? "" : "Please fill this in."
  if (type === "number" && !(Number.isInteger(value) && value >= schema.minimum && value <= schema.maximum)) return `A whole number from ${schema.minimum} to ${schema.maximum}.`
  if (schema.minLength && value.length < schema.minLength) return `At least ${schema.minLength} characters.`
  if (schema.maxLength && value.length > schema.maxLength) return `At most ${schema.maxLength} characters.`
  if (type === "email" && !new RegExp(schema.pattern).test(value)) return "An address like ada@example.org."
  if (type === "date" && Number.isNaN(Date.parse(value))) return "No such day."
  if (name === "from" && value < today()) return "This day is over."
  if (name === "to" && values.from && value <= values.from) return "Must be after the first day."
  return ""
}

/** The problems of all fields that have one, by name. */
export function check(values) {
  return Object.fromEntries(Object.keys(FIELDS).map((name) => [name, problem(name, values)]).filter(([, text]) => text))
}
