//! What holds for every command.

use crate::program::Place;

#[test]
fn the_version_has_commit_and_target() {
    let ended = Place::new().run(["--version"]);
    assert_eq!(ended.code, 0);
    let version = ended.out.trim();
    assert!(version.starts_with("agent-socket 0."), "{version}");
    let (commit, target) = version.split_once('(').unwrap().1.split_once(", ").unwrap();
    assert!(
        commit.len() >= 7 && target.matches('-').count() >= 2,
        "{version}"
    );
}

#[test]
fn an_unknown_flag_or_command_suggests_the_nearest() {
    for (arguments, nearest) in [
        (["relay", "--lisen", "x"].as_slice(), "--listen"),
        (&["relai"], "relay"),
        (&["completions", "bsh"], "bash"),
    ] {
        let ended = Place::new().run(arguments);
        assert_eq!(ended.code, 2, "{arguments:?}");
        assert!(
            ended.err.contains("similar") && ended.err.contains(nearest),
            "{}",
            ended.err
        );
        assert_eq!(ended.out, "");
    }
}

#[test]
fn a_wrong_command_line_is_told_to_programs_too() {
    let ended = Place::new().run(["relay", "--json", "--lisen", "x"]);
    ended.failed(2, "usage", &["--lisen", "--listen"]);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Place::new().run(["completions", shell]);
        assert_eq!(ended.code, 0);
        assert!(
            ended.out.contains("relay") && ended.out.contains("completions"),
            "{shell}"
        );
    }
}

#[test]
fn nothing_is_coloured_that_is_not_on_a_terminal() {
    let ended = Place::new().run(["relay", "--apps", "/nowhere"]);
    assert!(!ended.err.contains('\u{1b}'), "{}", ended.err);
    assert!(ended.err.starts_with("error: "), "{}", ended.err);
}
