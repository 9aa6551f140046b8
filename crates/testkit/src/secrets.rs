//! Watches that no secret gets where it must not be.

use std::collections::BTreeMap;

use agent_socket_driver::{RequestId, Write};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::frames::json_of;
use crate::machine::Done;

/// Every secret that was made so far, in the spellings it could leak in.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    spellings: Vec<String>,
    /// Who asked: an agent may see its own token.
    tokens: BTreeMap<RequestId, String>,
}

impl Secrets {
    pub(crate) fn asked_by(&mut self, request: RequestId, token: &str) {
        self.tokens.insert(request, token.to_owned());
    }

    /// Fails if an event shows a secret to those who may not have it, one that it
    /// made itself, too.
    pub(crate) fn check(&mut self, done: &[Done]) {
        for one in done {
            self.learn(one);
        }
        for one in done {
            self.check_one(one);
        }
    }

    fn learn(&mut self, done: &Done) {
        match done {
            Done::Send(text) => {
                let frame = json_of(text);
                self.add(frame["resumeSecret"].as_str());
                let token = frame["token"].as_str();
                self.add(token.and_then(|token| token.get(token.len() - 22..)));
            }
            Done::Attach(attachment) => {
                let attachment: Value = serde_json::from_str(attachment).unwrap();
                self.add(attachment["app"]["sealKey"].as_str());
            }
            _ => {}
        }
    }

    fn add(&mut self, secret: Option<&str>) {
        let Some(text) = secret.filter(|text| !self.spellings.iter().any(|one| one == text)) else {
            return;
        };
        let decoded = URL_SAFE_NO_PAD.decode(text);
        let bytes = decoded.or_else(|_| STANDARD_NO_PAD.decode(text)).unwrap();
        self.spellings.extend([
            URL_SAFE_NO_PAD.encode(&bytes),
            STANDARD_NO_PAD.encode(&bytes),
            agent_socket_wire::hex::encode(&bytes),
        ]);
    }

    fn leaks(&self, text: &str) -> bool {
        self.spellings.iter().any(|secret| text.contains(secret))
    }

    /// Whether a text shows its reader another's secret.
    fn leaks_to(&self, request: RequestId, text: &str) -> bool {
        let own = self.tokens.get(&request).map_or("\0", String::as_str);
        self.leaks(&text.replace(own, ""))
    }

    fn check_one(&self, done: &Done) {
        match done {
            Done::Write(Write::Put { key, value }) => {
                assert!(!self.leaks(key) && !self.leaks(value), "a secret in {key}");
            }
            Done::Log(line) => assert!(!self.leaks(line), "a secret in the log"),
            Done::Answer(request, answer) => {
                let body = String::from_utf8_lossy(&answer.body);
                assert!(!self.leaks_to(*request, &body), "a secret in an answer");
            }
            Done::Chunk(request, text) => {
                assert!(!self.leaks_to(*request, text), "a secret in a stream");
            }
            Done::Send(text) if self.leaks(text) => {
                let frame = json_of(text);
                let owners = [
                    "register_reply",
                    "mint_agent_token_reply",
                    "list_agent_tokens_reply",
                ];
                let to = frame["type"].as_str().unwrap();
                assert!(owners.contains(&to), "a secret in a {to}");
            }
            _ => {}
        }
    }
}
