/** Painting by hand: with a pointer, or with arrow keys and space. */

import { PALETTE, SIZE } from "./picture.js"

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
const clamp = (n) => Math.min(SIZE - 1, Math.max(0, n))

/** `$` finds an element by id; `changed` is called after each change. */
export function setUpBoard($, picture, changed) {
  let brush = PALETTE[4][1]
  let cursor = { x: 16, y: 5 }
  let last = null

  for (const [name, color] of PALETTE) {
    const label = Object.assign(document.createElement("label"), { title: name })
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "color", value: color, checked: color === brush })
    input.setAttribute("aria-label", name)
    const chip = document.createElement("span")
    chip.style.backgroundColor = color
    label.append(input, chip)
    $("swatches").append(label)
  }
  $("swatches").addEventListener("change", ({ target }) => { brush = target.value })

  function paint(from, to) {
    const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1)
    for (let i = 0; i <= steps; i++) {
      picture.set(Math.round(from.x + ((to.x - from.x) * i) / steps), Math.round(from.y + ((to.y - from.y) * i) / steps), brush)
    }
    moveTo(to)
    changed()
  }

  function moveTo(cell) {
    cursor = cell
    $("cursor").style.left = `${(cell.x / SIZE) * 100}%`
    $("cursor").style.top = `${(cell.y / SIZE) * 100}%`
  }

  function cellAt({ clientX, clientY }) {
    const box = $("canvas").getBoundingClientRect()
    return { x: clamp(Math.floor(((clientX - box.left) / box.width) * SIZE)), y: clamp(Math.floor(((clientY - box.top) / box.height) * SIZE)) }
  }

  const board = $("board")
  board.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return
    board.setPointerCapture(event.pointerId)
    last = cellAt(event)
    paint(last, last)
  })
  board.addEventListener("pointermove", (event) => {
    if (!last) return
    const cell = cellAt(event)
    paint(last, cell)
    last = cell
  })
  for (const type of ["pointerup", "pointercancel"]) board.addEventListener(type, () => { last = null })

  board.addEventListener("keydown", (event) => {
    const move = MOVES[event.key]
    const paints = event.key === " " || event.key === "Enter"
    if ((!move && !paints) || event.ctrlKey || event.altKey || event.metaKey) return
    event.preventDefault()
    const to = move ? { x: clamp(cursor.x + move[0]), y: clamp(cursor.y + move[1]) } : cursor
    if (paints || event.shiftKey) paint(cursor, to)
    else moveTo(to)
    $("cell").textContent = `x ${to.x}, y ${to.y}, ${picture.cells[to.y * SIZE + to.x]}`
  })
  moveTo(cursor)
}
