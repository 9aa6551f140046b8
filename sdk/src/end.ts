import { AgentSocketError } from "./errors.js"
import { relayError } from "./line.js"
import { readBaseUrl, webSocketClass } from "./options.js"
import type { WebSocketClass } from "./types.js"
import { socketUrl } from "./line.js"

/** What {@link endSession} takes. */
export interface EndOptions {
  /** The session's id. */
  sessionId: string
  /** **Secret.** The session's secret. */
  resumeSecret: string
  /** The relay; as in {@link ConnectOptions.baseUrl}. */
  baseUrl?: string
  /** As in {@link ConnectOptions.WebSocket}. */
  WebSocket?: WebSocketClass
}

/** How long the relay may take, in ms. */
const TIMEOUT_MS = 15_000

/**
 * Ends a saved session that is not open here: its links stop working at once.
 *
 * @returns false when there was nothing to end: the session is gone already, or the secret is not its.
 * @throws AgentSocketError `unreachable`.
 */
export function endSession({ sessionId, resumeSecret, baseUrl, WebSocket }: EndOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const ws = new (webSocketClass(WebSocket))(socketUrl(readBaseUrl(baseUrl), sessionId))
    const done = (settle: () => void) => {
      clearTimeout(timer)
      ws.onmessage = ws.onclose = null
      ws.close()
      settle()
    }
    const unreachable = () => reject(new AgentSocketError("unreachable", "The relay can't be reached, so the session was not ended."))
    const timer = setTimeout(() => done(unreachable), TIMEOUT_MS)
    ws.onerror = () => {} // a close follows
    ws.onclose = () => done(unreachable)
    ws.onopen = () => ws.send(JSON.stringify({ type: "end", sessionId, secret: resumeSecret }))
    ws.onmessage = ({ data }: { data: unknown }) => {
      const reply = JSON.parse(String(data))
      if (reply.type !== "end_reply") return
      if (reply.ok || reply.error?.code === "resume_failed") done(() => resolve(Boolean(reply.ok)))
      else done(() => reject(relayError(reply)))
    }
  })
}
