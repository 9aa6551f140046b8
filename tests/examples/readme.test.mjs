/** The pages that the READMEs give to copy work as they stand, from the relay and from elsewhere. */

import assert from "node:assert/strict"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { test } from "node:test"
import { ARTIFACTS, ROOT, agent, newPage, sharedBrowser, sharedRelay } from "../boot.mjs"
import { mint } from "./setup.mjs"

const pageOf = (path) => /```html\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, path), "utf8"))[1]
const relay = sharedRelay()
const browser = sharedBrowser()

async function works(page) {
  await page.locator("agent-socket-button").waitFor()
  const ai = agent(await mint(page))
  assert.deepEqual((await ai.post("/add", { text: "milk" })).json, { items: 1 })
  assert.equal(await page.locator("body > ul > li").innerText(), "milk")
}

for (const path of ["README.md", "sdk/README.md"]) {
  test(`${path}: from the relay itself`, async (t) => {
    const page = await newPage(t, browser, { bypassCSP: true }) // its script stands in the page
    await page.goto(`${relay.url}/examples/`)
    await page.setContent(pageOf(path))
    await works(page)
    await page.screenshot({ path: join(ARTIFACTS, `${path.replace("/", "-")}-page.png`) })
  })

  test(`${path}: from elsewhere, with the relay in front of both paths`, async (t) => {
    const html = pageOf(path).replaceAll('"/sdk', `"${relay.url}/sdk`).replace("<title>", '<link rel="icon" href="data:,"><title>')
    const server = createServer((_, response) => response.setHeader("content-type", "text/html").end(html)).listen(0, "127.0.0.1")
    await once(server, "listening")
    t.after(() => server.close())
    const page = await newPage(t, browser)
    await page.goto(`http://127.0.0.1:${server.address().port}/`)
    await works(page)
  })
}
