/**
 * The tools that the official conformance suite asks a server for, as an app behind the relay has them. Each answers by
 * the plain way of an app wherever that can say it: a text, an image, a status. What only MCP can say (several blocks in
 * one result) is an MCP result of the relay's own content type.
 */

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
const WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
export const RESULT_TYPE = "application/vnd.agent-socket.mcp-result+json"

const text = (body, status = 200) => ({ status, headers: { "content-type": "text/plain" }, body })
const bytes = (type, body) => ({ status: 200, headers: { "content-type": type }, body, bodyEncoding: "base64" })
const result = (members) => ({ status: 200, headers: { "content-type": RESULT_TYPE }, body: JSON.stringify(members) })
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

let tasks = 0

/** Answers with a task that tells its progress: 0, 50 and 100 percent. */
async function withProgress(call, app) {
  const taskId = `progress-${++tasks}`
  app.reply(call, { status: 202, taskId })
  for (const progress of [0, 0.5, 1]) {
    app.send({ type: "task_progress", taskId, progress, message: `${progress * 100} percent` })
    // The suite's description of the tool asks for it.
    await pause(50)
  }
  app.send({ type: "task_complete", taskId, ...text("All of it is done.") })
}

/** The schema of the suite's own tool, to the letter. */
export const SCHEMA_2020_12 = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: { address: { $anchor: "addressDef", type: "object", properties: { street: { type: "string" }, city: { type: "string" } } } },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
}

export const suiteTools = [
  { path: "/test_simple_text", description: "Answers with a text.", answer: () => text("This is a simple text response for testing.") },
  { path: "/test_image_content", description: "Answers with an image.", answer: () => bytes("image/png", PNG) },
  { path: "/test_audio_content", description: "Answers with a sound.", answer: () => bytes("audio/wav", WAV) },
  { path: "/test_embedded_resource", description: "Answers with a resource.", answer: () => result({
    content: [{ type: "resource", resource: { uri: "test://embedded-resource", mimeType: "text/plain", text: "This is an embedded resource content." } }],
  }) },
  { path: "/test_multiple_content_types", description: "Answers with a text, an image and a resource.", answer: () => result({
    content: [
      { type: "text", text: "Multiple content types test:" },
      { type: "image", data: PNG, mimeType: "image/png" },
      { type: "resource", resource: { uri: "test://mixed-content-resource", mimeType: "application/json", text: JSON.stringify({ test: "data", value: 123 }) } },
    ],
  }) },
  { path: "/test_error_handling", description: "Fails, always.", answer: () => text("This tool intentionally returns an error for testing", 500) },
  { path: "/test_tool_with_progress", description: "Takes a while and tells how far it is.", answer: withProgress },
  { path: "/test_logging_tool", description: "Could log, and does not.", answer: () => text("Nothing was logged.") },
  { path: "/test_streaming_elicitation", description: "Could ask back, and does not.", answer: () => text("Nothing was asked.") },
  {
    path: "/test_missing_capability", description: "Needs a client that samples.",
    input_schema: { type: "object", "x-mcp-client-capabilities": { sampling: {} } },
    answer: () => text("The client samples."),
  },
  {
    path: "/test_custom_headers", description: "Has an argument that is mirrored in a header.",
    input_schema: { type: "object", properties: { region: { type: "string", "x-mcp-header": "Region" }, note: { type: "string" } } },
    answer: ({ body }) => ({ status: 200, body: JSON.parse(body) }),
  },
  { path: "/json_schema_2020_12_tool", description: "Has a schema with much in it.", input_schema: SCHEMA_2020_12, answer: () => ({ status: 204 }) },
]
