/** A relay made for tests: it knows Part I of the protocol, and does what a test tells it. */

import { once } from "node:events"
import { WebSocket, WebSocketServer } from "ws"

export { WebSocket }

/**
 * Starts one: `{ baseUrl, next(type), send(frame), drop(code), frames, stop() }`.
 *
 * @param answers replies by frame type, in place of those below; a function gets the frame, null answers nothing.
 */
export async function startRelay(answers = {}) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
  await once(server, "listening")
  const relay = { sessions: 0, tokens: 0, frames: [], urls: [], offers: [], sockets: new Set(), socket: undefined }
  const waiting = []
  let seen = 0

  const replies = {
    register: () => ({ type: "register_reply", ok: true, sessionId: `SESS000${++relay.sessions}`, resumeSecret: `secret-${relay.sessions}` }),
    resume: ({ sessionId, secret }) => ({ type: "register_reply", ok: true, resumed: true, sessionId, resumeSecret: secret }),
    mint_agent_token: ({ id, label = "" }) => {
      const token = `as_TOKEN${++relay.tokens}`
      return { type: "mint_agent_token_reply", id, ok: true, token, url: `__BASE__/v1/t/${token}/agents.md`, label, expiresAt: null }
    },
    revoke_agent_token: ({ id }) => ({ type: "revoke_agent_token_reply", id, ok: true }),
    list_agent_tokens: ({ id }) => ({ type: "list_agent_tokens_reply", id, tokens: [] }),
    update_tools: ({ id }) => ({ type: "update_tools_reply", id, ok: true }),
    ping: ({ id }) => ({ type: "pong", id }),
    end: () => ({ type: "end_reply", ok: true }),
    ...answers,
  }

  server.on("connection", (socket, request) => {
    relay.socket = socket
    relay.sockets.add(socket)
    relay.urls.push(request.url)
    relay.offers.push(request.headers["sec-websocket-protocol"])
    socket.on("close", (code) => {
      relay.sockets.delete(socket)
      note({ type: "closed", code })
    })
    socket.on("message", (data) => {
      const text = String(data)
      const frame = JSON.parse(text)
      const reply = replies[frame.type]?.(frame)
      if (reply) socket.send(JSON.stringify(reply))
      if (reply?.ok === false && reply.type === "register_reply") socket.close(reply.error.code === "resume_failed" ? 4401 : 4400)
      note({ ...frame, text })
    })
  })

  function note(frame) {
    relay.frames.push(frame)
    for (const waiter of waiting.splice(0)) waiter()
  }

  return Object.assign(relay, {
    server,
    replies,
    baseUrl: `http://127.0.0.1:${server.address().port}`,
    /** The next frame of this type that no `next` gave yet; `closed` is a socket's end. */
    async next(type, fits = () => true) {
      for (;;) {
        while (seen < relay.frames.length) {
          const frame = relay.frames[seen++]
          if (frame.type === type && fits(frame)) return frame
        }
        await new Promise((resolve) => waiting.push(resolve))
      }
    },
    send: (frame) => relay.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
    drop: (code) => (code ? relay.socket.close(code) : relay.socket.terminate()),
    async stop() {
      for (const socket of relay.sockets) socket.terminate()
      server.close()
      await once(server, "close")
    },
  })
}

/** What was logged while `run` ran, by method. */
export async function logged(run) {
  const lines = []
  const before = { warn: console.warn, error: console.error, log: console.log }
  for (const method of Object.keys(before)) console[method] = (...args) => lines.push(args.map(String).join(" "))
  try {
    await run()
  } finally {
    Object.assign(console, before)
  }
  return lines
}
