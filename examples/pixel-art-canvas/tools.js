/** What an AI can do with the picture. */

import { BLANK, SIZE } from "./picture.js"

const COORDINATE = { type: "integer", minimum: 0, maximum: SIZE - 1 }
const LENGTH = { type: "integer", minimum: 1, maximum: SIZE }
const COLOR = { type: "string", pattern: "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", description: 'A colour as "#rgb" or "#rrggbb".' }
const object = (properties, required = Object.keys(properties)) => ({ type: "object", properties, required, additionalProperties: false })
const PIXEL = object({ x: { ...COORDINATE, description: "Column, 0 at the left." }, y: { ...COORDINATE, description: "Row, 0 at the top." }, color: COLOR })

/** `changed` is called after each change. */
export function tools(picture, changed) {
  const painted = (count) => {
    changed()
    return { ok: true, painted: count }
  }
  return [
    {
      path: "/set_pixel", allow_get: true, description: "Paints one pixel.", input: PIXEL,
      handler({ input: { x, y, color } }) {
        picture.set(x, y, color)
        return painted(1)
      },
    },
    {
      path: "/set_pixels", description: "Paints up to 1024 pixels in one call, in the order given. One bad pixel, and none is painted.",
      input: object({ pixels: { type: "array", minItems: 1, maxItems: SIZE * SIZE, items: PIXEL } }),
      handler({ input: { pixels } }) {
        for (const { x, y, color } of pixels) picture.set(x, y, color)
        return painted(pixels.length)
      },
    },
    {
      path: "/fill_rect", description: "Fills a rectangle whose upper left corner is (x, y); what lies outside the picture is cut off.",
      input: object({ ...PIXEL.properties, w: LENGTH, h: LENGTH }),
      handler({ input: { x, y, w, h, color } }) {
        const [width, height] = [Math.min(w, SIZE - x), Math.min(h, SIZE - y)]
        picture.fill(x, y, width, height, color)
        return painted(width * height)
      },
    },
    {
      path: "/clear", description: `Fills the whole picture with one colour, "${BLANK}" when none is given.`, input: object({ color: COLOR }, []),
      handler({ input: { color = BLANK } }) {
        picture.fill(0, 0, SIZE, SIZE, color)
        return painted(SIZE * SIZE)
      },
    },
    {
      method: "GET", path: "/get_grid", read_only: true, description: 'Reads the picture: {"width", "height", "grid"}; grid[y][x] is a colour as "#rrggbb".',
      handler: () => ({ width: SIZE, height: SIZE, grid: picture.rows() }),
    },
    { method: "GET", path: "/screenshot", read_only: true, description: "The picture as a PNG, ten times as large.", handler: () => picture.png() },
  ]
}
