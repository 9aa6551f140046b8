//! Who is behind a proxy: believed only of proxies that the operator named.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::HeaderMap;
use ipnet::IpNet;

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Something that is neither a network nor an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProxy(String);

impl fmt::Display for BadProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no trusted proxy: it must be an address such as 10.0.0.7 or a network such as 10.0.0.0/8 or 2001:db8::/32",
            self.0
        )
    }
}

impl std::error::Error for BadProxy {}

/// Who made a request, as far as it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    /// Whether the client came by TLS.
    pub(crate) is_https: bool,
    /// The host that it asked for, if a proxy says so.
    pub(crate) host: Option<String>,
}

/// What headers say of a request's way; the nearest proxy comes last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// Who asked each proxy; `None` for one that does not tell.
    addresses: Vec<Option<IpAddr>>,
    proto: Option<String>,
    host: Option<String>,
}

impl TrustedProxies {
    /// Proxies in these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Reads networks such as `10.0.0.0/8` or single addresses, with commas
    /// between them.
    ///
    /// # Errors
    /// Names the first that is neither.
    pub fn parse(text: &str) -> Result<Self, BadProxy> {
        let networks = text.split(',').map(|one| {
            let one = one.trim();
            let address = || one.parse::<IpAddr>().map(IpNet::from);
            one.parse::<IpNet>()
                .or_else(|_| address())
                .map_err(|_| BadProxy(one.to_owned()))
        });
        networks.collect::<Result<_, _>>().map(Self)
    }

    /// The same with those on this machine.
    pub(crate) fn with_loopback(mut self) -> Self {
        let local = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        self.0.extend(local.map(IpNet::from));
        self
    }

    fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Who made a request that came from `peer`.
    pub(crate) fn origin(&self, peer: IpAddr, is_tls: bool, headers: &HeaderMap) -> Origin {
        let direct = Origin {
            address: peer.to_canonical(),
            is_https: is_tls,
            host: None,
        };
        if self.0.is_empty() || !self.trust(peer) {
            return direct;
        }
        let (forwarded, x_forwarded) = (Told::forwarded(headers), Told::x_forwarded(headers));
        let told = match (forwarded.is_empty(), x_forwarded.is_empty()) {
            (true, true) => return direct,
            (false, true) => forwarded,
            (true, false) => x_forwarded,
            // A proxy writes one kind and may pass on the other as a client
            // sent it. Where they differ neither is believed.
            (false, false) if self.client(&forwarded) == self.client(&x_forwarded) => x_forwarded,
            (false, false) => return direct,
        };
        Origin {
            address: self.client(&told).unwrap_or(direct.address),
            is_https: told
                .proto
                .as_deref()
                .map_or(is_tls, |proto| proto.eq_ignore_ascii_case("https")),
            host: told.host,
        }
    }

    /// The nearest address that is no proxy of ours; what stands before it,
    /// anybody may have written.
    fn client(&self, told: &Told) -> Option<IpAddr> {
        let mut nearest = None;
        for address in told.addresses.iter().rev() {
            let Some(address) = address else { break };
            nearest = Some(address.to_canonical());
            if !self.trust(*address) {
                break;
            }
        }
        nearest
    }
}

impl Told {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    fn x_forwarded(headers: &HeaderMap) -> Self {
        let last = |name| {
            list(headers, name)
                .last()
                .map(|value| value.trim().to_owned())
        };
        Self {
            addresses: list(headers, "x-forwarded-for")
                .map(|entry| node(entry.trim()))
                .collect(),
            proto: last("x-forwarded-proto"),
            host: last("x-forwarded-host"),
        }
    }

    /// `Forwarded` (RFC 7239).
    fn forwarded(headers: &HeaderMap) -> Self {
        let mut told = Self::default();
        for value in headers.get_all("forwarded") {
            let Ok(value) = value.to_str() else { continue };
            for element in split_outside_quotes(value, ',') {
                told.element(element);
            }
        }
        told
    }

    fn element(&mut self, element: &str) {
        let (mut address, mut proto, mut host) = (None, None, None);
        for pair in split_outside_quotes(element, ';') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let value = value.trim();
            let value = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
                .unwrap_or(value);
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => address = node(value),
                "proto" => proto = Some(value.to_owned()),
                "host" => host = Some(value.to_owned()),
                _ => {}
            }
        }
        self.addresses.push(address);
        (self.proto, self.host) = (proto, host);
    }
}

/// The entries of a header that is a list, over all of its lines.
fn list<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    lines.into_iter().flat_map(|line| line.split(','))
}

/// An address with or without a port: `192.0.2.1:80`, `[2001:db8::1]:80`.
fn node(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Splits a text where a character stands outside of quotes (RFC 9110, 5.6.4).
fn split_outside_quotes(text: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |char| {
        if is_escaped {
            is_escaped = false;
        } else if char == '"' {
            is_quoted = !is_quoted;
        } else if char == '\\' && is_quoted {
            is_escaped = true;
        }
        char == at && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies() -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:aaaa::/48"];
        TrustedProxies::new(networks.map(|network| network.parse().unwrap()))
    }

    fn seen(peer: &str, pairs: &[(&'static str, &str)]) -> (IpAddr, bool, Option<String>) {
        let origin = proxies().origin(ip(peer), false, &headers(pairs));
        (origin.address, origin.is_https, origin.host)
    }

    #[test]
    fn only_named_proxies_are_believed() {
        let told = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "relay.example"),
        ];
        assert_eq!(
            seen("10.1.2.3", &told),
            (ip("192.0.2.7"), true, Some("relay.example".into()))
        );
        assert_eq!(seen("::ffff:10.1.2.3", &told).0, ip("192.0.2.7"));
        assert_eq!(seen("2001:db8:aaaa::1", &told).0, ip("192.0.2.7"));
        assert_eq!(seen("192.0.2.1", &told), (ip("192.0.2.1"), false, None));
        assert_eq!(seen("::1", &told), (ip("::1"), false, None));
        assert_eq!(seen("10.1.2.3", &[]), (ip("10.1.2.3"), false, None));
        let nobody = TrustedProxies::default().origin(ip("10.1.2.3"), true, &headers(&told));
        assert_eq!(
            (nobody.address, nobody.is_https, nobody.host),
            (ip("10.1.2.3"), true, None)
        );
    }

    #[test]
    fn what_a_client_writes_in_front_counts_for_nothing() {
        for value in [
            "198.51.100.9, 192.0.2.7",
            "10.9.9.9,192.0.2.7, 10.0.0.2",
            "nonsense, 192.0.2.7:4711",
        ] {
            assert_eq!(
                seen("10.1.2.3", &[("x-forwarded-for", value)]).0,
                ip("192.0.2.7"),
                "{value}"
            );
        }
        let lines = [
            ("x-forwarded-for", "198.51.100.9"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        assert_eq!(seen("10.1.2.3", &lines).0, ip("192.0.2.7"));
        // The proxy before the last does not tell who asked it.
        assert_eq!(
            seen(
                "10.1.2.3",
                &[("x-forwarded-for", "192.0.2.7, unknown, 10.0.0.2")]
            )
            .0,
            ip("10.0.0.2")
        );
        assert_eq!(
            seen("10.1.2.3", &[("x-forwarded-for", "unknown")]).0,
            ip("10.1.2.3")
        );
    }

    #[test]
    fn forwarded_is_read_as_its_rfc_has_it() {
        for (value, address) in [
            ("for=192.0.2.60;proto=https;by=203.0.113.43", "192.0.2.60"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
            (
                "for=192.0.2.43, for=198.51.100.17;by=203.0.113.60",
                "198.51.100.17",
            ),
            ("for=192.0.2.43, for=10.0.0.7", "192.0.2.43"),
            ("for=_hidden", "10.1.2.3"),
            ("for=192.0.2.1, for=unknown", "10.1.2.3"),
            (
                "for=192.0.2.43;ext=\"a,b;for=1.2.3.4\\\"\", for=10.0.0.7",
                "192.0.2.43",
            ),
            ("proto=http", "10.1.2.3"),
            (";;,=,", "10.1.2.3"),
        ] {
            assert_eq!(
                seen("10.1.2.3", &[("forwarded", value)]).0,
                ip(address),
                "{value}"
            );
        }
        let told = seen(
            "10.1.2.3",
            &[("forwarded", "for=192.0.2.1;host=relay.example;proto=HTTPS")],
        );
        assert_eq!((told.1, told.2), (true, Some("relay.example".into())));
    }

    #[test]
    fn proxies_are_networks_or_addresses() {
        let read = TrustedProxies::parse("10.0.0.0/8, 192.0.2.1,2001:db8::/32").unwrap();
        for (address, is_trusted) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(read.trust(ip(address)), is_trusted, "{address}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0.1,,10.0.0.2", "localhost"] {
            let error = TrustedProxies::parse(bad).unwrap_err().to_string();
            assert!(error.contains("10.0.0.0/8"), "{bad}: {error}");
        }
    }

    #[test]
    fn two_kinds_that_differ_are_both_passed_over() {
        let both = |forwarded| {
            seen(
                "10.1.2.3",
                &[("x-forwarded-for", "192.0.2.7"), ("forwarded", forwarded)],
            )
            .0
        };
        assert_eq!(both("for=192.0.2.7"), ip("192.0.2.7"));
        assert_eq!(both("for=198.51.100.9"), ip("10.1.2.3"));
        assert_eq!(both("for=unknown"), ip("10.1.2.3"));
    }

    proptest! {
        #[test]
        fn no_client_behind_a_proxy_chooses_its_address(forged in "[ -~]{0,60}") {
            let line = format!("{forged}, 192.0.2.7");
            prop_assert_eq!(seen("10.1.2.3", &[("x-forwarded-for", &line)]).0, ip("192.0.2.7"));
        }

        #[test]
        fn any_header_is_read(value in "[ -~]{0,60}") {
            let _ = seen("10.1.2.3", &[("forwarded", &value), ("x-forwarded-for", &value)]);
        }
    }
}
