/** What the tests of the demo share: what a person does in it, and sees. */

/** Waits for the state that the page shows. */
export const state = (page, name) => page.locator(`#state[data-state=${name}]`).waitFor()

/** Presses "Connect with AI" and returns the link. */
export async function connect(page) {
  await page.click("#connect")
  return linkOf(page)
}

/** The link that the page shows, as soon as it is another than `not`. */
export async function linkOf(page, not = "") {
  const handle = await page.waitForFunction((old) => {
    const { value } = document.getElementById("link")
    return value !== "" && value !== old && value
  }, not)
  return handle.jsonValue()
}

/** What the canvas really shows, row after row as #rrggbb. */
export const pixels = (page) => page.evaluate(() => {
  const { data } = document.getElementById("canvas").getContext("2d").getImageData(0, 0, 32, 32)
  const hex = (i) => `#${[...data.slice(i, i + 3)].map((n) => n.toString(16).padStart(2, "0")).join("")}`
  return Array.from({ length: 32 }, (_, y) => Array.from({ length: 32 }, (_, x) => hex((y * 32 + x) * 4)))
})
