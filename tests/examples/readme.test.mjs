/** The page that the SDK's README gives to copy works as it stands, from the relay and from elsewhere. */

import assert from "node:assert/strict"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ARTIFACTS, ROOT, agent, mint, newPage, startBrowser, startRelay } from "./setup.mjs"

const [, HTML] = /```html\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, "sdk/README.md"), "utf8"))
let relay, browser
before(async () => {
  relay = await startRelay()
  browser = await startBrowser()
})
after(async () => {
  await browser?.close()
  await relay?.stop()
})

async function works(page) {
  await page.locator("agent-socket-button").waitFor()
  const ai = agent(await mint(page))
  assert.deepEqual((await ai.post("/add", { text: "milk" })).json, { items: 1 })
  assert.equal(await page.locator("body > ul > li").innerText(), "milk")
}

test("from the relay itself", async (t) => {
  const page = await newPage(t, browser, { bypassCSP: true }) // its script stands in the page
  await page.goto(`${relay.url}/examples/`)
  await page.setContent(HTML)
  await works(page)
  await page.screenshot({ path: join(ARTIFACTS, "readme-page.png") })
})

test("from elsewhere, with the relay in front of both paths", async (t) => {
  const html = HTML.replaceAll('"/sdk', `"${relay.url}/sdk`).replace("<title>", '<link rel="icon" href="data:,"><title>')
  const server = createServer((_, response) => response.setHeader("content-type", "text/html").end(html)).listen(0, "127.0.0.1")
  await once(server, "listening")
  t.after(() => server.close())
  const page = await newPage(t, browser)
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  await works(page)
})
