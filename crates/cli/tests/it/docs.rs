//! docs/cli.md is what `--help` says.

use std::fmt::Write as _;
use std::path::Path;

use crate::program::Place;

const HEAD: &str = "\
# The command line

What `agent-socket --help` and the help of each command say. A test compares this page with the program; `UPDATE_DOCS=1 cargo test -p agent-socket docs` writes it.

";

/// The help of a command and of those below it.
fn describe(place: &Place, path: &[&str], page: &mut String) {
    let help = place.run(path.iter().copied().chain(["--help"]));
    assert_eq!(help.code, 0, "{path:?}: {}", help.err);
    let title = ["agent-socket"]
        .iter()
        .chain(path)
        .copied()
        .collect::<Vec<_>>();
    let depth = "#".repeat(title.len() + 1);
    writeln!(
        page,
        "{depth} {}\n\n```text\n{}\n```\n",
        title.join(" "),
        help.out.trim()
    )
    .unwrap();
    let listed = help
        .out
        .split_once("\nCommands:\n")
        .map_or("", |(_, rest)| rest);
    let names = listed.lines().take_while(|line| !line.is_empty());
    let names: Vec<_> = names
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for name in names {
        describe(place, &[path, &[name]].concat(), page);
    }
}

#[test]
fn docs_are_what_the_help_says() {
    let mut page = HEAD.to_owned();
    describe(&Place::new(), &[], &mut page);
    let page = format!("{}\n", page.trim_end());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cli.md is not what --help says: UPDATE_DOCS=1 cargo test -p agent-socket docs"
    );
}
