//! Every limit of the protocol, in one place. Docs and tests read them here.
//!
//! "Characters" of a text are UTF-16 code units, which is what `length` means
//! to the JavaScript clients that measure before they send.

/// Largest request body an agent may send, in bytes. Exactly this many pass.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Largest frame an app may send: UTF-16 units of a text message, as clients of the
/// field count, and bytes of a binary one. Past it the socket is closed with
/// [`crate::close::CloseCode::TooBig`].
pub const MAX_FRAME_LENGTH: usize = 4 * 1024 * 1024;

/// The most bytes of UTF-8 that a text message of [`MAX_FRAME_LENGTH`] can have.
pub const MAX_FRAME_BYTES: usize = 3 * MAX_FRAME_LENGTH;

/// Longest briefing (`agentsMd`), in characters.
pub const MAX_AGENTS_MD_CHARS: usize = 65_536;

/// Tools that an app may register. All that the relay writes of tools (the
/// briefing, `tools.json`, the OpenAPI document, the page, lists over MCP) and all
/// that it looks for among them is bounded by this and the next three.
pub const MAX_TOOLS: usize = 256;

/// Longest description of a tool, in bytes of UTF-8.
pub const MAX_TOOL_DESCRIPTION_BYTES: usize = 4 * 1024;

/// Largest `input_schema` or `output_schema` of a tool, in bytes of its JSON. A larger one, from
/// before there was this limit, is passed on but not read.
pub const MAX_INPUT_SCHEMA_BYTES: usize = 64 * 1024;

/// Largest frame that registers (`register`, `resume`, `update_tools`), in bytes of
/// UTF-8, without its `pendingCalls` and `revokeTokens`: what a session keeps of it
/// is kept in memory and in storage for as long as the session lives.
pub const MAX_REGISTRATION_BYTES: usize = 512 * 1024;

/// An app's name, and the title of a tool, are cut to this many characters.
pub const MAX_NAME_CHARS: usize = 80;

/// A token's label is cut to this many characters.
pub const MAX_LABEL_CHARS: usize = 256;

/// An app's description is cut to this many characters.
pub const MAX_DESCRIPTION_CHARS: usize = 1024;

/// Longest app id, in bytes; app ids are ASCII.
pub const MAX_APP_ID_BYTES: usize = 64;

/// Longest task id, in bytes; task ids are ASCII.
pub const MAX_TASK_ID_BYTES: usize = 64;

/// Longest `id` of a request frame, in bytes of its JSON text.
pub const MAX_FRAME_ID_BYTES: usize = 256;

/// Live tokens a session may have at once.
pub const MAX_LIVE_TOKENS: usize = 50;

/// Ids in the `pendingCalls` of a `resume` that count: as many as there may be
/// calls. Further ones are ignored.
pub const MAX_PENDING_CALLS: usize = MAX_INFLIGHT_CALLS;

/// Longest of those ids, in bytes. The relay's own are shorter, so a longer one is
/// of no call, and is ignored.
pub const MAX_CALL_ID_BYTES: usize = 64;

/// Tokens that a `resume` may revoke.
pub const MAX_REVOKE_ON_RESUME: usize = 50;

/// Frames that write which an app may send in one go: `mint_agent_token`,
/// `revoke_agent_token` and `update_tools`. What each of them writes is committed
/// before its reply goes out, which costs every session of the process. Frames of
/// tasks do not count: the number and the size of tasks bound what those write.
pub const WRITE_BURST: u64 = 200;

/// How many of them an app gets back in a second.
pub const WRITES_PER_S: u64 = 20;

/// Calls a session may have in flight at once, and bodies on their way.
pub const MAX_INFLIGHT_CALLS: usize = 100;

/// Places among [`MAX_INFLIGHT_CALLS`] that one token may hold while another one
/// of its session is live: whoever has one link cannot keep the others out. A
/// token that is alone may hold all of them.
pub const MAX_TOKEN_SHARE: usize = 80;

/// How long a request's body may be on its way before it counts as slow, in ms.
/// Nearly every body comes right behind its head; a burst of calls must not fail
/// because a hundred heads came before the first body.
pub const BODY_GRACE_MS: u64 = 1_000;

/// Slow bodies that one token may have on their way at once. With
/// [`MAX_BODY_BYTES`] this and the next bound what uploads hold in memory.
pub const MAX_SLOW_BODIES_OF_TOKEN: usize = 16;

/// Slow bodies that a session may have on their way at once.
pub const MAX_SLOW_BODIES: usize = 64;

/// How long a body may stay away without a byte of it, in ms.
pub const BODY_IDLE_MS: u64 = 10_000;

/// How often a shell tells its session that more of a body came, in ms: a body
/// in parts of a byte is no flood of events. The pause that ends a body may seem
/// longer by this much.
pub const BODY_PROGRESS_MS: u64 = 250;

/// How long a body may take in all, in ms. 1 MiB in this time is 18 kB/s.
pub const BODY_TIMEOUT_MS: u64 = 60_000;

/// Tasks a session may have pending at once.
pub const MAX_PENDING_TASKS: usize = 100;

/// Finished tasks whose results a session keeps at once.
pub const MAX_FINISHED_TASKS: usize = 1000;

/// What those results may take in storage together, in bytes: 192 of the largest of
/// [`MAX_TASK_BODY_BYTES`], 12 of [`MAX_LARGE_RESULT_BYTES`]. Results that were read go
/// first; where there is none, the task stays pending.
pub const MAX_RESULT_BYTES: usize = 16 * 1024 * 1024;

/// Largest body of a `task_complete`, in bytes of UTF-8 JSON, of an app without the
/// feature `large_results`.
pub const MAX_TASK_BODY_BYTES: usize = 64 * 1024;

/// Largest body of a `task_complete` of an app with the feature `large_results`, in
/// bytes: of UTF-8 JSON, or of what base64 stands for.
pub const MAX_LARGE_RESULT_BYTES: usize = 1024 * 1024;

/// Longest content type in an app's reply, in characters.
pub const MAX_CONTENT_TYPE_CHARS: usize = 256;

/// Longest message of a `task_progress`, in characters; it is cut.
pub const MAX_PROGRESS_MESSAGE_CHARS: usize = 1024;

/// Sockets of a session that may wait for their first frame at once, but for
/// those that have proven that they are the owner's ([`crate::proof`]). Past it
/// one of them is closed by chance, never the newcomer: who opens many cannot
/// choose whom they push out.
pub const MAX_WAITING_SOCKETS: usize = 64;

/// Those that one address may have among them. Past it the address's oldest is
/// closed.
pub const MAX_WAITING_OF_ADDRESS: usize = 2;

/// WebSocket upgrades that one address may ask for within [`UPGRADE_PERIOD_S`].
pub const MAX_UPGRADES: u32 = 100;

/// The period of [`MAX_UPGRADES`], in seconds.
pub const UPGRADE_PERIOD_S: u32 = 10;

/// How long a socket may take to send its first frame, in ms.
pub const FIRST_FRAME_TIMEOUT_MS: u64 = 10_000;

/// Shortest `timeout_ms` a tool may ask for.
pub const MIN_TOOL_TIMEOUT_MS: u64 = 1_000;

/// Longest `timeout_ms` a tool may ask for; `MAX_TOOL_MS` may lower it.
pub const MAX_TOOL_TIMEOUT_MS: u64 = 300_000;

/// A token may ask for at most this many calls (`maxCalls`).
pub const MAX_TOKEN_CALLS: u64 = 1_000_000_000;

/// A token may ask to live at most this long (`expiresInMs`): one year.
pub const MAX_TOKEN_LIFETIME_MS: u64 = 365 * 24 * 60 * 60 * 1000;

/// Entries a token's `tools` scope may have.
pub const MAX_SCOPE_ENTRIES: usize = 100;

/// Longest entry of a token's `tools` scope, in bytes. With the limits of
/// entries and tokens this bounds what one session can make the relay hold.
pub const MAX_SCOPE_ENTRY_BYTES: usize = 256;

/// Longest link that the relay hands out at the GET door, in characters. Chats
/// that can only fetch URLs cut or refuse longer ones.
pub const MAX_LINK_CHARS: usize = 250;

/// The most links that an answer at the GET door has, since it must be short.
pub const MAX_NEXT_LINKS: usize = 10;

/// Longest description of an operation (and of the whole) in the OpenAPI
/// document, in characters: what custom actions take. Longer ones are cut.
pub const MAX_OPERATION_DESCRIPTION_CHARS: usize = 300;

/// Longest description of a parameter in the OpenAPI document, in characters:
/// what custom actions take. Longer ones are cut.
pub const MAX_PARAMETER_DESCRIPTION_CHARS: usize = 700;

/// Bytes of schemas in the OpenAPI document. References grow when a schema becomes a
/// part of the document, so that the size of a registration alone would not bound
/// it. The schema that would not fit any more, and those after it, are shown as open.
pub const MAX_OPENAPI_SCHEMA_BYTES: usize = 2 * 1024 * 1024;

/// How deep schemas inside of each other are read; what is deeper is left open.
pub const MAX_SCHEMA_DEPTH: usize = 64;

/// `$ref`s of one schema that are followed although they lead to no definition
/// or property of it: each costs a reading of the schema.
pub const MAX_FAR_REFS: usize = 50;

/// How long a pending task may take, in ms.
pub const TASK_PENDING_MS: u64 = 24 * 60 * 60 * 1000;

/// How long a result that nobody has read is kept, in ms.
pub const TASK_UNREAD_MS: u64 = 24 * 60 * 60 * 1000;

/// How long a result stays readable after its first read, in ms.
pub const TASK_READ_MS: u64 = 10 * 60 * 1000;

/// How long it takes until the reader of a stream may be told one `task_progress` more,
/// in ms. With [`PROGRESS_BURST`] that is ten in a second at most, which is more than
/// anybody looks at. Of those between, the last is told.
pub const PROGRESS_INTERVAL_MS: u64 = 200;

/// How many `task_progress` the reader of a stream may be told at once: a short task
/// tells a few steps, and then its result.
pub const PROGRESS_BURST: u64 = 5;

/// How much of a streamed answer may wait to be read before progress and signs of life
/// are left out, in bytes.
pub const MAX_UNREAD_STREAM_BYTES: usize = 64 * 1024;

/// Longest `?wait=` of a poll, in seconds.
pub const MAX_POLL_WAIT_S: u64 = 25;

/// Polls of a session that may wait at once. One more is answered without
/// waiting.
pub const MAX_WAITING_POLLS: usize = 100;

/// How long a repeated GET of the same link gets the same answer, in ms: caches
/// and link previews repeat within seconds, a person who wants it again later.
pub const REPLAY_MS: u64 = 10_000;

/// Answers of GETs that a session keeps for those who repeat them.
pub const MAX_REPLAYS: usize = 100;

/// Bytes of such answers that a session keeps: one of the largest there can be.
pub const MAX_REPLAY_BYTES: usize = 4 * 1024 * 1024;

/// How long a page for people may stay open before its forms ask for a second
/// press, in ms.
pub const PAGE_NONCE_MS: u64 = 60 * 60 * 1000;

/// Size from which on the page for people only links to the pages of further
/// tools, in bytes: 500 tools with ten fields each are below it. An app's texts
/// are longer in HTML, up to ten times, so that the limit of a frame alone would
/// not bound the page.
pub const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Longest description of a tool on the page for people, in characters; longer
/// ones are cut.
pub const MAX_PAGE_DESCRIPTION_CHARS: usize = 4000;

/// Largest form, filled in, that is shown again beside its result, in bytes. It
/// is kept for as long as the call takes.
pub const MAX_RESULT_FORM_BYTES: usize = 128 * 1024;

/// How long a session is held at most that never made a link, in ms: nobody can be
/// waiting for its app. Its records are gone soon, however many such sessions
/// somebody opens.
pub const UNLINKED_HOLD_MS: u64 = 10 * 60 * 1000;

/// Longest pause between two liveness checks of a connected app, in ms.
pub const MAX_LIVENESS_PAUSE_MS: u64 = 60 * 60 * 1000;

/// `Retry-After` of an answer given while the session is held, in seconds.
pub const RETRY_AFTER_S: u32 = 2;

/// What a runtime lets a WebSocket carry through hibernation, in bytes.
pub const MAX_ATTACHMENT_BYTES: usize = 16_384;

/// The `id` of the heartbeat.
pub const HEARTBEAT_ID: &str = "as_hb";

/// The exact text of an app's heartbeat: the runtime itself answers this
/// text without waking the session.
pub const HEARTBEAT_PING: &str = r#"{"type":"ping","id":"as_hb"}"#;

/// What the runtime answers to [`HEARTBEAT_PING`].
pub const HEARTBEAT_PONG: &str = r#"{"type":"pong","id":"as_hb"}"#;
