/** Bytes per part: a call takes only so many arguments, and a multiple of 3 leaves no padding between parts. */
const PART = 8190

/** Bytes as base64 (RFC 4648, section 4). */
export function toBase64(bytes: Uint8Array): string {
  let text = ""
  for (let i = 0; i < bytes.length; i += PART) text += btoa(String.fromCharCode(...bytes.subarray(i, i + PART)))
  return text
}

/** The bytes of a base64 text. */
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (char) => char.charCodeAt(0))

/** The bytes that a value holds, if it holds bytes. */
export async function bytesOf(value: unknown): Promise<Uint8Array | undefined> {
  if (value instanceof Uint8Array) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (typeof Blob !== "undefined" && value instanceof Blob) return new Uint8Array(await value.arrayBuffer())
  return undefined
}

/** How many bytes a text has as UTF-8. */
export const utf8Length = (text: string): number => new TextEncoder().encode(text).length
