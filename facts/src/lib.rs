//! The facts of the protocol (limits, codes, patterns, settings) stand in
//! `crates/wire`. This writes them where another language needs them: into
//! tables of the documentation, constants of the SDK and of the scripts.
//!
//! ```sh
//! cargo run -p agent-socket-facts
//! ```
//!
//! A test fails when one of these files is stale, or when a sentence of the
//! documentation says another number than the code.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::document::fill;

pub mod document;
pub mod format;
mod javascript;
pub mod prose;
mod protocol;
mod settings;

/// The command that brings every file up to date.
pub const COMMAND: &str = "cargo run -p agent-socket-facts";

/// A file and what must be in it.
#[derive(Clone, Debug)]
pub struct File {
    /// The path below the repository's root.
    pub path: &'static str,
    /// All of its text.
    pub text: String,
}

/// Every file with facts, as it must be. What a document has outside of its
/// markers stays as it is.
///
/// # Errors
/// If a document cannot be read, or its markers do not fit its tables.
pub fn files(root: &Path) -> Result<Vec<File>> {
    let document = |path, blocks: &[document::Block]| {
        let text = read(root, path)?;
        let text = fill(&text, blocks).with_context(|| format!("in {path}"))?;
        Ok::<_, anyhow::Error>(File { path, text })
    };
    Ok(vec![
        document("docs/protocol.md", &protocol::blocks())?,
        document("docs/self-hosting.md", &settings::blocks())?,
        File {
            path: "sdk/src/facts.ts",
            text: javascript::sdk(),
        },
        File {
            path: "scripts/facts.mjs",
            text: javascript::scripts(),
        },
    ])
}

/// The text of a file; empty if there is none.
///
/// # Errors
/// If it is there and cannot be read.
pub fn read(root: &Path, path: &str) -> Result<String> {
    match std::fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("{path} cannot be read")),
    }
}

/// The repository's root.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
