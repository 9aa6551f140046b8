// What a debugger asks for (`/_debug`): failures, and objects that lose their memory.

/** Throws out of an import. */
export function fail() {
  throw new Error("a debugger asked for an exception");
}

/** The next commit fails. */
export function failStorage({ storage }) {
  storage.transactionSync = () => {
    delete storage.transactionSync;
    fail();
  };
}

/** The object loses its memory and its sockets. Nothing goes on after `abort`, so it is not for Rust. */
export async function evict(state) {
  await state.storage.sync();
  state.abort("evicted by _debug");
}
