/** The calls in flight: each runs until it is answered, cancelled or out of time, also while the connection is gone. */

import { type CallFrame, type Watch, type WireReply, runCall } from "./tools.js"
import type { Tool } from "./types.js"

/** No call lasts longer at the relay (300 s); past it nobody waits, even where no `tool_cancel` says so. */
const MAX_CALL_MS = 310_000

export class Calls {
  readonly #running = new Map<string, AbortController>()

  get ids(): string[] {
    return [...this.#running.keys()]
  }

  /**
   * Runs a call; `done` is called unless somebody cancelled it before.
   */
  async run(tools: readonly Tool[], frame: CallFrame, watch: Watch, done: (reply: WireReply) => void): Promise<void> {
    if (this.#running.has(frame.id)) return
    const abort = new AbortController()
    this.#running.set(frame.id, abort)
    const timer = setTimeout(() => this.cancel(frame.id, "timeout"), MAX_CALL_MS)
    ;(timer as { unref?: () => void }).unref?.() // in Node, no reason to stay alive
    const reply = await runCall(tools, frame, abort.signal, watch)
    clearTimeout(timer)
    if (this.#running.get(frame.id) !== abort) return
    this.#running.delete(frame.id)
    done(reply)
  }

  cancel(id: string, reason: string): void {
    const abort = this.#running.get(id)
    this.#running.delete(id)
    abort?.abort(new DOMException(`The call is over: ${reason}`, "AbortError"))
  }

  cancelAll(reason: string): void {
    for (const id of this.ids) this.cancel(id, reason)
  }
}
