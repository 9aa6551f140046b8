//! The file `apps.json` of a running relay: read again, and added to.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use agent_socket_wire::apps::{Apps, AppsError};
use agent_socket_wire::hex;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::session::fill_random;

/// Why `apps.json` cannot be used or changed. The apps that counted before go on
/// counting.
#[derive(Debug)]
#[non_exhaustive]
pub enum AppsFileError {
    /// The relay was started without a file.
    None,
    /// It cannot be read or written.
    Io(PathBuf, io::Error),
    /// What is in it is not valid, or would not be.
    Bad(PathBuf, AppsError),
    /// The id has an entry already.
    Taken(String),
}

impl fmt::Display for AppsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "this relay was started without an apps.json: start it with one to change which apps may register",
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Bad(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Taken(id) => write!(
                f,
                "{id:?} has an entry in apps.json already: edit that one, or choose another id"
            ),
        }
    }
}

impl std::error::Error for AppsFileError {}

/// Reads the file.
///
/// # Errors
/// If it cannot be read or is not valid.
pub(crate) fn read(path: &Path) -> Result<Apps, AppsFileError> {
    parse(path, &text(path)?)
}

fn text(path: &Path) -> Result<String, AppsFileError> {
    fs::read_to_string(path).map_err(|error| AppsFileError::Io(path.to_owned(), error))
}

fn parse(path: &Path, text: &str) -> Result<Apps, AppsFileError> {
    Apps::parse(text).map_err(|error| AppsFileError::Bad(path.to_owned(), error))
}

/// Adds an app with a fresh key, which is given back and kept nowhere: the file
/// has its SHA-256. Without origins the app may come from anywhere.
///
/// # Errors
/// If the id is taken, or the file would not be valid, or cannot be written; it
/// stays as it was then.
pub(crate) fn add(
    path: &Path,
    id: &str,
    label: &str,
    origins: &[String],
) -> Result<(Apps, String), AppsFileError> {
    let old = text(path)?;
    parse(path, &old)?;
    let mut entries: Map<String, Value> = serde_json::from_str(&old).unwrap_or_default();
    if entries.contains_key(id) {
        return Err(AppsFileError::Taken(id.to_owned()));
    }
    let mut random = [0; 24];
    fill_random(&mut random);
    let key = URL_SAFE_NO_PAD.encode(random);
    let any = ["*".to_owned()];
    let origins = if origins.is_empty() { &any } else { origins };
    let entry = json!({
        "label": label,
        "allowedOrigins": origins,
        "keySha256": hex::encode(&Sha256::digest(&key)),
    });
    entries.insert(id.to_owned(), entry);
    let new = serde_json::to_string_pretty(&entries).unwrap_or_default() + "\n";
    let apps = parse(path, &new)?;
    replace(path, &new).map_err(|error| AppsFileError::Io(path.to_owned(), error))?;
    Ok((apps, key))
}

/// Writes the file anew, so that it is the old one or the new one at any time.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // What an earlier attempt left behind.
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"a": {"label": "A", "allowedOrigins": ["*"], "maxSessions": 3}}"#;

    #[test]
    fn an_app_is_added_with_a_key_that_only_its_owner_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apps.json");
        fs::write(&path, FILE).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let (apps, key) = add(&path, "b", "B", &[]).unwrap();
        assert_eq!(key.len(), 32);
        assert!(apps.admit(Some("b"), None, Some(&key)).is_ok());
        assert!(apps.admit(Some("b"), None, Some("other")).is_err());
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&key));
        // What was there stays.
        let read = read(&path).unwrap();
        assert_eq!(read.quota("a").max_sessions, Some(3));
        assert!(read.admit(Some("b"), None, Some(&key)).is_ok());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        let origins = ["https://c.example".to_owned()];
        let (apps, key) = add(&path, "c", "C", &origins).unwrap();
        assert!(
            apps.admit(Some("c"), Some("https://c.example"), Some(&key))
                .is_ok()
        );
        assert!(apps.admit(Some("c"), None, Some(&key)).is_err());
    }

    #[test]
    fn a_mistake_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apps.json");
        assert!(matches!(read(&path), Err(AppsFileError::Io(..))));
        fs::write(&path, FILE).unwrap();
        assert!(matches!(
            add(&path, "a", "A", &[]),
            Err(AppsFileError::Taken(_))
        ));
        assert!(matches!(
            add(&path, "b b", "B", &[]),
            Err(AppsFileError::Bad(..))
        ));
        assert!(matches!(
            add(&path, "b", "", &[]),
            Err(AppsFileError::Bad(..))
        ));
        let bad = ["nonsense".to_owned()];
        assert!(matches!(
            add(&path, "b", "B", &bad),
            Err(AppsFileError::Bad(..))
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), FILE);
        fs::write(&path, "{").unwrap();
        assert!(matches!(
            add(&path, "b", "B", &[]),
            Err(AppsFileError::Bad(..))
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    }
}
