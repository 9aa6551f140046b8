//! Names for tools, for the doors whose clients know no paths: MCP tools and
//! OpenAPI operations.
//!
//! A name is the tool's path made to match `^[A-Za-z_][A-Za-z0-9_-]{0,63}$`, which
//! the strictest clients accept as the name of a function. Which name a tool gets
//! depends on the whole registration but not on its order, so a token with a scope
//! sees the same names as one without.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use agent_socket_wire::hex;
use agent_socket_wire::tool::Tool;
use agent_socket_wire::tree::set_of;
use agent_socket_wire::work::{self, counted};

/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 64;

/// Hex characters of a hash in a name.
const HASH_CHARS: usize = 6;

/// A name for each of `tools`, in their order: valid, unique, and the same
/// whatever that order is.
///
/// `/set/pixel` is `set_pixel`. Where several tools come to the same name, the
/// one with POST has it (else the first by path and method), and the others
/// add their method: `set_pixel_get`. A name that is too long or still taken gets
/// the start of the SHA-256 of its method and path.
#[must_use]
pub fn tool_names(tools: &[Tool]) -> Vec<String> {
    let plain: Vec<String> = counted(tools).map(plain_name).collect();
    let mut order: Vec<(usize, &Tool)> = tools.iter().enumerate().collect();
    order.sort_by_key(|(_, tool)| (tool.method != "POST", &tool.path, &tool.method));
    let mut taken = Taken {
        plain: set_of(plain.iter().map(String::as_str)),
        given: BTreeSet::new(),
        numbers: BTreeMap::new(),
    };
    let mut names = vec![String::new(); tools.len()];
    for (index, tool) in counted(order) {
        let Some(own) = plain.get(index) else {
            continue;
        };
        let name = if taken.given.contains(own) {
            taken.free_name(own, tool)
        } else {
            own.clone()
        };
        taken.given.insert(name.clone());
        if let Some(slot) = names.get_mut(index) {
            *slot = name;
        }
    }
    names
}

/// The path as a name, not yet unique.
fn plain_name(tool: &Tool) -> String {
    let mut name = String::with_capacity(tool.path.len());
    for char in tool
        .path
        .strip_prefix('/')
        .unwrap_or(&tool.path)
        .chars()
        .filter(|char| *char != ':')
    {
        if name.is_empty() && (char.is_ascii_digit() || char == '-') {
            name.push('_');
        }
        name.push(name_char(char));
    }
    if name.len() > MAX_NAME_CHARS {
        return with_suffix(&name, &hash(tool));
    }
    name
}

/// The character, or `_` for one that a name can't have.
fn name_char(char: char) -> char {
    if char.is_ascii_alphanumeric() || char == '-' {
        char
    } else {
        '_'
    }
}

/// Names that a tool can't have any more.
struct Taken<'n> {
    /// The plain names of all tools: each is or will be given.
    plain: BTreeSet<&'n str>,
    given: BTreeSet<String>,
    /// The last number that was tried for a name with a hash. Numbers below it are
    /// taken, so they are not tried again for each tool of that name.
    numbers: BTreeMap<String, u32>,
}

impl Taken<'_> {
    fn has(&self, name: &str) -> bool {
        work::add(1);
        self.plain.contains(name) || self.given.contains(name)
    }

    /// A name for a tool whose plain one is another's.
    fn free_name(&mut self, plain: &str, tool: &Tool) -> String {
        let method: String = tool.method.chars().map(name_char).collect();
        let hash = hash(tool);
        let with_hash = with_suffix(plain, &hash);
        let with_method = with_suffix(plain, &method.to_ascii_lowercase());
        for name in [with_method, with_hash.clone()] {
            if !self.has(&name) {
                return name;
            }
        }
        let mut number = self.numbers.get(&with_hash).copied().unwrap_or(1);
        loop {
            number = number.saturating_add(1);
            let name = with_suffix(plain, &format!("{hash}_{number}"));
            if !self.has(&name) || number == u32::MAX {
                self.numbers.insert(with_hash, number);
                return name;
            }
        }
    }
}

/// `name_suffix`, the name cut so that the whole fits.
fn with_suffix(name: &str, suffix: &str) -> String {
    let suffix = suffix.get(..suffix.len().min(MAX_NAME_CHARS / 2));
    let suffix = suffix.unwrap_or_default();
    let room = MAX_NAME_CHARS
        .saturating_sub(suffix.len())
        .saturating_sub(1);
    let kept = name.get(..name.len().min(room)).unwrap_or_default();
    format!("{kept}_{suffix}")
}

fn hash(tool: &Tool) -> String {
    let digest = Sha256::digest(format!("{} {}", tool.method, tool.path));
    let mut name = hex::encode(&digest);
    name.truncate(HASH_CHARS);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn tools(list: &[(&str, &str)]) -> Vec<Tool> {
        let json: Vec<_> = list
            .iter()
            .map(|(method, path)| serde_json::json!({"method": method, "path": path}))
            .collect();
        let raw: Box<RawValue> = serde_json::value::to_raw_value(&json).unwrap();
        agent_socket_wire::tool::parse_tools(Some(&raw)).unwrap()
    }

    fn names(list: &[(&str, &str)]) -> Vec<String> {
        tool_names(&tools(list))
    }

    #[test]
    fn a_path_becomes_a_name() {
        assert_eq!(
            names(&[
                ("POST", "/set_pixel"),
                ("GET", "/canvas"),
                ("POST", "/v1/users.list"),
                ("POST", "/2d"),
                ("POST", "/-x"),
                ("POST", "//"),
            ]),
            ["set_pixel", "canvas", "v1_users_list", "_2d", "_-x", "_"]
        );
    }

    #[test]
    fn those_that_come_to_the_same_name_are_told_apart() {
        assert_eq!(
            names(&[("GET", "/a"), ("POST", "/a"), ("DELETE", "/a")]),
            ["a_get", "a", "a_delete"]
        );
        assert_eq!(
            names(&[("POST", "/a_b"), ("POST", "/a.b")]),
            ["a_b_post", "a_b"]
        );
        let odd = names(&[("GET", "/a"), ("POST", "/a"), ("POST", "/a_get")]);
        assert_eq!(odd[1..], ["a", "a_get"]);
        assert!(
            odd[0].starts_with("a_") && odd[0].len() == 2 + HASH_CHARS,
            "{odd:?}"
        );
        assert_eq!(names(&[("M-X", "/a"), ("M$X", "/a")]), ["a_m-x", "a"]);
    }

    #[test]
    fn numbers_are_the_last_resort() {
        let hash = hash(&tools(&[("GET", "/a")])[0]);
        let taken = [
            "/a_get".to_owned(),
            format!("/a_{hash}"),
            format!("/a_{hash}_2"),
        ];
        let mut list = vec![("GET", "/a"), ("POST", "/a")];
        list.extend(taken.iter().map(|path| ("POST", path.as_str())));
        assert_eq!(names(&list)[0], format!("a_{hash}_3"));
    }

    #[test]
    fn long_paths_are_cut_and_told_apart() {
        let one = format!("/{}1", "x".repeat(99));
        let two = format!("/{}2", "x".repeat(99));
        let found = names(&[("POST", &one), ("POST", &two)]);
        assert!(found.iter().all(|name| name.len() == MAX_NAME_CHARS));
        assert_ne!(found[0], found[1]);
        let method = "M".repeat(99);
        let found = names(&[("POST", "/a"), (&method, "/a")]);
        assert!(found[1].len() <= MAX_NAME_CHARS, "{found:?}");
    }

    fn is_valid(name: &str) -> bool {
        (1..=MAX_NAME_CHARS).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    }

    proptest! {
        #[test]
        fn names_are_valid_unique_and_do_not_depend_on_the_order(
            list in prop::collection::btree_set(
                (prop::sample::select(vec!["GET", "POST", "PUT", "A.B", "A+B"]), "/([ab12._/-]{1,4}|a{62,66}|a_get|a_post)"),
                0..24,
            ),
            seed: u64,
        ) {
            let list: Vec<_> = list.iter().map(|(method, path)| (*method, path.as_str())).collect();
            let known = names(&list);
            let unique: BTreeSet<_> = known.iter().collect();
            prop_assert_eq!(unique.len(), list.len());
            prop_assert!(known.iter().all(|name| is_valid(name)), "{:?}", known);
            let mut mixed: Vec<_> = list.iter().copied().zip(known).collect();
            let mut state = seed | 1;
            mixed.sort_by_cached_key(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 33
            });
            let again: Vec<_> = mixed.iter().map(|(tool, _)| *tool).collect();
            let expected: Vec<_> = mixed.into_iter().map(|(_, name)| name).collect();
            prop_assert_eq!(names(&again), expected);
        }
    }
}
