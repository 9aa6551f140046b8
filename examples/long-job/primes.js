/** Numbers looked at between two looks at the page. */
const SLICE = 50_000

/**
 * Counts the primes below a number with a sieve, in slices, so that the page stays usable.
 *
 * @param progress is told how far it is, from 0 to 1.
 */
export async function countPrimes(below, progress, signal) {
  const composite = new Uint8Array(below)
  let primes = 0
  for (let from = 2; from < below; from += SLICE) {
    const to = Math.min(below, from + SLICE)
    for (let n = from; n < to; n++) {
      if (composite[n]) continue
      primes++
      for (let m = n * n; m < below; m += n) composite[m] = 1
    }
    progress(to / below)
    await turn()
    signal.throwIfAborted()
  }
  return primes
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
