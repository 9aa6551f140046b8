//! What docs/self-hosting.md says of settings.

use agent_socket_wire::error::{HttpCode, HttpError};
use agent_socket_wire::vars::{
    BadVar, DEBUG, MAX_TOOL_MS, MILLIS, MillisVar, PUBLIC_URL, RELAY_SECRET, ShellVar, TOKEN_PREFIX,
};

use crate::document::Block;
use crate::format::{span, table};

/// Every block.
pub(crate) fn blocks() -> Vec<Block> {
    vec![
        Block {
            name: "settings",
            title: "Settings",
            text: settings(),
        },
        Block {
            name: "misconfigured",
            title: "The answer of a relay with a bad var",
            text: misconfigured(),
        },
    ]
}

fn of_millis(var: MillisVar) -> Vec<String> {
    vec![
        format!("`{}`", var.name),
        var.meaning.to_owned(),
        format!("{} ms ({})", var.default, span(var.default)),
        format!("{} to {} ms", var.min, var.max),
    ]
}

fn of_shell(var: ShellVar) -> Vec<String> {
    let cells = [var.meaning, var.default, var.expected];
    let name = format!("`{}`", var.name);
    [name].into_iter().chain(cells.map(str::to_owned)).collect()
}

fn settings() -> String {
    let prefix = vec![
        format!("`{}`", TOKEN_PREFIX.name),
        TOKEN_PREFIX.meaning.to_owned(),
        format!("`{}`", TOKEN_PREFIX.default),
        TOKEN_PREFIX.expected.to_owned(),
    ];
    let rows = [prefix, of_shell(PUBLIC_URL)]
        .into_iter()
        .chain(MILLIS.map(of_millis))
        .chain([of_shell(RELAY_SECRET), of_shell(DEBUG)]);
    table(&["Var", "Meaning", "Default", "Range"], rows)
}

fn misconfigured() -> String {
    let bad = BadVar {
        name: MAX_TOOL_MS.name,
        expected: MAX_TOOL_MS.expected(),
    };
    let error = HttpError::new(HttpCode::Misconfigured, bad.to_string());
    format!("\n```\n{} {}\n```\n\n", error.code.status(), error.body())
}
