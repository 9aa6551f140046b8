//! Secrets: agent tokens and resume secrets. Their `Debug` shows nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::hex;
use crate::id::{SESSION_ID_LEN, SessionId};

/// Length of a verifier in bytes.
pub const VERIFIER_BYTES: usize = 16;

/// Length of a verifier in base64url characters.
pub const VERIFIER_CHARS: usize = 22;

/// Length of a resume secret in bytes.
pub const RESUME_SECRET_BYTES: usize = 32;

/// Length of a resume secret in base64url characters.
pub const RESUME_SECRET_CHARS: usize = 43;

/// Length of an agent id in hex characters.
pub const AGENT_ID_CHARS: usize = 8;

/// The secret half of an agent token: [`VERIFIER_BYTES`] random bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier([u8; VERIFIER_BYTES]);

impl Verifier {
    /// A verifier of 16 random bytes.
    #[must_use]
    pub const fn new(random: [u8; VERIFIER_BYTES]) -> Self {
        Self(random)
    }

    /// The bytes, for sealing.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; VERIFIER_BYTES] {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> VerifierHash {
        VerifierHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(redacted)")
    }
}

/// The SHA-256 of a verifier: enough to check a token, too little to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifierHash([u8; 32]);

impl VerifierHash {
    /// The hash as 64 hex characters, its key in storage.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.0)
    }

    /// Reads 64 hex characters.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }

    /// What an app learns of who calls: the first [`AGENT_ID_CHARS`] hex characters
    /// of the hash.
    #[must_use]
    pub fn agent_id(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        hex::encode(&[a, b, c, d])
    }

    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// `<prefix>_<sessionId>_<verifier>`: the right to call a session's tools.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentToken {
    /// The session that it opens.
    pub session: SessionId,
    /// The secret half.
    pub verifier: Verifier,
}

impl AgentToken {
    /// Reads a token; `None` unless every character is valid.
    #[must_use]
    pub fn parse(prefix: &str, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(prefix)?.strip_prefix('_')?;
        let (session, verifier) = rest.split_at_checked(SESSION_ID_LEN)?;
        let verifier = verifier.strip_prefix('_')?;
        if verifier.len() != VERIFIER_CHARS {
            return None;
        }
        let mut bytes = [0; VERIFIER_BYTES];
        // The engine refuses bits past the 16th byte, so each token has one spelling.
        let written = URL_SAFE_NO_PAD.decode_slice(verifier, &mut bytes).ok()?;
        (written == bytes.len()).then_some(Self {
            session: SessionId::parse(session)?,
            verifier: Verifier(bytes),
        })
    }

    /// The token as text. **Secret**: for the app's own socket only.
    #[must_use]
    pub fn reveal(&self, prefix: &str) -> String {
        let verifier = URL_SAFE_NO_PAD.encode(self.verifier.0);
        format!("{prefix}_{}_{verifier}", self.session)
    }
}

impl fmt::Debug for AgentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentToken({}, redacted)", self.session)
    }
}

/// Lets its holder take a session over: [`RESUME_SECRET_BYTES`] random bytes,
/// [`RESUME_SECRET_CHARS`] characters of base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeSecret([u8; RESUME_SECRET_BYTES]);

impl ResumeSecret {
    /// A secret of 32 random bytes.
    #[must_use]
    pub const fn new(random: [u8; RESUME_SECRET_BYTES]) -> Self {
        Self(random)
    }

    /// Reads a secret's text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; RESUME_SECRET_BYTES];
        let written = (text.len() == RESUME_SECRET_CHARS)
            .then(|| URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok())
            .flatten()?;
        (written == bytes.len()).then_some(Self(bytes))
    }

    /// The bytes, for deriving keys.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; RESUME_SECRET_BYTES] {
        &self.0
    }

    /// The secret as text. **Secret**: for the app's own socket only.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for ResumeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeSecret(redacted)")
    }
}

/// The text of a secret that somebody else made, to be kept and sent back as it
/// is: an agent token, a link (which holds one), an app key.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. **Secret**: not for logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Compares in constant time, but for the length.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_read_back(random: [u8; 5], verifier: [u8; 16]) {
            let token = AgentToken { session: SessionId::from_random(random), verifier: Verifier::new(verifier) };
            let text = token.reveal("as");
            prop_assert_eq!(text.len(), 34);
            prop_assert_eq!(AgentToken::parse("as", &text), Some(token));
            prop_assert_eq!(AgentToken::parse("ask", &text), None);
        }

        #[test]
        fn secrets_read_back(random: [u8; 32]) {
            let text = ResumeSecret::new(random).reveal();
            prop_assert_eq!(text.len(), 43);
            prop_assert_eq!(ResumeSecret::parse(&text), Some(ResumeSecret::new(random)));
        }

        #[test]
        fn what_has_the_form_is_read(token in "as_[0-9A-HJKMNP-TV-Z]{8}_[A-Za-z0-9_-]{21}[AQgw]", secret in "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", hash in "[0-9a-f]{64}") {
            prop_assert_eq!(AgentToken::parse("as", &token).map(|read| read.reveal("as")), Some(token));
            prop_assert_eq!(ResumeSecret::parse(&secret).map(|read| read.reveal()), Some(secret));
            prop_assert_eq!(VerifierHash::from_hex(&hash).map(|read| read.hex()), Some(hash));
        }

        /// One character of another kind, or one too many or too few, and it is
        /// nothing.
        #[test]
        fn what_has_not_the_form_is_refused(token in "as_[0-9A-HJKMNP-TV-Z]{8}_[A-Za-z0-9_-]{21}[AQgw]", at in 0..34_usize, other in "[^A-Za-z0-9_-]") {
            let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
            for bad in [changed, format!("{token}A"), token[..33].to_owned(), format!("x{token}")] {
                prop_assert_eq!(AgentToken::parse("as", &bad), None, "{}", bad);
                prop_assert_eq!(ResumeSecret::parse(&bad), None, "{}", bad);
                prop_assert_eq!(VerifierHash::from_hex(&bad), None, "{}", bad);
            }
        }

        #[test]
        fn hashes_read_back(verifier: [u8; 16]) {
            let hash = Verifier::new(verifier).hash();
            prop_assert_eq!(VerifierHash::from_hex(&hash.hex()), Some(hash));
            prop_assert_eq!(hash.agent_id(), &hash.hex()[..AGENT_ID_CHARS]);
        }
    }

    #[test]
    fn a_token_has_one_spelling() {
        let token = AgentToken {
            session: SessionId::from_random([7; 5]),
            verifier: Verifier::new([9; 16]),
        };
        let text = token.reveal("as");
        let last = text.len() - 1;
        let other: Vec<_> = (b'A'..=b'z')
            .map(|byte| format!("{}{}", &text[..last], byte as char))
            .filter(|other| AgentToken::parse("as", other) == Some(token.clone()))
            .collect();
        assert_eq!(other, [text]);
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = AgentToken {
            session: SessionId::from_random([7; 5]),
            verifier: Verifier::new([9; 16]),
        };
        let shown = format!(
            "{token:?} {:?} {:?}",
            token.verifier,
            ResumeSecret::new([9; 32])
        );
        assert!(
            !shown.contains('9') && shown.contains("redacted"),
            "{shown}"
        );
    }
}
