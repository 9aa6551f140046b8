//! How secrets are kept without being stored.
//!
//! From the resume secret come two values by HKDF-SHA-256 (RFC 5869), with the
//! session id as salt: a check value, which is stored, and a seal key, which
//! lives with the open socket only. Tokens are stored sealed under that key
//! with AES-256-GCM, so storage alone opens none of them.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::PAGE_NONCE_MS;
use agent_socket_wire::token::{ResumeSecret, Verifier};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::effect::Millis;

const CHECK_INFO: &[u8] = b"agent-socket resume check v1";
const SEAL_INFO: &[u8] = b"agent-socket token seal v1";
const PAGE_INFO: &[u8] = b"agent-socket page nonce v1";

fn derive(secret: &ResumeSecret, session: SessionId, info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let hkdf = Hkdf::<Sha256>::new(Some(session.as_str().as_bytes()), secret.as_bytes());
    // 32 bytes are within what HKDF-SHA-256 can give, so this cannot fail; if it
    // did, the key of zeros would match no check value that was ever stored.
    let _ = hkdf.expand(info, &mut key);
    key
}

/// What is stored to recognise a resume secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResumeCheck([u8; 32]);

impl ResumeCheck {
    pub(crate) fn new(secret: &ResumeSecret, session: SessionId) -> Self {
        Self(derive(secret, session, CHECK_INFO))
    }

    /// Compares in constant time.
    pub(crate) fn fits(&self, secret: &ResumeSecret, session: SessionId) -> bool {
        Self::new(secret, session).0.ct_eq(&self.0).into()
    }

    pub(crate) fn to_text(self) -> String {
        STANDARD_NO_PAD.encode(self.0)
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Some(Self(STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

/// The key that tokens are sealed under. Never in a record.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SealKey([u8; 32]);

impl SealKey {
    pub(crate) fn new(secret: &ResumeSecret, session: SessionId) -> Self {
        Self(derive(secret, session, SEAL_INFO))
    }

    /// The key as text, for the socket's attachment only.
    pub(crate) fn reveal(&self) -> String {
        STANDARD_NO_PAD.encode(self.0)
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Some(Self(STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(self.0))
    }

    /// Seals a verifier: 12 bytes of nonce, then the ciphertext with its tag.
    /// The session id is bound in, so a record means nothing elsewhere.
    pub(crate) fn seal(
        &self,
        nonce: [u8; 12],
        verifier: &Verifier,
        session: SessionId,
    ) -> Option<String> {
        let payload = Payload {
            msg: verifier.as_bytes(),
            aad: session.as_str().as_bytes(),
        };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload).ok()?;
        Some(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what [`Self::seal`] made with the same key; `None` for any other.
    pub(crate) fn open(&self, sealed: &str, session: SessionId) -> Option<Verifier> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<12>()?;
        let payload = Payload {
            msg: sealed,
            aad: session.as_str().as_bytes(),
        };
        let opened = self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()?;
        Some(Verifier::new(opened.try_into().ok()?))
    }
}

/// Makes and knows the nonces of a token's page: a form that carries one was
/// made by the relay, for this token, not long ago.
///
/// A nonce is a time in ms and a mark of 16 bytes by HKDF-SHA-256 from the
/// verifier, with the time as salt. Who can't read the token can't make one,
/// and the relay keeps nothing.
pub(crate) struct PageNonces(Verifier);

/// How a nonce stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonceState {
    /// It is one of this token's, and fresh.
    Good,
    /// It is one of this token's, and too old.
    Old,
    /// It is not one of this token's.
    Bad,
}

impl PageNonces {
    pub(crate) const fn new(verifier: Verifier) -> Self {
        Self(verifier)
    }

    pub(crate) fn make(&self, now: Millis) -> String {
        format!("{now}.{}", URL_SAFE_NO_PAD.encode(self.mark(now)))
    }

    /// Compares in constant time.
    pub(crate) fn state(&self, nonce: &str, now: Millis) -> NonceState {
        let Some((at, mark)) = nonce.split_once('.') else {
            return NonceState::Bad;
        };
        let (Ok(at), Ok(mark)) = (at.parse::<Millis>(), URL_SAFE_NO_PAD.decode(mark)) else {
            return NonceState::Bad;
        };
        if !bool::from(self.mark(at).ct_eq(mark.as_slice())) {
            NonceState::Bad
        } else if now.abs_diff(at) > PAGE_NONCE_MS {
            NonceState::Old
        } else {
            NonceState::Good
        }
    }

    fn mark(&self, at: Millis) -> [u8; 16] {
        let mut mark = [0; 16];
        let hkdf = Hkdf::<Sha256>::new(Some(&at.to_be_bytes()), self.0.as_bytes());
        // 16 bytes are within what HKDF-SHA-256 can give, so this cannot fail.
        let _ = hkdf.expand(PAGE_INFO, &mut mark);
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn session() -> SessionId {
        SessionId::parse("0123ABCD").unwrap()
    }

    // Made with Python's hmac and hashlib (HKDF as in RFC 5869) and the
    // cryptography package's AESGCM, from the inputs that stand here.
    #[test]
    fn values_are_those_of_other_implementations() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../vectors/crypto.json")).unwrap();
        let bytes: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let secret = ResumeSecret::new(bytes);
        assert_eq!(
            ResumeCheck::new(&secret, session()).to_text(),
            vectors["check"]
        );
        let key = SealKey::new(&secret, session());
        assert_eq!(key.reveal(), vectors["sealKey"]);
        let verifier = Verifier::new(std::array::from_fn(|i| u8::try_from(i).unwrap() + 100));
        assert_eq!(
            key.seal([7; 12], &verifier, session()).unwrap(),
            vectors["sealed"]
        );
        assert_eq!(verifier.hash().hex(), vectors["verifierHash"]);
    }

    proptest! {
        #[test]
        fn only_the_key_opens_the_seal(secret: [u8; 32], other: [u8; 32], nonce: [u8; 12], verifier: [u8; 16], flip in 0..44_usize) {
            let key = SealKey::new(&ResumeSecret::new(secret), session());
            let sealed = key.seal(nonce, &Verifier::new(verifier), session()).unwrap();
            prop_assert_eq!(key.open(&sealed, session()), Some(Verifier::new(verifier)));
            prop_assert_eq!(key.open(&sealed, SessionId::parse("ZZZZZZZZ").unwrap()), None);
            if other != secret {
                prop_assert_eq!(SealKey::new(&ResumeSecret::new(other), session()).open(&sealed, session()), None);
            }
            let mut bytes = STANDARD_NO_PAD.decode(&sealed).unwrap();
            bytes[flip] ^= 1;
            prop_assert_eq!(key.open(&STANDARD_NO_PAD.encode(bytes), session()), None);
        }

        #[test]
        fn only_the_secret_fits(secret: [u8; 32], other: [u8; 32]) {
            let check = ResumeCheck::new(&ResumeSecret::new(secret), session());
            prop_assert!(check.fits(&ResumeSecret::new(secret), session()));
            prop_assert_eq!(check.fits(&ResumeSecret::new(other), session()), secret == other);
        }

        #[test]
        fn any_text_is_no_danger(text: String) {
            let key = SealKey::new(&ResumeSecret::new([1; 32]), session());
            prop_assert_eq!(key.open(&text, session()), None);
        }
    }

    #[test]
    fn page_nonces_are_of_one_token_and_time() {
        let (ours, other) = (
            PageNonces::new(Verifier::new([1; 16])),
            PageNonces::new(Verifier::new([2; 16])),
        );
        let nonce = ours.make(1_000_000_000);
        assert_eq!(ours.state(&nonce, 1_000_000_001), NonceState::Good);
        assert_eq!(
            ours.state(&nonce, 1_000_000_000 + PAGE_NONCE_MS),
            NonceState::Good
        );
        assert_eq!(
            ours.state(&nonce, 1_000_000_001 + PAGE_NONCE_MS),
            NonceState::Old
        );
        assert_eq!(other.state(&nonce, 1_000_000_001), NonceState::Bad);
        let later = nonce.replacen("1000000000", "1000000009", 1);
        for bad in ["", ".", "7", "7.", "x.AAAA", later.as_str(), &nonce[..20]] {
            assert_eq!(ours.state(bad, 1_000_000_001), NonceState::Bad, "{bad}");
        }
    }
}
