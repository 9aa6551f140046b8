//! Every file that holds facts of the protocol has them as the code has them.

use agent_socket_facts::prose::quotes;
use agent_socket_facts::{COMMAND, files, read, root};

#[test]
fn generated_files_are_up_to_date() {
    let stale: Vec<_> = files(root())
        .unwrap()
        .into_iter()
        .filter(|file| read(root(), file.path).unwrap() != file.text)
        .map(|file| file.path)
        .collect();
    assert!(
        stale.is_empty(),
        "not up to date with crates/wire: {}. Run `{COMMAND}`",
        stale.join(", ")
    );
}

#[test]
fn sentences_say_the_numbers_of_the_code() {
    let missing: Vec<_> = quotes()
        .into_iter()
        .filter(|quote| !read(root(), quote.path).unwrap().contains(&quote.words))
        .map(|quote| format!("{}: {:?}", quote.path, quote.words))
        .collect();
    assert!(
        missing.is_empty(),
        "these words are not in the documentation. Write the number that they say, or, if the sentence was rewritten, change facts/src/prose.rs:\n{}",
        missing.join("\n")
    );
}
