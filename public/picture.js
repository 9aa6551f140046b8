/**
 * The picture of the demo: a 32 × 32 grid, and the tools that an AI paints on it with.
 * Each tool checks its whole input before it touches a pixel, so a bad call changes nothing.
 */

export const SIZE = 32
export const PALETTE = [
  ["ink", "#1a1530"], ["night blue", "#2b2157"], ["violet", "#54329a"], ["magenta", "#a83279"],
  ["coral", "#ff5d5d"], ["orange", "#ff9e4a"], ["yellow", "#ffdf6b"], ["cream", "#fff6dc"],
  ["mint", "#3ddc97"], ["leaf green", "#157a55"], ["deep teal", "#0f4f52"], ["sky blue", "#57c7ff"],
  ["blue", "#2f6df6"], ["grey", "#8f8cb5"], ["light grey", "#d6d3ea"], ["brown", "#7a3b2e"],
]

// One letter a pixel, in the order of PALETTE.
const LETTERS = "knvmcoywgdtsbaer"
const SCENE = [
  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
  "nnnnnnnnnnnnnnwnnnnnnnannnnnnnnn",
  "nnnwnnnnnnnnnnnnnnnnnnnnnnnnwnnn",
  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
  "nnnnnnnnnnnnnnnnnnnwnnnnnnnnnnnn",
  "nnnnnnnnnwnnnnnnnnnnnnnnnnnannnn",
  "nannnnnnnnnnnnnnnnnnnnnnwnnnnnnn",
  "nvnvnvnvnvnvnvnvnvnvnvnvnvnvnvnv",
  "vvvvvvvvyvvavvvvvvvvvvvvvvvvvvvv",
  "vvvvvvwvavvvvvvvvwvvvvvvvvvvvvwv",
  "vvvvkkkkkkkkkvvvvvvvvvvvvvvvvvvv",
  "vvvkeeeeeeeeekvvvvvvvvvvvvvvvvvv",
  "vvvkekkkkkkkekvvvvvvvvvvvvvvvvvv",
  "vmvkekskkkskekvmvmvmvmvmvmvmvmvm",
  "mmmkekskkkskekmmmmmmmmmmmmmmmmmm",
  "mmmkekkkkkkkekmwwwwwwmmkkkkkkkmm",
  "mmmkeeeeeeeeekwwwwwwwwkwwwwwwwkm",
  "mcmckkkkkkkkkyyyyyyyyykwkwwwkwkc",
  "ccccckaeeeakyyyyyyyyyykwkwwwkwkc",
  "cccakkeeeeekkaooooooookwwwwwwwkc",
  "ocoakkegyeekkakyyyyyyykwwgggwwkc",
  "oooookeeeeekoookoooookokkkkkkkoo",
  "tttttkkkkkkkyyykyyyyykyyykrktttt",
  "ttttttkatakyoookoooookottkrktttt",
  "ttttttkatakttttykyyykttttkrktttt",
  "tttttkkkgkkkggtttkkktttttkrktttt",
  "gggggdddddddddgggggttttttkrktttt",
  "dddddddddddddddddddggggggggggggg",
  "dddddddddddddddddddddddddddgdddd",
  "ddgddddddddddgddddddddddgddddddd",
  "dddddddgdddddddddddgdddddddddddd",
  "ddddddddddddddddgddddddddddddgdd",
].flatMap((row) => [...row].map((letter) => PALETTE[LETTERS.indexOf(letter)][1]))

const BLANK = "#ffffff"
const MAX_PIXELS = 1024
const asPixels = (cells) => cells.map((color, i) => [i % SIZE, Math.floor(i / SIZE), color])

export class Picture {
  /** Row after row, each cell as `#rrggbb`. */
  cells
  #context
  #onPaint

  constructor(canvas, { saved, onPaint = () => {} } = {}) {
    canvas.width = canvas.height = SIZE
    this.#context = canvas.getContext("2d", { willReadFrequently: true })
    this.#onPaint = onPaint
    const usable = saved?.length === SIZE * SIZE && saved.every((cell) => /^#[0-9a-f]{6}$/.test(cell))
    this.cells = usable ? [...saved] : [...SCENE]
    this.#draw(asPixels(this.cells))
  }

  /** Paints `[x, y, color]` triples that are known to be good. */
  paint(pixels) {
    for (const [x, y, color] of pixels) this.cells[y * SIZE + x] = color
    this.#draw(pixels)
    this.#onPaint(pixels)
  }

  fill(x, y, w, h, color) {
    this.paint(Array.from({ length: w * h }, (_, i) => [x + (i % w), y + Math.floor(i / w), color]))
  }

  reset() {
    this.paint(asPixels(SCENE))
  }

  rows() {
    return Array.from({ length: SIZE }, (_, y) => this.cells.slice(y * SIZE, (y + 1) * SIZE))
  }

  #draw(pixels) {
    for (const [x, y, color] of pixels) {
      this.#context.fillStyle = color
      this.#context.fillRect(x, y, 1, 1)
    }
  }
}

/* Input: every check throws a BadInput that names the field, what it was and what it may be. */

class BadInput extends Error {}

/** A value as an error message may show it: short, and never half a surrogate pair. */
function show(value) {
  if (value === undefined) return "missing"
  if (Array.isArray(value)) return "an array"
  if (value !== null && typeof value === "object") return "an object"
  if (typeof value !== "string") return String(value)
  const letters = [...value]
  return JSON.stringify(letters.length > 24 ? `${letters.slice(0, 24).join("")}…` : value)
}

function fields(value, at, allowed) {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new BadInput(`${at} is ${show(value)}; it has to be a JSON object with ${allowed.join(", ")}.`)
  for (const key of Object.keys(value))
    if (!allowed.includes(key)) throw new BadInput(`${at} has an unknown field ${show(key)}; its fields are ${allowed.join(", ")}.`)
  return value
}

function integer(value, field, min, max) {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new BadInput(`${field} is ${show(value)}; it has to be an integer from ${min} to ${max}.`)
  return value
}

function color(value, field) {
  const hex = typeof value === "string" && /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i.test(value) && value.toLowerCase()
  if (!hex) throw new BadInput(`${field} is ${show(value)}; it has to be a colour as "#rgb" or "#rrggbb", like "#ff5d5d".`)
  return hex.length === 7 ? hex : hex.replace(/[0-9a-f]/g, "$&$&")
}

function pixel(value, at) {
  const prefix = at === "body" ? "" : `${at}.`
  const { x, y, color: paint } = fields(value, at, ["x", "y", "color"])
  return [
    integer(x, `${prefix}x`, 0, SIZE - 1),
    integer(y, `${prefix}y`, 0, SIZE - 1),
    color(paint, `${prefix}color`),
  ]
}

const COORDINATE = { type: "integer", minimum: 0, maximum: SIZE - 1 }
const COLOR = { type: "string", pattern: "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", description: 'A colour as "#rgb" or "#rrggbb".' }
const object = (properties, required = Object.keys(properties)) =>
  ({ type: "object", properties, required, additionalProperties: false })
const PIXEL = object({
  x: { ...COORDINATE, description: "Column; 0 is the left one." },
  y: { ...COORDINATE, description: "Row; 0 is the top one." },
  color: COLOR,
})

// What was painted can be painted over, so a mere link may do it, too: that is
// for chats that can only fetch pages.
const BY_LINK = { allow_get: true }

export function tools(picture) {
  /** A tool whose `run` gets the parsed body; what it throws as BadInput becomes a 400. */
  const post = (path, description, input_schema, run, marks) => ({
    method: "POST", path, description, input_schema, ...marks,
    handler({ body }) {
      try {
        return { body: run(parse(body, input_schema)) }
      } catch (error) {
        if (!(error instanceof BadInput)) throw error
        return { status: 400, body: { error: { code: "bad_input", message: `${error.message} Nothing was painted.` } } }
      }
    },
  })

  function parse(body, { properties, required }) {
    if (!body && required.length === 0) return {}
    try {
      return JSON.parse(body)
    } catch {
      const names = Object.keys(properties).join(", ")
      throw new BadInput(body ? `body is not valid JSON; it has to be a JSON object with ${names}.`
        : `body is empty; it has to be a JSON object with ${names}.`)
    }
  }

  return [
    post("/set_pixel", "Paints one pixel.", PIXEL, (input) => {
      picture.paint([pixel(input, "body")])
      return { ok: true, painted: 1 }
    }, BY_LINK),
    post("/set_pixels", `Paints up to ${MAX_PIXELS} pixels in one call, in the order given. One bad pixel, and none is painted.`,
      object({ pixels: { type: "array", minItems: 1, maxItems: MAX_PIXELS, items: PIXEL } }), (input) => {
        const { pixels } = fields(input, "body", ["pixels"])
        if (!Array.isArray(pixels)) throw new BadInput(`pixels is ${show(pixels)}; it has to be an array of 1 to ${MAX_PIXELS} {x, y, color}.`)
        if (pixels.length < 1 || pixels.length > MAX_PIXELS)
          throw new BadInput(`pixels has ${pixels.length} entries; it may have 1 to ${MAX_PIXELS}.`)
        picture.paint(pixels.map((entry, i) => pixel(entry, `pixels[${i}]`)))
        return { ok: true, painted: pixels.length }
      }, BY_LINK),
    post("/fill_rect", "Fills a rectangle whose upper left corner is (x, y). It has to lie inside the grid.",
      object({
        ...PIXEL.properties,
        w: { type: "integer", minimum: 1, maximum: SIZE, description: `Width; x + w is at most ${SIZE}.` },
        h: { type: "integer", minimum: 1, maximum: SIZE, description: `Height; y + h is at most ${SIZE}.` },
      }), (input) => {
        const { w, h, ...corner } = fields(input, "body", ["x", "y", "w", "h", "color"])
        const [x, y, paint] = pixel(corner, "body")
        integer(w, "w", 1, SIZE)
        integer(h, "h", 1, SIZE)
        if (x + w > SIZE) throw new BadInput(`x + w is ${x + w}; it may be at most ${SIZE}, so w is at most ${SIZE - x} here.`)
        if (y + h > SIZE) throw new BadInput(`y + h is ${y + h}; it may be at most ${SIZE}, so h is at most ${SIZE - y} here.`)
        picture.fill(x, y, w, h, paint)
        return { ok: true, painted: w * h }
      }, BY_LINK),
    post("/clear", `Fills the whole grid with one colour, "${BLANK}" when none is given.`, object({ color: COLOR }, []), (input) => {
      const { color: paint = BLANK } = fields(input, "body", ["color"])
      picture.fill(0, 0, SIZE, SIZE, color(paint, "color"))
      return { ok: true, painted: SIZE * SIZE }
    }),
    {
      method: "GET", path: "/get_grid", read_only: true,
      description: 'Reads the whole grid: {"width", "height", "grid"}; grid[y][x] is a colour as "#rrggbb".',
      input_schema: object({}),
      handler: () => ({ body: { width: SIZE, height: SIZE, grid: picture.rows() } }),
    },
  ]
}

export const description = "A 32 × 32 pixel picture in an open browser tab; what is painted shows there at once."

export const agentsMd = `# Pixel canvas

A picture of ${SIZE} × ${SIZE} pixels in a browser tab that a person has open and is watching. What is painted through the tools shows there at once. The person can paint too, so the picture may change between two calls.

## The grid

- x runs from 0 (left) to ${SIZE - 1} (right), y from 0 (top) to ${SIZE - 1} (bottom).
- Colours are written "#rgb" or "#rrggbb" and are read back as "#rrggbb". There is no transparency.
- To begin with it shows a small robot beside a socket, in front of a sunset. The upper third is night sky with room in it.

## Tools

| Call | Body | What it does |
|---|---|---|
| POST /set_pixel | {"x": 3, "y": 4, "color": "#ff5d5d"} | paints one pixel |
| POST /set_pixels | {"pixels": [{"x": 3, "y": 4, "color": "#ff5d5d"}, …]} | paints 1 to ${MAX_PIXELS} pixels |
| POST /fill_rect | {"x": 0, "y": 24, "w": 32, "h": 8, "color": "#157a55"} | fills a rectangle |
| POST /clear | {} or {"color": "#2b2157"} | fills everything, white unless a colour is given |
| GET /get_grid | – | reads the picture: {"width", "height", "grid"}, where grid[y][x] is a colour |

Painting answers {"ok": true, "painted": n}. Input that is out of range or misspelt answers 400 with {"error": {"code", "message"}}; the message names the field and its limits, and nothing is painted.

## What works well

- get_grid first shows what is there, so that a new drawing fits in.
- One set_pixels call with a whole drawing is quicker than many set_pixel calls, and the drawing appears in one go.
- fill_rect suits skies, ground and walls; details go on top of it.
- Few colours and a dark outline read best at this size. The picture so far uses ${PALETTE.map(([name, hex]) => `${name} ${hex}`).join(", ")}.
- get_grid afterwards shows the result.
`
