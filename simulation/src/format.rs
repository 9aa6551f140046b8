//! Numbers as people read them, and tables in Markdown.

/// A whole number, with commas.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value <= -0.5 {
        format!("-{text}")
    } else {
        text
    }
}

/// A count.
pub(crate) fn count(value: u64) -> String {
    whole(value as f64)
}

/// The first two digits of a count, for what changes with a word in a text.
pub(crate) fn about(value: u64) -> String {
    let unit = 10_u64.saturating_pow(value.max(10).ilog10().saturating_sub(1));
    let halved = unit.checked_div(2).unwrap_or_default();
    let tens = value.saturating_add(halved).checked_div(unit);
    count(tens.unwrap_or_default().saturating_mul(unit))
}

/// A number with as many places as its size asks for.
pub(crate) fn amount(value: f64) -> String {
    if value >= 100.0 || value == 0.0 {
        whole(value)
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// An amount of anything, in millions if it has some.
pub(crate) fn millions(value: f64) -> String {
    if value < 1e6 {
        return whole(value);
    }
    format!("{} M", amount(value / 1e6))
}

/// US dollars.
pub(crate) fn usd(value: f64) -> String {
    if value >= 100.0 {
        format!("${}", whole(value))
    } else if value >= 0.01 || value == 0.0 {
        format!("${value:.2}")
    } else {
        format!("${value:.5}")
    }
}

/// How many times as much.
pub(crate) fn ratio(value: f64) -> String {
    format!(
        "{}×",
        if value >= 10.0 {
            whole(value)
        } else {
            format!("{value:.1}")
        }
    )
}

/// Bytes, in the largest unit that they fill evenly.
pub(crate) fn bytes(value: usize) -> String {
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
pub(crate) fn span(ms: u64) -> String {
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
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
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
        assert_eq!(whole(1_234_567.4), "1,234,567");
        assert_eq!(
            (whole(999.0), whole(-1234.0), whole(-0.2)),
            ("999".into(), "-1,234".into(), "0".into())
        );
        assert_eq!(
            (amount(0.256), amount(12.34), amount(1234.5)),
            ("0.26".into(), "12.3".into(), "1,234".into())
        );
        assert_eq!(
            (usd(0.004_321), usd(5.0), usd(1234.0)),
            ("$0.00432".into(), "$5.00".into(), "$1,234".into())
        );
        assert_eq!(
            (bytes(4 << 20), bytes(65_536), bytes(16_385)),
            ("4 MiB".into(), "64 KiB".into(), "16,385 bytes".into())
        );
        assert_eq!(
            (span(86_400_000), span(90_000), span(50)),
            ("24 h".into(), "90 s".into(), "50 ms".into())
        );
        assert_eq!((ratio(1.234), ratio(56.7)), ("1.2×".into(), "57×".into()));
    }

    #[test]
    fn two_digits_are_enough_for_bytes() {
        let shown = [0, 7, 316, 36_827, 313_138].map(about);
        assert_eq!(shown, ["0", "7", "320", "37,000", "310,000"]);
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
