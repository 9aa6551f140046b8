//! Brings every file up to date that holds facts of the protocol.

use std::process::ExitCode;

use agent_socket_facts::{files, read, root};
use anyhow::{Context as _, Result};

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<()> {
    let root = root();
    for file in files(root)? {
        if read(root, file.path)? == file.text {
            continue;
        }
        std::fs::write(root.join(file.path), file.text)
            .with_context(|| format!("{} cannot be written", file.path))?;
        eprintln!("{} was brought up to date", file.path);
    }
    Ok(())
}
