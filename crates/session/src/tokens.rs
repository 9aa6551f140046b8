//! The agent tokens of a session.

use std::collections::BTreeMap;

use agent_socket_wire::limits::MAX_LIVE_TOKENS;
use agent_socket_wire::token::VerifierHash;
use agent_socket_wire::tool::Scope;
use agent_socket_wire::work::counted;
use serde::{Deserialize, Serialize};

use crate::effect::{Millis, Write};
use crate::record::{LoadError, TOKEN_PREFIX, to_json};

/// One token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    pub(crate) label: String,
    pub(crate) minted_at: Millis,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) scope: Scope,
    pub(crate) max_calls: Option<u64>,
    #[serde(default)]
    pub(crate) calls: u64,
    /// The verifier, sealed; gone once the token is used up.
    pub(crate) sealed: Option<String>,
}

impl Token {
    pub(crate) fn is_live(&self, now: Millis) -> bool {
        !self.is_expired(now) && !self.is_spent()
    }

    fn is_expired(&self, now: Millis) -> bool {
        // What was forgotten stays so, even if the clock goes back.
        let is_forgotten = self.sealed.is_none() && !self.is_spent();
        is_forgotten || self.expires_at.is_some_and(|at| at <= now)
    }

    fn is_spent(&self) -> bool {
        self.max_calls.is_some_and(|max| self.calls >= max)
    }

    fn state(&self, now: Millis) -> TokenState {
        if self.is_expired(now) {
            TokenState::Expired
        } else if self.is_spent() {
            TokenState::Spent
        } else {
            TokenState::Live
        }
    }
}

/// All tokens: the live ones, and the last of those that are used up, so that
/// their holders learn why they are refused.
#[derive(Default)]
pub(crate) struct Tokens(BTreeMap<VerifierHash, Token>);

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenState {
    Live,
    /// Its calls are used up; what they started can still be fetched.
    Spent,
    /// Its time is over.
    Expired,
    Unknown,
}

impl Tokens {
    pub(crate) fn load(records: Vec<(String, Token)>) -> Result<Self, LoadError> {
        let mut tokens = BTreeMap::new();
        for (hash, token) in records {
            let hash = VerifierHash::from_hex(&hash)
                .ok_or_else(|| LoadError("a token's key is not a hash".to_owned()))?;
            tokens.insert(hash, token);
        }
        Ok(Self(tokens))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Looks a hash up. The time of a lookup depends on stored hashes only
    /// through comparisons of SHA-256 values, which tell nothing of a verifier.
    pub(crate) fn state(&self, hash: &VerifierHash, now: Millis) -> TokenState {
        match self.0.get_key_value(hash) {
            Some((found, token)) if found.matches(hash) => token.state(now),
            _ => TokenState::Unknown,
        }
    }

    /// The state of a token that was good when its request came, by the hash that
    /// was kept since: nobody can choose that, so its comparison tells nothing.
    pub(crate) fn state_of_known(&self, hash: &VerifierHash, now: Millis) -> TokenState {
        let token = self.0.get(hash);
        token.map_or(TokenState::Unknown, |token| token.state(now))
    }

    /// What a token may call: nothing, if it is not known.
    pub(crate) fn scope(&self, hash: &VerifierHash) -> &Scope {
        static NOTHING: Scope = Scope::NONE;
        self.0.get(hash).map_or(&NOTHING, |token| &token.scope)
    }

    pub(crate) fn label(&self, hash: &VerifierHash) -> &str {
        self.0.get(hash).map_or("", |token| &token.label)
    }

    /// When a token's time is over.
    pub(crate) fn ends(&self, hash: &VerifierHash) -> Option<Millis> {
        self.0.get(hash)?.expires_at
    }

    /// Whether another token than this one is live.
    pub(crate) fn has_other_live(&self, hash: &VerifierHash, now: Millis) -> bool {
        let mut others = counted(&self.0).filter(|(other, _)| *other != hash);
        others.any(|(_, token)| token.is_live(now))
    }

    pub(crate) fn is_full(&self, now: Millis) -> bool {
        let all = counted(self.0.values());
        all.filter(|token| token.is_live(now)).count() >= MAX_LIVE_TOKENS
    }

    /// The live tokens, oldest first.
    pub(crate) fn live(&self, now: Millis) -> Vec<&Token> {
        let mut live: Vec<_> = counted(self.0.values())
            .filter(|token| token.is_live(now))
            .collect();
        live.sort_by_key(|token| token.minted_at);
        live
    }

    pub(crate) fn insert(
        &mut self,
        hash: VerifierHash,
        token: Token,
        now: Millis,
        writes: &mut Vec<Write>,
    ) {
        self.drop_oldest_used_up(now, writes);
        writes.push(put(&hash, &token));
        self.0.insert(hash, token);
    }

    /// Keeps no more used-up tokens than there may be live ones.
    fn drop_oldest_used_up(&mut self, now: Millis, writes: &mut Vec<Write>) {
        let used_up = counted(&self.0).filter(|(_, token)| !token.is_live(now));
        let (count, oldest) = used_up.fold((0_usize, None), |(count, oldest), (hash, token)| {
            let older = oldest.is_none_or(|(at, _)| token.minted_at < at);
            (
                count.saturating_add(1),
                if older {
                    Some((token.minted_at, *hash))
                } else {
                    oldest
                },
            )
        });
        if count >= MAX_LIVE_TOKENS
            && let Some((_, hash)) = oldest
        {
            self.remove(&hash, writes);
        }
    }

    pub(crate) fn remove(&mut self, hash: &VerifierHash, writes: &mut Vec<Write>) -> bool {
        let removed = self.0.remove(hash).is_some();
        if removed {
            writes.push(Write::Delete { key: key(hash) });
        }
        removed
    }

    /// Counts a call of a token that may make so many only.
    pub(crate) fn count_call(&mut self, hash: &VerifierHash, writes: &mut Vec<Write>) {
        let Some(token) = self.0.get_mut(hash) else {
            return;
        };
        let Some(max) = token.max_calls else { return };
        token.calls = token.calls.saturating_add(1);
        if token.calls >= max {
            token.sealed = None;
        }
        writes.push(put(hash, token));
    }

    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        counted(self.0.values())
            .filter(|token| token.sealed.is_some())
            .filter_map(|token| token.expires_at)
            .min()
    }

    /// Forgets the sealed verifiers of tokens whose time is over.
    pub(crate) fn expire(&mut self, now: Millis, writes: &mut Vec<Write>) {
        for (hash, token) in counted(&mut self.0) {
            if token.sealed.is_some() && token.expires_at.is_some_and(|at| at <= now) {
                token.sealed = None;
                writes.push(put(hash, token));
            }
        }
    }
}

fn key(hash: &VerifierHash) -> String {
    format!("{TOKEN_PREFIX}{}", hash.hex())
}

fn put(hash: &VerifierHash, token: &Token) -> Write {
    Write::Put {
        key: key(hash),
        value: to_json(token),
    }
}
