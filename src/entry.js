// What the runtime loads: the entrypoint and the object's class, each call
// handed on as it comes. It stands in for the shim of worker-build, whose
// proxies around every class, object and method cost more than the calls do.
//
// Nothing in the Rust can panic, as far as is known. Should it happen all the
// same, WebAssembly's memory is in no state to go on with: it is made anew, and
// the isolate's objects restart from what is stored, each at its next event.

import * as relay from "./index.js";

let broken = false;
let generation = 0;

/** Makes the memory anew if it has to be. */
function mend() {
  if (!broken) return;
  console.error("the relay starts anew, with all sessions of this isolate");
  relay.__wbg_reset_state();
  broken = false;
  generation++;
}

function note(error) {
  if (error instanceof WebAssembly.RuntimeError) broken = true;
}

addEventListener("error", (event) => note(event.error));

export default {
  fetch(request, env, ctx) {
    mend();
    try {
      return relay.fetch(request, env, ctx);
    } catch (error) {
      note(error);
      throw error;
    }
  },
};

export class RelaySession {
  constructor(state, env) {
    mend();
    this.state = state;
    this.generation = generation;
    this.core = new relay.RelaySession(state, env);
  }

  /** The part in Rust; if it is of a memory that is gone, so is this object. */
  live() {
    mend();
    if (this.generation !== generation) this.state.abort("the relay started anew");
    return this.core;
  }

  fetch(request) {
    try {
      return this.live().fetch(request);
    } catch (error) {
      note(error);
      throw error;
    }
  }

  webSocketMessage(socket, message) {
    try {
      this.live().webSocketMessage(socket, message);
    } catch (error) {
      note(error);
      throw error;
    }
  }

  webSocketClose(socket, code, reason, wasClean) {
    try {
      this.live().webSocketClose(socket, code, reason, wasClean);
    } catch (error) {
      note(error);
      throw error;
    }
  }

  webSocketError(socket, problem) {
    try {
      this.live().webSocketError(socket, problem);
    } catch (error) {
      note(error);
      throw error;
    }
  }

  alarm() {
    try {
      this.live().alarm();
    } catch (error) {
      note(error);
      throw error;
    }
  }
}
