// What the relay takes and says, from crates/wire. `cargo run -p agent-socket-facts` writes this file.

/** Largest frame that the relay takes, in UTF-16 units, as `length` counts. */
export const MAX_FRAME_LENGTH = 4_194_304

/** Largest body of a `task_complete`, in bytes of JSON. */
export const MAX_TASK_BODY_BYTES = 65_536

/** The same with the feature `large_results`, also of bytes before base64. */
export const MAX_LARGE_RESULT_BYTES = 1_048_576

/** Longest `agentsMd`, in characters. */
export const MAX_AGENTS_MD_CHARS = 65_536

/** Tokens that a `resume` may revoke. */
export const MAX_REVOKE_ON_RESUME = 50

/** Least `timeout_ms` of a tool. */
export const MIN_TOOL_TIMEOUT_MS = 1_000

/** Most `timeout_ms` of a tool. */
export const MAX_TOOL_TIMEOUT_MS = 300_000

/** Longest life of a link, in ms: a year. */
export const MAX_TOKEN_LIFETIME_MS = 31_536_000_000

/** Most calls that a link may be limited to. */
export const MAX_TOKEN_CALLS = 1_000_000_000

/** Form of a session's id. */
export const SESSION_ID = /^[0-9A-HJKMNP-TV-Z]{8}$/

/** Form of an app's id. */
export const APP_ID = /^[A-Za-z0-9_.-]{1,64}$/

/** Form of a task's id. */
export const TASK_ID = /^[A-Za-z0-9_-]{1,64}$/

/** Form of an HTTP method. */
export const METHOD = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/

/** Form of a tool's path. */
export const TOOL_PATH = /^\/[a-zA-Z0-9_\-\/.]+$/

/** How the paths begin that the relay serves itself. */
export const RESERVED_PATH = /^\/(_as_|(agents\.md|tools\.json)(\/|$))/i

/** Stands for the relay's origin in the links of its replies. */
export const BASE_PLACEHOLDER = "__BASE__"

/** The relay's runtime answers exactly this text without waking the session. */
export const HEARTBEAT = '{"type":"ping","id":"as_hb"}'

/** The id of the heartbeat, and of its answer. */
export const HEARTBEAT_ID = "as_hb"

/** Pause between two heartbeats. */
export const HEARTBEAT_INTERVAL_MS = 20_000

/** How long the answer to a heartbeat may take. */
export const HEARTBEAT_ANSWER_MS = 15_000

/** The first pause before connecting again. */
export const RECONNECT_BASE_MS = 500

/** The longest pause before connecting again. */
export const RECONNECT_MAX_MS = 30_000

/** How much of a pause is left to chance. */
export const RECONNECT_JITTER = 0.5

/** A feature that apps and relays may have. */
export const CARRY_CALLS = "carry_calls"

/** A feature that apps and relays may have. */
export const UPGRADE_PROOF = "upgrade_proof"

/** A feature that apps and relays may have. */
export const PATH_PARAMS = "path_params"

/** A feature that apps and relays may have. */
export const LARGE_RESULTS = "large_results"

/** Close code: session ended. */
export const CLOSE_NORMAL = 1000

/** Close code: frame over 4 MiB. */
export const CLOSE_TOO_BIG = 1009

/** Close code: socket dropped. */
export const CLOSE_INTERNAL_ERROR = 1011

/** Close code: the relay restarts: connect again. */
export const CLOSE_RESTARTING = 1012

/** Close code: app refused. */
export const CLOSE_APP_REFUSED = 4001

/** Close code: origin or key refused. */
export const CLOSE_ORIGIN_DENIED = 4003

/** Close code: registration not valid. */
export const CLOSE_BAD_REGISTRATION = 4400

/** Close code: resume failed. */
export const CLOSE_RESUME_FAILED = 4401

/** Close code: no first frame or heartbeat in time. */
export const CLOSE_TIMEOUT = 4408

/** Close code: the session exists: open it with ?session= and resume. */
export const CLOSE_SESSION_TAKEN = 4409

/** Close code: too many sockets wait for the session: try again later. */
export const CLOSE_TOO_MANY_WAITING = 4409

/** Close code: resumed on another socket. */
export const CLOSE_REPLACED = 4410

/** Close code: agentsMd too large or missing. */
export const CLOSE_BRIEFING_REFUSED = 4413
