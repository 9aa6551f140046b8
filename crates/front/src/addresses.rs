//! Under which addresses a relay is reached, and which one it writes.
//!
//! A link is made of the address that its reader used. Whoever can choose that
//! (by a `Host` header, through a proxy or a name of their own) could make the
//! relay write links that lead elsewhere, so only addresses that are the
//! relay's are taken.

use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::url::{is_origin, origin};

/// The relay's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    public: Option<String>,
    others: Others,
}

/// Which hosts are taken besides the public one and the loopback names, while
/// there is no public one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// None.
    None,
    /// Names below `workers.dev`, which Cloudflare gives to Workers.
    WorkersDev,
    /// All: whoever runs the relay sees to it that no other reaches it.
    Any,
}

/// A `PUBLIC_URL` that is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPublicUrl;

impl std::fmt::Display for BadPublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "PUBLIC_URL must be an origin such as https://relay.example.com: http or https, a host in lower case, a port if it is not the usual one, and no path",
        )
    }
}

impl std::error::Error for BadPublicUrl {}

impl Addresses {
    /// Addresses of a relay that is reached under `public_url`, if that is
    /// given: an origin; one slash at its end is passed over.
    ///
    /// # Errors
    /// If it is no origin of `http` or `https`.
    pub fn new(public_url: Option<&str>, others: Others) -> Result<Self, BadPublicUrl> {
        let public = public_url.map(read_origin).transpose()?;
        Ok(Self { public, others })
    }

    /// The address that the relay writes in place of all others, if one is set.
    #[must_use]
    pub fn public(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// The origin that is written in answers to a request for this URL.
    ///
    /// # Errors
    /// [`HttpCode::WrongHost`] if the URL's host is not the relay's.
    pub fn written_for<'a>(&'a self, url: &'a str) -> Result<&'a str, HttpError> {
        let asked = origin(url);
        if !self.takes(host(asked)) {
            return Err(self.wrong_host());
        }
        Ok(self.public().unwrap_or(asked))
    }

    fn takes(&self, host: &str) -> bool {
        if is_loopback(host) {
            return true;
        }
        match (&self.public, self.others) {
            (Some(public), _) => host.eq_ignore_ascii_case(self::host(public)),
            (None, Others::Any) => true,
            (None, Others::WorkersDev) => is_below(host, "workers.dev"),
            (None, Others::None) => false,
        }
    }

    fn wrong_host(&self) -> HttpError {
        let message = match &self.public {
            Some(public) => format!(
                "This relay's address is {public}, and the request came under another host. Use that address."
            ),
            None => "This relay does not know the host that the request came under. Its operator sets PUBLIC_URL to the relay's address.".to_owned(),
        };
        HttpError::new(HttpCode::WrongHost, message)
    }
}

impl Default for Addresses {
    /// Every address is taken and written.
    fn default() -> Self {
        Self {
            public: None,
            others: Others::Any,
        }
    }
}

fn read_origin(url: &str) -> Result<String, BadPublicUrl> {
    let url = url.strip_suffix('/').unwrap_or(url);
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    (is_web && is_origin(url))
        .then(|| url.to_owned())
        .ok_or(BadPublicUrl)
}

/// The host of an origin: without its scheme, its port and the dot that a full
/// name may end with (RFC 1034, 3.1).
#[must_use]
pub fn host(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether a host is this machine, by its name (RFC 6761, 6.3) or its address.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || is_below(host, "localhost"),
    }
}

/// Whether a host is below a domain.
fn is_below(host: &str, domain: &str) -> bool {
    let start = host.len().checked_sub(domain.len());
    let Some((above, end)) = start.and_then(|start| host.split_at_checked(start)) else {
        return false;
    };
    end.eq_ignore_ascii_case(domain) && above.len() > 1 && above.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(public: Option<&str>, others: Others) -> Addresses {
        Addresses::new(public, others).unwrap()
    }

    fn written(public: Option<&str>, others: Others, url: &str) -> Option<String> {
        let addresses = addresses(public, others);
        let found = addresses.written_for(url).map(ToOwned::to_owned);
        found
            .map_err(|error| assert_eq!(error.code.status(), 421))
            .ok()
    }

    #[test]
    fn a_public_url_is_written_whatever_was_asked() {
        let public = Some("https://relay.example:8443");
        for url in [
            "http://relay.example/v1/t/x",
            "https://relay.example:8443/",
            "http://RELAY.example./",
            "http://localhost:8787/",
            "http://a.localhost/",
            "http://127.0.0.1:8787/x?y",
            "http://127.9.9.9/",
            "http://[::1]:8787/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert_eq!(
                written(public, Others::None, url).as_deref(),
                public,
                "{url}"
            );
        }
        for url in [
            "http://other.example/",
            "http://relay.example.evil.example/",
            "http://evil.relay.example/",
            "http://relay.workers.dev/",
            "http://192.0.2.1/",
            "http://0.0.0.0/",
            "http://localhost.example/",
            "http://notlocalhost/",
            "http://.localhost/",
            "http://relay.example@other.example/",
            "http://:8787/",
            "/v1/t/x",
            "",
        ] {
            for others in [Others::None, Others::WorkersDev, Others::Any] {
                assert_eq!(written(public, others, url), None, "{url}");
            }
        }
    }

    #[test]
    fn without_one_the_address_that_was_asked_is_written_if_it_is_known() {
        let local = "http://127.0.0.1:8787/v1/t/x";
        for others in [Others::None, Others::WorkersDev, Others::Any] {
            assert_eq!(
                written(None, others, local).unwrap(),
                "http://127.0.0.1:8787"
            );
        }
        let worker = "https://relay.me.workers.dev/x";
        assert_eq!(
            written(None, Others::WorkersDev, worker).unwrap(),
            "https://relay.me.workers.dev"
        );
        assert_eq!(written(None, Others::None, worker), None);
        for other in [
            "https://workers.dev/",
            "https://workers.dev.example/",
            "https://relay.example/",
        ] {
            assert_eq!(written(None, Others::WorkersDev, other), None, "{other}");
            assert!(written(None, Others::Any, other).is_some(), "{other}");
        }
    }

    #[test]
    fn a_public_url_is_an_origin() {
        for good in [
            "https://relay.example",
            "https://relay.example/",
            "http://10.0.0.1:80",
            "http://[2001:db8::1]:8787",
        ] {
            assert!(Addresses::new(Some(good), Others::None).is_ok(), "{good}");
        }
        for bad in [
            "",
            "relay.example",
            "https://",
            "https://relay.example/path",
            "https://relay.example//",
            "https://Relay.example",
            "ftp://relay.example",
            "https://a b",
            "https://user@relay.example",
        ] {
            assert_eq!(
                Addresses::new(Some(bad), Others::None),
                Err(BadPublicUrl),
                "{bad}"
            );
        }
        assert_eq!(
            addresses(Some("https://a.example/"), Others::None).public(),
            Some("https://a.example")
        );
    }

    #[test]
    fn who_comes_under_another_host_is_told_the_right_one() {
        let error = addresses(Some("https://a.example"), Others::None)
            .written_for("http://b.example/")
            .unwrap_err();
        assert!(
            error.message.contains("https://a.example") && !error.message.contains("b.example")
        );
        let error = addresses(None, Others::None)
            .written_for("http://b.example/")
            .unwrap_err();
        assert!(error.message.contains("PUBLIC_URL"));
    }

    proptest! {
        #[test]
        fn no_other_host_is_taken(url: String, path in "(/[!-~]{0,10})?") {
            let addresses = addresses(Some("https://relay.example"), Others::Any);
            for url in [format!("http://{url}{path}"), url] {
                if let Ok(written) = addresses.written_for(&url) {
                    prop_assert_eq!(written, "https://relay.example");
                    let host = host(origin(&url));
                    prop_assert!(is_loopback(host) || host.eq_ignore_ascii_case("relay.example"));
                }
            }
        }
    }
}
