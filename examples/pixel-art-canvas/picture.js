/** The picture: a 32 × 32 grid on a canvas. */

export const SIZE = 32
export const BLANK = "#ffffff"
export const PALETTE = [
  ["ink", "#1a1530"], ["night blue", "#2b2157"], ["violet", "#54329a"], ["magenta", "#a83279"],
  ["coral", "#ff5d5d"], ["orange", "#ff9e4a"], ["yellow", "#ffdf6b"], ["cream", "#fff6dc"],
  ["mint", "#3ddc97"], ["leaf green", "#157a55"], ["deep teal", "#0f4f52"], ["sky blue", "#57c7ff"],
  ["blue", "#2f6df6"], ["grey", "#8f8cb5"], ["white", "#ffffff"], ["brown", "#7a3b2e"],
]
/** Pixels of the PNG for one of the picture. */
const SCALE = 10

/** What it shows to begin with: hills at dusk, with a sky to paint into. */
function scene(x, y) {
  const hill = 22 + Math.round(2.4 * Math.sin(x / 4.2) + 1.6 * Math.sin(x / 2.1 + 1))
  const far = 18 + Math.round(1.8 * Math.sin(x / 3 + 2))
  if (y >= hill + 5) return "#0f4f52"
  if (y >= hill) return "#157a55"
  if (y >= far) return "#54329a"
  if ((x - 9) ** 2 + (y - 15) ** 2 <= 14) return "#ffdf6b"
  const star = y < 8 && (x * 73 + y * y * 151) % 37 === 0
  const sky = ["#2b2157", "#2b2157", "#54329a", "#a83279", "#ff5d5d", "#ff9e4a"]
  return star ? "#fff6dc" : sky[Math.min(sky.length - 1, Math.floor(y / 3))]
}

export class Picture {
  /** Row after row, each cell as `#rrggbb`. */
  cells
  #context
  #canvas

  constructor(canvas, saved) {
    this.#canvas = canvas
    this.#context = canvas.getContext("2d", { willReadFrequently: true })
    const fits = Array.isArray(saved) && saved.length === SIZE * SIZE && saved.every((cell) => /^#[0-9a-f]{6}$/.test(cell))
    this.cells = fits ? saved : Array.from({ length: SIZE * SIZE }, (_, i) => scene(i % SIZE, Math.floor(i / SIZE)))
    this.cells.forEach((color, i) => this.#draw(i % SIZE, Math.floor(i / SIZE), color))
  }

  set(x, y, color) {
    const full = color.length === 4 ? color.replace(/[0-9a-f]/gi, "$&$&") : color
    this.cells[y * SIZE + x] = full.toLowerCase()
    this.#draw(x, y, full)
  }

  fill(x, y, w, h, color) {
    for (let j = y; j < y + h; j++) for (let i = x; i < x + w; i++) this.set(i, j, color)
  }

  rows() {
    return Array.from({ length: SIZE }, (_, y) => this.cells.slice(y * SIZE, (y + 1) * SIZE))
  }

  /** The picture as a PNG, enlarged. */
  async png() {
    const large = Object.assign(document.createElement("canvas"), { width: SIZE * SCALE, height: SIZE * SCALE })
    const context = large.getContext("2d")
    context.imageSmoothingEnabled = false
    context.drawImage(this.#canvas, 0, 0, large.width, large.height)
    return new Promise((resolve) => large.toBlob(resolve, "image/png"))
  }

  #draw(x, y, color) {
    this.#context.fillStyle = color
    this.#context.fillRect(x, y, 1, 1)
  }
}
