//! The files that the program keeps: where they are, and how they are written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::app_strategy::{AppStrategy as _, AppStrategyArgs, choose_native_strategy};
use serde::Deserialize;

use crate::failure::Failure;

/// The relay when nobody names one.
const DEFAULT_RELAY: &str = "http://localhost:8787";

/// Where the program's files are.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    config: PathBuf,
    state: PathBuf,
}

/// The config file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The relay's address.
    relay: Option<String>,
}

impl Home {
    /// All in one folder, or where this system keeps such files.
    pub(crate) fn find(folder: Option<&Path>) -> Result<Self, Failure> {
        if let Some(folder) = folder {
            return Ok(Self {
                config: folder.to_owned(),
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
        Ok(Self {
            config: folders.config_dir(),
            state,
        })
    }

    /// A file of the state folder.
    pub(crate) fn state_file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// The config file, which need not be there.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The relay's address: as given, else from the config file, else the one on
    /// this machine.
    pub(crate) fn relay(&self, given: Option<&str>) -> Result<String, Failure> {
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        let path = self.config_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(DEFAULT_RELAY.to_owned());
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let config: Config = toml::from_str(&text).map_err(|error| {
            let problem = format!(
                "{} is not valid: {error}It may have `relay = \"https://relay.example.com\"`.",
                path.display()
            );
            Failure::usage("bad_config", problem)
        })?;
        Ok(config.relay.unwrap_or_else(|| DEFAULT_RELAY.to_owned()))
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
#[cfg(feature = "relay")]
pub(crate) fn private_folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| unwritable(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_is_the_given_one_or_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::find(Some(folder.path())).unwrap();
        assert_eq!(home.relay(None).unwrap(), DEFAULT_RELAY);
        fs::write(home.config_file(), "relay = \"https://r.example\"\n").unwrap();
        assert_eq!(home.relay(None).unwrap(), "https://r.example");
        assert_eq!(home.relay(Some("http://x")).unwrap(), "http://x");
        fs::write(home.config_file(), "relais = 1\n").unwrap();
        let failure = home.relay(None).unwrap_err();
        assert!(failure.message.contains("relais"), "{failure:?}");
    }
}
