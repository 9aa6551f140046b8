/** What a page learns of its network and of its sleep. */
export interface Senses {
  /** The page woke up, or the network is back. */
  wake(): void
  /** The network is gone. */
  lost(): void
}

/** Calls back until the function that it returns is called. Silent outside of pages. */
export function watchPage({ wake, lost }: Senses): () => void {
  const { document } = globalThis
  const abort = new AbortController()
  const { signal } = abort
  document?.addEventListener("visibilitychange", () => { if (!document.hidden) wake() }, { signal })
  document?.addEventListener("resume", wake, { signal }) // after a freeze
  for (const event of ["online", "pageshow"]) globalThis.addEventListener?.(event, wake, { signal })
  globalThis.addEventListener?.("offline", lost, { signal })
  return () => abort.abort()
}
