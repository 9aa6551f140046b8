//! A relay's own secret, by which it knows the session ids that it gave out.
//!
//! An id is 32 random bits and 8 check bits: the first byte of
//! HMAC-SHA-256 (RFC 2104) with the relay's secret as key over the ASCII text
//! `session id` and the 4 random bytes. **An id that somebody made up costs the
//! relay nothing**: of 256 such ids 255 have another check, and for these no
//! session is looked up, woken or made. The check is no protection of a session,
//! which its secrets are.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::id::SessionId;
use crate::vars::{BadVar, RELAY_SECRET};

/// Length of the secret in bytes.
pub const RELAY_SECRET_BYTES: usize = 32;

/// What is said before the random bytes, so that the secret may serve for more.
const CONTEXT: &[u8] = b"session id";

/// 32 random bytes that a relay keeps for as long as its links are to work.
#[derive(Clone, PartialEq, Eq)]
pub struct RelaySecret([u8; RELAY_SECRET_BYTES]);

impl RelaySecret {
    /// A secret of 32 random bytes.
    #[must_use]
    pub const fn new(random: [u8; RELAY_SECRET_BYTES]) -> Self {
        Self(random)
    }

    /// Reads a secret's text: 43 characters of base64url (RFC 4648, section 5).
    ///
    /// # Errors
    /// If it is none. The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, BadVar> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| BadVar {
            name: RELAY_SECRET.name,
            expected: "32 bytes as base64url, which are 43 characters from A-Z a-z 0-9 - _"
                .to_owned(),
        })
    }

    /// The secret as text. **Secret**: for the relay's own settings only.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The session id of 4 random bytes.
    #[must_use]
    pub fn session_id(&self, random: [u8; 4]) -> SessionId {
        let [a, b, c, d] = random;
        SessionId::from_bytes([a, b, c, d, self.check(random)])
    }

    /// Whether an id may be one that [`Self::session_id`] made; so is one of 256
    /// others.
    #[must_use]
    pub fn made(&self, id: SessionId) -> bool {
        let [a, b, c, d, check] = id.to_bytes();
        self.check([a, b, c, d]) == check
    }

    fn check(&self, random: [u8; 4]) -> u8 {
        // HMAC takes a key of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return 0;
        };
        mac.update(CONTEXT);
        mac.update(&random);
        let [first, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
        first
    }
}

impl fmt::Debug for RelaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySecret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret() -> RelaySecret {
        RelaySecret::new(std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    // Made with Python's hmac and hashlib.
    #[test]
    fn ids_are_those_of_other_implementations() {
        for (random, id) in [
            ([0, 0, 0, 0], "00000004"),
            ([1, 2, 3, 4], "0410617Q"),
            ([0xff, 0xff, 0xff, 0xff], "ZZZZZZYS"),
        ] {
            assert_eq!(secret().session_id(random).as_str(), id);
        }
    }

    #[test]
    fn a_secret_is_32_bytes_of_base64url() {
        let text = secret().reveal();
        assert_eq!(text.len(), 43);
        assert_eq!(RelaySecret::parse(&text), Ok(secret()));
        for bad in [
            "",
            &text[1..],
            &format!("{text}A"),
            &format!("{text}="),
            &text.replace('A', "+"),
            &format!(" {text}"),
        ] {
            let error = RelaySecret::parse(bad).unwrap_err().to_string();
            assert!(error.contains("RELAY_SECRET must be 32 bytes"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        assert_eq!(format!("{:?}", secret()), "RelaySecret(redacted)");
    }

    proptest! {
        #[test]
        fn a_relay_knows_its_ids(key: [u8; 32], random: [u8; 4]) {
            let secret = RelaySecret::new(key);
            let id = secret.session_id(random);
            prop_assert!(secret.made(id));
            prop_assert_eq!(&id.to_bytes()[..4], &random);
            prop_assert_eq!(SessionId::parse(id.as_str()), Some(id));
        }

        /// Of all check bits one is right.
        #[test]
        fn of_256_ids_one_passes(key: [u8; 32], [a, b, c, d]: [u8; 4]) {
            let secret = RelaySecret::new(key);
            let passed = (0..=u8::MAX).filter(|check| secret.made(SessionId::from_bytes([a, b, c, d, *check])));
            prop_assert_eq!(passed.count(), 1);
        }
    }
}
