import type { SavedSession, SessionStore } from "./types.js"

/**
 * Keeps a session in this tab, so that it and its links outlive a reload: `connect({ resume: tabStore("my-app"), … })`.
 *
 * It is in `sessionStorage`, which a duplicated tab gets a copy of; a lock that lives with the tab sees to it that the
 * copy starts a session of its own. Without storage nothing is kept, and all else works.
 *
 * @param name tells the apps of one origin apart.
 */
export function tabStore(name: string): SessionStore {
  const key = `agent-socket.${name}`
  let mine = ""
  let release = () => {}

  /** Whether this tab owns the session: from now on it does, unless another one does. */
  function claim(sessionId: string): Promise<boolean> {
    const locks = globalThis.navigator?.locks
    if (!locks || mine === sessionId) return Promise.resolve(true)
    release()
    mine = sessionId
    return new Promise((resolve) => {
      // A page that reloads lets its lock go a moment late.
      locks.request(`${key}.${sessionId}`, { signal: AbortSignal.timeout(1500) }, () => {
        resolve(true)
        return new Promise<void>((done) => { release = done })
      }).catch(() => resolve(false))
    })
  }

  return {
    async load() {
      const saved = read(key)
      if (saved && (await claim(saved.sessionId))) return saved
      mine = ""
      return null
    },
    save(saved) {
      try {
        if (saved) sessionStorage.setItem(key, JSON.stringify(saved))
        else sessionStorage.removeItem(key)
      } catch { /* storage is off or full: nothing is kept */ }
      if (saved) void claim(saved.sessionId)
      else release()
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
