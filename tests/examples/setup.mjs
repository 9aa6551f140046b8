/** What the tests of the examples share: what a person does with the button of the SDK. */

/** Opens an example and presses its button; returns the link. */
export async function connect(page, url, name) {
  await page.goto(`${url}/examples/${name}/`)
  return mint(page)
}

export async function mint(page) {
  await page.locator("agent-socket-button #open").click()
  const link = await linkOf(page)
  await page.locator("agent-socket-button #close").click()
  return link
}

/** The link in the button's dialog, as soon as it is another than `not`. */
export async function linkOf(page, not = "") {
  const handle = await page.waitForFunction((old) => {
    const value = document.querySelector("agent-socket-button").shadowRoot.getElementById("link").value
    return value !== "" && value !== old && value
  }, not)
  return handle.jsonValue()
}

/** Waits for what the button shows. */
export const state = (page, name) =>
  page.waitForFunction((name) => document.querySelector("agent-socket-button")?.shadowRoot.getElementById("open").dataset.state === name, name)
