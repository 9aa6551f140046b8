import type { SavedSession, SessionStore } from "./types.js"

/** How long a page that reloads may take to let its claim go, in ms. */
const HANDOVER_MS = 1500

/** This document's hold on a session: a lock that lives with the tab. */
interface Claim {
  sessionId: string
  /** Whether it was granted. */
  held: Promise<boolean>
  release(): void
}

/** The claims of this document by key, shared by all of its stores: also by those of a second copy of this module. */
const CLAIMS = Symbol.for("agent-socket.claims")
const claims = ((globalThis as { [CLAIMS]?: Map<string, Claim> })[CLAIMS] ??= new Map())

/** Whether this document has the session: from now on it does, unless another one does. */
function claim(key: string, sessionId: string): Promise<boolean> {
  const locks = globalThis.navigator?.locks
  if (!locks) return Promise.resolve(true)
  const known = claims.get(key)
  if (known?.sessionId === sessionId) return known.held
  known?.release()
  const waiting = new AbortController()
  let done = () => {}
  const timer = setTimeout(() => waiting.abort(), HANDOVER_MS)
  const mine: Claim = {
    sessionId,
    held: new Promise((resolve) => {
      locks.request(`${key}.${sessionId}`, { signal: waiting.signal }, () => {
        clearTimeout(timer)
        resolve(true)
        return new Promise<void>((release) => { done = release })
      }).catch(() => {
        if (claims.get(key) === mine) claims.delete(key)
        resolve(false)
      })
    }),
    release() {
      claims.delete(key)
      waiting.abort()
      done()
    },
  }
  claims.set(key, mine)
  return mine.held
}

/**
 * Keeps a session in this tab, so that it and its links outlive a reload: `connect({ resume: tabStore("my-app"), … })`.
 *
 * It is in `sessionStorage`, of which a duplicated tab gets a copy; a lock that lives with the tab makes sure that the
 * copy starts a session of its own. Stores of the same name in one document are one store, so components may each make
 * theirs. Without storage nothing is kept, and all else works.
 *
 * @param name tells the apps of one origin apart.
 */
export function tabStore(name: string): SessionStore {
  const key = `agent-socket.${name}`
  return {
    async load() {
      const saved = read(key)
      return saved && (await claim(key, saved.sessionId)) ? saved : null
    },
    save(saved) {
      try {
        if (saved) sessionStorage.setItem(key, JSON.stringify(saved))
        else sessionStorage.removeItem(key)
      } catch { /* storage is off or full: nothing is kept */ }
      if (saved) void claim(key, saved.sessionId)
      else claims.get(key)?.release()
    },
  }
}

function read(key: string): SavedSession | null {
  try {
    const saved = JSON.parse(sessionStorage.getItem(key) ?? "null") as SavedSession | null
    return saved && typeof saved.sessionId === "string" && typeof saved.resumeSecret === "string" ? saved : null
  } catch {
    return null
  }
}
