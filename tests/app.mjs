/** An app over a plain WebSocket, and its links. */

import { once } from "node:events"

/** As the relay's runtime answers it by itself. A silent app is taken for gone after 50 s, which a busy machine needs to start a program. */
const HEARTBEAT = '{"type":"ping","id":"as_hb"}'
const HEARTBEAT_INTERVAL_MS = 10_000

/**
 * Registers `tools` and answers their calls. Each tool may have an `answer(call, app)` that returns (or resolves to)
 * the members of a `tool_reply`; without one a call waits until the test says `app.reply(call, …)`.
 */
export async function openApp(relay, { tools, agentsMd = "# Test\nAn app made for tests.", appDescription = "Made for tests" }) {
  await relay.ready
  const socket = new WebSocket(`${relay.url.replace("http", "ws")}/v1/_ws`)
  await once(socket, "open")
  const beat = setInterval(() => socket.send(HEARTBEAT), HEARTBEAT_INTERVAL_MS)
  // A test that fails must not keep the process from ending.
  beat.unref()
  const waiting = new Map()
  const listeners = new Set()
  const app = {
    /** Every frame since it registered, but for answers to the heartbeat. */
    frames: [],
    get calls() { return app.frames.filter(({ type }) => type === "tool_call") },
    send: (frame) => socket.send(JSON.stringify(frame)),
    reply: (call, members) => app.send({ type: "tool_reply", id: call.id, ...members }),
    request(frame) {
      const id = `r${waiting.size}`
      return new Promise((resolve) => {
        waiting.set(id, resolve)
        app.send({ ...frame, id })
      })
    },
    /** The first frame that fits, from the start or yet to come. */
    frame(fits) {
      const found = app.frames.find(fits)
      if (found) return Promise.resolve(found)
      return new Promise((resolve) => {
        const listener = (frame) => {
          if (!fits(frame)) return
          listeners.delete(listener)
          resolve(frame)
        }
        listeners.add(listener)
      })
    },
    /** A new link, without `/agents.md`. */
    async mint(limits = {}) {
      const reply = await app.request({ type: "mint_agent_token", label: "test", ...limits })
      if (!reply.ok) throw new Error(reply.error.message)
      return reply.url.replace("__BASE__", relay.url).replace(/\/agents\.md$/, "")
    },
    /** Ends the session, unless the line was cut before. */
    async close() {
      if (socket.readyState === WebSocket.CLOSED) return
      const closed = once(socket, "close")
      socket.close(1000)
      await closed
    },
  }
  const answers = new Map(tools.map((tool) => [`${tool.method ?? "POST"} ${tool.path}`, tool.answer]))
  async function answerCall(call) {
    const members = await answers.get(`${call.method} ${call.path}`)?.(call, app)
    if (members) app.reply(call, members)
  }
  const registered = new Promise((resolve, reject) => {
    socket.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(data)
      if (frame.type === "register_reply") {
        if (frame.ok) resolve()
        else reject(new Error(frame.error.message))
        return
      }
      if (frame.type === "pong" && frame.id === "as_hb") return
      app.frames.push(frame)
      waiting.get(frame.id)?.(frame)
      for (const listener of [...listeners]) listener(frame)
      if (frame.type === "tool_call") answerCall(frame).catch((error) => app.reply(frame, { status: 500, body: { error: String(error) } }))
    })
    socket.addEventListener("close", ({ code, reason }) => {
      clearInterval(beat)
      reject(new Error(`closed ${code} ${reason}`))
    })
  })
  app.send({ type: "register", appId: "as_app_anon", agentsMd, appDescription, tools: tools.map(({ answer, ...tool }) => tool) })
  await registered
  return app
}
