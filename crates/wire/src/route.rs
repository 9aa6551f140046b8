//! Paths with parameters: `/users/:id` is the tool at `/users/7` and at `/users/8`.
//!
//! A **route** is a tool's path in which a segment may be `:name`, which stands for
//! one segment that is not empty. Nothing is decoded to find the tool; the values of
//! the parameters are percent-decoded once.

use std::cmp::Ordering;

use crate::tool::{Tool, is_reserved};

/// Longest name of a parameter, in characters, which are ASCII.
pub const MAX_PARAM_NAME_CHARS: usize = 32;

/// Whether a path has parameters.
#[must_use]
pub fn is_route(path: &str) -> bool {
    // On the way of every call, where setting up a search costs more than the look.
    path.as_bytes().windows(2).any(|pair| pair == b"/:")
}

/// The names of a path's parameters, in their order.
pub fn param_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(param_name)
}

/// The name of the parameter that a segment of a tool's path is.
#[must_use]
pub fn param_name(segment: &str) -> Option<&str> {
    segment.strip_prefix(':')
}

/// Whether a parameter may have this name.
pub(crate) fn is_param_name(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.len() <= MAX_PARAM_NAME_CHARS
        && name.bytes().next().is_some_and(is_first)
        && name
            .bytes()
            .all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// A tool's path without the names of its parameters. Two paths of one shape match
/// the same requests.
pub(crate) fn shape(path: &str) -> String {
    let segments = path.split('/');
    let nameless = segments.map(|one| param_name(one).map_or(one, |_| ":"));
    nameless.collect::<Vec<_>>().join("/")
}

/// The parameters that a request's path has by this route, undecoded; `None` if it is
/// not one of the route's. The relay's own paths are of no route.
#[must_use]
pub fn match_route<'r, 'p>(route: &'r str, path: &'p str) -> Option<Vec<(&'r str, &'p str)>> {
    if is_reserved(path) {
        return None;
    }
    let mut params = Vec::new();
    let mut given = path.split('/');
    for segment in route.split('/') {
        let value = given.next()?;
        match param_name(segment) {
            Some(name) if !value.is_empty() => params.push((name, value)),
            None if segment == value => {}
            _ => return None,
        }
    }
    given.next().is_none().then_some(params)
}

/// The tool that a request for this method and path calls. Where several match, a
/// segment that is written out wins over a parameter, from the left.
#[must_use]
pub fn find_tool<'t>(tools: &'t [Tool], method: &str, path: &str) -> Option<&'t Tool> {
    let same = |tool: &&Tool| tool.method == method && tool.path == path;
    tools.iter().find(same).or_else(|| {
        let routes = tools.iter().filter(|tool| tool.method == method);
        best(routes, path)
    })
}

/// The tool of the path that a request's path matches best, whatever its method.
fn best<'t>(tools: impl Iterator<Item = &'t Tool>, path: &str) -> Option<&'t Tool> {
    tools
        .filter(|tool| is_route(&tool.path) && match_route(&tool.path, path).is_some())
        .min_by(|a, b| specificity(&a.path, &b.path))
}

/// Which of two routes is the one that a path means, if both match: the lesser.
#[must_use]
pub fn specificity(a: &str, b: &str) -> Ordering {
    let is_param = |route: &'_ str| -> Vec<bool> {
        route
            .split('/')
            .map(|one| param_name(one).is_some())
            .collect()
    };
    is_param(a).cmp(&is_param(b))
}

/// Whether a request's path is one of a tool's path.
#[must_use]
pub fn is_path_of(route: &str, path: &str) -> bool {
    route == path || (is_route(route) && match_route(route, path).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tools(paths: &[&str]) -> Vec<Tool> {
        paths
            .iter()
            .map(|path| Tool::new("GET", *path, ""))
            .collect()
    }

    #[test]
    fn a_parameter_is_one_segment_that_is_not_empty() {
        for (route, path, params) in [
            ("/u/:id", "/u/7", Some(vec![("id", "7")])),
            ("/u/:id", "/u/a%2Fb", Some(vec![("id", "a%2Fb")])),
            ("/:a/x/:b", "/1/x/2", Some(vec![("a", "1"), ("b", "2")])),
            ("/u/:id/", "/u/7/", Some(vec![("id", "7")])),
            ("/u/:id", "/u/:id", Some(vec![("id", ":id")])),
            ("/u/:id", "/u/", None),
            ("/u/:id", "/u", None),
            ("/u/:id", "/u/7/", None),
            ("/u/:id", "/u/7/8", None),
            ("/u/:id", "/U/7", None),
            ("/:a", "/_as_next", None),
            ("/:a", "/_AS_next", None),
            ("/:a/:b", "/tools.json/x", None),
        ] {
            assert_eq!(match_route(route, path), params, "{route} {path}");
        }
    }

    #[test]
    fn what_is_written_out_wins_from_the_left() {
        let all = tools(&[
            "/:a/:b",
            "/u/:id",
            "/:a/me",
            "/u/me",
            "/u/:id/:x",
            "/u/me/:y",
        ]);
        for (path, expected) in [
            ("/u/me", "/u/me"),
            ("/u/7", "/u/:id"),
            ("/v/me", "/:a/me"),
            ("/v/7", "/:a/:b"),
            ("/u/me/1", "/u/me/:y"),
            ("/u/7/1", "/u/:id/:x"),
        ] {
            let found = find_tool(&all, "GET", path).map(|tool| tool.path.as_str());
            assert_eq!(found, Some(expected), "{path}");
            let mut reversed = all.clone();
            reversed.reverse();
            let found = find_tool(&reversed, "GET", path).map(|tool| tool.path.as_str());
            assert_eq!(found, Some(expected), "{path}, in another order");
        }
        assert!(find_tool(&all, "POST", "/u/7").is_none());
        assert!(find_tool(&all, "GET", "/u/7/1/2").is_none());
    }

    #[test]
    fn names_of_parameters() {
        let longest = "n".repeat(MAX_PARAM_NAME_CHARS);
        for good in ["id", "_", "A9_", &longest] {
            assert!(is_param_name(good), "{good}");
        }
        for bad in ["", "9", "a-b", "ä", "a.b", ":a", &format!("{longest}n")] {
            assert!(!is_param_name(bad), "{bad}");
        }
        assert_eq!(shape("/u/:id/x/:n"), "/u/:/x/:");
        assert_eq!(param_names("/u/:id/x/:n").collect::<Vec<_>>(), ["id", "n"]);
    }

    proptest! {
        #[test]
        fn a_path_made_of_a_route_matches_it(values in prop::collection::vec("[a-z0-9%.]{1,6}", 3)) {
            let [a, b, c] = values.as_slice() else { unreachable!() };
            let path = format!("/r/{a}/x/{b}/{c}");
            let params = match_route("/r/:a/x/:b/:c", &path);
            prop_assert_eq!(params, Some(vec![("a", a.as_str()), ("b", b), ("c", c)]));
        }
    }
}
