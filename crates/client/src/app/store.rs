//! Where an app keeps its session, so that its links work after a restart.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What it takes to resume a session. **Secret**: `Debug` shows the id only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// The session's id.
    pub session_id: String,
    /// Its resume secret.
    pub resume_secret: String,
    /// Its links.
    #[serde(default)]
    pub links: Vec<SavedLink>,
    /// Tokens that are to be revoked, of which the relay does not know yet.
    #[serde(default)]
    pub revoke: Vec<String>,
    /// The additions to the protocol that the relay has, as it said last.
    #[serde(default)]
    pub relay_features: Vec<String>,
}

/// A link, and what it was made with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedLink {
    /// Its token.
    pub token: String,
    /// Its label.
    pub label: String,
    /// When it expires, in ms since 1970.
    pub expires_at: Option<u64>,
    /// What it may call; `None`: everything.
    pub tools: Option<Vec<String>>,
    /// How many calls it may make.
    pub max_calls: Option<u64>,
}

impl fmt::Debug for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Saved({}, redacted)", self.session_id)
    }
}

impl fmt::Debug for SavedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavedLink({:?}, redacted)", self.label)
    }
}

/// Where a session is kept.
pub trait Store: Send + Sync {
    /// The session that was kept, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    fn load(&self) -> io::Result<Option<Saved>>;

    /// Keeps a session; `None`: there is none any more. Called with every change.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save(&self, saved: Option<&Saved>) -> io::Result<()>;
}

/// A file that only its owner can read.
#[derive(Clone, Debug)]
pub struct FileStore(PathBuf);

impl FileStore {
    /// A file, which need not be there. Its folder is made if it is not there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl Store for FileStore {
    fn load(&self) -> io::Result<Option<Saved>> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it holds no session"))
    }

    fn save(&self, saved: Option<&Saved>) -> io::Result<()> {
        let Some(saved) = saved else {
            return match fs::remove_file(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        write_private(&self.0, &serde_json::to_vec(saved)?)
    }
}

/// Writes a file that only its owner can read, in a folder that only its owner
/// can enter: whole, or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(name);
    // One that a crash left behind.
    let _ = fs::remove_file(&beside);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The rename is durable once the folder is.
        fs::File::open(folder)?.sync_all()
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_session_is_kept_whole_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/session.json");
        let store = FileStore::new(&path);
        assert_eq!(store.load().unwrap(), None);
        for secret in ["one", "another"] {
            let saved = Saved {
                session_id: "A6VFRZQ2".into(),
                resume_secret: secret.into(),
                ..Saved::default()
            };
            store.save(Some(&saved)).unwrap();
            assert_eq!(store.load().unwrap(), Some(saved.clone()));
            assert_eq!(mode(&path), 0o600);
            assert!(!format!("{saved:?}").contains(secret));
        }
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        store.save(None).unwrap();
        store.save(None).unwrap();
        assert_eq!(store.load().unwrap(), None);
        fs::write(&path, "no session").unwrap();
        assert!(store.load().is_err());
        assert!(
            FileStore::new(path.join("below-a-file"))
                .save(Some(&Saved::default()))
                .is_err()
        );
    }
}
