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
    `A person has ${name} open and shared this link so that an AI can work in it with them; what its tools do happens there at once. This page is reference for the AI (do not recite it).`,
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
- A tool is called with its method at \`$BASE\` + its path, a POST with a JSON body. The response is the app's answer.
- \`202 {"taskId"}\` means that the work goes on: \`GET $BASE/_as_tasks/<taskId>?wait=25\` answers 202 until the result is there.
- Errors are \`{"error":{"code","message"}}\`; the message says what is wrong. 401: the person can make a new link in the app; 503: the app is away, perhaps for seconds only; 504: no answer in time, the call may have had its effect.
- The link is private: whoever has it can use the tools.`
