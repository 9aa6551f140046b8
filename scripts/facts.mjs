// The relay's vars, from crates/wire. `cargo run -p agent-socket-facts` writes this file.

/** Vars that are times in ms. */
export const MILLIS_VARS = {
  MAX_SYNC_TOOL_MS: { min: 1, max: 300_000, default: 30_000 },
  MAX_TOOL_MS: { min: 1_000, max: 300_000, default: 300_000 },
  HEARTBEAT_TIMEOUT_MS: { min: 100, max: 86_400_000, default: 50_000 },
  RESUME_GRACE_MS: { min: 0, max: 2_592_000_000, default: 86_400_000 },
}

/** What tokens start with. */
export const TOKEN_PREFIX = { pattern: /^[a-z][a-z0-9]{0,7}$/, expected: "1 to 8 characters from a-z 0-9, the first a letter" }

/** Every var of wrangler.toml. */
export const VARS = ["TOKEN_PREFIX", "PUBLIC_URL", "MAX_SYNC_TOOL_MS", "MAX_TOOL_MS", "HEARTBEAT_TIMEOUT_MS", "RESUME_GRACE_MS"]

/** The relay's secret, which is no var of wrangler.toml. */
export const SECRET = "RELAY_SECRET"

/** A var that a deploy must not have. */
export const DEBUG_VAR = "DEBUG"
