/** Numbers looked at between two looks at the page. */
const SLICE = 1 << 18
/** How often progress is told, in ms. */
const TELL_EVERY_MS = 200

/** The primes below a small number, by the sieve of Eratosthenes. */
function primesBelow(below) {
  const composite = new Uint8Array(below)
  const primes = []
  for (let n = 2; n < below; n++) {
    if (composite[n]) continue
    primes.push(n)
    for (let m = n * n; m < below; m += n) composite[m] = 1
  }
  return primes
}

/**
 * Counts the primes below a number with a sieve, in slices, so that the page stays usable.
 *
 * @param progress is told how far it is, from 0 to 1.
 */
export async function countPrimes(below, progress, signal) {
  const factors = primesBelow(Math.floor(Math.sqrt(below)) + 1)
  const composite = new Uint8Array(SLICE)
  let count = 0
  let toldAt = 0
  for (let from = 2; from < below; from += SLICE) {
    const length = Math.min(below - from, SLICE)
    composite.fill(0)
    for (const factor of factors) {
      for (let m = Math.max(factor * factor, Math.ceil(from / factor) * factor) - from; m < length; m += factor) composite[m] = 1
    }
    for (let i = 0; i < length; i++) count += 1 - composite[i]
    if (performance.now() - toldAt > TELL_EVERY_MS) {
      toldAt = performance.now()
      progress((from + length) / below)
    }
    await turn()
    signal.throwIfAborted()
  }
  progress(1)
  return count
}

/** Lets everything else have its turn, also in a hidden tab, where timers are slow. */
function turn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}
