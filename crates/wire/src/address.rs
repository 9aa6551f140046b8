//! Whom the network says a connection is from.

use std::net::IpAddr;

/// What counts as one address: an IPv4 address, or the /64 network of an IPv6
/// address, which is what one customer of a provider has at least (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressKey(u64);

impl AddressKey {
    /// The key of an address. An IPv4 address in an IPv6 one counts as itself.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No /64 that is in use is all zeroes but for its end.
            IpAddr::V4(address) => Self(u64::from(u32::from(address))),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }

    /// Reads an address as a proxy writes it; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self::of)
    }

    /// The key as a number, for counting by it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The key of this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> AddressKey {
        AddressKey::parse(address).unwrap()
    }

    #[test]
    fn an_address_is_an_ipv4_address_or_a_network_of_ipv6() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        for none in ["", "192.0.2", "a name", "192.0.2.1:80"] {
            assert_eq!(AddressKey::parse(none), None, "{none}");
        }
        let one = key("2001:db8:1:2::1");
        assert_eq!(AddressKey::from_number(one.number()), one);
    }
}
