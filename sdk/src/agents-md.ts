import { invalid } from "./errors.js"
import { methodOf } from "./tools.js"
import type { Tool } from "./types.js"

/** What {@link defaultAgentsMd} writes about. */
export interface AgentsMdOptions {
  /** The app's name. */
  name: string
  /** What it is, in a sentence or two. */
  description?: string
  /** What an AI can do in it, a line each. */
  capabilities?: readonly string[]
  /** What it can't do, and how much it takes, a line each. */
  limits?: readonly string[]
  /** Units, formats and names that the app uses, a line each. */
  conventions?: readonly string[]
  /** Listed with their descriptions, when given. */
  tools?: readonly Pick<Tool, "method" | "path" | "description">[]
}

const MARKER = "<!-- as:contract-v1 -->"

/**
 * Writes a briefing for the AI that opens a link: what the app is, how its tools are called, what errors mean.
 * Plain description, as chats refuse pages that give them orders.
 */
export function defaultAgentsMd(options: AgentsMdOptions): string {
  if (typeof options?.name !== "string" || !options.name) throw invalid("name", options?.name, "the app's name, a string")
  const { name, description, capabilities, limits, conventions, tools } = options
  const section = (title: string, lines: readonly string[] = []) => (lines.length ? `## ${title}\n\n${lines.map((line) => `- ${line}`).join("\n")}` : "")
  return [
    MARKER,
    `# ${name}`,
    description,
    `A person has ${name} open and shared this link, so that an AI can work in it with them. What the tools do happens in their window at once. This page is reference for the AI and need not be recited; the person cares about the work in the app.`,
    section("What it can do", capabilities),
    section("Limits", limits),
    section("Conventions", conventions),
    section("Tools", tools?.map((tool) => `\`${methodOf(tool)} ${tool.path}\`: ${tool.description}`)),
    CONTRACT,
  ].filter(Boolean).join("\n\n") + "\n"
}

const CONTRACT = `## How to call it

- \`$BASE\` is this page's address without \`/agents.md\`.
- \`GET $BASE/tools.json\` lists the tools: \`method\`, \`path\`, \`description\` and often \`input_schema\`, a JSON Schema of the body.
- A tool is called with its method at \`$BASE\` + its path, a POST with \`Content-Type: application/json\` and a JSON body. The HTTP response is the app's answer.
- An answer \`202 {"taskId"}\` means that the work goes on: \`GET $BASE/_as_tasks/<taskId>\` says \`202\` until the result is there; \`?wait=25\` waits for it up to 25 s.
- The link is private: whoever has it can use the tools.

Errors are JSON, \`{"error":{"code","message"}}\`:

- 400: the input does not fit; the message says where and why.
- 401: the link was revoked or is used up; the person can make a new one in the app.
- 403, 404: not for this link, or no such tool; \`$BASE/tools.json\` has the current list.
- 413: the body is over 1 MiB. 429: too many calls at once; some time later it works again.
- 500, 502: the app made a mistake; the message says which.
- 503: the app is away; it may be back in seconds, else the person can open it again. 504: it did not answer in time, and the call may have had its effect.`
