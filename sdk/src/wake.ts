/** Calls back when a sleeping page wakes or the network returns; returns a function that stops it. Silent outside pages. */
export function onWake(wake: () => void): () => void {
  const { document } = globalThis
  const abort = new AbortController()
  const { signal } = abort
  document?.addEventListener("visibilitychange", () => { if (!document.hidden) wake() }, { signal })
  document?.addEventListener("resume", wake, { signal }) // after a freeze
  for (const event of ["online", "pageshow"]) globalThis.addEventListener?.(event, wake, { signal })
  return () => abort.abort()
}
