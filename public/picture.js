/**
 * The picture of the demo: a 32 × 32 grid, and the tools with which an AI paints on it.
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

const COORDINATE = { type: "integer", minimum: 0, maximum: SIZE - 1 }
const COLOR = { type: "string", pattern: "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", description: 'A colour as "#rgb" or "#rrggbb".' }
const object = (properties, required = Object.keys(properties)) =>
  ({ type: "object", properties, required, additionalProperties: false })
const PIXEL = object({
  x: { ...COORDINATE, description: "Column; 0 is the left one." },
  y: { ...COORDINATE, description: "Row; 0 is the top one." },
  color: COLOR,
})

/** `#rgb` and upper case as `#rrggbb`. */
const plain = (color) => {
  const hex = color.toLowerCase()
  return hex.length === 7 ? hex : hex.replace(/[0-9a-f]/g, "$&$&")
}

/** The tools of a picture. The SDK checks what they get against `input`, so a bad call changes nothing. */
export function tools(picture) {
  const painted = (count) => ({ ok: true, painted: count })
  const paint = (pixels) => {
    picture.paint(pixels.map(({ x, y, color }) => [x, y, plain(color)]))
    return painted(pixels.length)
  }
  // What was painted can be painted over, so a mere link may do it, too: that
  // is for chats that can only fetch pages.
  return [
    { path: "/set_pixel", allow_get: true, description: "Paints one pixel.", input: PIXEL, handler: ({ input }) => paint([input]) },
    {
      path: "/set_pixels", allow_get: true,
      description: `Paints up to ${MAX_PIXELS} pixels in one call, in the order given. One bad pixel, and none is painted.`,
      input: object({ pixels: { type: "array", minItems: 1, maxItems: MAX_PIXELS, items: PIXEL } }),
      handler: ({ input }) => paint(input.pixels),
    },
    {
      path: "/fill_rect", allow_get: true, description: "Fills a rectangle whose upper left corner is (x, y). It must lie inside the grid.",
      input: object({
        ...PIXEL.properties,
        w: { type: "integer", minimum: 1, maximum: SIZE, description: `Width; x + w is at most ${SIZE}.` },
        h: { type: "integer", minimum: 1, maximum: SIZE, description: `Height; y + h is at most ${SIZE}.` },
      }),
      handler({ input: { x, y, w, h, color } }) {
        for (const [from, length, at, size] of [["x", "w", x, w], ["y", "h", y, h]]) {
          if (at + size <= SIZE) continue
          const message = `${from} + ${length} is ${at + size}; it may be at most ${SIZE}, so ${length} is at most ${SIZE - at} here. Nothing was painted.`
          return { status: 400, body: { error: { code: "outside", message } } }
        }
        picture.fill(x, y, w, h, plain(color))
        return painted(w * h)
      },
    },
    {
      path: "/clear", description: `Fills the whole grid with one colour, "${BLANK}" when none is given.`, input: object({ color: COLOR }, []),
      handler({ input: { color = BLANK } }) {
        picture.fill(0, 0, SIZE, SIZE, plain(color))
        return painted(SIZE * SIZE)
      },
    },
    {
      method: "GET", path: "/get_grid", read_only: true,
      description: 'Reads the whole grid: {"width", "height", "grid"}; grid[y][x] is a colour as "#rrggbb".',
      input_schema: object({}),
      handler: () => ({ width: SIZE, height: SIZE, grid: picture.rows() }),
    },
  ]
}

export const description = "A 32 × 32 pixel picture in an open browser tab; what is painted shows there at once."

export const agentsMd = `# Pixel canvas

A picture of ${SIZE} × ${SIZE} pixels in a browser tab that a person has open and is watching. What the tools paint shows there at once. The person can paint too, so the picture may change between two calls.

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
