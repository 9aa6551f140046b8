//! What a scenario saw: shown when it fails.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How much of a frame or body is shown.
const MAX_SHOWN_CHARS: usize = 600;
/// How many lines are kept from the start, where a scenario sets itself up.
const MAX_FIRST_LINES: usize = 80;
/// How many lines are kept from the end, where it fails.
const MAX_LAST_LINES: usize = 160;

/// The frames and HTTP messages of one scenario, with the time of each.
#[derive(Clone)]
pub struct Transcript {
    started: Instant,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Default)]
struct Lines {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: usize,
}

impl Transcript {
    /// An empty transcript; its clock starts now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            lines: Arc::default(),
        }
    }

    /// Notes a line.
    pub fn log(&self, who: &str, what: &str) {
        let at = self.started.elapsed().as_secs_f64();
        let line = format!("{at:8.3} s  {who} {}", shorten(what));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.first.len() < MAX_FIRST_LINES {
            lines.first.push(line);
            return;
        }
        lines.last.push_back(line);
        if lines.last.len() > MAX_LAST_LINES {
            lines.last.pop_front();
            lines.left_out += 1;
        }
    }

    /// All kept lines, in order.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let gap =
            (lines.left_out > 0).then(|| format!("      … {} lines left out", lines.left_out));
        lines
            .first
            .iter()
            .cloned()
            .chain(gap)
            .chain(lines.last.iter().cloned())
            .collect()
    }
}

/// The start of a long text, and how long it is.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((at, _)) => format!("{} … ({} bytes)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
