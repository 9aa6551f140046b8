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
    this.state = state;
    this.env = env;
    this.generation = generation;
    this.core = undefined;
  }

  /** Does something with the part in Rust. */
  run(what) {
    mend();
    // It is of a memory that is gone, and so is all that waits here.
    if (this.core !== undefined && this.generation !== generation) this.state.abort("the relay started anew");
    try {
      this.generation = generation;
      this.core ??= new relay.RelaySession(this.state, this.env);
      return what(this.core);
    } catch (error) {
      note(error);
      throw error;
    }
  }

  /**
   * Lets go of the part in Rust if nothing is there: the object itself stays in
   * memory for a while, and WebAssembly's memory never shrinks.
   */
  rest() {
    if (this.generation !== generation || !this.core?.isEmpty()) return;
    this.core.free();
    this.core = undefined;
  }

  fetch(request) {
    const response = this.run((core) => core.fetch(request));
    this.rest();
    return response;
  }

  webSocketMessage(socket, message) {
    this.run((core) => core.webSocketMessage(socket, message));
  }

  webSocketClose(socket, code, reason, wasClean) {
    this.run((core) => core.webSocketClose(socket, code, reason, wasClean));
    this.rest();
  }

  webSocketError(socket, problem) {
    this.run((core) => core.webSocketError(socket, problem));
    this.rest();
  }

  alarm() {
    this.run((core) => core.alarm());
    this.rest();
  }
}
