import { invalid } from "./errors.js"

/** What an AI should know beyond the tools; {@link defaultAgentsMd} writes it. */
export interface AgentsMdDetails {
  /** What an AI can do in the app, a line each. */
  capabilities?: readonly string[]
  /** What it can't do, and how much it takes, a line each. */
  limits?: readonly string[]
  /** Units, formats and names that the app uses, a line each. */
  conventions?: readonly string[]
}

/** What {@link defaultAgentsMd} writes about. */
export interface AgentsMdOptions extends AgentsMdDetails {
  /** The app's name. */
  name: string
  /** What it is, in a sentence or two. */
  description?: string
}

/** The same by the names that an older SDK had. */
export interface OlderAgentsMdOptions extends AgentsMdDetails {
  /** The app's name. */
  appName: string
  /** What it is, in a sentence or two. */
  appDescription?: string
  /** Not needed: the relay knows the address of its page. */
  agentsMdUrl?: string
}

/**
 * Writes the app's part of the briefing: what the app is, what an AI can do in it and what to know. How its tools are
 * called, which there are and what errors mean, the relay says on the same page.
 */
export function defaultAgentsMd(options: AgentsMdOptions | OlderAgentsMdOptions): string {
  const { name, description, appName = name, appDescription = description, capabilities, limits, conventions } = { ...options } as Partial<AgentsMdOptions & OlderAgentsMdOptions>
  if (typeof appName !== "string" || !appName) throw invalid("name", appName, "the app's name, a string")
  const section = (title: string, lines: readonly string[] = []) => (lines.length ? `## ${title}\n\n${lines.map((line) => `- ${line}`).join("\n")}` : "")
  return [`# ${appName}`, appDescription, section("What it can do", capabilities), section("Limits", limits), section("Conventions", conventions)]
    .filter(Boolean).join("\n\n") + "\n"
}
