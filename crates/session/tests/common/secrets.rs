//! Watches that no secret gets where it must not be.

use std::collections::BTreeMap;

use agent_socket_session::{Effect, RequestId, Write};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::world::json_of;

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

    /// Learns the secrets that an event made.
    pub(crate) fn learn(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Send { text, .. } => {
                    let frame = json_of(text);
                    self.add(frame["resumeSecret"].as_str());
                    let token = frame["token"].as_str();
                    self.add(token.and_then(|token| token.get(token.len() - 22..)));
                }
                Effect::Attach { attachment, .. } => {
                    let attachment: Value = serde_json::from_str(attachment).unwrap();
                    self.add(attachment["app"]["sealKey"].as_str());
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, secret: Option<&str>) {
        let Some(text) = secret.filter(|text| !self.spellings.iter().any(|one| one == text)) else {
            return;
        };
        let decoded = URL_SAFE_NO_PAD.decode(text);
        let bytes = decoded.or_else(|_| STANDARD_NO_PAD.decode(text)).unwrap();
        let hex = agent_socket_wire::hex::encode(&bytes);
        self.spellings.extend([
            URL_SAFE_NO_PAD.encode(&bytes),
            STANDARD_NO_PAD.encode(&bytes),
            hex,
        ]);
    }

    fn leaks(&self, text: &str) -> bool {
        self.spellings.iter().any(|secret| text.contains(secret))
    }

    /// Fails if an event shows a secret to those who may not have it.
    pub(crate) fn check(&self, writes: &[Write], effects: &[Effect]) {
        for write in writes {
            if let Write::Put { key, value } = write {
                assert!(!self.leaks(key) && !self.leaks(value), "a secret in {key}");
            }
        }
        for effect in effects {
            self.check_effect(effect);
        }
    }

    fn check_effect(&self, effect: &Effect) {
        match effect {
            Effect::Log(line) => assert!(!self.leaks(line), "a secret in the log"),
            Effect::Answer { request, answer } => {
                let own = self.tokens.get(request).map_or("\0", String::as_str);
                let body = String::from_utf8_lossy(&answer.body).replace(own, "");
                assert!(!self.leaks(&body), "a secret in an answer");
            }
            Effect::Chunk { request, text } => {
                let own = self.tokens.get(request).map_or("\0", String::as_str);
                assert!(!self.leaks(&text.replace(own, "")), "a secret in a stream");
            }
            Effect::Send { text, .. } if self.leaks(text) => {
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
