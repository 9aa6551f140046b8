import { AgentSocketError } from "./errors.js"
import { Line, relayError, socketUrl } from "./line.js"
import { readBaseUrl, webSocketClass } from "./options.js"
import { offerOf } from "./proof.js"
import type { WebSocketClass } from "./types.js"

/** What {@link endSession} takes. */
export interface EndOptions {
  /** The session's id. */
  sessionId: string
  /** **Secret.** The session's secret. */
  resumeSecret: string
  /** As in {@link SavedSession.relayFeatures}. */
  relayFeatures?: string[]
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
 * @returns false if there was nothing to end: the session is gone already, or the secret is wrong.
 * @throws AgentSocketError `unreachable`.
 */
export async function endSession({ sessionId, resumeSecret, relayFeatures = [], baseUrl, WebSocket }: EndOptions): Promise<boolean> {
  const offer = await offerOf(relayFeatures, sessionId, resumeSecret)
  return new Promise((resolve, reject) => {
    const settings = { WebSocket: webSocketClass(WebSocket), heartbeatIntervalMs: TIMEOUT_MS, heartbeatTimeoutMs: TIMEOUT_MS }
    const line = new Line(socketUrl(readBaseUrl(baseUrl), sessionId), offer, settings, {
      onOpen: () => line.send(JSON.stringify({ type: "end", sessionId, secret: resumeSecret })),
      onFrame(frame) {
        if (frame.ok || frame.error?.code === "resume_failed") resolve(frame.ok === true)
        else reject(relayError(frame))
        line.drop()
      },
      onClose: () => reject(new AgentSocketError("unreachable", "The relay can't be reached, so the session was not ended.")),
    })
  })
}
