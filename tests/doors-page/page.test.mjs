/** The page for people, in a real browser: with scripts and without, and with an app that means harm. */

import assert from "node:assert/strict"
import { hkdfSync } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { test } from "node:test"
import { openApp } from "../app.mjs"
import { ROOT, newPage, shoot, sharedBrowser, sharedRelay } from "../boot.mjs"
import { HOSTILE, hostileApp, outcomes, shop } from "./tools.mjs"

const relay = sharedRelay()
const browser = sharedBrowser()

/** An app until the test ends, with a link of it. */
async function open(t, members) {
  const app = await openApp(relay, members)
  t.after(() => app.close())
  return { app, base: await app.mint() }
}

/** The browser tells of each page that came with such a status. */
const REFUSED = { tolerated: /the server responded with a status of [45]/ }
const MODES = [["with scripts", {}], ["without scripts", { javaScriptEnabled: false }]]

const run = (page, path) => page.getByRole("button", { name: `Run ${path}`, exact: true }).click()
const result = (page) => page.locator("#result pre")
const jsonOf = async (page) => JSON.parse(await result(page).innerText())

for (const [mode, options] of MODES) {
  test(`${mode}: a person fills in a form and sees the result`, async (t) => {
    const { app, base } = await open(t, { tools: shop, appDescription: "A picture that is for sale" })
    const page = await newPage(t, browser, options)
    const opened = await page.goto(base)
    assert.match(opened.headers()["content-type"], /^text\/html/)
    assert.equal(await page.title(), "Anonymous app")
    assert.ok(await page.getByText("A picture that is for sale").isVisible())
    assert.ok(await page.getByText("The app is online").isVisible())
    assert.equal(await page.getByText("only reads").count(), 2)

    const form = page.locator("form[action$='/POST/paint']")
    assert.equal(await form.getByLabel("y needed").inputValue(), "5", "a default is filled in")
    await form.getByLabel("x needed").fill("3")
    await form.getByLabel("color needed").selectOption("sky blue")
    await form.getByLabel("note").fill('two lines,\nwith <b>markup</b>, "quotes" & ünïcödé 🎨')
    await form.getByLabel("title").fill("A title")
    await form.getByLabel("day").fill("2026-11-21")
    await form.getByLabel("outline").selectOption("no")
    await run(page, "/paint")
    await page.waitForURL(`${base}/_as_page/POST/paint`)
    const sent = {
      x: 3, y: 5, color: "sky blue", note: 'two lines,\nwith <b>markup</b>, "quotes" & ünïcödé 🎨', title: "A title",
      day: "2026-11-21", outline: false, tags: ["new"],
    }
    assert.deepEqual(JSON.parse(app.calls[0].body), sent)
    assert.equal(app.calls[0].headers["content-type"], "application/json")
    assert.deepEqual(await jsonOf(page), { painted: 12, got: sent })

    // What was filled in is still there, for one more.
    assert.equal(await page.getByLabel("x needed").inputValue(), "3")
    assert.equal(await page.getByLabel("color needed").inputValue(), '"sky blue"')
    await page.getByLabel("x needed").fill("4")
    await run(page, "/paint")
    await page.waitForFunction(() => JSON.parse(document.querySelector("#result pre").textContent).got.x === 4)
    assert.equal(app.calls.length, 2)

    await page.getByRole("link", { name: "All tools" }).click()
    await page.waitForURL(`${base}/_as_page`)
    const find = page.locator("form[action$='/GET/find']")
    await find.getByLabel("color needed").fill("a b&c=ä")
    await run(page, "/find")
    assert.deepEqual(await jsonOf(page), { query: "color=a+b%26c%3D%C3%A4", body: "" })
    assert.equal(app.calls[2].method, "GET")
  })

  test(`${mode}: every outcome is shown as what it is`, async (t) => {
    const { app, base } = await open(t, { tools: [...shop, ...outcomes] })
    const page = await newPage(t, browser, { ...options, ...REFUSED })
    const show = async (method, path) => {
      await page.goto(`${base}/_as_page/${method}${path}`)
      const [answer] = await Promise.all([page.waitForResponse((one) => one.request().method() === "POST"), run(page, path)])
      return { status: answer.status(), text: await page.locator("#result").innerText() }
    }
    assert.deepEqual(await show("POST", "/say"), { status: 200, text: "Result\nYou said nothing." })
    await page.getByLabel("Text, or JSON").fill('{"a": [1]}')
    await run(page, "/say")
    assert.equal(await result(page).innerText(), 'You said {"a": [1]}.')

    assert.equal((await show("GET", "/photo")).status, 200)
    const image = page.getByRole("img", { name: "The result, an image" })
    assert.equal(await image.evaluate(async (one) => { await one.decode(); return one.naturalWidth }), 32)

    assert.match((await show("POST", "/nothing")).text, /Done\. There is nothing to show\./)
    const refused = await show("POST", "/refuse")
    assert.equal(refused.status, 422)
    assert.match(refused.text, /It did not work\s+The ink is used up: fill in some, then try again\./)
    const broke = await show("POST", "/break")
    assert.equal(broke.status, 500)
    assert.match(broke.text, /answered with an error, status 500[^]*"what": "broke"/)
    assert.match((await show("POST", "/zip")).text, /4 bytes of application\/zip, which can't be shown/)
    const much = await show("POST", "/much")
    assert.match(much.text, /this is the start of 500002 bytes/)
    assert.ok(much.text.length < 210_000)
    assert.equal(app.calls.length, 8)
  })

  test(`${mode}: a mistake is told, and nothing filled in is lost`, async (t) => {
    const { app, base } = await open(t, { tools: shop })
    const page = await newPage(t, browser, { ...options, ...REFUSED })
    await page.goto(`${base}/_as_page/POST/paint`)
    await page.getByLabel("note").fill("kept <as> it is")
    // The browser itself asks for what is needed, and holds the bounds.
    await run(page, "/paint")
    await page.getByLabel("x needed").fill("32")
    await run(page, "/paint")
    assert.equal(page.url(), `${base}/_as_page/POST/paint`)
    assert.equal(await page.locator("[role=alert]").count(), 0)
    await page.getByLabel("x needed").fill("31")
    await page.getByLabel("color needed").selectOption("red")
    if (mode === "with scripts") await page.getByRole("button", { name: "Edit as JSON" }).click()
    await page.getByLabel("tags").fill("[1, 2")
    await page.locator("form").evaluate((form) => { form.noValidate = true })
    await page.getByLabel("title").fill("T")
    await page.getByLabel("x needed").fill("")
    await run(page, "/paint")
    const alert = page.getByRole("alert")
    assert.match(await alert.innerText(), /Nothing was done: 2 fields need another look/)
    // Each mistake stands beside its field.
    assert.match(await page.locator(".field", { has: page.getByLabel("tags") }).innerText(), /It must be JSON/)
    assert.match(await page.locator(".field", { has: page.getByLabel("x needed") }).innerText(), /It must be filled in/)
    assert.equal(await page.locator("[aria-invalid=true]").count(), 2)
    await page.getByLabel("x needed").fill("31")
    await page.getByLabel("title").fill("Ti")
    assert.equal(await page.getByLabel("note").inputValue(), "kept <as> it is")
    assert.equal(await page.getByLabel("tags").inputValue(), "[1, 2")
    assert.equal(await page.getByLabel("x needed").inputValue(), "31")
    await page.getByLabel("tags").fill("[1, 2]")
    await run(page, "/paint")
    assert.deepEqual((await jsonOf(page)).got.tags, [1, 2])
    assert.equal(app.calls.length, 1)
  })

  test(`${mode}: a page that was open for too long does nothing, and goes on`, async (t) => {
    const { app, base } = await open(t, { tools: shop })
    const page = await newPage(t, browser, { ...options, ...REFUSED })
    await page.goto(`${base}/_as_page/POST/paint`)
    const nonce = page.locator("input[name=_as_nonce]")
    const fresh = await nonce.inputValue()
    assert.equal(nonceAt(base, Number(fresh.split(".")[0])), fresh)
    await nonce.evaluate((field, old) => { field.value = old }, nonceAt(base, Date.now() - 2 * 3600_000))
    await page.getByLabel("x needed").fill("7")
    await page.getByLabel("color needed").selectOption("green")
    await page.getByLabel("note").fill("</textarea>\n<b>kept")
    await run(page, "/paint")
    assert.match(await page.getByRole("alert").innerText(), /open for more than an hour.*Nothing was done/)
    assert.equal(await page.getByLabel("note").inputValue(), "</textarea>\n<b>kept")
    assert.equal(app.calls.length, 0)
    await run(page, "/paint")
    assert.deepEqual((await jsonOf(page)).got, { x: 7, y: 5, color: "green", note: "</textarea>\n<b>kept", tags: ["new"] })
    assert.equal(app.calls.length, 1)
  })

  test(`${mode}: a task is followed to its end`, async (t) => {
    const { app, base } = await open(t, { tools: shop })
    const page = await newPage(t, browser, options)
    await page.goto(`${base}/_as_page/POST/bake`)
    await run(page, "/bake")
    await page.getByRole("heading", { name: "It takes a while" }).waitFor()
    // It goes on by itself.
    await page.waitForURL(`${base}/_as_page/_as_tasks/cake-1`)
    await page.getByRole("heading", { name: "working on it" }).waitFor()
    app.send({ type: "task_progress", taskId: "cake-1", progress: 0.4, message: "Mixing <flour>" })
    await page.getByText("Mixing <flour>").waitFor()
    assert.equal(await page.getByRole("progressbar").evaluate((bar) => bar.value), 0.4)
    app.send({ type: "task_complete", taskId: "cake-1", status: 200, body: { cake: "<done>" } })
    await result(page).waitFor()
    assert.deepEqual(await jsonOf(page), { cake: "<done>" })
    assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 0)
  })

  test(`${mode}: an app that is away, and a link that is dead`, async (t) => {
    const { app, base } = await open(t, { tools: shop })
    const page = await newPage(t, browser, { ...options, ...REFUSED })
    const dead = await app.mint()
    await app.request({ type: "revoke_agent_token", token: dead.split("/").at(-1) })
    assert.equal((await page.goto(dead)).status(), 401)
    assert.match(await page.locator("main").innerText(), /not valid any more/)

    await fetch(`${relay.url}/_debug/kill-ws/${/_([0-9A-Z]{8})_/.exec(base)[1]}`, { method: "POST" })
    assert.equal((await page.goto(`${base}/_as_page/POST/say`)).status(), 200)
    assert.match(await page.locator("header").innerText(), /has been offline for /)
    await page.getByLabel("Text, or JSON").fill('"later"')
    await run(page, "/say")
    assert.match(await page.locator("#result").innerText(), /It did not work/)
    assert.equal(await page.getByLabel("Text, or JSON").inputValue(), '"later"')

    const gone = await open(t, { tools: shop })
    await gone.app.close()
    assert.equal((await page.goto(gone.base)).status(), 503)
    assert.match(await page.locator("main").innerText(), /Open the app, then load this page again/)
    assert.match(await page.content(), /^<!DOCTYPE html>/i)
  })
}

const order = {
  path: "/order", title: "Order lunch", description: "Orders.",
  input_schema: {
    type: "object", required: ["who", "items"],
    properties: {
      who: { type: "object", required: ["name"], properties: { name: { type: "string", examples: ["Ada"] }, vip: { type: "boolean" } } },
      items: { type: "array", items: { $ref: "#/$defs/item" } },
      tags: { type: "array", items: { type: "string" } },
    },
    $defs: { item: { type: "object", required: ["dish"], properties: { dish: { enum: ["soup", "bread"] }, count: { type: "integer" }, extras: { type: "array", items: { type: "string" } } } } },
  },
  answer: ({ body }) => ({ status: 200, body: JSON.parse(body) }),
}

test("nested objects and arrays are fields, with add and remove", async (t) => {
  const { app, base } = await open(t, { tools: [order] })
  const page = await newPage(t, browser)
  await page.goto(base)
  assert.ok(await page.getByRole("heading", { name: "Order lunch" }).isVisible())
  assert.equal(await page.getByLabel("name needed").getAttribute("placeholder"), "Ada")
  await page.getByLabel("name needed").fill("Bo")
  await page.getByLabel("vip").selectOption("yes")
  const items = page.getByRole("group", { name: "items" })
  const add = items.locator(":scope > button", { hasText: "Add" })
  for (const [i, dish] of [[0, "soup"], [1, "bread"], [2, "soup"]]) {
    await add.click()
    await items.getByLabel("dish").nth(i).selectOption(dish)
  }
  await items.getByLabel("count").nth(1).fill("3")
  const extras = items.getByRole("group", { name: "extras" }).nth(1)
  await extras.getByRole("button", { name: "Add" }).click()
  await extras.getByRole("textbox").fill("butter <b>")
  await items.getByRole("button", { name: "Remove 1" }).first().click()
  await shoot(page, "people-nested")
  await run(page, "/order")
  const sent = { who: { name: "Bo", vip: true }, items: [{ dish: "bread", count: 3, extras: ["butter <b>"] }, { dish: "soup" }] }
  assert.deepEqual(JSON.parse(app.calls[0].body), sent)
  // What was filled in is there again, as fields.
  assert.equal(await items.getByLabel("dish").count(), 2)
  assert.equal(await extras.count(), 1)
  assert.equal(await items.getByRole("group", { name: "extras" }).first().getByRole("textbox").inputValue(), "butter <b>")
  await page.getByRole("group", { name: "items" }).first().getByRole("button", { name: "Edit as JSON" }).click()
  assert.deepEqual(JSON.parse(await page.getByLabel("items").inputValue()), sent.items)
})

test("without scripts, nested objects and arrays are JSON", async (t) => {
  const { app, base } = await open(t, { tools: [order] })
  const page = await newPage(t, browser, { javaScriptEnabled: false })
  await page.goto(base)
  await page.getByLabel("who needed").fill('{"name":"Bo"}')
  await page.getByLabel("items needed").fill("[]")
  await run(page, "/order")
  assert.deepEqual(JSON.parse(app.calls[0].body), { who: { name: "Bo" }, items: [] })
})

const MARKDOWN = `# A title <img src=x onerror=hacked=1>

Some **bold**, \`code\` and [a link](https://site.example/a), no [script](javascript:hacked=1).

- one
- two ![picture](https://site.example/p.png)

\`\`\`
<script>hacked=1</script>
\`\`\``

test("what is run is logged, Markdown is shown safely, files are saved, and what destroys asks first", async (t) => {
  const bytes = Buffer.alloc(2_500_000, 7)
  const { app, base } = await open(t, {
    tools: [
      { path: "/notes", answer: () => ({ status: 200, headers: { "content-type": "text/markdown" }, body: MARKDOWN }) },
      { path: "/report", answer: () => ({ status: 200, headers: { "content-type": "application/pdf" }, body: bytes.toString("base64"), bodyEncoding: "base64" }) },
      { path: "/wipe", annotations: { destructive: true }, answer: () => ({ status: 204 }) },
    ],
  })
  const page = await newPage(t, browser)
  await page.goto(`${base}/_as_page/POST/notes`)
  await run(page, "/notes")
  const shown = page.locator("#result .md")
  assert.equal(await shown.locator("h3").innerText(), "A title <img src=x onerror=hacked=1>")
  assert.deepEqual(await shown.locator("li").allInnerTexts(), ["one", "two image: picture"])
  assert.equal(await shown.locator("a").first().getAttribute("href"), "https://site.example/a")
  assert.deepEqual(await shown.locator("a").evaluateAll((all) => all.map(({ protocol }) => protocol)), ["https:", "https:"])
  assert.equal(await shown.locator("pre").innerText(), "<script>hacked=1</script>")
  assert.equal(await page.locator("#result img").count(), 0)
  assert.equal(await page.evaluate(() => "hacked" in globalThis), false)
  await shoot(page, "people-markdown")

  await page.goto(`${base}/_as_page/POST/report`)
  await run(page, "/report")
  assert.match(await page.locator("#result").innerText(), /Save it as result\.pdf \(2\.5 MB, application\/pdf\)/)
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Save it" }).click()])
  assert.equal(download.suggestedFilename(), "result.pdf")
  assert.ok(readFileSync(await download.path()).equals(bytes))

  await page.goto(`${base}/_as_page/POST/wipe`)
  await run(page, "/wipe")
  assert.equal(app.calls.length, 2, "the browser asks for the tick")
  await page.getByLabel("Yes, run it").check()
  await run(page, "/wipe")
  await page.getByText("Done. There is nothing to show.").waitFor()
  assert.equal(app.calls.length, 3)

  await page.locator("#log summary").click()
  const log = await page.locator("#log li").allInnerTexts()
  assert.deepEqual(log.map((line) => line.replace(/^\S+( [AP]M)? /, "")), ["/wipe done", "/report done", "/notes done"])
  const kept = await page.evaluate(() => JSON.stringify(sessionStorage))
  assert.ok(!kept.includes(base.slice(-22)), "no token is kept")
  await page.getByRole("button", { name: "Clear" }).click()
  await page.reload()
  assert.equal(await page.locator("#log").count(), 0)
})

test("without scripts, a call that may destroy needs the tick, and a small file can be saved", async (t) => {
  const { app, base } = await open(t, {
    tools: [
      { path: "/wipe", annotations: { destructive: true }, answer: () => ({ status: 200, headers: { "content-type": "application/zip" }, body: "UEsFBg==", bodyEncoding: "base64" }) },
    ],
  })
  const page = await newPage(t, browser, { javaScriptEnabled: false })
  await page.goto(base)
  await run(page, "/wipe")
  assert.equal(app.calls.length, 0)
  await page.getByLabel("Yes, run it").check()
  await run(page, "/wipe")
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Save it" }).click()])
  assert.equal(readFileSync(await download.path()).toString("base64"), "UEsFBg==")
})

/** A nonce of a link as the relay makes it, by another implementation (HKDF, RFC 5869). */
function nonceAt(base, time) {
  const salt = Buffer.alloc(8)
  salt.writeBigUInt64BE(BigInt(time))
  const verifier = Buffer.from(base.slice(-22), "base64url")
  const mark = hkdfSync("sha256", verifier, salt, "agent-socket page nonce v1", 16)
  return `${time}.${Buffer.from(mark).toString("base64url")}`
}

test("who has only a person's page, or an agent, gets what it can read", async (t) => {
  const { base } = await open(t, { tools: shop })
  const ask = async (path, headers) => (await fetch(base + path, { headers })).headers.get("content-type")
  const navigation = { "sec-fetch-dest": "document", accept: "text/html,application/xhtml+xml;q=0.9" }
  assert.match(await ask("", navigation), /^text\/html/)
  assert.match(await ask("/", navigation), /^text\/html/)
  assert.match(await ask("/agents.md", navigation), /^text\/html/)
  assert.match(await ask("/agents.md", { ...navigation, accept: "*/*" }), /^text\/plain/)
  const briefing = await (await fetch(`${base}/agents.md`)).text()
  const page = await (await fetch(`${base}/agents.md`, { headers: navigation })).text()
  const escaped = briefing.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
  assert.ok(page.includes(`${escaped}</pre>`), "the page's source has the briefing as text")
  for (const headers of [{}, { accept: "text/html" }, { ...navigation, accept: "text/markdown" }])
    for (const path of ["", "/agents.md"]) assert.doesNotMatch(await ask(path, headers), /html/, JSON.stringify(headers))
  assert.match(await ask("/_as_page", {}), /^text\/html/)
})

/** A site elsewhere, as far as the browser knows: `localhost` is another site than `127.0.0.1`. */
async function startSite(t, html) {
  const server = createServer((_, response) => response.setHeader("content-type", "text/html").end(html)).listen(0)
  await once(server, "listening")
  t.after(() => server.close())
  return `http://localhost:${server.address().port}/`
}

test("another site's page calls nothing, even with a nonce of the link", async (t) => {
  const { app, base } = await open(t, { tools: shop })
  const form = (id, action, nonce) =>
    `<form id=${id} method=post action="${action}"><input name=f.body value="1"><input name=_as_nonce value="${nonce}"><button>go</button></form>`
  const site = await startSite(t, `<!doctype html><link rel=icon href=data:,>${
    form("bare", `${base}/_as_page/POST/say`, "")}${form("nonce", `${base}/_as_page/POST/say`, nonceAt(base, Date.now()))}${form("tool", `${base}/say`, "")}`)
  const page = await newPage(t, browser, { tolerated: /status of 403|ERR_ABORTED|NotSameOrigin/ })
  for (const [id, type] of [["bare", /html/], ["nonce", /html/], ["tool", /json/]]) {
    await page.goto(site)
    const [answer] = await Promise.all([page.waitForResponse((one) => one.url().startsWith(base)), page.locator(`#${id} button`).click()])
    assert.equal(answer.status(), 403, id)
    assert.match(answer.headers()["content-type"], type, id)
    assert.equal((await answer.request().allHeaders())["sec-fetch-site"], "cross-site")
  }
  await page.goto(site)
  await page.evaluate(async ([url, nonce]) => {
    await fetch(url, { method: "POST", mode: "no-cors", body: new URLSearchParams({ _as_nonce: nonce, "f.body": "1" }) }).catch(() => {})
  }, [`${base}/_as_page/POST/say`, nonceAt(base, Date.now())])
  assert.equal(app.calls.length, 0)

  // A nonce is of one link and of its time.
  const other = await app.mint()
  const post = (nonce, site = "same-origin") => fetch(`${base}/_as_page/POST/say`, {
    method: "POST", body: new URLSearchParams({ _as_nonce: nonce, "f.body": "1" }), headers: { "sec-fetch-site": site },
  }).then(({ status }) => status)
  assert.equal(await post(nonceAt(other, Date.now())), 403)
  assert.equal(await post(nonceAt(base, Date.now() + 2 * 3600_000)), 400)
  assert.equal(await post(nonceAt(base, Date.now()), "same-site"), 403)
  assert.equal(app.calls.length, 0)
  assert.equal(await post(nonceAt(base, Date.now())), 200)
  assert.equal(app.calls.length, 1)
})

test("no other page shows this one in a frame", async (t) => {
  const { base } = await open(t, { tools: shop })
  const site = await startSite(t, `<!doctype html><link rel=icon href=data:,><iframe src="${base}/_as_page"></iframe>`)
  // The relay refuses it; a browser that does not say what it asks for is stopped by the page's policy.
  const page = await newPage(t, browser, { tolerated: /status of 403/ })
  const answer = page.waitForResponse((response) => response.url().endsWith("/_as_page"))
  await page.goto(site)
  assert.equal((await answer).status(), 403)
  const policy = (await fetch(`${base}/_as_page`)).headers.get("content-security-policy")
  assert.match(policy, /(^|; )frame-ancestors 'none'(;|$)/)
})

const KNOWN_ELEMENTS = new Set(["html", "head", "meta", "link", "title", "style", "body", "header", "main", "footer", "section", "details", "summary",
  "h1", "h2", "h3", "p", "b", "a", "span", "div", "code", "pre", "form", "label", "input", "select", "option", "textarea", "button", "progress", "script",
  "fieldset", "legend", "ol", "li", "time"])

/** Every way in which a text of the app could have become more than text. */
async function assertHarmless(page, base) {
  const found = await page.evaluate(() => {
    const all = [...document.querySelectorAll("*")]
    return {
      hacked: "hacked" in window,
      elements: [...new Set(all.map((one) => one.localName))],
      handlers: all.flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith("on") || name === "style" || name === "autofocus"),
      scripts: [...document.scripts].map((one) => [one.src, one.textContent]),
      styles: document.styleSheets.length,
      targets: [...document.querySelectorAll("a, form")].map((one) => one.getAttribute("href") ?? one.getAttribute("action")),
      sources: all.map((one) => one.getAttribute("src")).filter(Boolean),
      url: location.href,
    }
  })
  assert.equal(found.hacked, false)
  assert.deepEqual(found.elements.filter((name) => !KNOWN_ELEMENTS.has(name)), [])
  assert.deepEqual(found.handlers, [])
  assert.deepEqual(found.scripts, [["", readFileSync(join(ROOT, "crates/doors/src/page/page.js"), "utf8")], [`${relay.url}/people.js`, ""]])
  assert.equal(found.styles, 1)
  assert.deepEqual(found.sources, ["/people.js"])
  // What can't be shown can be saved, as mere bytes.
  const links = found.targets.filter((target) => !target.startsWith("data:application/octet-stream;base64,"))
  for (const target of links) assert.ok(target.startsWith(`${new URL(base).pathname}/_as_page`), target)
  assert.ok(found.url.startsWith(base))
}

for (const [mode, options] of MODES) {
  test(`${mode}: an app whose every text is markup runs nothing, and its texts are shown`, async (t) => {
    const { app, base } = await open(t, hostileApp)
    // No error is tolerated but the statuses: a violation of the policy would be one of the app's texts at work.
    const page = await newPage(t, browser, { ...options, ...REFUSED })
    const requests = []
    page.on("request", (request) => requests.push(request.url()))
    page.on("dialog", (dialog) => { requests.push(`dialog: ${dialog.message()}`); dialog.dismiss() })
    const visible = async (where) => {
      const shown = (await page.locator(where).innerText()).replace(/\s+/g, " ")
      assert.ok(shown.includes(HOSTILE), `${where}: ${shown}`)
    }
    await page.goto(base)
    for (const details of await page.locator("details > summary").all()) await details.click()
    await assertHarmless(page, base)
    await visible("header")
    const attack = page.locator("form[action$='/POST/attack']")
    assert.ok((await attack.innerText()).replace(/\s+/g, " ").includes(HOSTILE))
    assert.equal(await attack.locator("[name='f.text']").inputValue(), HOSTILE)
    assert.equal(await attack.locator("textarea[name='f.lines']").inputValue(), HOSTILE)
    assert.equal(await attack.locator("select").inputValue(), JSON.stringify(HOSTILE))
    assert.equal(await attack.locator("select option:checked").innerText(), HOSTILE)

    await attack.locator("[name='f.whole']").fill("1")
    const field = attack.getByLabel(HOSTILE, { exact: true })
    await field.fill("named")
    await run(page, "/attack")
    await assertHarmless(page, base)
    assert.deepEqual((await jsonOf(page))[HOSTILE], HOSTILE)
    const got = JSON.parse((await jsonOf(page)).body)
    assert.deepEqual(got, { text: HOSTILE, lines: HOSTILE, choice: HOSTILE, list: [HOSTILE], whole: 1, [HOSTILE]: "named" })

    for (const path of ["/any", "/fail", "/svg", "/type"]) {
      await page.goto(`${base}/_as_page/POST${path}`)
      await assertHarmless(page, base)
      if (path === "/any") await page.getByLabel("Text", { exact: true }).fill(HOSTILE)
      await run(page, path)
      await page.locator("#result").waitFor()
      await assertHarmless(page, base)
      if (path === "/any" || path === "/fail") await visible("#result")
    }

    // A field's own text comes back in the message about it.
    await page.goto(`${base}/_as_page/POST/attack`)
    if (mode === "with scripts") await page.getByRole("button", { name: "Edit as JSON" }).click()
    await page.getByLabel("list", { exact: true }).fill(HOSTILE)
    await run(page, "/attack")
    await page.getByRole("alert").waitFor()
    assert.equal(await page.getByLabel("list", { exact: true }).inputValue(), HOSTILE)
    await assertHarmless(page, base)

    await page.goto(`${base}/_as_page/POST/later`)
    await run(page, "/later")
    app.send({ type: "task_progress", taskId: "t", message: HOSTILE })
    await page.getByText("working on it").waitFor()
    await visible("main")
    await assertHarmless(page, base)
    app.send({ type: "task_complete", taskId: "t", status: 500, body: { error: { message: HOSTILE } } })
    await page.locator("#result").waitFor()
    await visible("#result")
    await assertHarmless(page, base)

    assert.ok(requests.length > 10)
    assert.deepEqual(requests.filter((url) => !url.startsWith(`${base}/_as_page`) && url !== base && url !== `${relay.url}/people.js`), [])
  })
}

test("the texts to copy are right, and are copied with and without the clipboard API", async (t) => {
  const { app, base } = await open(t, { tools: shop })
  const texts = {
    "A chat that reads links": `${base}/agents.md`,
    "An MCP client": `${base}/mcp`,
    "The same for a terminal": `claude mcp add --transport http as_app_anon ${base}/mcp`,
    "A platform that imports OpenAPI": `${base}/openapi.json`,
  }
  for (const missing of [false, true]) {
    const page = await newPage(t, browser, missing ? {} : { permissions: ["clipboard-read", "clipboard-write"] })
    if (missing) await page.addInitScript(() => { Object.defineProperty(navigator, "clipboard", { value: undefined }) })
    await page.goto(base)
    const pasted = async () => {
      const field = page.getByLabel("note")
      await field.fill("")
      await field.press("Control+V")
      return field.inputValue()
    }
    const boxes = page.locator(".copy")
    assert.equal(await boxes.count(), 6)
    for (const [label, end] of Object.entries(texts)) {
      const box = boxes.filter({ hasText: label }).first()
      await box.getByRole("button").click()
      await box.getByRole("button", { name: "Copied" }).waitFor()
      const text = await pasted()
      assert.equal(text, await box.locator("textarea").inputValue())
      assert.ok(text.endsWith(end), text)
    }
    const config = JSON.parse(await page.getByLabel("configuration file").inputValue())
    assert.deepEqual(config, { mcpServers: { as_app_anon: { type: "http", url: `${base}/mcp` } } })
    const links = (await page.getByLabel("only fetch pages").inputValue()).split("\n")
    assert.deepEqual(links, [`/photo: ${base}/_as_get/photo`])
    assert.equal((await fetch(links[0].split(": ")[1])).headers.get("content-type"), "image/png")
  }
  for (const path of ["/agents.md", "/openapi.json"]) assert.equal((await fetch(base + path)).status, 200)
  const page = await newPage(t, browser, { javaScriptEnabled: false })
  await page.goto(base)
  assert.equal(await page.getByRole("button", { name: "Copy" }).count(), 0, "nothing that could not work")
  assert.equal(await page.getByLabel("An MCP client").inputValue(), `${base}/mcp`)
  assert.deepEqual([...new Set(app.calls.map(({ path }) => path))], ["/photo"])
})

test("as many tools as an app may have are a page, too", async (t) => {
  const tools = Array.from({ length: 256 }, (_, n) => ({ ...shop[0], path: `/tool/${n}` }))
  const { app, base } = await open(t, { tools })
  const page = await newPage(t, browser)
  await page.goto(base)
  assert.equal(await page.locator("form").count(), 256)
  assert.equal(await page.locator("details[open]").count(), 0)
  assert.equal(await page.evaluate(() => new Set([...document.querySelectorAll("[id]")].map(({ id }) => id)).size === document.querySelectorAll("[id]").length), true)
  await page.locator("summary", { hasText: "/tool/221" }).click()
  const form = page.locator("form[action$='/tool/221']")
  await form.getByLabel("x needed").fill("1")
  await form.getByLabel("color needed").selectOption("red")
  await run(page, "/tool/221")
  await result(page).waitFor()
  assert.equal(app.calls[0].path, "/tool/221")
})

test("a checker of accessibility finds nothing, in light and in dark", async (t) => {
  const axe = readFileSync(join(ROOT, "node_modules/axe-core/axe.min.js"), "utf8")
  for (const colorScheme of ["light", "dark"]) {
    const { app, base } = await open(t, { tools: [...shop, ...outcomes] })
    // The checker is a script of its own, which the page's policy would not let in.
    const page = await newPage(t, browser, { colorScheme, bypassCSP: true, ...REFUSED })
    const check = async (what, known = []) => {
      await page.evaluate(axe)
      const { violations, passes } = await page.evaluate(() => window.axe.run())
      const found = violations.filter(({ id }) => !known.includes(id))
      assert.deepEqual(found.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], `${what}, ${colorScheme}`)
      assert.ok(passes.some(({ id }) => id === "color-contrast"))
    }
    await page.goto(base)
    for (const summary of await page.locator("details > summary").all()) await summary.click()
    await check("the page")
    for (const path of ["/refuse", "/much", "/bake"]) {
      await page.goto(`${base}/_as_page/POST${path}`)
      await run(page, path)
      if (path !== "/bake") {
        await page.locator("#result").waitFor()
        await check(path)
      } else {
        await page.getByText("working on it").waitFor()
        // Without scripts nothing else shows how far a task is, and the page says that it does it.
        await check("a task", ["meta-refresh"])
        app.send({ type: "task_complete", taskId: "cake-1", status: 200, body: {} })
        await page.locator("#result").waitFor()
      }
    }
    await page.goto(`${base}/_as_page/POST/paint`)
    await page.getByLabel("x needed").fill("1")
    await page.getByLabel("color needed").selectOption("red")
    await page.getByRole("button", { name: "Edit as JSON" }).click()
    await page.getByLabel("tags").fill("[")
    await run(page, "/paint")
    await page.getByRole("alert").waitFor()
    await check("a mistake")
    await page.goto(`${base}/_as_page/POST/unknown`)
    await check("a problem")
  }
})

test("screenshots: light, dark, phone; nothing runs over the edge", async (t) => {
  const { app, base } = await open(t, { tools: shop, appDescription: "A picture of 32 × 32 pixels that you paint together with your AI." })
  const page = await newPage(t, browser, { viewport: { width: 1100, height: 800 }, ...REFUSED })
  await page.goto(base)
  await shoot(page, "people-page")
  await page.getByLabel("x needed").fill("3")
  await page.locator("form").first().getByLabel("color needed").selectOption("sky blue")
  await run(page, "/paint")
  await shoot(page, "people-result")
  await page.getByRole("button", { name: "Edit as JSON" }).click()
  await page.getByLabel("tags").fill("[")
  await run(page, "/paint")
  await shoot(page, "people-mistake")
  await page.goto(`${base}/_as_page/GET/photo`)
  await run(page, "/photo")
  await shoot(page, "people-image")
  await page.goto(`${base}/_as_page/POST/bake`)
  await run(page, "/bake")
  await page.waitForURL(`${base}/_as_page/_as_tasks/cake-1`)
  app.send({ type: "task_progress", taskId: "cake-1", progress: 0.4, message: "Mixing the colours" })
  await page.getByText("Mixing").waitFor()
  await shoot(page, "people-task")
  await page.goto(`${base}/_as_page/POST/unknown`)
  await shoot(page, "people-problem")
  await fetch(`${relay.url}/_debug/kill-ws/${/_([0-9A-Z]{8})_/.exec(base)[1]}`, { method: "POST" })
  await page.goto(base)
  await shoot(page, "people-offline")

  const { base: many } = await open(t, { tools: [...shop, ...outcomes] })
  await page.goto(many)
  await page.locator("summary", { hasText: "/find" }).click()
  await shoot(page, "people-many")

  const { base: hostile } = await open(t, hostileApp)
  await page.goto(hostile)
  for (const summary of await page.locator("details > summary").all()) await summary.click()
  await shoot(page, "people-hostile")
})
