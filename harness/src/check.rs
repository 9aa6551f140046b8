//! Assertions that say what was expected and what came.

use std::fmt::Debug;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::transcript::shorten;

/// Both sides are equal.
///
/// # Errors
/// With both sides, if they are not.
pub fn equal<A: Debug + PartialEq<B>, B: Debug>(what: &str, got: A, expected: B) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    let (got, expected) = (
        shorten(&format!("{got:?}")),
        shorten(&format!("{expected:?}")),
    );
    bail!("{what}: got {got}, expected {expected}");
}

/// `text` holds `part`.
///
/// # Errors
/// With the text, if it does not.
pub fn contains(what: &str, text: &str, part: &str) -> Result<()> {
    ensure!(
        text.contains(part),
        "{what}: expected {part:?} in {:?}",
        shorten(text)
    );
    Ok(())
}

/// A member of a JSON object that is a string.
///
/// # Errors
/// If it is missing or something else.
pub fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    match value[name].as_str() {
        Some(text) => Ok(text),
        None => bail!(
            "expected a string `{name}` in {}",
            shorten(&value.to_string())
        ),
    }
}

/// A reply with `ok:false` and this error code, and a message for people.
///
/// # Errors
/// If it is another reply.
pub fn refused(reply: &Value, code: &str) -> Result<()> {
    equal(
        &format!("`ok` of {reply}"),
        &reply["ok"],
        &Value::Bool(false),
    )?;
    equal("error code", &reply["error"]["code"], code)?;
    let message = text(&reply["error"], "message")?;
    ensure!(message.len() > 10, "the message says too little: {reply}");
    Ok(())
}

/// A reply with `ok:true`.
///
/// # Errors
/// If it is another reply.
pub fn accepted(reply: &Value) -> Result<()> {
    equal(
        &format!("`ok` of {reply}"),
        &reply["ok"],
        &Value::Bool(true),
    )
}

/// Whether `text` is made of `alphabet` alone and has `len` characters.
pub fn is_made_of(text: &str, len: usize, alphabet: fn(char) -> bool) -> bool {
    text.chars().count() == len && text.chars().all(alphabet)
}

/// The alphabet of base64url (RFC 4648, section 5).
pub fn is_base64url(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}
