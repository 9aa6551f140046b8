/** The page end to end: a real browser, a real relay, and an agent that has only the link. */

import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import { ARTIFACTS, agent, newPage, sharedBrowser, sharedRelay } from "../boot.mjs"
import { WebSocket } from "ws"
import { endSession } from "../../sdk/dist/index.js"
import { connect, linkOf, pixels, state } from "./setup.mjs"

const relay = sharedRelay()
const browser = sharedBrowser()

const open = async (t, options) => {
  const page = await newPage(t, browser, options)
  await page.goto(relay.url)
  await page.locator("#swatches input").first().waitFor({ state: "attached" })
  return page
}

test("an agent that has only the link reads the briefing and paints", async (t) => {
  const page = await open(t)
  await state(page, "offline")
  const link = await connect(page)
  assert.match(link, new RegExp(`^${relay.url}/v1/t/[a-z][a-z0-9]*_[0-9A-Z]{8}_[\\w-]{22}/agents\\.md$`))
  await state(page, "connected")
  const ai = agent(link)

  const briefing = await ai.get("/agents.md")
  assert.equal(briefing.status, 200)
  assert.match(briefing.type, /^text\/markdown/)
  assert.match(briefing.text, /# Pixel canvas/)
  assert.match(briefing.text, /tools\.json/, "the relay's preamble is there")
  const { json: listed } = await ai.get("/tools.json")
  assert.equal(listed.app.id, "as_app_anon")
  assert.deepEqual(listed.tools.map(({ method, path }) => `${method} ${path}`),
    ["POST /set_pixel", "POST /set_pixels", "POST /fill_rect", "POST /clear", "GET /get_grid"])
  for (const tool of listed.tools) assert.equal(tool.input_schema.type, "object", tool.path)

  const expected = await pixels(page)
  assert.deepEqual((await ai.get("/get_grid")).json, { width: 32, height: 32, grid: expected })

  assert.deepEqual((await ai.post("/set_pixel", { x: 31, y: 0, color: "#F0a" })).json, { ok: true, painted: 1 })
  expected[0][31] = "#ff00aa"
  assert.deepEqual(await pixels(page), expected)

  const dots = [{ x: 0, y: 31, color: "#123456" }, { x: 5, y: 5, color: "#abc" }, { x: 5, y: 5, color: "#ABCDEF" }]
  assert.equal((await ai.post("/set_pixels", { pixels: dots })).json.painted, 3)
  expected[31][0] = "#123456"
  expected[5][5] = "#abcdef"
  assert.deepEqual(await pixels(page), expected)

  assert.equal((await ai.post("/fill_rect", { x: 30, y: 2, w: 2, h: 3, color: "#00ff00" })).json.painted, 6)
  for (const y of [2, 3, 4]) expected[y][30] = expected[y][31] = "#00ff00"
  assert.deepEqual(await pixels(page), expected)
  assert.deepEqual((await ai.get("/get_grid")).json.grid, expected)

  const all = expected.flatMap((row, y) => row.map((_, x) => ({ x, y, color: (x + y) % 2 ? "#000000" : "#ffffff" })))
  assert.equal((await ai.post("/set_pixels", { pixels: all })).json.painted, 1024)
  assert.deepEqual((await pixels(page)).flat(), all.map(({ color }) => color))

  for (const [body, color] of [[{ color: "#2b2157" }, "#2b2157"], [{}, "#ffffff"], ["", "#ffffff"]]) {
    assert.equal((await ai.post("/clear", body)).status, 200)
    assert.deepEqual(new Set((await pixels(page)).flat()), new Set([color]))
  }
  await page.locator("#calls li").nth(8).waitFor()
  assert.match(await page.locator("#calls li").first().innerText(), /POST \/clear/)
  await page.waitForFunction(() => /white|#ffffff/.test(document.getElementById("canvas-text").textContent))
})

const pixel = { x: 1, y: 1, color: "#ff0000" }
const OUTSIDE = "outside"
const BAD = [
  ["/set_pixel", "", /x: is missing; y: is missing; color: is missing/],
  ["/set_pixel", "{", /body is not valid JSON/, "invalid_json"],
  ["/set_pixel", "[1]", /body: must be of type object, not array/],
  ["/set_pixel", "null", /body: must be of type object, not null/],
  ["/set_pixel", '"x"', /body: must be of type object, not string/],
  ["/set_pixel", "[".repeat(30_000) + "]".repeat(30_000), /body: must be of type object, not array/],
  ["/set_pixel", { y: 1, color: "#fff" }, /^x: is missing$/],
  ["/set_pixel", { ...pixel, x: 32 }, /^x: must be at most 31$/],
  ["/set_pixel", { ...pixel, x: -1 }, /^x: must be at least 0$/],
  ["/set_pixel", { ...pixel, y: 1.5 }, /^y: must be of type integer, not number$/],
  ["/set_pixel", { ...pixel, y: "1" }, /^y: must be of type integer, not string$/],
  ["/set_pixel", '{"x":1e999,"y":1,"color":"#fff"}', /^x: must be of type integer/],
  ["/set_pixel", { ...pixel, color: "red" }, /^color: must match /],
  ["/set_pixel", { ...pixel, color: "#ff" }, /^color: must match /],
  ["/set_pixel", { ...pixel, color: "#ff000080" }, /^color: must match /],
  ["/set_pixel", { ...pixel, color: "#fff\n" }, /^color: must match /],
  ["/set_pixel", { ...pixel, color: null }, /^color: must be of type string, not null$/],
  ["/set_pixel", { ...pixel, color: { r: 1 } }, /^color: must be of type string, not object$/],
  ["/set_pixel", { ...pixel, color: "🎨".repeat(40) }, /^color: must match /],
  ["/set_pixel", '{"x":1,"y":1,"color":"\\ud83c"}', /^color: must match /],
  ["/set_pixel", { ...pixel, alpha: 1 }, /^alpha: is unknown; the fields are x, y, color$/],
  ["/set_pixel", '{"x":1,"y":1,"color":"#fff","__proto__":1}', /can't be named __proto__/],
  ["/set_pixels", {}, /^pixels: is missing$/],
  ["/set_pixels", { pixels: {} }, /^pixels: must be of type array, not object$/],
  ["/set_pixels", { pixels: [] }, /^pixels: has 0 entries; at least 1/],
  ["/set_pixels", { pixels: Array(1025).fill(pixel) }, /^pixels: has 1025 entries; at most 1024/],
  ["/set_pixels", { pixels: [pixel, { ...pixel, y: 32 }] }, /^pixels\[1\]\.y: must be at most 31$/],
  ["/set_pixels", { pixels: [pixel, [1, 1, "#fff"]] }, /^pixels\[1\]: must be of type object, not array$/],
  ["/set_pixels", { pixels: [pixel], color: "#fff" }, /^color: is unknown/],
  ["/fill_rect", { ...pixel, w: 2 }, /^h: is missing$/],
  ["/fill_rect", { ...pixel, w: 0, h: 1 }, /^w: must be at least 1$/],
  ["/fill_rect", { ...pixel, w: 33, h: 1 }, /^w: must be at most 32$/],
  ["/fill_rect", { ...pixel, w: 32, h: 1 }, /x \+ w is 33.*at most 31.*Nothing was painted/, OUTSIDE],
  ["/fill_rect", { ...pixel, w: 1, h: 32 }, /y \+ h is 33.*at most 31.*Nothing was painted/, OUTSIDE],
  ["/clear", { colour: "#fff" }, /^colour: is unknown; the fields are color$/],
  ["/clear", { color: "#ggg" }, /^color: must match /],
  ["/clear", "[]", /body: must be of type object, not array/],
]

test("an agent that can only fetch links paints, but does not clear", async (t) => {
  const page = await open(t)
  const ai = agent(await connect(page))
  const expected = await pixels(page)
  assert.deepEqual((await ai.get("/_as_get/set_pixel/3/4/%23ff5d5d")).json.result, { ok: true, painted: 1 })
  const rect = Buffer.from(JSON.stringify({ x: 7, y: 8, w: 1, h: 1, color: "#00ff00" })).toString("base64url")
  assert.equal((await ai.get(`/_as_get/fill_rect/j/${rect}`)).json.result.painted, 1)
  expected[4][3] = "#ff5d5d"
  expected[8][7] = "#00ff00"
  assert.deepEqual(await pixels(page), expected)
  assert.equal((await ai.get("/_as_get/clear")).status, 405)
  assert.deepEqual(await pixels(page), expected)
})

test("bad input gets 400 with the field and its limits, and changes nothing", async (t) => {
  const page = await open(t)
  const ai = agent(await connect(page))
  const untouched = await pixels(page)
  for (const [path, body, message, code = "invalid_input"] of BAD) {
    const what = `${path} ${typeof body === "string" ? body.slice(0, 60) : JSON.stringify(body).slice(0, 60)}`
    const { status, json } = await ai.post(path, body)
    assert.equal(status, 400, what)
    assert.equal(json.error.code, code, what)
    assert.match(json.error.message, message, what)
  }
  assert.deepEqual(await pixels(page), untouched)
  assert.equal((await ai.post("/no_such_tool", {})).status, 404)
  await page.locator('#calls li[data-ok="false"]').first().waitFor()
})

test("a revoked link is dead, a new one works", async (t) => {
  const page = await open(t)
  const old = await connect(page)
  await page.click("#revoke")
  await page.locator("#no-link").waitFor()
  const answer = await agent(old).get("/agents.md")
  assert.equal(answer.status, 401)
  assert.equal(answer.json.error.code, "token_invalid")
  await page.click("#new-link")
  const fresh = await linkOf(page, old)
  assert.equal((await agent(fresh).get("/get_grid")).status, 200)
  assert.equal((await agent(old).get("/get_grid")).status, 401)
})

test("a reload keeps the link and the picture; the token is in the tab's storage and nowhere else", async (t) => {
  const page = await open(t)
  const link = await connect(page)
  await agent(link).post("/set_pixel", { x: 3, y: 3, color: "#00ff00" })
  await page.waitForFunction(() => sessionStorage.getItem("agent-socket.picture")?.includes("#00ff00"))
  const verifier = link.split("/").at(-2).split("_").at(-1)
  const elsewhere = await page.evaluate(() => {
    const { "agent-socket.demo": _, ...rest } = sessionStorage
    return JSON.stringify({ ...rest, ...localStorage }) + location.href + document.cookie
  })
  assert.ok(!elsewhere.includes(verifier))

  await page.reload()
  assert.equal(await linkOf(page), link)
  await state(page, "connected")
  assert.equal((await pixels(page))[3][3], "#00ff00")
  assert.equal((await agent(link).post("/set_pixel", { x: 4, y: 3, color: "#0000ff" })).status, 200)
  assert.equal((await pixels(page))[3][4], "#0000ff")
  assert.ok(!page.url().includes(verifier))
})

test("disconnect ends the session, connecting again makes another", async (t) => {
  const page = await open(t)
  const old = await connect(page)
  await page.click("#disconnect")
  await state(page, "offline")
  const gone = await agent(old).get("/agents.md")
  assert.equal(gone.status, 503)
  assert.equal(gone.json.error.code, "app_offline")
  assert.deepEqual(await page.evaluate(() => [sessionStorage.getItem("agent-socket.demo"), sessionStorage.getItem("agent-socket.ending")]), [null, null])
  await page.reload()
  await state(page, "offline")
  const fresh = await connect(page)
  assert.notEqual(fresh.split("/").at(-2).split("_")[1], old.split("/").at(-2).split("_")[1])
  assert.equal((await agent(fresh).get("/get_grid")).status, 200)
})

/** Puts a switch between page and relay: `cut()` drops the line, `gate` holds new ones back. */
async function withSwitch(page) {
  const line = { gate: Promise.resolve(), cut: null }
  await page.routeWebSocket(/\/v1\/_ws/, async (ws) => {
    await line.gate
    const server = ws.connectToServer()
    line.cut = async () => {
      await server.close()
      await ws.close({ code: 1012 })
    }
  })
  return line
}

test("after a blip the same link goes on", async (t) => {
  const page = await newPage(t, browser)
  const line = await withSwitch(page)
  await page.goto(relay.url)
  const link = await connect(page)
  let openGate
  line.gate = new Promise((resolve) => { openGate = resolve })
  await line.cut()
  await state(page, "reconnecting")
  assert.equal((await agent(link).get("/agents.md")).status, 200, "the briefing is served while the app is away")
  openGate()
  await state(page, "connected")
  assert.equal((await agent(link).get("/get_grid")).status, 200)
  assert.equal(await page.inputValue("#link"), link)
})

test("a link revoked while away is dead after the resume", async (t) => {
  const page = await newPage(t, browser)
  const line = await withSwitch(page)
  await page.goto(relay.url)
  const link = await connect(page)
  let openGate
  line.gate = new Promise((resolve) => { openGate = resolve })
  await line.cut()
  await state(page, "reconnecting")
  await page.click("#revoke")
  await page.locator("#notice", { hasText: "will be revoked" }).waitFor()
  openGate()
  await state(page, "connected")
  assert.equal((await agent(link).get("/agents.md")).status, 401)
  await page.locator("#no-link").waitFor()
})

test("when the relay lost the session, the page says that the link changed", async (t) => {
  const page = await newPage(t, browser)
  const line = await withSwitch(page)
  await page.goto(relay.url)
  const old = await connect(page)
  const saved = await page.evaluate(() => JSON.parse(sessionStorage.getItem("agent-socket.demo")))
  let openGate
  line.gate = new Promise((resolve) => { openGate = resolve })
  await line.cut()
  await state(page, "reconnecting")
  await endFromOutside(saved)
  openGate()
  const fresh = await linkOf(page, old)
  await state(page, "connected")
  await page.locator("#notice", { hasText: "the link changed" }).waitFor()
  assert.equal((await agent(fresh).get("/get_grid")).status, 200)
  assert.equal((await agent(old).get("/get_grid")).status, 503)
})

test("disconnect while away ends the session as soon as the relay is back", async (t) => {
  const page = await newPage(t, browser)
  const line = await withSwitch(page)
  await page.goto(relay.url)
  const link = await connect(page)
  let openGate
  line.gate = new Promise((resolve) => { openGate = resolve })
  await line.cut()
  await state(page, "reconnecting")
  await page.click("#disconnect")
  await state(page, "ending")
  openGate()
  await state(page, "offline")
  assert.equal((await agent(link).get("/agents.md")).status, 503)
})

/** Ends a session as its app would from elsewhere. */
async function endFromOutside({ sessionId, resumeSecret }) {
  assert.equal(await endSession({ baseUrl: relay.url, WebSocket, sessionId, resumeSecret }), true)
}

test("disconnect in a tab that was reloaded while away ends the session too, as does a reload in between", async (t) => {
  const page = await newPage(t, browser, { tolerated: /closed before|ERR_/ })
  const line = await withSwitch(page)
  await page.goto(relay.url)
  const link = await connect(page)
  line.gate = new Promise(() => {})
  await page.reload()
  await state(page, "connecting")
  await page.click("#disconnect")
  await state(page, "ending")
  line.gate = Promise.resolve()
  await page.reload()
  await state(page, "offline")
  assert.equal((await agent(link).get("/agents.md")).status, 503)
})

test("a relay that can't be reached is said, and can be tried again", async (t) => {
  const page = await newPage(t, browser, { tolerated: /WebSocket/ })
  let down = true
  await page.routeWebSocket(/\/v1\/_ws/, (ws) => { if (down) ws.close({ code: 1013 }); else ws.connectToServer() })
  await page.goto(relay.url)
  await page.click("#connect")
  await page.locator("#notice", { hasText: "can't be reached" }).waitFor()
  await state(page, "offline")
  down = false
  assert.equal((await agent(await connect(page)).get("/get_grid")).status, 200)
  assert.equal(await page.locator("#notice").isVisible(), false)
})

test("a duplicated tab leaves the session to its owner", async (t) => {
  const page = await open(t)
  const link = await connect(page)
  const [twin] = await Promise.all([page.context().waitForEvent("page"), page.evaluate(() => { window.open("/") })])
  await twin.locator("#notice", { hasText: "stays with that tab" }).waitFor()
  await state(twin, "offline")
  assert.notEqual(await connect(twin), link)
  await state(page, "connected")
  assert.equal((await agent(link).get("/get_grid")).status, 200)
})

test("everything works from the keyboard", async (t) => {
  const page = await open(t)
  const tabTo = async (id) => {
    for (let i = 0; i < 60; i++) {
      if (await page.evaluate(() => document.activeElement.id) === id) return
      await page.keyboard.press("Tab")
    }
    assert.fail(`Tab never reached #${id}`)
  }
  await tabTo("connect")
  await page.keyboard.press("Enter")
  const link = await linkOf(page)
  await page.waitForFunction(() => document.activeElement.id === "link")
  await tabTo("copy-link")
  await tabTo("board")
  await page.keyboard.press("ArrowRight")
  await page.keyboard.press("ArrowDown")
  await page.keyboard.press("Space")
  assert.match(await page.locator("#cell").textContent(), /x 17, y 5, coral/)
  assert.equal((await pixels(page))[5][17], "#ff5d5d")
  await page.keyboard.press("Shift+ArrowLeft")
  assert.equal((await pixels(page))[5][16], "#ff5d5d")

  await page.locator("#connect").or(page.locator("#live")).first().evaluate(() => document.activeElement.blur())
  await tabTo("disconnect")
  await page.keyboard.press("Enter")
  await state(page, "offline")
  assert.equal(await page.evaluate(() => document.activeElement.id), "connect")
  assert.equal((await agent(link).get("/agents.md")).status, 503)
})

test("a person paints along with the mouse, and the agent sees it", async (t) => {
  const page = await open(t)
  const ai = agent(await connect(page))
  const box = await page.locator("#canvas").boundingBox()
  const at = (x, y) => [box.x + ((x + 0.5) / 32) * box.width, box.y + ((y + 0.5) / 32) * box.height]
  await page.locator('#swatches input[aria-label="sky blue"]').check({ force: true })
  await page.mouse.move(...at(2, 1))
  await page.mouse.down()
  await page.mouse.move(...at(6, 1))
  await page.mouse.up()
  const { grid } = (await ai.get("/get_grid")).json
  assert.deepEqual(grid[1].slice(2, 7), Array(5).fill("#57c7ff"))
  assert.deepEqual(grid, await pixels(page))
})

test("the link and the text are copied, also without the clipboard API", async (t) => {
  for (const missing of [false, true]) {
    const page = await newPage(t, browser, missing ? {} : { permissions: ["clipboard-read", "clipboard-write"] })
    if (missing) await page.addInitScript(() => { Object.defineProperty(navigator, "clipboard", { value: undefined }) })
    await page.goto(relay.url)
    const link = await connect(page)
    const pasted = async () => {
      await page.evaluate(() => {
        document.getElementById("paste")?.remove()
        const field = document.createElement("textarea")
        field.id = "paste"
        document.body.append(field)
        field.focus()
      })
      await page.keyboard.press("Control+V")
      return page.inputValue("#paste")
    }
    await page.click("#copy-link")
    await page.locator("#copy-link", { hasText: "Copied" }).waitFor()
    assert.equal(await pasted(), link)
    for (const target of ["chat", "mcp", "page", "terminal", "curl"]) {
      // The label is what a person clicks; the input below it is hidden, and may still move while the page scrolls.
      await page.locator("label", { has: page.locator(`input[name=target][value=${target}]`) }).click()
      await page.click("#copy-sentence")
      await page.locator("#copy-sentence", { hasText: "Copied" }).waitFor()
      const text = await pasted()
      assert.equal(text, await page.inputValue("#sentence"))
      assert.ok(text.includes(link.replace("/agents.md", "")), text)
      if (target === "mcp" || target === "page") assert.equal(text, link.replace("/agents.md", target === "mcp" ? "/mcp" : ""))
    }
  }
})

test("a link that only looks, for an hour", async (t) => {
  const page = await open(t)
  await page.selectOption("#expires", "3600000")
  await page.selectOption("#scope", "look")
  const link = await connect(page)
  const ai = agent(link)
  assert.deepEqual((await ai.get("/tools.json")).json.tools.map(({ path }) => path), ["/get_grid"])
  assert.equal((await ai.post("/clear", {})).json.error.code, "tool_not_allowed")
  assert.match(await page.locator("#link-title").innerText(), /^The link, until \d/)
  assert.match(await page.inputValue("#sentence"), /Tell me what you see/)
  assert.equal(await page.locator("#limits").isVisible(), false)
  await page.click("#revoke")
  await page.selectOption("#scope", "")
  await page.click("#new-link")
  assert.equal((await agent(await linkOf(page, link)).post("/clear", {})).status, 200)
})

test("the log outlives a reload, and keeps the last 40 calls", async (t) => {
  const page = await open(t)
  const ai = agent(await connect(page))
  for (let i = 0; i < 45; i++) await ai.post("/set_pixel", { x: i % 32, y: i === 44 ? 32 : 0, color: "#00ff00" })
  const lines = () => page.locator("#calls li").allInnerTexts()
  await page.waitForFunction(() => /must be at most 31/.test(document.querySelector("#calls li")?.innerText))
  const before = await lines()
  assert.equal(before.length, 40)
  await page.reload()
  await state(page, "connected")
  assert.deepEqual(await lines(), before)
  assert.equal(await page.locator("#no-calls").isVisible(), false)
  await ai.get("/get_grid")
  await page.waitForFunction(() => /get_grid/.test(document.querySelector("#calls li").innerText))
  assert.equal((await lines()).length, 40)
})

test("on the own machine it says that a cloud can't reach it, and what to do", async (t) => {
  const page = await open(t)
  assert.match(await page.locator("#local").innerText(), new RegExp(`can't reach it.*cloudflared tunnel --url ${relay.url}.*PUBLIC_URL`))
})

test("the example for developers runs as it stands", async (t) => {
  // A page that the test makes up has no address, so Chromium asks before it may reach loopback.
  const page = await open(t, { permissions: ["local-network-access"] })
  const snippet = await page.locator("#snippet").textContent()
  await page.route("**/example.html", (route) => route.fulfill({ contentType: "text/html", body: snippet }))
  await page.goto(`${relay.url}/example.html`)
  const output = page.locator("output", { hasText: "/agents.md" })
  const ai = agent(await output.textContent())
  assert.deepEqual((await ai.post("/add", { text: "milk" })).json, { items: 1 })
  assert.equal(await page.locator("li").textContent(), "milk")
  const broken = await ai.post("/add", "not JSON")
  assert.equal(broken.status, 400)
  assert.equal(broken.json.error.code, "invalid_json")
})

test("privacy, robots, unknown routes, headers", async (t) => {
  const page = await newPage(t, browser)
  await page.goto(`${relay.url}/privacy`)
  assert.equal(await page.locator("h1").innerText(), "Privacy")
  await page.goto(relay.url)
  await page.locator(".bar a[href='/privacy']").first().click()
  await page.locator("h1", { hasText: "Privacy" }).waitFor()

  const robots = await fetch(`${relay.url}/robots.txt`)
  assert.match(await robots.text(), /User-agent: \*\nDisallow: \/v1\//)
  assert.match((await fetch(`${relay.url}/favicon.svg`)).headers.get("content-type"), /^image\/svg\+xml/)
  for (const path of ["/no-such-page", "/v1/nothing", "/_headers"]) {
    const answer = await fetch(relay.url + path)
    assert.equal(answer.status, 404, path)
    assert.match(answer.headers.get("content-type"), /^application\/json/, path)
    assert.equal((await answer.json()).error.code, "not_found", path)
  }
  for (const path of ["/", "/privacy", "/page.js"]) {
    const { headers } = await fetch(relay.url + path)
    const policy = headers.get("content-security-policy") ?? ""
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"])
      assert.ok(policy.includes(part), `${path}: ${part}`)
    assert.ok(!policy.includes("unsafe"), path)
    assert.equal(headers.get("x-content-type-options"), "nosniff", path)
    assert.equal(headers.get("referrer-policy"), "no-referrer", path)
  }
})

test("screenshots: light, dark, phone; nothing runs over the edge", async (t) => {
  const looks = [
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["phone", { colorScheme: "light", viewport: { width: 360, height: 740 } }],
    ["phone-dark", { colorScheme: "dark", viewport: { width: 360, height: 740 }, reducedMotion: "reduce" }],
    ["small", { viewport: { width: 320, height: 560 } }],
    ["wide", { viewport: { width: 1920, height: 1080 } }],
  ]
  for (const [name, options] of looks) {
    const page = await open(t, options)
    const shot = (step) => page.screenshot({ path: join(ARTIFACTS, `page-${name}-${step}.png`), fullPage: step === "connected" })
    await shot("first")
    const ai = agent(await connect(page))
    await ai.get("/get_grid")
    await ai.post("/fill_rect", { x: 25, y: 2, w: 3, h: 4, color: "#fff6dc" })
    await ai.post("/set_pixel", { x: 32, y: 2, color: "#fff6dc" })
    await page.locator("#calls li").nth(2).waitFor()
    await page.waitForFunction(() => document.getElementById("flash").getAnimations().length === 0)
    await shot("connected")
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
    assert.ok(content <= window, `${name}: ${content} px in ${window} px`)
    await page.goto(`${relay.url}/privacy`)
    await shot("privacy")
  }
})
