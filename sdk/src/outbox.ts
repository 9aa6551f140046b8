/**
 * Frames that must arrive: replies to calls and what becomes of tasks. A frame is kept until a heartbeat that was
 * sent after it is answered, and sent again after a resume; the relay takes only the first of two.
 */

interface Item {
  key: string
  text: string
  /** Whether it went out on the present line. */
  sent: boolean
}

/** Frames that may have arrived are kept up to this many characters in all. */
const MAX_SENT_CHARS = 8 * 1024 * 1024

export class Outbox {
  readonly #items = new Map<string, Item>()
  #send: (text: string) => boolean = () => false

  /** Sends a frame now, or as soon as there is a line. A later frame with the same key takes its place. */
  post(key: string, frame: object): void {
    const item = { key, text: JSON.stringify(frame), sent: false }
    this.#items.delete(key)
    this.#items.set(key, item)
    this.#sendItem(item)
    this.#trim()
  }

  /** A line is open: what is here goes out, in its order. */
  attach(send: (text: string) => boolean): void {
    this.#send = send
    for (const item of this.#items.values()) this.#sendItem(item)
  }

  detach(): void {
    this.#send = () => false
    for (const item of this.#items.values()) item.sent = false
  }

  /** All that was sent before this moment has arrived. */
  confirm(): void {
    for (const { key, sent } of this.#items.values()) if (sent) this.#items.delete(key)
  }

  keys(): string[] {
    return [...this.#items.keys()]
  }

  delete(key: string): void {
    this.#items.delete(key)
  }

  clear(): void {
    this.#items.clear()
  }

  #sendItem(item: Item): void {
    item.sent = this.#send(item.text)
  }

  /** Of what is sent, the newest is kept. */
  #trim(): void {
    let size = 0
    for (const { key, text, sent } of [...this.#items.values()].reverse()) {
      if (sent && (size += text.length) > MAX_SENT_CHARS) this.#items.delete(key)
    }
  }
}
