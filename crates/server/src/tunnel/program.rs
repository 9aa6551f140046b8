//! The program `cloudflared`: named, on `PATH`, or fetched once.
//!
//! **What is fetched is run only if it is, byte for byte, the release that is
//! named here**, whoever sent it.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use agent_socket_wire::hex;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;
use tokio::task::spawn_blocking;

use super::Tunnel;

/// What the program is called.
const NAME: &str = "cloudflared";

/// A release of the program for one kind of machine.
struct Release {
    version: &'static str,
    asset: &'static str,
    sha256: &'static str,
}

/// The release for this kind of machine, with the checksum that Cloudflare
/// publishes beside it.
const RELEASE: Option<Release> = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    Some(Release {
        version: "2026.11.1",
        asset: "cloudflared-linux-amd64",
        sha256: "97bb3b02d23a5980fc9c15a1a270e692da1923f103f920d5b16d4931d5ab55e7",
    })
} else {
    None
};

/// Why there is no program.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProgramError {
    /// The one that was named cannot be run.
    Named(PathBuf),
    /// There is none on `PATH`, and none to be fetched.
    None,
    /// It could not be fetched.
    Fetch(String),
    /// What was fetched is something else.
    Checksum,
    /// It cannot be put into its folder.
    Io(PathBuf, io::Error),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(path) => write!(
                f,
                "{} is no program that this user can run: name cloudflared's path (AGENT_SOCKET_CLOUDFLARED), or leave it out",
                path.display()
            ),
            Self::None => f.write_str(
                "cloudflared is not on PATH: install it (https://developers.cloudflare.com/tunnel/downloads/), or name its path (AGENT_SOCKET_CLOUDFLARED)",
            ),
            Self::Fetch(reason) => write!(
                f,
                "cloudflared could not be fetched: {reason}. Install it, or name its path (AGENT_SOCKET_CLOUDFLARED)"
            ),
            Self::Checksum => f.write_str(
                "what was fetched as cloudflared is not the release that this relay knows, and is not run: try again, or install it yourself",
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ProgramError {}

/// The program, and whether it was fetched just now.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) is_fetched: bool,
}

/// Finds the program, or fetches it.
///
/// # Errors
/// If there is none.
pub(super) async fn find(tunnel: &Tunnel) -> Result<Found, ProgramError> {
    let there = |path| Found {
        path,
        is_fetched: false,
    };
    if let Some(path) = &tunnel.program {
        let found = is_program(path).then(|| there(path.clone()));
        return found.ok_or_else(|| ProgramError::Named(path.clone()));
    }
    if let Some(path) = on_path() {
        return Ok(there(path));
    }
    let (Some(folder), Some(release)) = (&tunnel.folder, RELEASE) else {
        return Err(ProgramError::None);
    };
    let path = folder.join(format!("{NAME}-{}", release.version));
    if has_checksum(path.clone(), release.sha256).await {
        return Ok(there(path));
    }
    fetch(Path::new("curl"), &release, folder, &path).await?;
    Ok(Found {
        path,
        is_fetched: true,
    })
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        // An empty entry stands for the current folder, where anybody may have
        // put something.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(NAME))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

async fn has_checksum(path: PathBuf, sha256: &'static str) -> bool {
    let check = spawn_blocking(move || {
        let mut file = fs::File::open(path).ok()?;
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut HashWriter(&mut hash)).ok()?;
        Some(hex::encode(&hash.finalize()) == sha256)
    });
    matches!(check.await, Ok(Some(true)))
}

/// Hands what is written to a hash.
struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fetches a release by `curl`, which needs no library here and is nearly
/// everywhere; the checksum says whether it is the right one.
async fn fetch(
    curl: &Path,
    release: &Release,
    folder: &Path,
    path: &Path,
) -> Result<(), ProgramError> {
    let io = |error: io::Error| ProgramError::Io(path.to_owned(), error);
    if !folder.is_dir() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).map_err(io)?;
    }
    let new = path.with_extension("new");
    // What an earlier attempt left behind.
    let _ = fs::remove_file(&new);
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(&new)
        .map_err(io)?;
    let url = format!(
        "https://github.com/cloudflare/cloudflared/releases/download/{}/{}",
        release.version, release.asset
    );
    let fetched = Command::new(curl)
        .args(["--fail", "--silent", "--show-error", "--location"])
        .args([
            "--proto",
            "=https",
            "--max-time",
            "300",
            "--max-filesize",
            "200000000",
        ])
        .arg(url)
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let fetched = match fetched {
        Ok(child) => child.wait_with_output().await,
        Err(error) => Err(error),
    };
    let outcome = match fetched {
        Ok(output) if output.status.success() => {
            if has_checksum(new.clone(), release.sha256).await {
                fs::rename(&new, path).map_err(io)
            } else {
                Err(ProgramError::Checksum)
            }
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(ProgramError::Fetch(said.trim().to_owned()))
        }
        Err(error) => Err(ProgramError::Fetch(format!("curl does not start: {error}"))),
    };
    if outcome.is_err() {
        // Half of it, or another's, is worth nothing.
        let _ = fs::remove_file(&new);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in for curl that does this.
    fn curl(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("curl");
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Of the text `program`.
    const TEST: Release = Release {
        version: "1",
        asset: "asset",
        sha256: "1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8",
    };

    async fn fetched(script: &str) -> (Result<(), ProgramError>, Vec<String>, PathBuf) {
        let folder = tempfile::tempdir().unwrap().keep();
        let (to, path) = (
            folder.join("programs"),
            folder.join("programs/cloudflared-1"),
        );
        let outcome = fetch(&curl(&folder, script), &TEST, &to, &path).await;
        let left = fs::read_dir(&to).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left = left.collect();
        (outcome, left, folder)
    }

    #[tokio::test]
    async fn the_release_that_is_known_is_kept() {
        let (outcome, left, folder) = fetched(r#"echo "$@" >"$0.arguments"; printf program"#).await;
        outcome.unwrap();
        assert_eq!(left, ["cloudflared-1"]);
        let path = folder.join("programs/cloudflared-1");
        assert!(is_program(&path));
        assert!(has_checksum(path.clone(), TEST.sha256).await);
        let arguments = fs::read_to_string(folder.join("curl.arguments")).unwrap();
        assert!(arguments.contains("--proto =https"), "{arguments}");
        assert!(
            arguments.ends_with("/releases/download/1/asset\n"),
            "{arguments}"
        );
        // One that somebody changed is not taken.
        fs::write(&path, "program!").unwrap();
        assert!(!has_checksum(path, TEST.sha256).await);
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn another_program_is_not_kept() {
        for script in ["printf programs", "printf p", ":"] {
            let (outcome, left, folder) = fetched(script).await;
            assert!(
                matches!(outcome, Err(ProgramError::Checksum)),
                "{outcome:?}"
            );
            assert_eq!(left, [""; 0]);
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[tokio::test]
    async fn a_download_that_fails_says_why() {
        let script = "printf program; echo 'curl: (6) no such host' >&2; exit 6";
        let (outcome, left, folder) = fetched(script).await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("(6) no such host"), "{error}");
        assert_eq!(left, [""; 0]);
        let nothing = fetch(&folder.join("no-curl"), &TEST, &folder, &folder.join("x")).await;
        assert!(
            nothing
                .unwrap_err()
                .to_string()
                .contains("curl does not start")
        );
        fs::remove_dir_all(folder).unwrap();
    }
}
