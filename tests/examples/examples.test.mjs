/** The examples end to end: a real browser, a real relay, and an agent that has only the link. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { ARTIFACTS, ROOT, agent, newPage, shoot, sharedBrowser, sharedRelay } from "../boot.mjs"
import { connect, linkOf, mint, state } from "./setup.mjs"

const relay = sharedRelay()
const browser = sharedBrowser()

/** What the canvas really shows, row after row as #rrggbb. */
const pixels = (page) => page.evaluate(() => {
  const { data } = document.getElementById("canvas").getContext("2d").getImageData(0, 0, 32, 32)
  const hex = (i) => `#${[...data.slice(i, i + 3)].map((n) => n.toString(16).padStart(2, "0")).join("")}`
  return Array.from({ length: 32 }, (_, y) => Array.from({ length: 32 }, (_, x) => hex((y * 32 + x) * 4)))
})

test("pixel art: every tool does what it says, on the canvas", async (t) => {
  const page = await newPage(t, browser)
  const ai = agent(await connect(page, relay.url, "pixel-art-canvas"))
  const briefing = await ai.get("/agents.md")
  assert.match(briefing.text, /\n---\n\n# Pixel art canvas\n/, "the app's part follows the relay's")
  assert.match(briefing.text, /_as_get\/get_grid/, "which has the ready links")
  const { json: listed } = await ai.get("/tools.json")
  assert.deepEqual(listed.tools.map(({ method, path }) => `${method} ${path}`),
    ["POST /set_pixel", "POST /set_pixels", "POST /fill_rect", "POST /clear", "GET /get_grid", "GET /screenshot"])
  await shoot(page, "example-pixel-art-canvas")

  const expected = await pixels(page)
  assert.deepEqual((await ai.get("/get_grid")).json, { width: 32, height: 32, grid: expected })
  assert.deepEqual((await ai.post("/set_pixel", { x: 31, y: 0, color: "#F0a" })).json, { ok: true, painted: 1 })
  expected[0][31] = "#ff00aa"
  assert.deepEqual(await pixels(page), expected)
  assert.equal((await ai.post("/fill_rect", { x: 30, y: 2, w: 9, h: 3, color: "#00ff00" })).json.painted, 6)
  for (const y of [2, 3, 4]) expected[y][30] = expected[y][31] = "#00ff00"
  assert.deepEqual(await pixels(page), expected)

  const all = expected.flatMap((row, y) => row.map((_, x) => ({ x, y, color: (x + y) % 2 ? "#000000" : "#ffffff" })))
  assert.equal((await ai.post("/set_pixels", { pixels: all })).json.painted, 1024)
  assert.deepEqual((await pixels(page)).flat(), all.map(({ color }) => color))
  const tooMany = await ai.post("/set_pixels", { pixels: [...all, all[0]] })
  assert.equal(tooMany.status, 400)
  assert.match(tooMany.json.error.message, /pixels: has 1025 entries; at most 1024/)
  const bad = await ai.post("/set_pixels", { pixels: [{ x: 0, y: 0, color: "#123456" }, { x: 32, y: 0, color: "red" }] })
  assert.equal(bad.status, 400)
  assert.match(bad.json.error.message, /pixels\[1\]\.x: must be at most 31; pixels\[1\]\.color: must match/)
  assert.deepEqual((await pixels(page)).flat(), all.map(({ color }) => color), "a bad call paints nothing")

  const shot = await ai.get("/screenshot")
  assert.equal(shot.type, "image/png")
  const size = new DataView(shot.bytes.buffer)
  assert.deepEqual([size.getUint32(16), size.getUint32(20)], [320, 320])
  const seen = await page.evaluate(async (bytes) => {
    const image = await createImageBitmap(new Blob([new Uint8Array(bytes)]))
    const canvas = new OffscreenCanvas(image.width, image.height)
    const context = canvas.getContext("2d", { willReadFrequently: true })
    context.drawImage(image, 0, 0)
    return [...context.getImageData(5, 5, 1, 1).data, ...context.getImageData(15, 5, 1, 1).data]
  }, [...shot.bytes])
  assert.deepEqual(seen, [255, 255, 255, 255, 0, 0, 0, 255])

  for (const [body, color] of [[{ color: "#2b2157" }, "#2b2157"], ["", "#ffffff"]]) {
    assert.equal((await ai.post("/clear", body)).json.painted, 1024)
    assert.deepEqual(new Set((await pixels(page)).flat()), new Set([color]))
  }
  await page.locator("#calls li").first().waitFor()
  assert.match(await page.locator("#calls li").first().innerText(), /POST \/clear/)
})

test("pixel art: a person paints with the keyboard and the pointer, and a reload keeps picture and link", async (t) => {
  const page = await newPage(t, browser)
  const link = await connect(page, relay.url, "pixel-art-canvas")
  await page.locator("#swatches input").nth(12).check({ force: true })
  await page.locator("#board").focus()
  for (const key of ["ArrowRight", "Space", "ArrowDown", "Shift+ArrowDown"]) await page.keyboard.press(key)
  const painted = await pixels(page)
  assert.deepEqual([painted[5][17], painted[6][17], painted[7][17]], ["#2f6df6", "#2f6df6", "#2f6df6"])
  await page.locator("#board").click({ position: { x: 3, y: 3 } })
  const before = await pixels(page)
  assert.equal(before[0][0], "#2f6df6")
  await page.reload()
  await state(page, "connected")
  assert.deepEqual(await pixels(page), before)
  assert.equal((await agent(link).post("/set_pixel", { x: 9, y: 9, color: "#123456" })).status, 200)
  assert.equal((await pixels(page))[9][9], "#123456")
  assert.equal(await page.locator("#notice").innerText(), "")
})

test("form filler: an AI fills, the checks hold, and the person sends", async (t) => {
  const page = await newPage(t, browser)
  const ai = agent(await connect(page, relay.url, "form-filler"))
  const empty = (await ai.get("/form")).json
  assert.equal(empty.complete, false)
  assert.equal(empty.problems.name, "Please fill this in.")
  const year = new Date().getFullYear() + 1
  const first = { name: "Ada Lovelace", destination: "Turin", travellers: 2, from: `${year}-05-04`, to: `${year}-05-01`, travel: "train" }
  const filled = (await ai.post("/fill", first)).json
  assert.deepEqual(filled.problems, { email: "Please fill this in.", to: "Must be after the first day." })
  await page.locator(".field.by-ai #name").waitFor()
  for (const [name, value] of Object.entries(first)) assert.equal(await page.locator(`#${name}`).inputValue(), String(value))
  assert.equal(await page.locator("#to").getAttribute("aria-invalid"), "true")
  await shoot(page, "example-form-filler")

  const bad = await ai.post("/fill", { travellers: 12, travel: "rocket", colour: "red" })
  assert.equal(bad.status, 400)
  assert.deepEqual(bad.json.error.issues.map(({ path }) => path).sort(), ["colour", "travel", "travellers"])
  assert.equal(await page.locator("#travellers").inputValue(), "2", "a bad call fills nothing")

  await page.locator("button.primary").click()
  assert.equal(await page.locator(".done").isVisible(), false)
  await page.locator("#email").fill("ada@example.org")
  assert.equal((await ai.post("/fill", { to: `${year}-05-09` })).json.complete, true)
  await page.locator("button.primary").click()
  await page.locator(".done").waitFor()
  assert.equal((await ai.get("/form")).json.values.email, "ada@example.org")
  await ai.post("/clear", "")
  await page.waitForFunction(() => document.getElementById("name").value === "")
})

test("long job: progress shows to both sides, and the result is there", async (t) => {
  const page = await newPage(t, browser)
  const ai = agent(await connect(page, relay.url, "long-job"))
  const started = await ai.post("/count_primes", { below: 30_000_000 })
  assert.equal(started.status, 202)
  const { taskId } = started.json
  let result
  do result = await ai.get(`/_as_tasks/${taskId}?wait=1`)
  while (result.status === 202)
  assert.deepEqual([result.status, result.json.below, result.json.primes], [200, 30_000_000, 1_857_859])
  const large = (await ai.post("/count_primes", { below: 5_000_000_000 })).json
  await page.waitForFunction(() => Number(document.querySelector("#jobs progress").value) > 0)
  let poll
  do poll = await ai.get(`/_as_tasks/${large.taskId}`) // the frame is on its way
  while (poll.json.progress === undefined)
  assert.equal(poll.json.completed, false)
  assert.ok(poll.json.progress > 0 && /looked at/.test(poll.json.message), JSON.stringify(poll.json))
  await shoot(page, "example-long-job")
  assert.equal((await ai.post("/stop", { taskId: large.taskId })).json?.stopped ?? "finished", true)
  const stopped = await ai.get(`/_as_tasks/${large.taskId}?wait=20`)
  assert.deepEqual([stopped.status, stopped.json.error.code], [409, "stopped"])
  const third = (await ai.post("/count_primes", { below: 5_000_000_000 })).json
  await page.reload()
  assert.deepEqual(await ai.get(`/_as_tasks/${third.taskId}?wait=20`).then(({ status, json }) => [status, json.error.code]), [410, "lost"])
  await page.locator("#below").fill("100")
  await page.keyboard.press("Enter")
  await page.getByText("25 primes").waitFor()
})

test("minimal: the browser's half, with the code that it shows", async (t) => {
  const page = await newPage(t, browser)
  const ai = agent(await connect(page, relay.url, "minimal"))
  assert.deepEqual((await ai.post("/add", { text: "Milk & <b>bread</b>" })).json, { items: ["Milk & <b>bread</b>"] })
  assert.equal(await page.locator("#list li").innerText(), "Milk & <b>bread</b>")
  assert.equal((await ai.post("/add", { text: "" })).status, 400)
  assert.match(await page.locator("#code").innerText(), /description: "Adds an item\."/)
  await shoot(page, "example-minimal")
  await page.goto(`${relay.url}/examples/`)
  await shoot(page, "example-index")
  for (const link of await page.locator(".tiles a").evaluateAll((all) => all.map(({ href }) => href))) assert.equal((await fetch(link)).status, 200)
})

test("minimal: the same file in Node", async (t) => {
  const child = spawn(process.execPath, [join(ROOT, "examples/minimal/main.node.mjs")], { env: { ...process.env, RELAY: relay.url }, stdio: ["ignore", "pipe", "inherit"] })
  t.after(() => child.kill("SIGKILL"))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const ai = agent((await lines.next()).value)
  assert.equal((await ai.post("/add", { text: "Tea" })).status, 200)
  assert.equal((await lines.next()).value, "Tea")
  child.kill("SIGINT")
  assert.deepEqual(await once(child, "exit"), [0, null])
  assert.equal((await ai.get("/items")).status, 503, "its session ended with it")
})

test("the button: copy, QR, who is connected, revoke; by keyboard too", async (t) => {
  const page = await newPage(t, browser, { permissions: ["clipboard-read", "clipboard-write"] })
  await page.goto(`${relay.url}/examples/pixel-art-canvas/`)
  const button = page.locator("agent-socket-button")
  await state(page, "connected")
  await button.locator("#open").focus()
  await page.keyboard.press("Enter")
  const link = await linkOf(page)
  await button.locator("#copy").click()
  await button.getByText("Copied").waitFor()
  const ai = agent(link)
  await ai.get("/get_grid")
  await button.getByText(/last call/).waitFor()
  await button.locator("#show-qr").click()
  await button.locator("#qr svg").waitFor()
  for (const [kind, scheme] of [["light", "light"], ["dark", "dark"]]) {
    await page.emulateMedia({ colorScheme: scheme })
    await page.screenshot({ path: join(ARTIFACTS, `example-button-${kind}.png`) })
  }
  await page.setViewportSize({ width: 390, height: 844 })
  await page.screenshot({ path: join(ARTIFACTS, "example-button-phone.png") })
  await button.locator("#new").click()
  const second = await linkOf(page, link)
  assert.equal(await button.locator("#links li").count(), 2)
  await button.getByRole("button", { name: "Revoke Link 1" }).click()
  await page.waitForFunction(() => document.querySelector("agent-socket-button").shadowRoot.querySelectorAll("#links li").length === 1)
  assert.equal((await ai.get("/get_grid")).status, 401)
  assert.equal((await agent(second).get("/get_grid")).status, 200)
  assert.match(await button.locator("#local").innerText(), new RegExp(`on your own machine.*cloudflared tunnel --url ${relay.url}.*PUBLIC_URL`))

  const base = second.replace("/agents.md", "")
  for (const [tab, text] of [["Chat", second], ["MCP", `${base}/mcp`], ["Browser", base], ["Terminal", `curl ${second}`]]) {
    await button.getByText(tab, { exact: true }).click()
    assert.equal(await button.locator("#link").inputValue(), text)
    assert.equal(await button.locator("#show-qr").isVisible(), tab !== "Terminal")
  }
  await button.getByText("Chat", { exact: true }).click()

  await button.getByText("What a new link may do").click()
  await button.locator("#expires").selectOption("for an hour")
  for (const tool of await button.locator("#tools label").all()) if (!/get_grid/.test(await tool.innerText())) await tool.click()
  await page.screenshot({ path: join(ARTIFACTS, "example-button-limits.png") })
  await button.locator("#new").click()
  const third = await linkOf(page, second)
  assert.deepEqual((await agent(third).get("/tools.json")).json.tools.map(({ path }) => path), ["/get_grid"])
  await button.getByText(/not used yet, works until/).waitFor()
  await button.locator("#tools input:checked").uncheck()
  await button.locator("#new").click()
  await button.getByText("Choose at least one tool").waitFor()
  await button.getByRole("button", { name: "Revoke Link 3" }).click()
  await linkOf(page, third)

  await page.keyboard.press("Escape")
  await button.locator("dialog").waitFor({ state: "hidden" })
  assert.equal(await mint(page), second, "opening it again makes no new link")
})
