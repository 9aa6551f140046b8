//! Numbers as people read them, and tables in Markdown.

/// A count, with commas.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes, in the largest unit that they fill evenly.
#[must_use]
pub fn bytes(value: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fit = units
        .iter()
        .find(|(unit, _)| value >= *unit && value.is_multiple_of(*unit));
    match fit.and_then(|(unit, name)| Some((value.checked_div(*unit)?, name))) {
        Some((value, name)) => format!("{} {name}", count(value as u64)),
        None => format!("{} bytes", count(value as u64)),
    }
}

/// A span of time, in the largest unit that it fills evenly.
#[must_use]
pub fn span(ms: u64) -> String {
    let units = [(3_600_000, "h"), (60_000, "min"), (1000, "s")];
    let fit = units
        .iter()
        .find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    match fit.and_then(|(unit, name)| Some((ms.checked_div(*unit)?, name))) {
        Some((value, name)) => format!("{} {name}", count(value)),
        None => format!("{} ms", count(ms)),
    }
}

/// A table in Markdown. A column whose head starts with `>` is for numbers.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let titles: Vec<_> = head
        .iter()
        .map(|title| title.trim_start_matches('>').to_owned())
        .collect();
    let rule = head.iter().map(|title| {
        if title.starts_with('>') {
            "---:"
        } else {
            "---"
        }
    });
    let rule = rule.map(ToOwned::to_owned).collect();
    let lines = [titles, rule].into_iter().chain(rows);
    lines
        .map(|cells| format!("| {} |\n", cells.join(" | ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1_234_567)],
            ["0", "999", "1,234,567"]
        );
        assert_eq!(
            [bytes(4 << 20), bytes(65_536), bytes(16_385)],
            ["4 MiB", "64 KiB", "16,385 bytes"]
        );
        assert_eq!(
            [span(86_400_000), span(90_000), span(50)],
            ["24 h", "90 s", "50 ms"]
        );
    }

    #[test]
    fn a_table_aligns_numbers() {
        let text = table(
            &["What", ">How many"],
            [vec!["a".to_owned(), "1".to_owned()]],
        );
        assert_eq!(text, "| What | How many |\n| --- | ---: |\n| a | 1 |\n");
    }
}
