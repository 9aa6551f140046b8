/**
 * QR codes (ISO/IEC 18004) for links: byte mode, error correction M, versions 1 to 9, one mask that suits most texts
 * well enough. Longer texts than 180 bytes get none.
 */

/** By version: data bytes in all, check bytes per block, blocks. */
const VERSIONS = [[16, 10, 1], [28, 16, 1], [44, 26, 1], [64, 18, 2], [86, 24, 2], [108, 16, 4], [124, 18, 4], [154, 22, 4], [182, 22, 5]] as const
/** Format bits of level M with mask 0, with their checksum. */
const FORMAT = 0b101010000010010
/** Version bits of versions 7 to 9, with their checksum. */
const VERSION_BITS = [0x07c94, 0x085bc, 0x09a99]

/** The dark modules of a text's QR code, row after row; `null` when it is too long. */
export function qrCode(text: string): boolean[][] | null {
  const bytes = new TextEncoder().encode(text)
  const index = VERSIONS.findIndex(([room]) => bytes.length + 2 <= room)
  if (index < 0) return null
  const grid = frame(index + 1)
  place(grid, codewords(bytes, index))
  return grid.map((row) => row.map((cell) => (cell & 1) === 1))
}

/** Data and check bytes, interleaved as they are placed. */
function codewords(bytes: Uint8Array, index: number): number[] {
  const [room, checks, count] = VERSIONS[index] as (typeof VERSIONS)[number]
  // Mode 4, length, bytes, end: all shifted by the mode's four bits.
  const nibbles = [4, bytes.length >> 4, bytes.length & 15, ...[...bytes].flatMap((byte) => [byte >> 4, byte & 15]), 0]
  const data = Array.from({ length: nibbles.length / 2 }, (_, i) => ((nibbles[2 * i] ?? 0) << 4) | (nibbles[2 * i + 1] ?? 0))
  for (let i = 0; data.length < room; i++) data.push(i % 2 ? 0x11 : 0xec)
  const short = Math.floor(room / count)
  const long = room % count // so many blocks at the end have one more
  const blocks: number[][] = []
  for (let i = 0, at = 0; i < count; i++) {
    const size = short + (i >= count - long ? 1 : 0)
    blocks.push(data.slice(at, (at += size)))
  }
  const checked = blocks.map((block) => remainder(block, checks))
  const columns = (parts: number[][], length: number) =>
    Array.from({ length }, (_, i) => parts.flatMap((part) => (i < part.length ? [part[i] as number] : []))).flat()
  return [...columns(blocks, short + 1), ...columns(checked, checks)]
}

/** A product in GF(256) modulo x⁸+x⁴+x³+x²+1. */
function times(a: number, b: number): number {
  let product = 0
  for (let i = 7; i >= 0; i--) product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((b >> i) & 1) * a)
  return product
}

/** Reed-Solomon check bytes. */
function remainder(data: number[], degree: number): number[] {
  const divisor = [...Array<number>(degree - 1).fill(0), 1]
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2)) {
    for (let j = 0; j < degree; j++) divisor[j] = times(divisor[j] as number, root) ^ (divisor[j + 1] ?? 0)
  }
  return data.reduce((rest, byte) => {
    const factor = byte ^ (rest[0] as number)
    return [...rest.slice(1), 0].map((value, i) => value ^ times(divisor[i] as number, factor))
  }, Array<number>(degree).fill(0))
}

/** What is the same for all texts of a version. A cell is 0 or 1, plus 2 when it is taken. */
function frame(version: number): number[][] {
  const size = 17 + 4 * version
  const grid = Array.from({ length: size }, () => Array<number>(size).fill(0))
  const set = (x: number, y: number, dark: unknown) => {
    if (x >= 0 && y >= 0 && x < size && y < size) (grid[y] as number[])[x] = dark ? 3 : 2
  }
  const square = (cx: number, cy: number, radius: number, dark: (distance: number) => boolean) => {
    for (let y = -radius; y <= radius; y++) for (let x = -radius; x <= radius; x++) set(cx + x, cy + y, dark(Math.max(Math.abs(x), Math.abs(y))))
  }
  for (let i = 0; i < size; i++) { set(6, i, i % 2 === 0); set(i, 6, i % 2 === 0) }
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]] as const) square(x, y, 4, (d) => d !== 2 && d !== 4)
  const step = size - 7
  const centres = version === 1 ? [] : version < 7 ? [6, step] : [6, (step + 6) / 2, step]
  for (const x of centres) for (const y of centres) {
    const corner = (x === 6 && y === 6) || (x === 6 && y === step) || (x === step && y === 6)
    if (!corner) square(x, y, 2, (d) => d !== 1)
  }
  format(set, size)
  const bits = VERSION_BITS[version - 7] ?? 0
  if (bits) for (let i = 0; i < 18; i++) {
    const [a, b] = [size - 11 + (i % 3), Math.floor(i / 3)]
    set(a, b, (bits >> i) & 1)
    set(b, a, (bits >> i) & 1)
  }
  return grid
}

function format(set: (x: number, y: number, dark: unknown) => void, size: number): void {
  for (let i = 0; i < 15; i++) {
    const dark = (FORMAT >> i) & 1
    if (i < 8) { set(8, i < 6 ? i : i + 1, dark); set(size - 1 - i, 8, dark) }
    else { set(i === 8 ? 7 : 14 - i, 8, dark); set(8, size - 15 + i, dark) }
  }
  set(8, size - 8, 1)
}

/** Places the bits in two-column stripes from the lower right, up and down, under mask 0. */
function place(grid: number[][], words: number[]): void {
  const size = grid.length
  let bit = 0
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5
    for (let i = 0; i < size; i++) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - i : i
      for (const x of [right, right - 1]) {
        const row = grid[y] as number[]
        if ((row[x] as number) & 2) continue
        const dark = ((words[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1
        bit++
        row[x] = dark ^ ((x + y) % 2 === 0 ? 1 : 0)
      }
    }
  }
}
