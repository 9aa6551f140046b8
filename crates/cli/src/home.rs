//! The files that the program keeps: where they are, and how they are written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::app_strategy::{AppStrategy as _, AppStrategyArgs, choose_native_strategy};

use crate::failure::Failure;

/// Where the program's files are.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    state: PathBuf,
}

impl Home {
    /// All in one folder, or where this system keeps such files.
    pub(crate) fn find(folder: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            return Ok(Self {
                state: folder.to_owned(),
            });
        }
        let program = AppStrategyArgs {
            app_name: "agent-socket".to_owned(),
            ..AppStrategyArgs::default()
        };
        let folders = choose_native_strategy(program).map_err(|_| {
            let message = "this account has no home folder, so there is no place for files: name one with --home DIR or AGENT_SOCKET_HOME";
            Failure::failed("no_home", message)
        })?;
        let state = folders.state_dir().unwrap_or_else(|| folders.data_dir());
        Ok(Self { state })
    }

    /// A file of the state folder.
    pub(crate) fn state_file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }
}

/// A file that was named cannot be read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!(
        "{} cannot be read: {error}. Name a file that is there and that you may read.",
        path.display()
    );
    Failure::usage("unreadable_file", message)
}

/// A file cannot be written.
pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let message = format!(
        "{} cannot be written: {error}. Name another place, or see to it that you may write there and that there is room.",
        path.display()
    );
    Failure::failed("unwritable_file", message)
}

/// Makes a folder that only this account can enter; one that is there stays as
/// it is.
pub(crate) fn private_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| unwritable(path, &error))
}
