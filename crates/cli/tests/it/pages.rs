//! The SDK that the relay serves is built, committed, and current: who starts a
//! relay from a clone needs no Node.

use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// What sdk/build.mjs notes in each file: the SHA-256 over the names and the
/// contents of what the file is made of.
fn sources(root: &Path) -> String {
    let folder = root.join("sdk/src");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<_> = entries
        .map(|entry| format!("src/{}", entry.file_name().into_string().unwrap()))
        .chain(["build.mjs".to_owned()])
        .collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        let contents = fs::read(root.join("sdk").join(&name)).unwrap();
        hash.update(format!("{name} {}\n", contents.len()));
        hash.update(contents);
    }
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex[..16].to_owned()
}

#[test]
fn the_sdk_that_is_served_is_built_from_its_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let expected = format!("/* agent-socket, Apache-2.0, sources {} */", sources(&root));
    for name in ["sdk.js", "sdk-checker.js", "sdk-page.js"] {
        let built = fs::read_to_string(root.join("public").join(name));
        let built = built.unwrap_or_else(|error| panic!("public/{name}: {error}"));
        assert!(
            built.starts_with(&expected),
            "public/{name} is older than sdk/src: run `node sdk/build.mjs` and commit public/sdk*.js"
        );
    }
}
