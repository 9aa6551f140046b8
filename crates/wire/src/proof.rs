//! How an upgrade proves that it is the owner's, before its first frame.
//!
//! 1. A client that has a session's resume secret, and knows that the relay has
//!    [`Feature::UpgradeProof`](crate::feature::Feature::UpgradeProof), offers two
//!    subprotocols (RFC 6455, 1.9) with its upgrade: [`SUBPROTOCOL`], and
//!    [`UpgradeProof::subprotocol`], which only the secret makes.
//! 2. The relay selects the first, whatever it makes of the second.
//! 3. It keeps the SHA-256 of the proof with the session, and so knows the owner's
//!    sockets from those that anybody opens who knows the session's id.
//!
//! **A proof opens nothing**: it keeps a socket from being closed to make room for
//! others. `resume` and `end` need the secret, as ever.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::id::SessionId;
use crate::token::ResumeSecret;

/// The subprotocol that the relay selects whenever a client offers it: browsers
/// give a connection up when none of those that they offered is selected.
pub const SUBPROTOCOL: &str = "agent-socket.v1";

/// What the name of the subprotocol that carries a proof starts with.
pub const PROOF_START: &str = "agent-socket.proof.";

/// Length of a proof in bytes.
pub const PROOF_BYTES: usize = 16;

/// Length of a proof in base64url characters.
pub const PROOF_CHARS: usize = 22;

/// The `info` of HKDF (RFC 5869, 2.3).
const INFO: &[u8] = b"agent-socket upgrade v1";

/// A proof that whoever upgrades has the session's resume secret: the first
/// [`PROOF_BYTES`] of HKDF-SHA-256 (RFC 5869) with the secret's 32 bytes as input,
/// the id's 8 ASCII characters as salt, and `agent-socket upgrade v1` as info.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UpgradeProof([u8; PROOF_BYTES]);

impl UpgradeProof {
    /// The proof that this secret makes for this session.
    #[must_use]
    pub fn new(secret: &ResumeSecret, session: SessionId) -> Self {
        let mut bytes = [0; PROOF_BYTES];
        let hkdf = Hkdf::<Sha256>::new(Some(session.as_str().as_bytes()), secret.as_bytes());
        // 16 bytes are within what HKDF-SHA-256 can give, so this cannot fail.
        let _ = hkdf.expand(INFO, &mut bytes);
        Self(bytes)
    }

    /// The name of the subprotocol that carries it. **Secret**: for the upgrade
    /// only.
    #[must_use]
    pub fn subprotocol(&self) -> String {
        format!("{PROOF_START}{}", URL_SAFE_NO_PAD.encode(self.0))
    }

    /// Reads the name of a subprotocol; `None` unless it is one that carries a
    /// proof.
    #[must_use]
    pub fn parse(subprotocol: &str) -> Option<Self> {
        let text = subprotocol.strip_prefix(PROOF_START)?;
        let mut bytes = [0; PROOF_BYTES];
        let written = (text.len() == PROOF_CHARS)
            .then(|| URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok())
            .flatten()?;
        (written == bytes.len()).then_some(Self(bytes))
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> ProofHash {
        ProofHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for UpgradeProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpgradeProof(redacted)")
    }
}

/// The SHA-256 of a proof: enough to know it, too little to make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofHash([u8; 32]);

impl ProofHash {
    /// The hash as 64 hex characters.
    #[must_use]
    pub fn hex(&self) -> String {
        crate::hex::encode(&self.0)
    }

    /// Reads 64 hex characters.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        crate::hex::decode(text).map(Self)
    }

    /// Whether this is the hash of that proof, in constant time.
    #[must_use]
    pub fn fits(&self, proof: &UpgradeProof) -> bool {
        self.0.ct_eq(&proof.hash().0).into()
    }
}

/// The subprotocols that a client offers with its upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Whether [`SUBPROTOCOL`] is among them.
    pub has_subprotocol: bool,
    /// The first proof among them.
    pub proof: Option<UpgradeProof>,
}

impl Offer {
    /// Reads `Sec-WebSocket-Protocol` (RFC 6455, 11.3.4); several such headers are
    /// one, joined by commas.
    #[must_use]
    pub fn read(header: &str) -> Self {
        let mut offered = header.split(',').map(str::trim);
        Self {
            has_subprotocol: offered.clone().any(|name| name == SUBPROTOCOL),
            proof: offered.find_map(UpgradeProof::parse),
        }
    }

    /// What the relay selects in its 101, if anything.
    #[must_use]
    pub fn selected(&self) -> Option<&'static str> {
        self.has_subprotocol.then_some(SUBPROTOCOL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made with Python's hmac and hashlib (HKDF as in RFC 5869); docs/protocol.md
    /// has the same, and so has the SDK's test.
    const VECTORS: [(&str, &str, &str, &str); 2] = [
        (
            "0123ABCD",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "agent-socket.proof.fXdwXxzc8Ezvko7QI__FtA",
            "d887fb7b92fbb1a5d0d12262f887175fe3377d2dda1a20ed74b44ba04646b528",
        ),
        (
            "A6VFRZQ2",
            "3GYiItGDHCp2A39RVsnEkx7JQ7zTgoyrBGNNuIOJFTE",
            "agent-socket.proof.ddSukXBnvkhLfZ1Dg73xew",
            "b8a90e89b5491cfdf408d1f1b556c820cae06c6b9607bf2a596d66aa599c2c25",
        ),
    ];

    #[test]
    fn proofs_are_those_of_other_implementations() {
        let documented = include_str!("../../../docs/protocol.md");
        for (session, secret, subprotocol, hash) in VECTORS {
            let id = SessionId::parse(session).unwrap();
            let proof = UpgradeProof::new(&ResumeSecret::parse(secret).unwrap(), id);
            assert_eq!(proof.subprotocol(), subprotocol);
            assert_eq!(proof.hash().hex(), hash);
            for value in [session, secret, subprotocol, hash] {
                assert!(documented.contains(value), "docs/protocol.md lacks {value}");
            }
        }
    }

    #[test]
    fn an_offer_is_a_list_of_names() {
        let proof = UpgradeProof([7; PROOF_BYTES]);
        let name = proof.subprotocol();
        for (header, has_subprotocol, has_proof) in [
            (format!("agent-socket.v1, {name}"), true, true),
            (format!("chat,{name} ,agent-socket.v1"), true, true),
            (name.clone(), false, true),
            (format!("agent-socket.v2, {name}A"), false, false),
            (
                format!("Agent-Socket.v1, {}", name.to_uppercase()),
                false,
                false,
            ),
            (String::new(), false, false),
        ] {
            let offer = Offer::read(&header);
            assert_eq!(offer.has_subprotocol, has_subprotocol, "{header}");
            assert_eq!(offer.proof, has_proof.then_some(proof), "{header}");
            assert_eq!(offer.selected().is_some(), has_subprotocol);
        }
    }

    #[test]
    fn debug_shows_no_proof() {
        let shown = format!("{:?}", UpgradeProof([9; PROOF_BYTES]));
        assert_eq!(shown, "UpgradeProof(redacted)");
    }

    proptest! {
        #[test]
        fn only_this_sessions_secret_proves(secret: [u8; 32], other: [u8; 32], id: [u8; 5], other_id: [u8; 5]) {
            let (session, elsewhere) = (SessionId::from_random(id), SessionId::from_random(other_id));
            let proof = UpgradeProof::new(&ResumeSecret::new(secret), session);
            let hash = ProofHash::from_hex(&proof.hash().hex()).unwrap();
            prop_assert_eq!(UpgradeProof::parse(&proof.subprotocol()), Some(proof));
            prop_assert!(hash.fits(&proof));
            let strange = UpgradeProof::new(&ResumeSecret::new(other), session);
            prop_assert_eq!(hash.fits(&strange), secret == other);
            let elsewhere = UpgradeProof::new(&ResumeSecret::new(secret), elsewhere);
            prop_assert_eq!(hash.fits(&elsewhere), id == other_id);
        }

        #[test]
        fn any_header_is_read(header: String, name in "agent-socket\\.proof\\.[A-Za-z0-9_-]{20,24}") {
            let _ = Offer::read(&header);
            if let Some(proof) = Offer::read(&name).proof {
                prop_assert_eq!(proof.subprotocol(), name, "a proof has one spelling");
            }
        }
    }
}
