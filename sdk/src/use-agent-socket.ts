import { useEffect, useRef, useState } from "react"
import { connect } from "./index.js"
import { tabStore } from "./page.js"
import type { Session } from "./session.js"
import { methodOf, wireTools } from "./tools.js"
import type { ConnectOptions, Link, SessionState, Tool } from "./types.js"

/** What {@link useAgentSocket} takes: what `connect` takes, less its `signal`. */
export interface AgentSocketOptions extends Omit<ConnectOptions, "signal"> {
  /** Whether there should be a session. Default true; while it is false, there is none. */
  enabled?: boolean
}

/** What {@link useAgentSocket} gives. */
export interface AgentSocket {
  /** The session, once it is open. */
  session: Session | null
  /** How things stand; `closed` when there is no session, and none is being opened. */
  state: SessionState
  /** The live links. **Secret.** */
  links: readonly Link[]
  /** Why there is no session. */
  error: Error | null
}

const OPENING: AgentSocket = { session: null, state: "connecting", links: [], error: null }
const CLOSED: AgentSocket = { ...OPENING, state: "closed" }

/**
 * A session for as long as the component is there. It is kept in the tab (`tabStore` by the app's id) unless `resume`
 * says otherwise, so a remount, a hot reload and a reload of the page go on with the same links; the relay holds it
 * meanwhile. `session.close()` ends it.
 *
 * Handlers and callbacks may be new with each render: calls get the latest. Tools and `agentsMd` that change are sent to
 * the relay; another `appId`, `appKey` or `baseUrl` opens another session.
 */
export function useAgentSocket<const Schemas extends readonly unknown[]>(
  given: Omit<AgentSocketOptions, "tools"> & { tools: { readonly [I in keyof Schemas]: Tool<Schemas[I]> } },
): AgentSocket {
  const options = given as AgentSocketOptions
  const { appId, appKey, baseUrl, enabled = true } = options
  const latest = useRef(options)
  const [socket, setSocket] = useState(enabled ? OPENING : CLOSED)

  useEffect(() => { latest.current = options })

  useEffect(() => {
    if (!enabled) return setSocket(CLOSED)
    setSocket(OPENING)
    const abort = new AbortController()
    const { enabled: _, onDisconnect, onReconnect, onSessionChanged, onError, ...rest } = latest.current
    connect({
      resume: tabStore(appId),
      ...rest,
      tools: delegating(latest),
      signal: abort.signal,
      onDisconnect: (event) => latest.current.onDisconnect?.(event),
      onReconnect: (event) => latest.current.onReconnect?.(event),
      onSessionChanged: (event) => latest.current.onSessionChanged?.(event),
      ...(onError && { onError: (error, call) => latest.current.onError?.(error, call) }),
    }).then((session) => {
      const show = () => { if (!abort.signal.aborted) setSocket({ session, state: session.state, links: session.links, error: null }) }
      session.on("state", show)
      session.on("links", show)
      show()
    }, (error: Error) => {
      if (!abort.signal.aborted) setSocket({ ...CLOSED, error })
    })
    return () => abort.abort()
  }, [enabled, appId, appKey, baseUrl])

  const { session } = socket
  const offer = JSON.stringify([wireTools(options.tools), options.agentsMd])
  const offered = useRef(offer)
  useEffect(() => {
    if (!session || session.state === "closed" || offered.current === offer) return
    offered.current = offer
    session.updateTools(delegating(latest), { agentsMd: latest.current.agentsMd })
      .catch((error: Error) => setSocket((now) => ({ ...now, error })))
  }, [session, offer])

  return socket
}

/** The tools as they are now, with handlers that go to those of the latest render. */
function delegating(latest: { readonly current: AgentSocketOptions }): Tool[] {
  return latest.current.tools.map((tool) => ({
    ...tool,
    handler(call) {
      const now = latest.current.tools.find((other) => other.path === tool.path && methodOf(other) === methodOf(tool))
      return (now ?? tool).handler(call)
    },
  }))
}
