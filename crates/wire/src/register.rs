//! Registrations: what an app tells the relay about itself, checked.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::apps::Apps;
use crate::error::{AppCode, AppError};
use crate::feature::Feature;
use crate::frame::{AppFrame, Fields, string_list};
use crate::json::elements;
use crate::limits::{
    MAX_AGENTS_MD_CHARS, MAX_CALL_ID_BYTES, MAX_LABEL_CHARS, MAX_NAME_CHARS, MAX_PENDING_CALLS,
    MAX_REVOKE_ON_RESUME, MAX_TOKEN_CALLS, MAX_TOKEN_LIFETIME_MS,
};
use crate::text::{cut, json_str, json_uint, name_line, utf16_len};
use crate::tool::{Scope, Tool, cut_description, parse_tools_with};
use crate::tree::set_of;

/// A valid registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// App id, admitted by `apps.json`.
    pub app_id: String,
    /// The app's name as it says it, on one line and cut to its limit, if it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_name: Option<String>,
    /// The app's description, cut to its limit; empty if it gave none.
    pub description: String,
    /// The briefing.
    pub agents_md: String,
    /// The tools, in the app's order.
    pub tools: Vec<Tool>,
    /// Whether calls in flight outlive a drop of the socket (`carry_calls`).
    pub carry_calls: bool,
    /// Whether the paths of tools may have parameters (`path_params`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub path_params: bool,
    /// Whether results of tasks may be large (`large_results`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub large_results: bool,
}

impl Registration {
    /// Checks a `register` or `resume` frame, in the order of the protocol: app
    /// id, origin, key, briefing, its size, then the rest.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(
        frame: &AppFrame<'_>,
        apps: &Apps,
        origin: Option<&str>,
    ) -> Result<Self, AppError> {
        let fields = &frame.fields;
        let app_id = fields.app_id.and_then(json_str);
        let app_key = fields.app_key.and_then(json_str);
        apps.admit(app_id.as_deref(), origin, app_key.as_deref())?;
        let agents_md = parse_agents_md(fields.agents_md)?;
        frame.check_registration_size()?;
        let features = fields.features.map_or(Some(Vec::new()), string_list);
        let has = |feature: Feature| features.as_ref().is_some_and(|all| feature.is_in(all));
        let path_params = has(Feature::PathParams);
        let tools = parse_tools_with(fields.tools, path_params)?;
        let description =
            optional_str(fields.app_description, "appDescription")?.unwrap_or_default();
        let app_name = optional_str(fields.app_name, "appName")?;
        if features.is_none() {
            return Err(AppError::shape("`features` must be an array of strings"));
        }
        Ok(Self {
            app_id: app_id.unwrap_or_default().into_owned(),
            description: cut_description(&description).to_owned(),
            agents_md,
            tools,
            app_name: app_name
                .map(|name| name_line(&name, MAX_NAME_CHARS))
                .filter(|name| !name.is_empty()),
            carry_calls: has(Feature::CarryCalls),
            path_params,
            large_results: has(Feature::LargeResults),
        })
    }
}

/// Reads a required `agentsMd`.
///
/// # Errors
/// `agents_md_too_large` if it is missing, not a string or too long.
pub fn parse_agents_md(raw: Option<&RawValue>) -> Result<String, AppError> {
    raw.and_then(json_str)
        .filter(|text| utf16_len(text) <= MAX_AGENTS_MD_CHARS)
        .map(Cow::into_owned)
        .ok_or_else(|| {
            AppError::new(
                AppCode::AgentsMdTooLarge,
                format!("`agentsMd` must be a string of at most {MAX_AGENTS_MD_CHARS} characters"),
            )
        })
}

fn optional_str(raw: Option<&RawValue>, name: &str) -> Result<Option<String>, AppError> {
    match raw.map(json_str) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text.into_owned())),
        Some(None) => Err(AppError::shape(format!("`{name}` must be a string"))),
    }
}

/// The tokens that a `resume` revokes first.
///
/// # Errors
/// `protocol_error` unless it is an array of at most
/// [`MAX_REVOKE_ON_RESUME`] strings.
pub fn parse_revoke_tokens(raw: Option<&RawValue>) -> Result<Vec<String>, AppError> {
    let Some(raw) = raw else {
        return Ok(Vec::new());
    };
    elements(raw.get(), MAX_REVOKE_ON_RESUME)
        .filter(|(_, count)| *count <= MAX_REVOKE_ON_RESUME)
        .and_then(|(tokens, _)| texts(&tokens).collect())
        .ok_or_else(|| {
            AppError::shape(format!(
                "`revokeTokens` must be an array of at most {MAX_REVOKE_ON_RESUME} strings"
            ))
        })
}

/// The calls that a resuming app still works on. An app may say as many as it
/// likes: those after the first [`MAX_PENDING_CALLS`] are ignored, and so are those
/// over [`MAX_CALL_ID_BYTES`], which the relay gave to no call.
///
/// # Errors
/// `protocol_error` unless it is an array of strings.
pub fn parse_pending_calls(raw: Option<&RawValue>) -> Result<BTreeSet<String>, AppError> {
    let Some(raw) = raw else {
        return Ok(BTreeSet::new());
    };
    let ids: Option<Vec<String>> =
        elements(raw.get(), MAX_PENDING_CALLS).and_then(|(ids, _)| texts(&ids).collect());
    let ids = ids.ok_or_else(|| {
        AppError::shape("`pendingCalls` must be an array of call ids, which are strings")
    })?;
    let given = |id: &String| id.len() <= MAX_CALL_ID_BYTES;
    Ok(set_of(ids.into_iter().filter(given)))
}

/// The texts of JSON strings; `None` for each that is none.
fn texts(values: &[&RawValue]) -> impl Iterator<Item = Option<String>> {
    values.iter().map(|raw| json_str(raw).map(Cow::into_owned))
}

/// What `mint_agent_token` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintRequest {
    /// Who the link is for; empty if the app gave none.
    pub label: String,
    /// How long the token lives, in ms.
    pub expires_in_ms: Option<u64>,
    /// Which tools it may call.
    pub scope: Scope,
    /// How many calls it may make.
    pub max_calls: Option<u64>,
}

impl MintRequest {
    /// Checks a `mint_agent_token` frame. `null` counts as absent.
    ///
    /// # Errors
    /// `protocol_error` that names the field and its limits.
    pub fn parse(fields: &Fields<'_>) -> Result<Self, AppError> {
        let label = optional_str(present(fields.label), "label")?.unwrap_or_default();
        Ok(Self {
            label: cut(&label, MAX_LABEL_CHARS).to_owned(),
            expires_in_ms: optional_uint(
                fields.expires_in_ms,
                "expiresInMs",
                MAX_TOKEN_LIFETIME_MS,
            )?,
            scope: Scope::parse(fields.tools)?,
            max_calls: optional_uint(fields.max_calls, "maxCalls", MAX_TOKEN_CALLS)?,
        })
    }
}

fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

fn optional_uint(raw: Option<&RawValue>, name: &str, max: u64) -> Result<Option<u64>, AppError> {
    match present(raw).map(json_uint) {
        None => Ok(None),
        Some(Some(value)) if (1..=max).contains(&value) => Ok(Some(value)),
        Some(_) => Err(AppError::shape(format!(
            "`{name}` must be a whole number from 1 to {max}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_REGISTRATION_BYTES;

    fn register(members: &str) -> Result<Registration, AppError> {
        let apps = Apps::parse(r#"{"app":{"label":"App","allowedOrigins":["*"]},"site":{"label":"S","allowedOrigins":["https://a"]}}"#).unwrap();
        let text = format!(r#"{{"type":"register",{members}}}"#);
        Registration::parse(&AppFrame::parse(&text).unwrap(), &apps, None)
    }

    #[test]
    fn checks_come_in_the_order_of_the_protocol() {
        let cases = [
            (r#""appId":7,"agentsMd":7,"tools":7"#, AppCode::InvalidAppId),
            (r#""agentsMd":"""#, AppCode::InvalidAppId),
            (
                r#""appId":"nope","agentsMd":7,"tools":7"#,
                AppCode::UnknownAppId,
            ),
            (
                r#""appId":"site","agentsMd":7,"tools":7"#,
                AppCode::OriginDenied,
            ),
            (
                r#""appId":"app","agentsMd":7,"tools":7"#,
                AppCode::AgentsMdTooLarge,
            ),
            (r#""appId":"app","tools":7"#, AppCode::AgentsMdTooLarge),
            (
                r#""appId":"app","agentsMd":"","tools":[{"path":"/agents.md"}],"appDescription":7"#,
                AppCode::ReservedPath,
            ),
            (
                r#""appId":"app","agentsMd":"","tools":7"#,
                AppCode::ProtocolError,
            ),
            (
                r#""appId":"app","agentsMd":"","tools":null"#,
                AppCode::ProtocolError,
            ),
            (
                r#""appId":"app","agentsMd":"","appDescription":7"#,
                AppCode::ProtocolError,
            ),
            (
                r#""appId":"app","agentsMd":"","features":{}"#,
                AppCode::ProtocolError,
            ),
            (
                r#""appId":"app","agentsMd":"","appName":7"#,
                AppCode::ProtocolError,
            ),
            (
                r#""appId":"app","agentsMd":"","tools":[{"path":"/u/:id"}]"#,
                AppCode::ReservedPath,
            ),
        ];
        for (members, code) in cases {
            assert_eq!(register(members).unwrap_err().code, code, "{members}");
        }
    }

    #[test]
    fn texts_hold_their_limits() {
        let md = |text: &str| register(&format!(r#""appId":"app","agentsMd":"{text}""#));
        assert!(md(&"x".repeat(MAX_AGENTS_MD_CHARS)).is_ok());
        assert!(md(&"x".repeat(MAX_AGENTS_MD_CHARS + 1)).is_err());
        assert!(md(&"😀".repeat(MAX_AGENTS_MD_CHARS / 2)).is_ok());
        assert!(md(&"😀".repeat(MAX_AGENTS_MD_CHARS / 2 + 1)).is_err());
        let named = |name: &str| {
            let members = format!(r#""appId":"app","agentsMd":"","appName":"{name}""#);
            register(&members).unwrap().app_name
        };
        assert_eq!(named("A\\n\\u202e app"), Some("A app".to_owned()));
        assert_eq!(named(" "), None);
        assert_eq!(
            named(&"n".repeat(MAX_NAME_CHARS)),
            Some("n".repeat(MAX_NAME_CHARS))
        );
        assert_eq!(
            named(&"n".repeat(MAX_NAME_CHARS + 1)),
            Some("n".repeat(MAX_NAME_CHARS))
        );
        let long = register(&format!(
            r#""appId":"app","agentsMd":"","appDescription":"{}""#,
            "d".repeat(2000)
        ))
        .unwrap();
        assert_eq!(long.description.len(), 1024);
    }

    #[test]
    fn a_registration_has_a_size_without_its_lists_of_ids() {
        // Of texts that are within their own limits.
        let words = format!("\"{}\"", "x".repeat(4000));
        let tools: Vec<_> = (0..MAX_REGISTRATION_BYTES / 4096)
            .map(|n| format!(r#"{{"path":"/t{n}","description":{words}}}"#))
            .collect();
        let lists = format!(
            r#""revokeTokens":["{}"],"pendingCalls":["{}"],"#,
            "r".repeat(9999),
            "p".repeat(9999)
        );
        let sized = |bytes: usize, lists: &str| {
            let own = format!(
                r#"{lists}"appId":"app","agentsMd":"","tools":[{}],"more":"""#,
                tools.join(",")
            );
            let frame = format!(r#"{{"type":"register",{own}}}"#);
            let raw = AppFrame::parse(&frame).unwrap();
            let arrays = [raw.fields.revoke_tokens, raw.fields.pending_calls];
            let not_counted = arrays.into_iter().flatten().map(|raw| raw.get().len());
            let counted = frame.len() - not_counted.sum::<usize>();
            let more = format!(r#""more":"{}""#, "m".repeat(bytes - counted));
            register(&own.replace(r#""more":"""#, &more))
        };
        for lists in ["", lists.as_str()] {
            assert!(sized(MAX_REGISTRATION_BYTES, lists).is_ok());
            let error = sized(MAX_REGISTRATION_BYTES + 1, lists).unwrap_err();
            assert_eq!(error.code, AppCode::ProtocolError);
            assert!(
                error.message.starts_with(
                    "the registration has 524289 bytes, but may have at most 524288: "
                ),
                "{}",
                error.message
            );
        }
        // What was refused before for another reason still is.
        let md = "x".repeat(MAX_REGISTRATION_BYTES);
        let error = register(&format!(r#""appId":"app","agentsMd":"{md}""#)).unwrap_err();
        assert_eq!(error.code, AppCode::AgentsMdTooLarge);
    }

    #[test]
    fn so_many_pending_calls_count() {
        let read = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            parse_pending_calls(Some(&raw))
        };
        let list = |ids: &[String]| serde_json::to_string(ids).unwrap();
        let ids: Vec<String> = (0..=MAX_PENDING_CALLS).map(|n| format!("c{n}")).collect();
        let some = read(&list(&ids[..MAX_PENDING_CALLS])).unwrap();
        let more = read(&list(&ids)).unwrap();
        assert_eq!((some.len(), &more), (MAX_PENDING_CALLS, &some));
        let long = [
            "i".repeat(MAX_CALL_ID_BYTES),
            "j".repeat(MAX_CALL_ID_BYTES + 1),
        ];
        assert_eq!(
            read(&list(&long)).unwrap().into_iter().collect::<Vec<_>>(),
            [long[0].clone()]
        );
        for bad in ["{}", "7", "null", r#""c1""#, "[7]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(parse_pending_calls(None).unwrap().is_empty());
    }

    #[test]
    fn features_are_what_the_app_lists() {
        let with = |list: &str| {
            let tools = r#"[{"path":"/u/:id"}]"#;
            let members =
                format!(r#""appId":"app","agentsMd":"","features":{list},"tools":{tools}"#);
            register(&members)
        };
        let all = with(r#"["carry_calls","path_params","large_results","more"]"#).unwrap();
        assert!(all.carry_calls && all.path_params && all.large_results);
        let one = with(r#"["path_params"]"#).unwrap();
        assert!(!one.carry_calls && one.path_params && !one.large_results);
        assert_eq!(with("[]").unwrap_err().code, AppCode::ReservedPath);
    }

    #[test]
    fn mint_limits_are_checked_and_named() {
        let mint = |members: &str| {
            MintRequest::parse(
                &AppFrame::parse(&format!(r#"{{"type":"mint_agent_token"{members}}}"#))
                    .unwrap()
                    .fields,
            )
        };
        assert_eq!(
            mint("").unwrap(),
            MintRequest {
                label: String::new(),
                expires_in_ms: None,
                scope: Scope::ALL,
                max_calls: None
            }
        );
        assert!(mint(r#","label":null,"expiresInMs":null,"tools":null,"maxCalls":null"#).is_ok());
        assert_eq!(
            mint(&format!(r#","label":"{}""#, "l".repeat(300)))
                .unwrap()
                .label
                .len(),
            256
        );
        for (members, name) in [
            (r#","label":7"#, "label"),
            (r#","expiresInMs":0"#, "expiresInMs"),
            (r#","expiresInMs":1.5"#, "expiresInMs"),
            (r#","maxCalls":0"#, "maxCalls"),
            (r#","maxCalls":"3""#, "maxCalls"),
            (r#","tools":[]"#, "tools"),
        ] {
            assert!(
                mint(members).unwrap_err().message.contains(name),
                "{members}"
            );
        }
    }
}
