// The few steps between the runtime and the relay's Rust that are best taken in
// JavaScript: each function here crosses the border once where a chain of
// bindings would cross it many times. Nothing here decides anything.

/** A request as one string, a part a line: none of the parts can hold a line break. */
export function edgeHead({ method, url, headers }) {
  return `${method}\n${url}\n${headers.get("content-length") ?? ""}\n${headers.get("upgrade") ?? ""}`;
}

/** The same for the object, which asks for the rest if it needs it. */
export function agentHead(request) {
  return `${request.method}\n${request.url}`;
}

/** `Sec-Fetch-Site`, then names and values in turn of the headers that may go on to the app. */
export function callHeaders({ headers }) {
  let site = "";
  let forwarded = "";
  for (const [name, value] of headers) {
    if (name === "content-type" || name.startsWith("x-")) forwarded += `\n${name}\n${value}`;
    else if (name === "sec-fetch-site") site = value;
  }
  return site + forwarded;
}

export function fetchDest({ headers }) {
  return headers.get("sec-fetch-dest") ?? undefined;
}

export function header(request, name) {
  return request.headers.get(name) ?? undefined;
}

/** Names and values in turn, of the headers whose names start like this. */
export function headersStarting(request, prefix) {
  return [...request.headers].filter(([name]) => name.startsWith(prefix)).flat();
}

/** A var of wrangler.toml as text, if it is set. */
export function envVar(env, name) {
  const value = env[name];
  return value === undefined || value === null ? undefined : String(value);
}

/** Headers of every response, and the body of one; they come from Rust, where they are tested. */
let common = [];
let restartedBody = "";

export function prepare(headers, restarted) {
  common = headers.split("\n").map((line) => line.split("\t"));
  restartedBody = restarted;
}

/** For an object that failed, moved or was updated in the middle of a request. */
function restarted() {
  const headers = [
    ...common,
    ["content-type", "application/json; charset=utf-8"],
    ["retry-after", "2"],
    ["agent-socket-error", "app_offline"],
    ["access-control-expose-headers", "agent-socket-error"],
  ];
  return new Response(restartedBody, { status: 503, headers });
}

export function forward(env, session, request) {
  return env.RELAY.getByName(session).fetch(request).catch(restarted);
}

/** An object that was told to evict itself cannot answer. */
export async function forwardEvict(env, session, request, done) {
  try {
    return await env.RELAY.getByName(session).fetch(request);
  } catch {
    return done;
  }
}

/**
 * Forwards an upgrade with another URL, whose query tells the object what it
 * is; `limited` where the address has opened too many, if a limit is bound.
 */
export async function forwardUpgrade(env, session, request, url, key, limited) {
  if (env.UPGRADES !== undefined && !(await env.UPGRADES.limit({ key })).success) return limited;
  return env.RELAY.getByName(session).fetch(new Request(url, request));
}

export function hasLimiter(env) {
  return env.UPGRADES !== undefined;
}

/** A page, or `fallback` where there is none. */
export async function page(env, request, fallback) {
  if (env.ASSETS === undefined) return fallback;
  const found = await env.ASSETS.fetch(request);
  return found.status === 404 ? fallback : found;
}

/** Lets go of a body that nobody will read. */
export function discard(request) {
  request.body?.cancel().catch(() => {});
}

/** Headers by content type, ready to be copied into a response. */
const prepared = new Map();

/** More types than these are an app's whim, and are not kept. */
const MAX_PREPARED = 64;

function headersOf(type) {
  let headers = prepared.get(type);
  if (headers === undefined) {
    headers = new Headers(type === undefined ? common : [...common, ["content-type", type]]);
    if (prepared.size < MAX_PREPARED) prepared.set(type, headers);
  }
  return headers;
}

/** A response of the agent surface; without a type it has no body. */
export function respond(status, type, body) {
  // `body` is a view of wasm memory, which the next call may change: copy it.
  // Much quicker than `slice`, which clears the new array first.
  return new Response(type === undefined ? null : new Uint8Array(body), { status, headers: headersOf(type) });
}

export function respondJson(status, body) {
  return respond(status, "application/json; charset=utf-8", body);
}

/** Adds a header to a response that was made here. */
export function addHeader(response, name, value) {
  response.headers.set(name, value);
}

/** A long text as UTF-8: much faster than letting it cross character by character. */
export function encode(text) {
  return encoder.encode(text);
}

export function now() {
  return Date.now();
}

export function randomFill(bytes) {
  crypto.getRandomValues(bytes);
}

const encoder = new TextEncoder();

/** The response that opens a socket, with the subprotocol that is selected, if one is. */
function opened(webSocket, subprotocol) {
  const headers = subprotocol === undefined ? {} : { "sec-websocket-protocol": subprotocol };
  return new Response(null, { status: 101, webSocket, headers });
}

/** Bytes that come in parts, in one buffer: parts of a byte must not cost a buffer each. */
class Gathered {
  constructor() {
    this.length = 0;
    this.room = undefined;
  }

  add(part) {
    const length = this.length + part.byteLength;
    if (this.room === undefined) {
      // Most bodies are one part, which needs no copy.
      this.room = part;
    } else {
      if (length > this.room.byteLength) {
        const larger = new Uint8Array(Math.max(length, 2 * this.room.byteLength));
        larger.set(this.room.subarray(0, this.length));
        this.room = larger;
      }
      this.room.set(part, this.length);
    }
    this.length = length;
  }

  bytes() {
    return this.room === undefined ? new Uint8Array() : this.room.subarray(0, this.length);
  }
}

/** The sockets, requests, records and timer of one object. */
export class Shell {
  /** `watchAfterMs` and `stepMs`: see `arm`. */
  constructor(state, onBody, onProgress, onGone, onTimer, watchAfterMs, stepMs) {
    this.watchAfterMs = watchAfterMs;
    this.stepMs = stepMs;
    this.state = state;
    this.sql = state.storage.sql;
    this.onBody = onBody;
    this.onProgress = onProgress;
    this.onGone = onGone;
    this.onTimer = onTimer;
    this.sockets = new Map();
    this.socketIds = new WeakMap();
    this.requests = new Map();
    this.unwatched = new Map();
    this.readers = new Map();
    this.streams = new Map();
    this.timer = undefined;
    this.timerAt = Infinity;
    // Whether a timer has gone off since something waits.
    this.isWatching = false;
    this.hasTable = undefined;
  }

  // Sockets

  /** Takes a socket in and gives the response that opens it. */
  open(id, ping, pong, subprotocol) {
    const [client, server] = Object.values(new WebSocketPair());
    this.state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(ping, pong));
    this.state.acceptWebSocket(server);
    this.keep(id, server);
    return opened(client, subprotocol);
  }

  /** Opens a socket only to close it: a client cannot read the status of a refused upgrade. */
  refuse(code, reason, subprotocol) {
    const [client, server] = Object.values(new WebSocketPair());
    server.accept();
    server.close(code, reason);
    return opened(client, subprotocol);
  }

  keep(id, socket) {
    this.sockets.set(id, socket);
    this.socketIds.set(socket, id);
  }

  socketId(socket) {
    return this.socketIds.get(socket);
  }

  /** A socket's peer closed it: answers the Close frame with one of the same code (RFC 6455, 5.5.1). */
  answerClose(socket, code) {
    this.sockets.delete(this.socketIds.get(socket));
    this.socketIds.delete(socket);
    try {
      // 1005, 1006 and 1015 stand for no code at all and cannot be sent.
      if (code === 1005 || code === 1006 || code === 1015) socket.close();
      else socket.close(code);
    } catch {
      // It is gone already.
    }
  }

  /**
   * The sockets that outlived the memory: ids and what was attached, in turn.
   * Those that have no id yet get one, from `nextId` on.
   */
  adopt(nextId) {
    const flat = [];
    for (const socket of this.state.getWebSockets()) {
      const attachment = socket.deserializeAttachment();
      if (typeof attachment !== "string") continue;
      if (!this.socketIds.has(socket)) this.keep(nextId++, socket);
      flat.push(String(this.socketIds.get(socket)), attachment);
    }
    return flat;
  }

  send(id, text) {
    try {
      this.sockets.get(id)?.send(text);
    } catch {
      // It is closing; its close event follows.
    }
  }

  close(id, code, reason) {
    const socket = this.sockets.get(id);
    if (socket === undefined) return;
    this.sockets.delete(id);
    this.socketIds.delete(socket);
    try {
      // A socket in the middle of closing may outlive the memory: without an
      // attachment it is nobody's.
      socket.serializeAttachment(null);
      socket.close(code, reason);
    } catch {
      // It is closed already.
    }
  }

  attach(id, attachment) {
    try {
      this.sockets.get(id)?.serializeAttachment(attachment);
    } catch {
      // It is closing; its close event follows.
    }
  }

  lastAutoResponse(id) {
    const socket = this.sockets.get(id);
    return socket === undefined ? undefined : this.state.getWebSocketAutoResponseTimestamp(socket)?.getTime();
  }

  // Requests

  /** A promise for a response that comes later. */
  pend(id, request) {
    const { promise, resolve } = Promise.withResolvers();
    this.requests.set(id, resolve);
    this.unwatched.set(id, request);
    return promise;
  }

  /**
   * Watches for the agents of those that wait to go away. Most calls are
   * answered before it comes to that, and asking for the signal takes a tenth of
   * a call's time.
   */
  watch() {
    for (const [id, { signal }] of this.unwatched) {
      if (signal?.aborted) this.gone(id);
      else signal?.addEventListener("abort", () => this.gone(id), { once: true });
    }
    this.unwatched.clear();
  }

  gone(id) {
    if (this.streams.delete(id)) return this.onGone(id);
    const resolve = this.take(id);
    if (resolve === undefined) return;
    this.onGone(id);
    resolve(new Response(null, { status: 499 }));
  }

  /**
   * Reads a body as it comes, at most `cap` bytes of it; `length` is what was
   * announced, or 0. It stops as soon as the request is answered.
   */
  async readBody(id, request, length, cap, progressMs) {
    const reader = request.body?.getReader();
    if (reader === undefined) return this.onBody(id, new Uint8Array(), false);
    this.readers.set(id, reader);
    const body = new Gathered();
    let toldAt = Date.now();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (!this.readers.has(id)) return;
        if (done) break;
        body.add(value);
        // An announced length is kept to by the runtime, so there is no need to look for more.
        if (body.length > cap || body.length === length) break;
        if (Date.now() - toldAt < progressMs) continue;
        toldAt = Date.now();
        this.onProgress(id);
      }
    } catch {
      // A request that was answered meanwhile may have been the last.
      if (this.readers.delete(id)) this.onBody(id, undefined, false);
      return;
    }
    this.readers.delete(id);
    if (body.length <= cap) return this.onBody(id, body.bytes(), false);
    reader.cancel().catch(() => {});
    this.onBody(id, undefined, true);
  }

  /** What answers a request, which is then forgotten. */
  take(id) {
    const resolve = this.requests.get(id);
    this.requests.delete(id);
    this.unwatched.delete(id);
    const reader = this.readers.get(id);
    if (reader !== undefined) {
      this.readers.delete(id);
      reader.cancel().catch(() => {});
    }
    return resolve;
  }

  settle(id, response) {
    this.take(id)?.(response);
  }

  /** Settles a request with a response whose body is still to come. */
  stream(id, head) {
    if (!this.requests.has(id)) return;
    let controller;
    const body = new ReadableStream({
      start: (own) => void (controller = own),
      cancel: () => this.gone(id),
    });
    this.settle(id, new Response(body, head));
    this.streams.set(id, controller);
  }

  /** More of a body; without a text, its end. */
  chunk(id, text) {
    const controller = this.streams.get(id);
    if (controller === undefined) return;
    if (text !== undefined) return controller.enqueue(encoder.encode(text));
    this.streams.delete(id);
    controller.close();
  }

  // Records

  /**
   * Runs what may fail with the storage. Memory that storage does not follow is
   * worth nothing, so the object starts anew from what is stored.
   */
  guarded(otherwise, run) {
    try {
      return run();
    } catch (error) {
      console.error("storage failed, the object restarts:", error.message);
      this.state.abort("storage failed");
      return otherwise;
    }
  }

  tableExists() {
    this.hasTable ??= this.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'record'").toArray().length > 0;
    return this.hasTable;
  }

  /** Keys and values in turn, of the records whose keys do not start with `lazy`. */
  load(lazy) {
    return this.guarded([], () => {
      if (!this.tableExists()) return [];
      const flat = [];
      const rows = this.sql.exec(
        "SELECT key, part, value FROM record WHERE substr(key, 1, ?) <> ? ORDER BY key, part",
        lazy.length,
        lazy,
      );
      for (const { key, part, value } of rows) {
        if (part === 0) flat.push(key, value);
        else flat[flat.length - 1] += value;
      }
      return flat;
    });
  }

  read(key) {
    return this.guarded(undefined, () => {
      if (!this.tableExists()) return undefined;
      const parts = this.sql.exec("SELECT value FROM record WHERE key = ? ORDER BY part", key).toArray();
      return parts.length === 0 ? undefined : parts.map((row) => row.value).join("");
    });
  }

  // The next four say whether it was done.

  /** Writes a value in parts. */
  put(key, parts) {
    return this.guarded(false, () => {
      if (!this.tableExists()) {
        this.sql.exec("CREATE TABLE record (key TEXT, part INTEGER, value TEXT, PRIMARY KEY (key, part)) WITHOUT ROWID");
        this.hasTable = true;
      }
      for (const [part, value] of parts.entries()) {
        this.sql.exec("INSERT OR REPLACE INTO record (key, part, value) VALUES (?, ?, ?)", key, part, value);
      }
      this.sql.exec("DELETE FROM record WHERE key = ? AND part >= ?", key, parts.length);
      return true;
    });
  }

  delete(key) {
    return this.guarded(false, () => {
      if (this.tableExists()) this.sql.exec("DELETE FROM record WHERE key = ?", key);
      return true;
    });
  }

  deleteAll() {
    return this.guarded(false, () => {
      this.state.storage.deleteAlarm();
      this.state.storage.deleteAll();
      this.hasTable = false;
      return true;
    });
  }

  keys() {
    if (!this.tableExists()) return "[]";
    return JSON.stringify(this.sql.exec("SELECT DISTINCT key FROM record ORDER BY key").toArray().map((row) => row.key));
  }

  // Time

  setAlarm(at) {
    return this.guarded(false, () => {
      if (at === undefined) this.state.storage.deleteAlarm();
      else this.state.storage.setAlarm(at);
      return true;
    });
  }

  /**
   * Sees to it that `onTimer` is called at `at` or before, in steps, so that no
   * call has to set one of its own; without `at` nothing waits any more. A timer
   * that is left over would keep the object from hibernating, which costs more
   * than it takes to clear it.
   */
  arm(at) {
    if (at === undefined) {
      if (this.timerAt !== Infinity) clearTimeout(this.timer);
      this.timerAt = Infinity;
      this.isWatching = false;
      return;
    }
    const now = Date.now();
    const step = this.isWatching && this.unwatched.size === 0 ? this.stepMs : this.watchAfterMs;
    const until = Math.min(at, now + step);
    if (until >= this.timerAt) return;
    clearTimeout(this.timer);
    this.timerAt = until;
    this.timer = setTimeout(() => {
      this.timerAt = Infinity;
      this.isWatching = true;
      this.watch();
      this.onTimer();
    }, Math.max(until - now, 0));
  }

  /** The state as JSON, completed by what only the runtime knows. */
  async debugState(json, wasmBytes) {
    const state = JSON.parse(json);
    state.wasmBytes = wasmBytes;
    state.storageKeys = JSON.parse(this.keys());
    state.alarm = (await this.state.storage.getAlarm()) ?? null;
    return new Response(JSON.stringify(state), { headers: { "content-type": "application/json" } });
  }

  async evict() {
    await this.state.storage.sync();
    this.state.abort("evicted by _debug");
  }
}
