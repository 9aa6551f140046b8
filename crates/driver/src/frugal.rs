//! For runtimes on which timers have a price and rows have a limit.

use agent_socket_session::Millis;

/// After how long an agent that waits is watched for going away, in ms. Most
/// calls are answered before that, and watching takes time on every call.
pub const WATCH_AFTER_MS: Millis = 100;

/// The longest timer, in ms. A shell that has its timer go off this often, and
/// then looks at what is due, need not set one for most calls.
pub const STEP_MS: Millis = 2_000;

/// The longest part of a record's value in one row, in bytes of UTF-8. Common
/// storages hold 2 MB in a row.
pub const MAX_PART_BYTES: usize = 1_800_000;

/// When a timer must go off that serves `wanted`: by then, and after no more than
/// a step. The step is short while an agent waits that nobody watches yet.
#[must_use]
pub const fn step_to(wanted: Millis, now: Millis, all_are_watched: bool) -> Millis {
    let step = if all_are_watched {
        STEP_MS
    } else {
        WATCH_AFTER_MS
    };
    let latest = now.saturating_add(step);
    if wanted < latest { wanted } else { latest }
}

/// A record's value in parts of at most [`MAX_PART_BYTES`], which together are
/// the value again. No character is split. A value is JSON, so it has a part.
pub fn parts(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let (part, more) = rest.split_at_checked(rest.floor_char_boundary(MAX_PART_BYTES))?;
        rest = more;
        Some(part).filter(|part| !part.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_comes_in_time_and_in_steps() {
        assert_eq!(step_to(1_050, 1_000, true), 1_050);
        assert_eq!(step_to(9_000, 1_000, true), 1_000 + STEP_MS);
        assert_eq!(step_to(9_000, 1_000, false), 1_000 + WATCH_AFTER_MS);
        assert_eq!(step_to(500, 1_000, true), 500);
        assert_eq!(step_to(u64::MAX, u64::MAX, true), u64::MAX);
    }

    #[test]
    fn parts_are_the_value_again() {
        for (value, count) in [
            (String::new(), 0),
            ("x".to_owned(), 1),
            ("x".repeat(MAX_PART_BYTES), 1),
            ("x".repeat(MAX_PART_BYTES + 1), 2),
            // Three bytes each, and one character does not fit into the first part.
            ("\u{4e16}".repeat(MAX_PART_BYTES / 3 + 1), 2),
            (format!("x{}", "\u{4e16}".repeat(MAX_PART_BYTES / 3)), 2),
        ] {
            let all: Vec<_> = parts(&value).collect();
            assert_eq!(all.len(), count);
            assert!(all.iter().all(|part| part.len() <= MAX_PART_BYTES));
            assert_eq!(all.concat(), value);
        }
    }
}
