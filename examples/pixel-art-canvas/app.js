/** The page: a picture that a person and an AI paint on together. */

import { connect, defaultAgentsMd } from "/sdk.js"
import { connectButton, exposeWebMCP, tabStore } from "/sdk-page.js"
import { sayChanges, showCalls } from "../examples.js"
import { setUpBoard } from "./board.js"
import { BLANK, PALETTE, Picture, SIZE } from "./picture.js"
import { tools } from "./tools.js"

const $ = (id) => document.getElementById(id)
const picture = new Picture($("canvas"), load())
const description = "A picture of 32 × 32 pixels in an open browser tab; what is painted shows there at once."
const agentTools = tools(picture, save)

setUpBoard($, picture, save)
$("clear").addEventListener("click", () => {
  picture.fill(0, 0, SIZE, SIZE, BLANK)
  save()
})

/* ---- the session ---- */

const session = await connect({
  appId: "as_app_anon",
  appDescription: description,
  agentsMd: defaultAgentsMd({
    name: "Pixel art canvas",
    description,
    capabilities: ["paint single pixels, many at once, or rectangles", "read the picture as colours or look at it as a PNG"],
    limits: [`the picture is ${SIZE} × ${SIZE}`, "one call paints at most 1024 pixels", "the person paints too, so the picture may change between two calls"],
    conventions: [
      "x runs from 0 (left) to 31 (right), y from 0 (top) to 31 (bottom)",
      'colours are "#rgb" or "#rrggbb", without transparency',
      "one set_pixels call with a whole drawing is quicker than many set_pixel calls",
      `the picture so far uses ${PALETTE.map(([name, hex]) => `${name} ${hex}`).join(", ")}`,
    ],
  }),
  tools: agentTools,
  resume: tabStore("pixel-art-canvas"),
  ...sayChanges($("notice")),
}).catch((error) => { $("notice").textContent = error.message })

if (session) {
  $("connect").append(connectButton(session))
  showCalls(session, $("calls"))
  exposeWebMCP(session)
}

/* ---- what outlives a reload ---- */

function load() {
  try {
    return JSON.parse(sessionStorage.getItem("pixel-art-canvas"))
  } catch {
    return null
  }
}

function save() {
  try {
    sessionStorage.setItem("pixel-art-canvas", JSON.stringify(picture.cells))
  } catch { /* storage is off or full: a reload starts over */ }
}
