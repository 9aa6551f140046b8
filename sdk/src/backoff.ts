import { RECONNECT_BASE_MS, RECONNECT_JITTER, RECONNECT_MAX_MS } from "./facts.js"

/**
 * Says how long to wait before the next try, in ms; `null` gives up.
 *
 * @param attempt how many tries in a row came before this one; 0 for the first.
 * @param awayMs how long the connection has been gone.
 */
export type ReconnectPolicy = (attempt: number, awayMs: number) => number | null

/** Settings of {@link exponentialBackoff}, in ms. */
export interface BackoffOptions {
  /** The first delay. Default 500. */
  baseMs?: number
  /** No delay is longer. Default 30,000. */
  maxMs?: number
  /** How much of a delay is left to chance, from 0 to 1, so that apps don't all come back at once. Default 0.5. */
  jitter?: number
}

/** Delays that double up to a cap, with jitter; never gives up. This is the default. */
export function exponentialBackoff(
  { baseMs = RECONNECT_BASE_MS, maxMs = RECONNECT_MAX_MS, jitter = RECONNECT_JITTER }: BackoffOptions = {},
): ReconnectPolicy {
  return (attempt) => Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30)) * (1 - jitter * Math.random())
}

/** When {@link giveUp} stops. */
export interface GiveUpOptions {
  /** After so many tries in a row. */
  attempts?: number
  /** When the connection has been gone for so long, in ms. */
  afterMs?: number
  /** The delays until then. Default {@link exponentialBackoff}. */
  policy?: ReconnectPolicy
}

/** A policy that ends: `autoReconnect: giveUp({ attempts: 10 })`. */
export function giveUp({ attempts = Infinity, afterMs = Infinity, policy = exponentialBackoff() }: GiveUpOptions): ReconnectPolicy {
  return (attempt, awayMs) => (attempt >= attempts || awayMs >= afterMs ? null : policy(attempt, awayMs))
}
