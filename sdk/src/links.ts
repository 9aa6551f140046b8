/** What the session knows of its links. */

import { invalid } from "./errors.js"
import type { Link, MintOptions } from "./types.js"

/** A link, and what it was minted with, so that it can be minted again. */
export type LinkRecord = Link & MintOptions

/** A link of a lost session. */
export interface OldLink extends LinkRecord {
  /** What the person knows it as. */
  oldUrl: string
}

export const publicLink = ({ token, url, label, expiresAt, mintedAt }: Link): Link => ({ token, url, label, expiresAt, mintedAt })

/** A link as the relay writes it, with the relay's address in place. */
export function readLink(baseUrl: string, reply: Record<string, unknown>): Link {
  const { token, url, label = "", expiresAt = null, mintedAt = Date.now() } = reply as unknown as Link
  return { token, url: url.replace("__BASE__", baseUrl), label, expiresAt, mintedAt }
}

/** What a lost link had left, for the one that takes its place; `undefined` when its time was over. */
export function remaining({ label, tools, maxCalls, expiresAt, expiresInMs }: LinkRecord): MintOptions | undefined {
  const left = expiresAt === null ? expiresInMs : expiresAt - Date.now()
  if (left !== undefined && left <= 0) return undefined
  return { label, ...(left !== undefined && { expiresInMs: Math.ceil(left) }), ...(tools && { tools }), ...(maxCalls !== undefined && { maxCalls }) }
}

/** Checks what a link is asked to be. */
export function checkMint({ label = "", expiresInMs, maxCalls, tools }: MintOptions): void {
  if (typeof label !== "string") throw invalid("label", label, "a string")
  for (const [name, value] of Object.entries({ expiresInMs, maxCalls })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) throw invalid(name, value, "a whole number over 0")
  }
  if (tools !== undefined && !(Array.isArray(tools) && tools.length && tools.every((entry) => typeof entry === "string"))) {
    throw invalid("tools", tools, 'an array of strings, each "/path" or "METHOD /path"')
  }
}
