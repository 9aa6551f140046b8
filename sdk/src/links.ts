/** What the session knows of its links. */

import { BASE_PLACEHOLDER } from "./facts.js"
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
  return { token, url: url.replace(BASE_PLACEHOLDER, baseUrl), label, expiresAt, mintedAt }
}

/** What a lost link had left, for the one that takes its place; `undefined` when its time was over. */
export function remaining({ label, tools, maxCalls, expiresAt, expiresInMs }: LinkRecord): MintOptions | undefined {
  const left = expiresAt === null ? expiresInMs : expiresAt - Date.now()
  if (left !== undefined && left < 1) return undefined
  return { label, expiresInMs: left, tools, maxCalls } as MintOptions
}
