/** Proves to the relay that an upgrade is the owner's, so that no flood of other sockets closes it (the protocol's "upgrade's proof"). */

import { fromBase64, toBase64 } from "./bytes.js"
import { UPGRADE_PROOF } from "./facts.js"

/** What the relay selects. */
const SUBPROTOCOL = "agent-socket.v1"
const PROOF_START = "agent-socket.proof."
const PROOF_BITS = 128
const INFO = "agent-socket upgrade v1"

/**
 * The subprotocols that an upgrade offers: none for a relay that does not select them, as browsers then give the
 * connection up, and none where there is no Web Crypto (on pages without TLS).
 */
export async function offerOf(relayFeatures: readonly string[], sessionId: string, resumeSecret: string): Promise<string[]> {
  const { subtle } = globalThis.crypto ?? {}
  if (!subtle || !relayFeatures.includes(UPGRADE_PROOF)) return []
  try {
    const bytes = (text: string) => new TextEncoder().encode(text)
    const secret = fromBase64(resumeSecret.replaceAll("-", "+").replaceAll("_", "/"))
    const key = await subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"])
    const bits = await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: bytes(sessionId), info: bytes(INFO) }, key, PROOF_BITS)
    const proof = toBase64(new Uint8Array(bits)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
    return [SUBPROTOCOL, PROOF_START + proof]
  } catch {
    return [] // it is no secret of a relay's: the resume tells
  }
}
