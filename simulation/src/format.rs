//! Numbers as people read them, beyond those of [`agent_socket_facts::format`].

use agent_socket_facts::format::count;

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
        assert_eq!((ratio(1.234), ratio(56.7)), ("1.2×".into(), "57×".into()));
    }

    #[test]
    fn two_digits_are_enough_for_bytes() {
        let shown = [0, 7, 316, 36_827, 313_138].map(about);
        assert_eq!(shown, ["0", "7", "320", "37,000", "310,000"]);
    }
}
