// The steps between the runtime and the relay's Rust that are best taken in
// JavaScript: each function here crosses the border once where a chain of
// bindings would cross it many times, on the way of every call. Nothing here
// decides anything.

// Failures

let told = () => {};

export function onBroke(broke) {
  told = broke;
}

/** The memory of WebAssembly is not to be trusted any more. */
export function broke() {
  told();
}

// Heads

/** A request as one string, a part a line: none of the parts can hold a line break. */
export function edgeHead({ url, method, headers }) {
  return `${url}\n${headers.get("content-length") ?? ""}\n${headers.get("upgrade") ?? ""}\n${method}`;
}

/** The same for the object, which asks for the rest if it needs it. */
export function objectHead({ url, method }) {
  return `${url}\n${method}`;
}

export function header({ headers }, name) {
  return headers.get(name) ?? undefined;
}

/** Names and values, a line each, of the headers that are among `names` or start with `prefix`. */
export function headersOf({ headers }, names, prefix) {
  let lines = "";
  // Cheaper than an iterator, which makes an array of each.
  headers.forEach((value, name) => {
    if (names.has(name) || name.startsWith(prefix)) lines += `${name}\n${value}\n`;
  });
  return lines;
}

/** Lets go of a body that nobody will read. */
export function discard(request) {
  request.body?.cancel().catch(() => {});
}

/** A long text as UTF-8: much faster than letting it cross character by character. */
export function encode(text) {
  return encoder.encode(text);
}

const encoder = new TextEncoder();

// Answers

export function forward(namespace, id, request) {
  return namespace.get(id).fetch(request);
}

/** A response with the status and headers of another: cheaper than to name them. */
export function respond(like, body) {
  // `body` is a view of wasm memory, which the next call may change: copy it.
  // Much quicker than `slice`, which clears the new array first.
  return new Response(body === undefined ? null : new Uint8Array(body), like);
}

// Sockets that are no object's

/**
 * Serves a socket that is no object's: `answer` gives code and reason of the close
 * that a message is answered with, if it is, and the texts before it. After `ms`
 * it is closed in any case.
 */
export function serve(socket, answer, ms, code, reason) {
  let isOpen = true;
  const end = (code, reason) => {
    isOpen = false;
    clearTimeout(timer);
    try {
      socket.close(code, reason);
    } catch {
      // It is gone already.
    }
  };
  const timer = setTimeout(end, ms, code, reason);
  socket.addEventListener("message", ({ data }) => {
    if (!isOpen) return;
    try {
      const [code, reason, ...texts] = answer(data);
      for (const text of texts) socket.send(text);
      if (code !== undefined) end(code, reason);
    } catch (error) {
      // The memory of `answer` may have been made anew meanwhile.
      if (error instanceof WebAssembly.RuntimeError) broke();
      end(1011);
    }
  });
  // 1005, 1006 and 1015 stand for no code at all and cannot be sent.
  socket.addEventListener("close", ({ code }) => end([1005, 1006, 1015].includes(code) ? undefined : code));
  socket.addEventListener("error", () => end());
}
