//! Bytes as hexadecimal text (RFC 4648, section 8).

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes bytes as lower-case hex.
///
/// ```
/// assert_eq!(agent_socket_wire::hex::encode(&[0x0b, 0xad]), "0bad");
/// ```
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// Reads the hex of exactly `N` bytes, in either case; `None` if the text is
/// anything else.
///
/// ```
/// assert_eq!(agent_socket_wire::hex::decode("0bAD"), Some([0x0b, 0xad]));
/// assert_eq!(agent_socket_wire::hex::decode::<1>("0bad"), None);
/// ```
#[must_use]
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N.saturating_mul(2) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        for char in pair {
            let digit = char::from(*char).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(digit).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_read_back(bytes: [u8; 9]) {
            let text = encode(&bytes);
            prop_assert_eq!(decode(&text), Some(bytes));
            prop_assert_eq!(decode(&text.to_uppercase()), Some(bytes));
        }

        #[test]
        fn only_hex_of_the_right_length_is_read(text in "([0-9a-fA-F]{0,6}|.{4})") {
            let is_hex = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            prop_assert_eq!(decode::<2>(&text).is_some(), is_hex);
        }
    }
}
