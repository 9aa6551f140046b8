//! What the records and attachments say of themselves, read independently of
//! the session, and what must hold of it after every event.

use std::collections::BTreeMap;

use agent_socket_driver::Millis;
use agent_socket_wire::limits::{
    MAX_FINISHED_TASKS, MAX_LIVE_TOKENS, MAX_PENDING_TASKS, MAX_RESULT_BYTES,
};
use serde_json::Value;

/// A record, as far as it matters here.
#[derive(Clone)]
enum Fact {
    Session { until: Option<Millis> },
    Registration,
    Token(TokenFact),
    Task { expires_at: Millis, completed: bool },
    Result { bytes: usize },
}

#[derive(Clone)]
struct TokenFact {
    expires_at: Option<Millis>,
    /// Calls that were counted, and how many there may be.
    calls: Option<(u64, u64)>,
    is_sealed: bool,
}

impl Fact {
    fn read(key: &str, value: &str) -> Self {
        let read = || serde_json::from_str::<Value>(value).unwrap();
        match key.split('/').next().unwrap() {
            "session" => Self::Session {
                until: read()["held"]["until"].as_u64(),
            },
            "registration" => Self::Registration,
            "token" => Self::Token(TokenFact::read(&read())),
            "task" => Self::Task {
                expires_at: read()["expiresAt"].as_u64().unwrap(),
                completed: read()["completed"].as_bool().unwrap(),
            },
            "result" => Self::Result { bytes: value.len() },
            kind => panic!("a record of an unknown kind: {kind}"),
        }
    }

    /// When something must happen to it.
    fn deadline(&self) -> Option<Millis> {
        match self {
            Self::Session { until } => *until,
            Self::Token(token) if token.is_sealed => token.expires_at,
            Self::Task { expires_at, .. } => Some(*expires_at),
            _ => None,
        }
    }
}

impl TokenFact {
    fn read(value: &Value) -> Self {
        Self {
            expires_at: value["expiresAt"].as_u64(),
            calls: value["calls"].as_u64().zip(value["maxCalls"].as_u64()),
            is_sealed: !value["sealed"].is_null(),
        }
    }

    fn is_live(&self, now: Millis) -> bool {
        let is_used_up = self.calls.is_some_and(|(made, max)| made >= max);
        self.is_sealed && !is_used_up && self.expires_at.is_none_or(|at| at > now)
    }
}

/// All records, followed as they are written.
#[derive(Clone, Default)]
pub(crate) struct Audit(BTreeMap<String, Fact>);

impl Audit {
    pub(crate) fn of(records: &BTreeMap<String, String>) -> Self {
        let facts = records
            .iter()
            .map(|(key, value)| (key.clone(), Fact::read(key, value)));
        Self(facts.collect())
    }

    pub(crate) fn put(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), Fact::read(key, value));
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The nearest deadline of records and attachments: when the alarm is due.
    pub(crate) fn deadline<'a>(
        &self,
        attachments: impl Iterator<Item = &'a str>,
    ) -> Option<Millis> {
        let checks = attachments.filter_map(|text| {
            let attachment: Value = serde_json::from_str(text).unwrap();
            attachment["app"]["checkAt"].as_u64()
        });
        checks
            .chain(self.0.values().filter_map(Fact::deadline))
            .min()
    }

    /// Fails if a call was sent with a token whose time is over, or that has made
    /// `sent` calls although not so many were counted or may be made.
    pub(crate) fn check_call(&self, agent: &str, sent: u64, now: Millis) {
        let token = self.0.iter().find_map(|(key, fact)| match fact {
            Fact::Token(token) if key.starts_with(&format!("token/{agent}")) => Some(token),
            _ => None,
        });
        let token = token.unwrap_or_else(|| panic!("a call of {agent}, which has no token"));
        let is_over = token.expires_at.is_some_and(|at| at <= now);
        assert!(!is_over, "a call of {agent}, whose time is over");
        if let Some((counted, max)) = token.calls {
            assert!(
                sent <= counted && counted <= max,
                "call {sent} of {agent}, with {counted} counted of {max}"
            );
        }
    }

    /// Fails unless a session that exists is kept whole and within its limits.
    pub(crate) fn check(&self, now: Millis) {
        assert!(self.0.contains_key("session") && self.0.contains_key("registration"));
        let (mut live, mut pending, mut finished, mut results) = (0, 0, 0, 0);
        let mut result_bytes = 0;
        for (key, fact) in &self.0 {
            match fact {
                Fact::Token(token) if token.is_live(now) => live += 1,
                Fact::Task {
                    completed: true, ..
                } => finished += 1,
                Fact::Task { .. } => pending += 1,
                Fact::Result { bytes } => {
                    results += 1;
                    result_bytes += bytes;
                    let task = key.replace("result/", "task/");
                    let is_done = matches!(
                        self.0.get(&task),
                        Some(Fact::Task {
                            completed: true,
                            ..
                        })
                    );
                    assert!(is_done, "{key} is the result of no task");
                }
                _ => {}
            }
        }
        assert_eq!(finished, results, "finished tasks without a result");
        assert!(live <= MAX_LIVE_TOKENS && pending <= MAX_PENDING_TASKS);
        assert!(finished <= MAX_FINISHED_TASKS + MAX_PENDING_TASKS);
        assert!(
            result_bytes <= MAX_RESULT_BYTES,
            "{result_bytes} bytes of results"
        );
    }
}
