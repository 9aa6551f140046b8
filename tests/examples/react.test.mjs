/** `useAgentSocket` in a real React, as it is while one develops: StrictMode mounts everything twice. */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { build } from "esbuild"
import { ROOT, agent, newPage, startBrowser, startRelay } from "../boot.mjs"

const APP = `
import { StrictMode, useEffect, useState } from "react"
import { createRoot } from "react-dom/client"
import { useAgentSocket } from "@agent-socket/sdk/react"
import { tool } from "@agent-socket/sdk"

function App({ greeting = "hello", more = [], enabled = true, onState }) {
  const [count, setCount] = useState(0)
  const { session, state, links, error } = useAgentSocket({
    appId: "as_app_anon", agentsMd: "# React", enabled,
    tools: [
      tool({ path: "/count", description: "Counts.", handler: () => { setCount((now) => now + 1); return { before: count, greeting } } }),
      ...more.map((path) => tool({ path, description: "", handler: () => path })),
    ],
  })
  useEffect(() => { if (state === "connected" && session && !links.length) session.mintAgentToken() }, [session, state])
  window.seen = { session, state, links, error, count }
  return <p id="state">{state} {count} {links[0]?.url ?? ""}</p>
}

let root
window.mount = (props) => {
  root ??= createRoot(document.getElementById("root"))
  root.render(<StrictMode><App {...props} /></StrictMode>)
}
window.unmount = () => { root.unmount(); root = undefined }
window.mount()
`

let relay, browser, script
before(async () => {
  relay = await startRelay()
  browser = await startBrowser()
  script = await bundle(APP)
})

/** A script for pages, with React as it is while one develops. */
async function bundle(contents) {
  const dist = join(ROOT, "sdk/dist")
  const { outputFiles } = await build({
    stdin: { contents, loader: "jsx", resolveDir: ROOT }, bundle: true, write: false, format: "esm", jsx: "automatic", define: { "process.env.NODE_ENV": '"development"' },
    alias: { "@agent-socket/sdk/react": join(dist, "react.js"), "@agent-socket/sdk/page": join(dist, "page.js"), "@agent-socket/sdk": join(dist, "index.js") },
  })
  return outputFiles[0].text
}
after(async () => {
  await browser?.close()
  await relay?.stop()
})

/** A page with the app, and `sockets`: the addresses of those that it opened. */
async function open(t, source = script) {
  // A page that the test makes up has no address, so Chromium asks before it may reach loopback.
  const page = await newPage(t, browser, { permissions: ["local-network-access"] })
  const sockets = []
  page.on("websocket", (ws) => sockets.push(ws.url()))
  await page.route("**/react.html", (route) => route.fulfill({ contentType: "text/html", body: '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/react.js"></script>' }))
  await page.route("**/react.js", (route) => route.fulfill({ contentType: "text/javascript", body: source }))
  await page.goto(`${relay.url}/react.html`)
  return { page, sockets }
}
/** The link that the component shows, as soon as it is connected. */
async function link(page) {
  const handle = await page.waitForFunction(() => /^connected .*(http\S+)$/.exec(document.getElementById("state")?.textContent ?? "")?.[1])
  return handle.jsonValue()
}

test("StrictMode opens one session, and handlers see the latest render", async (t) => {
  const { page, sockets } = await open(t)
  const ai = agent(await link(page))
  assert.equal(sockets.length, 1, "the mount that was undone opened nothing")
  assert.deepEqual((await ai.post("/count")).json, { before: 0, greeting: "hello" })
  await page.getByText("connected 1").waitFor()
  assert.deepEqual((await ai.post("/count")).json, { before: 1, greeting: "hello" })
  await page.evaluate(() => mount({ greeting: "hi" }))
  await page.waitForFunction(() => seen.count === 2)
  assert.deepEqual((await ai.post("/count")).json, { before: 2, greeting: "hi" })
  assert.equal(sockets.length, 1)
})

test("a remount, as hot reload makes it, and a reload of the page keep the link", async (t) => {
  const { page } = await open(t)
  const first = await link(page)
  for (let round = 0; round < 3; round++) {
    await page.evaluate(() => { unmount(); mount() })
    assert.equal(await link(page), first)
    assert.equal((await agent(first).post("/count")).status, 200)
  }
  await page.reload()
  assert.equal(await link(page), first)
  assert.deepEqual((await agent(first).post("/count")).json, { before: 0, greeting: "hello" })
})

test("while it is not mounted, or not enabled, the session is held", async (t) => {
  const { page } = await open(t)
  const first = await link(page)
  for (const [leave, back] of [["unmount()", "mount()"], ["mount({ enabled: false })", "mount({ enabled: true })"]]) {
    await page.evaluate(leave)
    while ((await relay.session(first)).appConnected); // the close is on its way
    assert.equal((await agent(first).post("/count")).status, 503)
    assert.equal((await agent(first).get("/agents.md")).status, 200)
    await page.evaluate(back)
    assert.equal(await link(page), first)
    assert.equal((await agent(first).post("/count")).status, 200)
  }
})

test("tools that change are sent to the relay", async (t) => {
  const { page } = await open(t)
  const ai = agent(await link(page))
  const paths = async () => (await ai.get("/tools.json")).json.tools.map(({ path }) => path)
  assert.deepEqual(await paths(), ["/count"])
  await page.evaluate(() => mount({ more: ["/new"] }))
  await page.waitForFunction(() => seen.session.tools.length === 2)
  await page.evaluate(() => seen.session.ping())
  assert.deepEqual(await paths(), ["/count", "/new"])
  assert.equal((await ai.post("/new")).json, "/new")
})

test("the session that ends is shown as closed, and why there is none as an error", async (t) => {
  const { page } = await open(t)
  await link(page)
  await page.evaluate(() => seen.session.close())
  await page.getByText("closed 0").waitFor()
  await page.evaluate(() => { unmount(); mount({ more: ["no path"] }) })
  await page.waitForFunction(() => seen.error?.code === "invalid_option" && seen.state === "closed")
})

/** The code that FRAMEWORKS.md gives below a title. */
const given = (title) => new RegExp(`## ${title}\\n[\\s\\S]*?\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(readFileSync(join(ROOT, "sdk/FRAMEWORKS.md"), "utf8"))[1]

async function buttonLink(page) {
  await page.locator("agent-socket-button #open").click()
  const handle = await page.waitForFunction(() => document.querySelector("agent-socket-button").shadowRoot.getElementById("link").value)
  return handle.jsonValue()
}

test("what FRAMEWORKS.md has for React works as it stands", async (t) => {
  const source = await bundle(`import { StrictMode } from "react"; import { createRoot } from "react-dom/client"
    ${given("React").replace("https://your-relay", relay.url)}
    createRoot(document.getElementById("root")).render(<StrictMode><ShoppingList /></StrictMode>)`)
  const { page } = await open(t, source)
  const ai = agent(await buttonLink(page))
  for (const text of ["milk", "bread"]) assert.equal((await ai.post("/add", { text })).status, 204)
  await page.waitForFunction(() => document.querySelectorAll("#root li").length === 2)
  assert.deepEqual((await ai.get("/items")).json, { items: ["milk", "bread"] }, "the handler is that of the latest render")
  await page.reload()
  await page.locator("agent-socket-button").waitFor()
  assert.equal((await ai.post("/add", { text: "tea" })).status, 204)
})

test("what FRAMEWORKS.md has for pages without a framework works as it stands", async (t) => {
  const { page } = await open(t, given("Without a framework").replaceAll("https://your-relay", relay.url))
  const ai = agent(await buttonLink(page))
  assert.deepEqual((await ai.get("/items")).json, { items: ["milk"] })
})

test("offline: a caller gets 503 at once, the page says so, and online the same link goes on", async (t) => {
  const page = await newPage(t, browser, { tolerated: /ERR_INTERNET_DISCONNECTED|WebSocket/ })
  await page.goto(`${relay.url}/examples/pixel-art-canvas/`)
  const button = page.locator("agent-socket-button")
  await button.locator("#open").click()
  const handle = await page.waitForFunction(() => document.querySelector("agent-socket-button")?.shadowRoot.getElementById("link").value)
  const ai = agent(await handle.jsonValue())
  assert.equal((await ai.get("/get_grid")).status, 200)
  await page.context().setOffline(true)
  await button.getByText("You are offline").waitFor()
  const startedAt = performance.now()
  const answer = await ai.get("/get_grid")
  assert.deepEqual([answer.status, answer.json.error.code], [503, "app_offline"])
  assert.ok(performance.now() - startedAt < 5_000)
  await page.context().setOffline(false)
  await button.getByText("Connected", { exact: true }).waitFor()
  assert.equal((await ai.get("/get_grid")).status, 200)
})
