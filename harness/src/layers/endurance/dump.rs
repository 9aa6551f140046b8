//! A look at every byte of storage, for secrets that must not be there.

use std::collections::HashMap;
use std::path::Path;

use agent_socket_wire::hex;
use agent_socket_wire::token::AgentToken;
use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use sha2::Sha256;

use super::model::Secrets;
use crate::client::app::Credentials;

/// What the relay derives its seal key with (docs/security.md).
const SEAL_INFO: &[u8] = b"agent-socket token seal v1";

/// Byte strings to look for, found by their first four bytes.
#[derive(Default)]
pub struct Needles {
    by_start: HashMap<[u8; 4], Vec<(String, Vec<u8>)>>,
    count: usize,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Dump {
    /// How many files were read.
    pub files: usize,
    /// How many bytes they had.
    pub bytes: usize,
    /// What was found where.
    pub hits: Vec<String>,
}

impl Needles {
    /// All forms of all secrets.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a Secrets>) -> Result<Self> {
        let mut needles = Self::default();
        for one in secrets {
            for token in &one.tokens {
                needles.add_token(token)?;
            }
            for credentials in &one.sessions {
                needles.add_session(credentials)?;
            }
        }
        Ok(needles)
    }

    /// How many secrets are looked for.
    pub const fn count(&self) -> usize {
        self.count
    }

    fn add_token(&mut self, token: &str) -> Result<()> {
        let parsed = AgentToken::parse("as", token).context("a token that is none")?;
        // Who has the verifier has the token: the session id is in the file name's hash.
        self.add_bytes("a verifier", parsed.verifier.as_bytes());
        Ok(())
    }

    fn add_session(&mut self, credentials: &Credentials) -> Result<()> {
        let secret = URL_SAFE_NO_PAD
            .decode(&credentials.secret)
            .context("a resume secret that is not base64url")?;
        self.add_bytes("a resume secret", &secret);
        self.add_bytes("a seal key", &seal_key(&secret, &credentials.session)?);
        Ok(())
    }

    /// A secret in each of the forms that it may be written in.
    fn add_bytes(&mut self, what: &str, bytes: &[u8]) {
        self.count += 1;
        self.add(format!("{what}, raw"), bytes.to_vec());
        self.add(format!("{what} in hex"), hex::encode(bytes).into_bytes());
        let url_safe = URL_SAFE_NO_PAD.encode(bytes);
        let standard = STANDARD_NO_PAD.encode(bytes);
        if standard != url_safe {
            self.add(format!("{what} in base64"), standard.into_bytes());
        }
        self.add(format!("{what} in base64url"), url_safe.into_bytes());
    }

    /// Any other text.
    pub fn add(&mut self, what: String, bytes: Vec<u8>) {
        if let Some(start) = bytes.first_chunk() {
            self.by_start.entry(*start).or_default().push((what, bytes));
        }
    }

    /// Looks through every file below a folder.
    pub fn search(&self, folder: &Path) -> Result<Dump> {
        let mut dump = Dump::default();
        self.search_folder(folder, &mut dump)?;
        Ok(dump)
    }

    fn search_folder(&self, folder: &Path, dump: &mut Dump) -> Result<()> {
        let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry.context("a folder's entry")?.path();
            if path.is_dir() {
                self.search_folder(&path, dump)?;
                continue;
            }
            let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
            dump.files += 1;
            dump.bytes += bytes.len();
            dump.hits.extend(
                self.search_bytes(&bytes)
                    .into_iter()
                    .map(|(what, at)| format!("{what} at byte {at} of {}", path.display())),
            );
        }
        Ok(())
    }

    /// What is found in these bytes, and where.
    pub fn search_bytes(&self, bytes: &[u8]) -> Vec<(&str, usize)> {
        let mut is_start = vec![false; 1 << 16];
        for start in self.by_start.keys() {
            is_start[pair(start[0], start[1])] = true;
        }
        let mut found = Vec::new();
        for (at, window) in bytes.windows(4).enumerate() {
            // Nearly every window ends here.
            if !is_start[pair(window[0], window[1])] {
                continue;
            }
            let start = [window[0], window[1], window[2], window[3]];
            for (what, needle) in self.by_start.get(&start).into_iter().flatten() {
                if bytes[at..].starts_with(needle) {
                    found.push((what.as_str(), at));
                }
            }
        }
        found
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

fn seal_key(secret: &[u8], session: &str) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(session.as_bytes()), secret)
        .expand(SEAL_INFO, &mut key)
        .map_err(|error| anyhow!("deriving a seal key: {error}"))?;
    Ok(key)
}

/// Searches storage and logs for secrets, and storage for `control`, a text that
/// has to be there: the search would find what it looks for.
pub fn inspect(needles: &mut Needles, control: &str, folder: &Path, log: &str) -> Result<Dump> {
    let logged = needles.search_bytes(log.as_bytes());
    ensure!(logged.is_empty(), "secrets are logged: {logged:?}");
    needles.add("control".to_owned(), control.as_bytes().to_vec());
    let dump = needles.search(folder)?;
    let (controls, secrets): (Vec<_>, Vec<_>) = dump
        .hits
        .iter()
        .partition(|hit| hit.starts_with("control "));
    ensure!(secrets.is_empty(), "secrets are stored: {secrets:?}");
    ensure!(
        !controls.is_empty(),
        "{control:?} was not found in {} files: is this the storage?",
        dump.files
    );
    Ok(dump)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_secret_is_found() {
        let credentials = Credentials {
            session: "0123ABCD".to_owned(),
            secret: URL_SAFE_NO_PAD.encode([251; 32]),
        };
        let needles = Needles::of([&Secrets {
            sessions: vec![credentials.clone()],
            tokens: vec![format!("as_0123ABCD_{}", URL_SAFE_NO_PAD.encode([7; 16]))],
        }])
        .unwrap();
        let key = seal_key(&[251; 32], "0123ABCD").unwrap();
        for leak in [
            vec![251; 32],
            credentials.secret.clone().into_bytes(),
            STANDARD_NO_PAD.encode([251; 32]).into_bytes(),
            hex::encode(&[251; 32]).into_bytes(),
            vec![7; 16],
            URL_SAFE_NO_PAD.encode([7; 16]).into_bytes(),
            key.to_vec(),
            STANDARD_NO_PAD.encode(key).into_bytes(),
        ] {
            let text = [b"before ".as_slice(), &leak, b" after"].concat();
            assert_eq!(needles.search_bytes(&text).len(), 1, "{leak:?}");
        }
        assert!(needles.search_bytes(&[251; 31]).is_empty());
    }
}
