//! What one side writes the other reads as the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::app::{self, ReplyBody};
use super::relay::{self, CallBody, CallParts, CancelReason, Refusal};
use super::{AppFrame, FrameId, ReadError};
use crate::answer::{AppReply, JSON, ToolReply};
use crate::apps::Apps;
use crate::error::{AppCode, AppError};
use crate::feature::Feature;
use crate::id::SessionId;
use crate::json::Json;
use crate::limits::{MAX_BODY_BYTES, MAX_CALL_ID_BYTES, MAX_NAME_CHARS};
use crate::register::{MintRequest, Registration, parse_pending_calls, parse_revoke_tokens};
use crate::text::json_str;
use crate::token::{ResumeSecret, Secret};
use crate::tool::{Annotations, Scope, Tool};

const APPS: &str = r#"{"*":{"label":"Any","allowedOrigins":["*"]}}"#;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", "\\PC{0,12}", any::<String>()]
}

fn frame_id() -> impl Strategy<Value = FrameId> {
    prop_oneof![
        Just(FrameId::default()),
        any::<u64>().prop_map(FrameId::from),
        text().prop_map(|id| FrameId::from(id.as_str())),
    ]
}

fn secret() -> impl Strategy<Value = Secret> {
    text().prop_map(Secret::new)
}

fn session() -> impl Strategy<Value = (SessionId, ResumeSecret)> {
    (any::<[u8; 5]>(), any::<[u8; 32]>())
        .prop_map(|(id, secret)| (SessionId::from_random(id), ResumeSecret::new(secret)))
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        text().prop_map(|value| json!(value)),
        (text(), any::<u8>()).prop_map(|(name, value)| json!({name: [value, {"x": null}]})),
    ]
}

fn headers() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-z-]{1,9}", text(), 0..4)
}

fn schema() -> impl Strategy<Value = Option<Box<serde_json::value::RawValue>>> {
    prop::option::of(text().prop_map(|title| {
        let schema = json!({"type": "object", "title": title});
        serde_json::value::to_raw_value(&schema).unwrap()
    }))
}

/// A title as it is kept.
fn title() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-zä]{1,9}( [a-z]{1,9})?")
}

fn tool() -> impl Strategy<Value = Tool> {
    let marks = (any::<Option<bool>>(), any::<Option<bool>>());
    (
        "(GET|POST|DELETE)",
        "/[a-z]{1,6}",
        (title(), text()),
        (schema(), schema()),
        prop::option::of(1000..=300_000_u64),
        (any::<bool>(), any::<bool>(), marks),
    )
        .prop_map(|(method, path, texts, schemas, timeout_ms, flags)| Tool {
            method,
            path,
            title: texts.0,
            description: texts.1,
            input_schema: schemas.0,
            output_schema: schemas.1,
            timeout_ms,
            read_only: flags.0,
            allow_get: flags.1,
            annotations: Annotations {
                destructive: flags.2.0,
                idempotent: flags.2.1,
            },
        })
}

fn tools() -> impl Strategy<Value = Vec<Tool>> {
    prop::collection::vec(tool(), 0..4).prop_map(|mut tools| {
        tools.sort_by(|a, b| (&a.method, &a.path).cmp(&(&b.method, &b.path)));
        tools.dedup_by(|a, b| (&a.method, &a.path) == (&b.method, &b.path));
        tools
    })
}

fn register() -> impl Strategy<Value = app::Register> {
    let features = prop::collection::vec(prop_oneof![Just("carry_calls".to_owned()), text()], 0..3);
    (
        "[A-Za-z0-9_.-]{1,64}",
        prop::option::of(secret()),
        text(),
        (prop::option::of(text()), prop::option::of(text())),
        tools(),
        features,
    )
        .prop_map(
            |(app_id, app_key, agents_md, (app_name, app_description), tools, features)| {
                app::Register {
                    app_id,
                    app_key,
                    agents_md,
                    app_name,
                    app_description,
                    tools,
                    features,
                }
            },
        )
}

fn resume() -> impl Strategy<Value = app::Resume> {
    let revoke = prop::collection::vec(secret(), 0..3);
    let pending = prop::collection::vec(text(), 0..3);
    (session(), register(), revoke, pending).prop_map(
        |((session_id, secret), registration, revoke_tokens, pending_calls)| app::Resume {
            session_id,
            secret,
            registration,
            revoke_tokens,
            pending_calls,
        },
    )
}

fn mint() -> impl Strategy<Value = app::MintAgentToken> {
    let scope = prop::collection::vec("((GET|POST) )?/[a-z]{1,6}", 1..4);
    (
        frame_id(),
        prop::option::of(text()),
        prop::option::of(1..=31_536_000_000_u64),
        prop::option::of(scope),
        prop::option::of(1..=1_000_000_000_u64),
    )
        .prop_map(
            |(id, label, expires_in_ms, tools, max_calls)| app::MintAgentToken {
                id,
                label,
                expires_in_ms,
                tools,
                max_calls,
            },
        )
}

fn reply_body() -> impl Strategy<Value = ReplyBody> {
    prop_oneof![
        Just(ReplyBody::Empty),
        json_value().prop_map(|value| ReplyBody::Json(Json::of(&value).unwrap())),
        text().prop_map(|body| ReplyBody::text(&body)),
        any::<Vec<u8>>().prop_map(ReplyBody::Bytes),
    ]
}

fn tool_reply() -> impl Strategy<Value = app::ToolReply> {
    let task_id = prop::option::of(text());
    (text(), any::<u16>(), headers(), task_id, reply_body()).prop_map(
        |(id, status, headers, task_id, body)| app::ToolReply {
            id,
            status,
            headers,
            task_id,
            body,
        },
    )
}

fn app_frame() -> impl Strategy<Value = app::Frame> {
    prop_oneof![
        register().prop_map(app::Frame::from),
        resume().prop_map(app::Frame::from),
        session().prop_map(|(session_id, secret)| app::End { session_id, secret }.into()),
        mint().prop_map(app::Frame::from),
        (frame_id(), secret()).prop_map(|(id, token)| app::RevokeAgentToken { id, token }.into()),
        frame_id().prop_map(|id| app::ListAgentTokens { id }.into()),
        (frame_id(), tools(), prop::option::of(text())).prop_map(|(id, tools, agents_md)| {
            app::UpdateTools {
                id,
                tools,
                agents_md,
            }
            .into()
        }),
        tool_reply().prop_map(app::Frame::from),
        (text(), any::<u16>(), headers(), reply_body()).prop_map(
            |(task_id, status, headers, body)| {
                app::TaskComplete {
                    task_id,
                    status,
                    headers,
                    body,
                }
                .into()
            }
        ),
        (
            text(),
            prop::option::of(-1e300..1e300),
            prop::option::of(text())
        )
            .prop_map(|(task_id, progress, message)| {
                app::TaskProgress {
                    task_id,
                    progress,
                    message,
                }
                .into()
            }),
        frame_id().prop_map(|id| app::Ping { id }.into()),
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let code = prop::sample::select(AppCode::ALL).prop_map(|code| code.name().to_owned());
    (prop_oneof![code, text()], text()).prop_map(|(code, message)| Refusal { code, message })
}

fn outcome<T: Clone + std::fmt::Debug>(
    done: impl Strategy<Value = T>,
) -> impl Strategy<Value = Result<T, Refusal>> {
    prop_oneof![done.prop_map(Ok), refusal().prop_map(Err)]
}

fn registered() -> impl Strategy<Value = relay::Registered> {
    let features = prop::collection::vec(text(), 0..3);
    (session(), any::<bool>(), features).prop_map(
        |((session_id, resume_secret), resumed, features)| relay::Registered {
            session_id,
            resume_secret,
            resumed,
            features,
        },
    )
}

fn minted() -> impl Strategy<Value = relay::Minted> {
    (secret(), secret(), text(), any::<Option<u64>>()).prop_map(
        |(token, url, label, expires_at)| relay::Minted {
            token,
            url,
            label,
            expires_at,
        },
    )
}

fn token_view() -> impl Strategy<Value = relay::TokenView> {
    (text(), text(), any::<u64>(), any::<Option<u64>>()).prop_map(
        |(token, label, minted_at, expires_at)| {
            relay::TokenView::new(token, label, minted_at, expires_at)
        },
    )
}

fn tool_call() -> impl Strategy<Value = relay::ToolCall> {
    let agent = (text(), text()).prop_map(|(id, label)| relay::Agent { id, label });
    let body = prop_oneof![
        text().prop_map(CallBody::Text),
        any::<Vec<u8>>().prop_map(CallBody::Bytes),
    ];
    (
        text(),
        text(),
        text(),
        (
            prop::option::of(text()),
            headers(),
            prop::option::of(text()),
        ),
        headers(),
        prop::option::of(agent),
        body,
    )
        .prop_map(
            |(id, method, path, (route, params, query), headers, agent, body)| relay::ToolCall {
                id,
                method,
                path,
                params: if route.is_some() {
                    params
                } else {
                    BTreeMap::new()
                },
                route,
                query,
                headers,
                agent,
                body,
            },
        )
}

fn relay_frame() -> impl Strategy<Value = relay::Frame> {
    let reason =
        prop::sample::select(CancelReason::ALL).prop_map(|reason| reason.name().to_owned());
    let reason = prop_oneof![reason, text()];
    prop_oneof![
        tool_call().prop_map(relay::Frame::from),
        (text(), reason).prop_map(|(id, reason)| relay::ToolCancel { id, reason }.into()),
        frame_id().prop_map(|id| relay::Pong { id }.into()),
        outcome(registered()).prop_map(|outcome| relay::RegisterReply { outcome }.into()),
        outcome(Just(())).prop_map(|outcome| relay::EndReply { outcome }.into()),
        (frame_id(), outcome(minted())).prop_map(|(id, outcome)| relay::MintAgentTokenReply {
            id,
            outcome
        }
        .into()),
        (frame_id(), outcome(Just(()))).prop_map(|(id, outcome)| relay::RevokeAgentTokenReply {
            id,
            outcome
        }
        .into()),
        (
            frame_id(),
            outcome(prop::collection::vec(token_view(), 0..3))
        )
            .prop_map(|(id, outcome)| relay::ListAgentTokensReply { id, outcome }.into()),
        (frame_id(), outcome(Just(()))).prop_map(|(id, outcome)| relay::UpdateToolsReply {
            id,
            outcome
        }
        .into()),
        (text(), text(), text()).prop_map(|(task_id, code, message)| {
            relay::TaskError {
                task_id,
                code,
                message,
            }
            .into()
        }),
    ]
}

/// The same frame with a member that nobody knows, and with every member twice,
/// first with another value.
fn with_more(frame: &str) -> [String; 2] {
    let members = frame.strip_prefix('{').unwrap();
    let names = crate::json::Object::read(frame).unwrap();
    let first: String = names
        .iter()
        .map(|(name, _)| format!("\"{name}\":[],"))
        .collect();
    [
        format!(r#"{{"later":{{"x":[1]}},{members}"#),
        format!("{{{first}{members}"),
    ]
}

/// The members of a frame as the relay reads them, handed to `check`.
fn raw<T>(frame: &str, check: impl FnOnce(&super::Fields<'_>) -> T) -> T {
    check(&AppFrame::parse(frame).unwrap().fields)
}

fn texts(list: &[Secret]) -> Vec<String> {
    list.iter()
        .map(|secret| secret.reveal().to_owned())
        .collect()
}

proptest! {
    #[test]
    fn frames_of_an_app_read_back(frame in app_frame()) {
        let sent = frame.to_json();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&sent).is_ok(), "{}", sent);
        prop_assert_eq!(AppFrame::parse(&sent).map(|raw| raw.frame_type), Some(frame.frame_type()));
        for more in with_more(&sent) {
            prop_assert_eq!(app::Frame::parse(&more), Ok(frame.clone()), "{}", more);
        }
        prop_assert_eq!(app::Frame::parse(&sent), Ok(frame));
    }

    #[test]
    fn frames_of_the_relay_read_back(frame in relay_frame()) {
        let sent = frame.to_json();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&sent).is_ok(), "{}", sent);
        for more in with_more(&sent) {
            prop_assert_eq!(relay::Frame::parse(&more), Ok(frame.clone()), "{}", more);
        }
        prop_assert_eq!(relay::Frame::parse(&sent), Ok(frame));
    }

    #[test]
    fn the_relay_takes_a_registration_as_it_was_meant(frame in register()) {
        let read = Registration::parse(&AppFrame::parse(&frame.to_json()).unwrap(), &Apps::parse(APPS).unwrap(), None).unwrap();
        prop_assert_eq!(read, Registration {
            app_id: frame.app_id,
            app_name: frame.app_name.map(|name| crate::text::name_line(&name, MAX_NAME_CHARS)).filter(|name| !name.is_empty()),
            description: crate::tool::cut_description(&frame.app_description.unwrap_or_default()).to_owned(),
            agents_md: frame.agents_md,
            tools: frame.tools,
            carry_calls: Feature::CarryCalls.is_in(&frame.features),
            path_params: Feature::PathParams.is_in(&frame.features),
            large_results: Feature::LargeResults.is_in(&frame.features),
        });
    }

    #[test]
    fn the_relay_takes_a_resume_as_it_was_meant(frame in resume()) {
        let text = frame.to_json();
        let sent = AppFrame::parse(&text).unwrap();
        let fields = &sent.fields;
        let session = json_str(fields.session_id.unwrap()).unwrap();
        let secret = json_str(fields.secret.unwrap()).unwrap();
        let apps = Apps::parse(APPS).unwrap();
        prop_assert_eq!(session.as_ref(), frame.session_id.as_str());
        prop_assert_eq!(ResumeSecret::parse(&secret), Some(frame.secret));
        prop_assert_eq!(parse_revoke_tokens(fields.revoke_tokens).unwrap(), texts(&frame.revoke_tokens));
        prop_assert_eq!(Registration::parse(&sent, &apps, None).unwrap().tools, frame.registration.tools);
        let pending = parse_pending_calls(fields.pending_calls).unwrap();
        let meant = frame.pending_calls.into_iter();
        prop_assert_eq!(pending, meant.filter(|id| id.len() <= MAX_CALL_ID_BYTES).collect());
    }

    #[test]
    fn the_relay_takes_a_mint_as_it_was_meant(frame in mint()) {
        let read = raw(&frame.to_json(), MintRequest::parse).unwrap();
        let label = frame.label.unwrap_or_default();
        prop_assert!(read.label == crate::text::cut(&label, crate::limits::MAX_LABEL_CHARS));
        prop_assert_eq!((read.expires_in_ms, read.max_calls), (frame.expires_in_ms, frame.max_calls));
        prop_assert_eq!(read.scope == Scope::ALL, frame.tools.is_none());
    }

    #[test]
    fn the_relay_takes_a_reply_as_it_was_meant(mut frame in tool_reply(), status in 206..300_u16) {
        frame.status = status;
        frame.headers = BTreeMap::from([("content-type".to_owned(), "a/b".to_owned())]);
        let read = raw(&frame.to_json(), ToolReply::parse).unwrap();
        let (content_type, body) = match frame.body {
            ReplyBody::Empty => (None, Vec::new()),
            ReplyBody::Bytes(bytes) => (Some("a/b"), bytes),
            ReplyBody::Json(json) => match json.read::<String>() {
                Ok(text) => (Some("a/b"), text.into_bytes()),
                Err(_) => (Some(JSON), json.get().as_bytes().to_vec()),
            },
        };
        let content_type = content_type.map(str::to_owned);
        prop_assert_eq!(read, ToolReply::Done(AppReply { status, content_type, body }));
    }

    #[test]
    fn an_app_takes_a_call_as_it_was_made(call in tool_call(), body: Vec<u8>, text: String) {
        let mut headers_json = String::new();
        super::member::Value::append(&call.headers, &mut headers_json);
        let agent = call.agent.clone().unwrap_or_default();
        let call = relay::ToolCall { params: if call.params.is_empty() { BTreeMap::from([("id".to_owned(), call.id.clone())]) } else { call.params.clone() }, ..call };
        let call = if call.route.is_none() { relay::ToolCall { params: BTreeMap::new(), ..call } } else { call };
        let mut params_json = String::new();
        super::member::Value::append(&call.params, &mut params_json);
        let parts = CallParts {
            id: &call.id,
            method: &call.method,
            path: &call.path,
            route: call.route.as_deref().map(|route| (route, params_json.as_str())),
            query: call.query.as_deref(),
            headers_json: &headers_json,
            agent_id: &agent.id,
            agent_label: &agent.label,
        };
        for body in [body.as_slice(), text.as_bytes()] {
            let expected = match std::str::from_utf8(body) {
                Ok(text) => CallBody::Text(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()),
                Err(_) => CallBody::Bytes(body.to_vec()),
            };
            let expected = relay::ToolCall { agent: Some(agent.clone()), body: expected, ..call.clone() };
            let sent = parts.to_json(body);
            let value = |frame: &str| serde_json::from_str::<serde_json::Value>(frame).unwrap();
            prop_assert_eq!(value(&sent), value(&expected.to_json()));
            prop_assert_eq!(relay::Frame::parse(&sent), Ok(expected.into()));
        }
    }

    #[test]
    fn an_app_learns_why_it_was_refused(code in prop::sample::select(AppCode::ALL), message in text(), id in frame_id()) {
        let request = app::UpdateTools { id: id.clone(), ..app::UpdateTools::default() }.to_json();
        let error = AppError::new(code, message.clone());
        let refusal = AppFrame::parse(&request).unwrap().refusal(&error).unwrap();
        let Ok(relay::Frame::UpdateToolsReply(read)) = relay::Frame::parse(&refusal.to_json()) else {
            return Err(TestCaseError::fail(format!("{refusal:?}")));
        };
        let refusal = read.outcome.unwrap_err();
        prop_assert_eq!((read.id, refusal.known_code(), refusal.message), (id, Some(code), message));
    }
}

#[test]
fn the_frame_of_the_largest_body_is_as_large_as_the_protocol_says() {
    let parts = CallParts {
        id: "4294967295-0123456789ab",
        method: "POST",
        path: "/a",
        route: None,
        query: None,
        headers_json: "{}",
        agent_id: "01234567",
        agent_label: "",
    };
    // A control character is the worst that a body can be made of.
    for (byte, least) in [(1, 6_291_456), (b'a', 1_048_576), (0xff, 1_398_104)] {
        let frame = parts.to_json(&vec![byte; MAX_BODY_BYTES]);
        assert!(
            (least..6_400_000).contains(&frame.len()),
            "{byte}: {}",
            frame.len()
        );
    }
}

#[test]
fn every_type_has_one_name() {
    for frame_type in app::FrameType::ALL {
        assert_eq!(app::FrameType::parse(frame_type.name()), Some(*frame_type));
    }
    for frame_type in relay::FrameType::ALL {
        assert_eq!(
            relay::FrameType::parse(frame_type.name()),
            Some(*frame_type)
        );
    }
}

#[test]
fn what_is_not_a_frame_says_why() {
    let unknown = ["", "[]", "{}", r#"{"type":7}"#, r#"{"type":"nope"}"#];
    for text in unknown {
        assert_eq!(app::Frame::parse(text), Err(ReadError::Unknown), "{text}");
        assert_eq!(relay::Frame::parse(text), Err(ReadError::Unknown), "{text}");
    }
    for (text, name) in [
        (r#"{"type":"register"}"#, "appId"),
        (
            r#"{"type":"register","appId":"a","agentsMd":7}"#,
            "agentsMd",
        ),
        (r#"{"type":"ping","id":{}}"#, "id"),
        (r#"{"type":"tool_reply","id":"c","status":"200"}"#, "status"),
        (
            r#"{"type":"tool_reply","id":"c","status":200,"body":"_","bodyEncoding":"base64"}"#,
            "body",
        ),
        (
            r#"{"type":"tool_reply","id":"c","status":200,"body":"","bodyEncoding":"hex"}"#,
            "bodyEncoding",
        ),
        (r#"{"type":"update_tools","id":"u"}"#, "tools"),
    ] {
        assert_eq!(
            app::Frame::parse(text),
            Err(ReadError::Member(name)),
            "{text}"
        );
    }
    for (text, name) in [
        (r#"{"type":"tool_call","id":"c","method":"GET"}"#, "path"),
        (
            r#"{"type":"tool_call","id":"c","method":"GET","path":"/","body":{}}"#,
            "body",
        ),
        (r#"{"type":"register_reply","ok":false}"#, "error"),
        (
            r#"{"type":"register_reply","ok":true,"sessionId":"x"}"#,
            "sessionId",
        ),
        (
            r#"{"type":"list_agent_tokens_reply","id":"l","tokens":[{}]}"#,
            "tokens",
        ),
    ] {
        assert_eq!(
            relay::Frame::parse(text),
            Err(ReadError::Member(name)),
            "{text}"
        );
    }
}

/// Every request is refused by the reply that is named after it.
#[test]
fn refusals_are_named_after_their_requests() {
    let error = AppError::shape("m");
    let refused = |name: &str| {
        let text = format!(r#"{{"type":"{name}","id":"r"}}"#);
        AppFrame::parse(&text).unwrap().refusal(&error)
    };
    for frame_type in app::FrameType::ALL {
        let name = frame_type.name();
        let reply = refused(name).map(|frame| frame.frame_type().name());
        let expected = match name {
            "tool_reply" | "task_complete" | "task_progress" | "ping" => None,
            "resume" => Some("register_reply".to_owned()),
            _ => Some(format!("{name}_reply")),
        };
        assert_eq!(reply.map(str::to_owned), expected, "{name}");
    }
}

/// To the letter, but for the order of members.
#[test]
fn replies_are_as_clients_know_them() {
    let value = |frame: relay::Frame| -> serde_json::Value { frame.to_json().parse().unwrap() };
    let pong = relay::Pong { id: "as_hb".into() };
    assert_eq!(pong.to_json(), crate::limits::HEARTBEAT_PONG);
    assert_eq!(
        app::Ping { id: "as_hb".into() }.to_json(),
        crate::limits::HEARTBEAT_PING
    );
    let secret = ResumeSecret::new([0; 32]);
    let registered = |resumed| relay::RegisterReply {
        outcome: Ok(relay::Registered {
            session_id: SessionId::from_random([0; 5]),
            resume_secret: secret.clone(),
            resumed,
            features: Feature::names(),
        }),
    };
    let mut expected = json!({"type": "register_reply", "ok": true, "sessionId": "00000000", "resumeSecret": "A".repeat(43), "features": Feature::names()});
    assert_eq!(value(registered(false).into()), expected);
    expected["resumed"] = json!(true);
    assert_eq!(value(registered(true).into()), expected);
    let (id, outcome) = (
        FrameId::from(7),
        Ok(relay::Minted::new("T".into(), "L".into(), None)),
    );
    assert_eq!(
        value(relay::MintAgentTokenReply { id, outcome }.into()),
        json!({"type": "mint_agent_token_reply", "id": 7, "ok": true, "token": "T", "url": "__BASE__/v1/t/T/agents.md", "label": "L", "expiresAt": null})
    );
    let (id, outcome) = (
        FrameId::default(),
        Ok(vec![relay::TokenView::new(
            "T".into(),
            "L".into(),
            5,
            Some(9),
        )]),
    );
    assert_eq!(
        value(relay::ListAgentTokensReply { id, outcome }.into()),
        json!({"type": "list_agent_tokens_reply", "id": null, "tokens": [{"token": "T", "url": "__BASE__/v1/t/T/agents.md", "label": "L", "mintedAt": 5, "expiresAt": 9}]})
    );
    let (id, outcome) = (FrameId::from("u"), Err(AppError::shape("m").into()));
    assert_eq!(
        value(relay::UpdateToolsReply { id, outcome }.into()),
        json!({"type": "update_tools_reply", "id": "u", "ok": false, "error": {"code": "protocol_error", "message": "m"}})
    );
    assert_eq!(
        value(relay::EndReply { outcome: Ok(()) }.into()),
        json!({"type": "end_reply", "ok": true})
    );
    assert_eq!(
        value(relay::TaskError::new("t", AppError::shape("m")).into()),
        json!({"type": "task_error", "taskId": "t", "code": "protocol_error", "message": "m"})
    );
    assert_eq!(
        value(relay::ToolCancel::new("c", CancelReason::Revoked).into()),
        json!({"type": "tool_cancel", "id": "c", "reason": "revoked"})
    );
}

/// What relays of the first version send, and what they leave out.
#[test]
fn frames_of_older_relays_are_read() {
    let call = r#"{"type":"tool_call","id":"c","method":"POST","path":"/a","body":"x","headers":{"content-type":"a/b"}}"#;
    let Ok(relay::Frame::ToolCall(call)) = relay::Frame::parse(call) else {
        panic!("{call}");
    };
    assert_eq!((call.agent, call.query), (None, None));
    assert_eq!(call.body.as_bytes(), b"x");
    let secret = ResumeSecret::new([7; 32]).reveal();
    let reply = format!(
        r#"{{"type":"register_reply","ok":true,"sessionId":"00000001","resumeSecret":"{secret}"}}"#
    );
    let Ok(relay::Frame::RegisterReply(reply)) = relay::Frame::parse(&reply) else {
        panic!("{reply}");
    };
    let registered = reply.outcome.unwrap();
    assert!(!registered.resumed && registered.features.is_empty());
}

#[test]
fn debug_shows_no_secret_and_no_body() {
    let secret = ResumeSecret::new([7; 32]);
    let hidden = Secret::new("hidden");
    let session_id = SessionId::from_random([7; 5]);
    let registration = app::Register {
        app_id: "app".to_owned(),
        app_key: Some(hidden.clone()),
        ..app::Register::default()
    };
    let id = FrameId::from("id");
    let frames: [app::Frame; 4] = [
        app::Resume {
            session_id,
            secret: secret.clone(),
            registration,
            revoke_tokens: vec![hidden.clone()],
            pending_calls: Vec::new(),
        }
        .into(),
        app::End {
            session_id,
            secret: secret.clone(),
        }
        .into(),
        app::RevokeAgentToken {
            id: id.clone(),
            token: hidden.clone(),
        }
        .into(),
        app::ToolReply {
            id: "c".to_owned(),
            status: 200,
            headers: BTreeMap::new(),
            task_id: None,
            body: ReplyBody::text("hidden"),
        }
        .into(),
    ];
    let token = relay::TokenView::new("hidden".to_owned(), String::new(), 0, None);
    let minted = relay::Minted {
        token: hidden.clone(),
        url: Secret::new(relay::link("hidden")),
        label: String::new(),
        expires_at: None,
    };
    let registered = relay::Registered {
        session_id,
        resume_secret: secret.clone(),
        resumed: false,
        features: Vec::new(),
    };
    let replies: [relay::Frame; 4] = [
        relay::RegisterReply {
            outcome: Ok(registered),
        }
        .into(),
        relay::MintAgentTokenReply {
            id: id.clone(),
            outcome: Ok(minted),
        }
        .into(),
        relay::ListAgentTokensReply {
            id,
            outcome: Ok(vec![token]),
        }
        .into(),
        relay::ToolCall {
            id: "c".to_owned(),
            method: "POST".to_owned(),
            path: "/a".to_owned(),
            route: None,
            params: BTreeMap::new(),
            query: None,
            headers: BTreeMap::new(),
            agent: None,
            body: CallBody::Text("hidden".to_owned()),
        }
        .into(),
    ];
    let shown = format!("{frames:?} {replies:?}");
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(!shown.contains(&secret.reveal()), "{shown}");
    assert!(shown.contains("redacted"), "{shown}");
}
