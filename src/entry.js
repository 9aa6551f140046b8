// What the runtime loads: the entrypoint and the object's class, each call
// handed on as it comes. It stands in for the shim of worker-build, whose
// proxies around every class, object and method cost more than the calls do.
//
// Whatever throws out of WebAssembly (a panic, an exception of something that it
// called, too deep a recursion, no more memory) leaves its memory in no state to
// go on with. It is made anew then, which costs the requests that are open; every
// session is read again from what is stored, at its next event.

import * as relay from "./index.js";

/** Counts the memories, and says whether this one broke: `worker` keeps it. */
const memory = relay.__worker_init_state();

/** Tells those who wait for the entrypoint: their answers never come if the memory broke. */
const waiting = new Set();

/** Something threw out of WebAssembly, whatever it was. */
function broke() {
  memory.criticalError = true;
  for (const lose of waiting) lose();
  waiting.clear();
}

relay.watch(broke);

/** Makes the memory anew if it broke. */
function mend() {
  if (!memory.criticalError) return;
  console.error("the relay's memory is made anew: its sessions go on from what is stored");
  relay.__wbg_reset_state();
  memory.criticalError = false;
  relay.watch(broke);
}

function caught(error) {
  broke();
  console.error("the relay failed:", error);
}

/** The answer to an agent whose request was lost. */
function restarted() {
  mend();
  return relay.restarted();
}

/** The answer of the entrypoint, or that it was lost. */
function answered(request, env, ctx) {
  const { promise: lost, resolve: lose } = Promise.withResolvers();
  waiting.add(lose);
  // What is lost is answered here, in the request's own context: a response that
  // another one's event made could not be sent.
  return Promise.race([relay.fetch(request, env, ctx), lost])
    .catch((error) => console.error("the entrypoint failed:", error))
    .finally(() => waiting.delete(lose))
    .then((answer) => answer ?? restarted());
}

export default {
  fetch(request, env, ctx) {
    try {
      mend();
      return relay.call(request, env)?.catch(restarted) ?? answered(request, env, ctx);
    } catch (error) {
      caught(error);
      return restarted();
    }
  },
};

export class RelaySession {
  #state;
  #env;
  /** The part in Rust, the memory that it is in, and the requests that wait for it. */
  #core;
  #memory;
  #requests;

  constructor(state, env) {
    this.#state = state;
    this.#env = env;
  }

  /** Does something with the part in Rust. What that throws is the caller's. */
  #run(act) {
    try {
      mend();
      if (this.#memory !== memory.instanceId) this.#begin();
      const result = act(this.#core);
      this.#rest();
      return result;
    } catch (error) {
      caught(error);
      this.#end();
      throw error;
    }
  }

  #begin() {
    this.#end();
    this.#core = new relay.RelaySession(this.#state, this.#env, (act) => this.#report(act));
    this.#requests = this.#core.requests();
    this.#memory = memory.instanceId;
  }

  /** The part in Rust is gone, and so is what its open requests wait for. */
  #end() {
    this.#requests?.abandon(restarted);
    this.#core = this.#memory = this.#requests = undefined;
  }

  /** An event that nobody waits for. */
  #report(act) {
    try {
      this.#run(act);
    } catch {
      // It was told; whoever sent it finds out as the session goes on from what is stored.
    }
  }

  /**
   * Lets go of the part in Rust if nothing is there: the object itself stays in
   * memory for a while, and WebAssembly's memory never shrinks.
   */
  #rest() {
    if (!this.#core.isEmpty()) return;
    this.#core.free();
    this.#core = this.#memory = this.#requests = undefined;
  }

  fetch(request) {
    try {
      return this.#run((core) => core.fetch(request));
    } catch {
      return restarted();
    }
  }

  webSocketMessage(socket, message) {
    this.#report((core) => core.message(socket, message));
  }

  webSocketClose(socket, code) {
    this.#report((core) => core.closed(socket, code));
  }

  webSocketError(socket) {
    this.#report((core) => core.closed(socket, 1006));
  }

  /** What it throws makes the runtime try again. */
  alarm() {
    this.#run((core) => core.alarm());
  }
}
