/** Links that outlive what happens to relays and tabs. FREEZE_MS says for how long the tab is frozen. */

import assert from "node:assert/strict"
import { test } from "node:test"
import { agent, newPage, sharedBrowser, startRelay } from "../boot.mjs"
import { openHidden } from "./hidden-tab.mjs"
import { connect, mint, state } from "./setup.mjs"

/** Past the relay's patience, which is 3 s here. */
const FREEZE_MS = Number(process.env.FREEZE_MS ?? 8_000)

const browser = sharedBrowser()

async function freshRelay(t, ...vars) {
  const relay = await startRelay(...vars)
  t.after(() => relay.stop())
  return relay
}

const cell = (page, x, y) => page.evaluate(([x, y]) => [...document.getElementById("canvas").getContext("2d").getImageData(x, y, 1, 1).data.slice(0, 3)], [x, y])

test("the relay is killed and restarted, and the same link works", async (t) => {
  const relay = await freshRelay(t)
  const page = await newPage(t, browser, { tolerated: /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|1006|closed before/ })
  const link = await connect(page, relay.url, "pixel-art-canvas")
  const ai = agent(link)
  for (const [round, color] of [[1, "#ff0000"], [2, "#00ff00"]]) {
    await relay.kill()
    await state(page, "reconnecting")
    await relay.restart()
    await state(page, "connected")
    assert.equal((await ai.post("/set_pixel", { x: round, y: 0, color })).status, 200)
  }
  assert.deepEqual([await cell(page, 1, 0), await cell(page, 2, 0)], [[255, 0, 0], [0, 255, 0]])
  assert.equal(await page.locator("#notice").innerText(), "")
})

test("a relay that lost everything: new links, and the person is told", async (t) => {
  const relay = await freshRelay(t)
  const page = await newPage(t, browser)
  const link = await connect(page, relay.url, "pixel-art-canvas")
  const id = /_([0-9A-Z]{8})_/.exec(link)[1]
  // As when the grace time passes while the app is away.
  await page.goto("about:blank")
  const ended = await fetch(`${relay.url}/_debug/kill-ws/${id}?end=1`, { method: "POST" })
  assert.ok(ended.status < 500)
  await page.goto(`${relay.url}/examples/pixel-art-canvas/`)
  await state(page, "connected")
  const fresh = await mint(page)
  assert.notEqual(fresh, link)
  assert.match(await page.locator("#notice").innerText(), /links are new/)
  assert.equal((await agent(link).get("/get_grid")).status, 503)
  assert.equal((await agent(fresh).get("/get_grid")).status, 200)
})

/** An app with a quick heartbeat, on a page that has none; runs in the browser. */
async function startApp() {
  const { connect } = await import("/sdk.js")
  globalThis.states = []
  globalThis.session = await connect({
    appId: "as_app_anon", agentsMd: "", tools: [{ path: "/echo", description: "", handler: ({ body }) => body }],
    heartbeatIntervalMs: 500, heartbeatTimeoutMs: 2500,
  })
  session.on("state", (state) => states.push(state))
  return (await session.mintAgentToken()).url
}

test("the tab is frozen, and recovers", async (t) => {
  const relay = await freshRelay(t, "HEARTBEAT_TIMEOUT_MS=3000")
  const tab = await openHidden(`${relay.url}/examples/`)
  t.after(() => tab.close())
  const link = await tab.evaluate(`(${startApp})()`)
  const ai = agent(link)
  assert.equal((await ai.post("/echo", "before")).json, "before")

  const thawAt = Date.now() + FREEZE_MS
  await tab.freeze()
  await new Promise((resolve) => setTimeout(resolve, thawAt - Date.now())) // the time frozen is what is tested
  assert.equal((await ai.post("/echo", "during")).status, 503)
  assert.equal((await relay.session(link)).appConnected, false)
  await tab.thaw()
  await tab.evaluate("new Promise((resolve) => { const look = () => { if (states.includes('reconnecting') && session.connected) resolve() }; session.on('state', look); look() })")
  assert.equal((await ai.post("/echo", "after")).json, "after")
  assert.deepEqual(await tab.evaluate("states"), ["reconnecting", "connected"])
})

test("a duplicated tab gets a session of its own", async (t) => {
  const relay = await freshRelay(t)
  const page = await newPage(t, browser)
  const link = await connect(page, relay.url, "pixel-art-canvas")
  const opened = page.context().waitForEvent("page")
  await page.evaluate(() => void open(location.href)) // with an opener, so sessionStorage is copied
  const copy = await opened
  await state(copy, "connected")
  assert.ok(await copy.evaluate(() => sessionStorage.length > 0))
  const other = await mint(copy)
  assert.notEqual(/_([0-9A-Z]{8})_/.exec(other)[1], /_([0-9A-Z]{8})_/.exec(link)[1])
  assert.equal((await agent(link).post("/set_pixel", { x: 0, y: 31, color: "#010203" })).status, 200)
  assert.equal((await agent(other).post("/set_pixel", { x: 0, y: 31, color: "#040506" })).status, 200)
  assert.deepEqual([await cell(page, 0, 31), await cell(copy, 0, 31)], [[1, 2, 3], [4, 5, 6]])
  await copy.reload()
  await state(copy, "connected")
  assert.equal((await agent(other).get("/get_grid")).status, 200, "each tab keeps its own through a reload")
  await state(page, "connected")
  for (const tab of [page, copy]) assert.equal(await tab.locator("#notice").innerText(), "")
})

test("a session that is resumed elsewhere is let go, and the page says so", async (t) => {
  const relay = await freshRelay(t)
  const page = await newPage(t, browser)
  await connect(page, relay.url, "pixel-art-canvas")
  const { sessionId, resumeSecret } = JSON.parse(await page.evaluate(() => sessionStorage.getItem("agent-socket.pixel-art-canvas")))
  const elsewhere = await page.context().newPage()
  await elsewhere.goto(`${relay.url}/examples/`)
  await elsewhere.evaluate(async (resume) => {
    const { connect } = await import("/sdk.js")
    await connect({ appId: "as_app_anon", agentsMd: "", tools: [], resume })
  }, { sessionId, resumeSecret })
  await page.getByText("goes on in another tab").waitFor()
  await state(page, "closed")
})
