// The floor of the bench: the least that a relay of this protocol does. It
// routes by session, forwards calls over a hibernating WebSocket, matches the
// replies and makes the responses, and serves what the app registered. It checks
// nothing and keeps no promise: no token, limit, timeout, cancelling, resume
// secret, task or door. What the real relay costs more is what those cost.

/** A request's path and query. Cutting it out is cheaper than `new URL`. */
const pathOf = ({ url }) => url.slice(url.indexOf("/", 8));

const LINK = "/v1/t/as_";
const SESSION_CHARS = 8;
const LINK_CHARS = LINK.length + SESSION_CHARS + 1 + 22;
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };
const MARKDOWN = { "content-type": "text/markdown; charset=utf-8" };

function freshSession() {
  let id = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(SESSION_CHARS))) id += ALPHABET[byte & 31];
  return id;
}

const base64url = (bytes) => crypto.getRandomValues(new Uint8Array(bytes)).toBase64({ alphabet: "base64url", omitPadding: true });

const failed = (status, code) => Response.json({ error: { code, message: code } }, { status });

async function evict(env, session, request) {
  try {
    return await env.RELAY.getByName(session).fetch(request);
  } catch {
    return Response.json({ ok: true });
  }
}

export default {
  fetch(request, env) {
    const path = pathOf(request);
    if (path.startsWith(LINK)) return env.RELAY.getByName(path.slice(LINK.length, LINK.length + SESSION_CHARS)).fetch(request);
    if (path.startsWith("/v1/_ws")) {
      const session = /[?&]session=(\w+)/.exec(path)?.[1] ?? freshSession();
      return env.RELAY.getByName(session).fetch(new Request(`http://floor/v1/_ws?open=${session}`, request));
    }
    if (path.startsWith("/_debug/evict/")) return evict(env, path.slice("/_debug/evict/".length), request);
    return failed(404, "not_found");
  },
};

export class RelaySession {
  constructor(state) {
    this.state = state;
    this.storage = state.storage.kv;
    this.calls = new Map();
    this.lastCall = 0;
    // The socket outlives the memory; what was registered is in storage.
    this.socket = state.getWebSockets()[0];
    this.session = this.storage.get("session");
    if (this.session !== undefined) this.serve();
  }

  /** Makes once what is served many times. */
  serve() {
    const { appId, appDescription, agentsMd, tools } = this.session;
    this.agentsMd = agentsMd;
    this.toolsJson = JSON.stringify({ version: "1.0", app: { id: appId, name: appId, description: appDescription }, tools });
  }

  fetch(request) {
    const path = pathOf(request);
    if (path.startsWith(LINK)) return this.onAgent(request, path.slice(LINK_CHARS));
    if (path.startsWith("/v1/_ws?open=")) return this.onUpgrade(path.slice("/v1/_ws?open=".length));
    return this.evict();
  }

  onAgent(request, path) {
    if (this.session === undefined) return failed(503, "app_offline");
    if (path === "/agents.md") return new Response(this.agentsMd, { headers: MARKDOWN });
    if (path === "/tools.json") return new Response(this.toolsJson, { headers: JSON_TYPE });
    if (this.socket === undefined) return failed(503, "app_offline");
    return this.call(request, path);
  }

  async call(request, path) {
    const headers = {};
    for (const [name, value] of request.headers) {
      if (name === "content-type" || name.startsWith("x-")) headers[name] = value;
    }
    const body = await request.text();
    const id = String(++this.lastCall);
    const { promise, resolve } = Promise.withResolvers();
    this.calls.set(id, resolve);
    this.socket.send(JSON.stringify({ type: "tool_call", id, method: request.method, path, body, headers }));
    return promise;
  }

  onReply({ id, status, headers, body }) {
    const resolve = this.calls.get(id);
    if (resolve === undefined) return;
    this.calls.delete(id);
    const type = headers?.["content-type"];
    if (type !== undefined && typeof body === "string") resolve(new Response(body, { status, headers: { "content-type": type } }));
    else resolve(new Response(JSON.stringify(body), { status, headers: JSON_TYPE }));
  }

  onUpgrade(id) {
    const [client, server] = Object.values(new WebSocketPair());
    this.state.setWebSocketAutoResponse(new WebSocketRequestResponsePair('{"type":"ping","id":"as_hb"}', '{"type":"pong","id":"as_hb"}'));
    this.state.acceptWebSocket(server);
    this.id = id;
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(socket, message) {
    const frame = JSON.parse(message);
    switch (frame.type) {
      case "tool_reply":
        return this.onReply(frame);
      case "register":
      case "resume":
        return this.onRegister(socket, frame);
      case "mint_agent_token":
        return this.onMint(socket, frame);
      case "ping":
        return socket.send(JSON.stringify({ type: "pong", id: frame.id }));
    }
  }

  onRegister(socket, { type, appId, appDescription, agentsMd, tools }) {
    const resumed = type === "resume";
    const sessionId = this.session?.sessionId ?? this.id;
    const resumeSecret = this.session?.resumeSecret ?? base64url(32);
    this.session = { sessionId, resumeSecret, appId, appDescription, agentsMd, tools };
    this.storage.put("session", this.session);
    this.serve();
    if (this.socket !== socket) this.socket?.close(4410);
    this.socket = socket;
    socket.send(JSON.stringify({ type: "register_reply", ok: true, sessionId, resumeSecret, ...(resumed && { resumed }) }));
  }

  onMint(socket, { id, label }) {
    const token = `as_${this.session.sessionId}_${base64url(16)}`;
    const url = `__BASE__/v1/t/${token}/agents.md`;
    socket.send(JSON.stringify({ type: "mint_agent_token_reply", id, ok: true, token, url, label, expiresAt: null }));
  }

  webSocketClose(socket, code) {
    if (this.socket === socket) this.socket = undefined;
    if (code !== 1000) return;
    // Else the Close frame is answered only when the object goes idle.
    socket.close(code);
    this.session = undefined;
    this.state.storage.deleteAll();
  }

  webSocketError(socket) {
    this.webSocketClose(socket, 1006);
  }

  async evict() {
    await this.state.storage.sync();
    this.state.abort("evicted by _debug");
  }
}
