// The requests of one object that wait for their answers, and its one timer. They
// outlive the memory of WebAssembly, so that each gets an answer should it break.
// Nothing here decides anything.

const encoder = new TextEncoder();

/** Bytes that come in parts, in one buffer: parts of a byte must not cost a buffer each. */
class Gathered {
  length = 0;
  #room;

  add(part) {
    const length = this.length + part.byteLength;
    if (this.#room === undefined) {
      // Most bodies are one part, which needs no copy.
      this.#room = part;
    } else {
      if (length > this.#room.byteLength) {
        const larger = new Uint8Array(Math.max(length, 2 * this.#room.byteLength));
        larger.set(this.#room.subarray(0, this.length));
        this.#room = larger;
      }
      this.#room.set(part, this.length);
    }
    this.length = length;
  }

  bytes() {
    return this.#room === undefined ? new Uint8Array() : this.#room.subarray(0, this.length);
  }
}

/** The requests of one object that wait for their answers, and its one timer. */
export class Requests {
  #report;
  #open = new Map();
  #timer;

  /** `report` calls a function with the object's part in Rust. */
  constructor(report) {
    this.#report = report;
  }

  /** A promise for the response to a request. */
  wait(id, request) {
    const { promise, resolve } = Promise.withResolvers();
    this.#open.set(id, { resolve, request, unwatched: true, reader: undefined, stream: undefined });
    return promise;
  }

  /**
   * Reads a request's body as it comes, at most `cap` bytes of it; `length` is
   * what was announced, or 0. It stops as soon as the request is answered.
   */
  async read(id, length, cap, progressMs) {
    const open = this.#open.get(id);
    const reader = (open.reader = open.request.body?.getReader());
    const body = new Gathered();
    let toldAt = Date.now();
    try {
      // An announced length is kept to by the runtime, so there is no need to look for more.
      while (reader !== undefined && body.length <= cap && body.length !== (length || undefined)) {
        const { value, done } = await reader.read();
        if (this.#open.get(id) !== open) return;
        if (done) break;
        body.add(value);
        if (Date.now() - toldAt < progressMs) continue;
        toldAt = Date.now();
        this.#report((core) => core.progress(id));
      }
    } catch {
      // A request that was answered meanwhile may have been the last.
      if (this.#open.get(id) === open) this.#report((core) => core.body(id, undefined, false));
      return;
    }
    open.reader = undefined;
    const isTooLarge = body.length > cap;
    if (isTooLarge) reader.cancel().catch(() => {});
    this.#report((core) => core.body(id, isTooLarge ? undefined : body.bytes(), isTooLarge));
  }

  /** Watches for the agents of those that wait to go away. */
  #watch() {
    for (const [id, open] of this.#open) {
      if (!open.unwatched) continue;
      open.unwatched = false;
      const { signal } = open.request;
      if (signal?.aborted) this.#gone(id, open);
      else signal?.addEventListener("abort", () => this.#gone(id, open), { once: true });
    }
  }

  #gone(id, open) {
    if (this.#open.get(id) !== open) return;
    this.#take(id);
    this.#report((core) => open.resolve(core.gone(id)));
  }

  #take(id) {
    const open = this.#open.get(id);
    this.#open.delete(id);
    open?.reader?.cancel().catch(() => {});
    return open;
  }

  /** Answers a request, which is then forgotten. */
  settle(id, response) {
    this.#take(id)?.resolve(response);
  }

  /**
   * Answers a request with a response whose body is still to come, of which the
   * agent is said to read too little while `most` bytes or more wait.
   */
  stream(id, like, most) {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const source = {
      start: (stream) => void (open.stream = stream),
      cancel: () => this.#gone(id, open),
    };
    const body = new ReadableStream(source, new ByteLengthQueuingStrategy({ highWaterMark: most }));
    open.resolve(new Response(body, like));
  }

  /** Whether the agent of a request reads what comes of its body. */
  keepsUp(id) {
    return (this.#open.get(id)?.stream?.desiredSize ?? 1) > 0;
  }

  /** More of a body. */
  chunk(id, text) {
    this.#open.get(id)?.stream.enqueue(encoder.encode(text));
  }

  /** The end of a body. */
  endStream(id) {
    this.#take(id)?.stream.close();
  }

  /** Calls the part in Rust in so many ms, and then only; without `ms`, not at all. */
  arm(ms) {
    clearTimeout(this.#timer);
    if (ms === undefined) return;
    this.#timer = setTimeout(() => {
      this.#watch();
      this.#report((core) => core.timer());
    }, ms);
  }

  /** The next call of this method of the part in Rust fails. */
  failAt(method, kind) {
    queueMicrotask(() => this.#report((core) => void (core[method] = () => core.fail(kind))));
  }

  /** Lets go of all requests: those who wait get an answer, and streams break off. */
  abandon(answer) {
    clearTimeout(this.#timer);
    for (const [id, { resolve, stream }] of this.#open) {
      this.#take(id);
      if (stream === undefined) resolve(answer());
      else stream.error(new Error("the relay restarted"));
    }
  }
}
