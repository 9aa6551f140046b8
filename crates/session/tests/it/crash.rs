//! A crash after any event loses nothing that was acknowledged, and revives
//! nothing that was taken back.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use agent_socket_testkit::{App, Kept, World, code};

/// What was acknowledged so far.
#[derive(Clone, Default)]
struct Ledger {
    secret: String,
    briefing: String,
    live: Vec<String>,
    revoked: BTreeSet<String>,
    used_up: BTreeSet<String>,
    /// Tasks with their token, and their result once there is one.
    tasks: BTreeMap<String, (String, Option<u8>)>,
}

impl Ledger {
    fn revoke(&mut self, at: u8) -> Option<String> {
        let at = usize::from(at).checked_rem(self.live.len())?;
        let token = self.live.remove(at);
        self.tasks.retain(|_, (owner, _)| *owner != token);
        self.revoked.insert(token.clone());
        Some(token)
    }

    /// What in these records is not as it was acknowledged, after a crash.
    fn lacks(&self, world: &World, (records, alarm): &Kept) -> Option<String> {
        let mut world = world.fork();
        world.machine.records.clone_from(records);
        world.machine.alarm = *alarm;
        world.crash();
        self.lacks_token(&mut world)
            .or_else(|| self.lacks_task(&mut world))
            .or_else(|| self.lacks_app(&mut world))
    }

    fn lacks_token(&self, world: &mut World) -> Option<String> {
        for token in &self.live {
            let body = String::from_utf8(world.get(token, "/agents.md").body).unwrap();
            if !body.contains(&format!("\n\n{}\n\n", self.briefing)) {
                return Some(format!("{token} does not show {}", self.briefing));
            }
        }
        let revoked = self.revoked.iter().map(|token| (token, "token_invalid"));
        let used_up = self.used_up.iter().map(|token| (token, "token_expired"));
        revoked.chain(used_up).find_map(|(token, expected)| {
            let answer = code(&world.get(token, "/agents.md"));
            (answer != expected).then(|| format!("{token}: {answer}, not {expected}"))
        })
    }

    fn lacks_task(&self, world: &mut World) -> Option<String> {
        self.tasks.iter().find_map(|(id, (token, result))| {
            let answer = world.get(token, &format!("/_as_tasks/{id}"));
            let is_right = match result {
                None => answer.status == 202,
                Some(n) => answer.status == 200 && answer.body == n.to_string().into_bytes(),
            };
            (!is_right).then(|| format!("task {id}: {answer:?}, not {result:?}"))
        })
    }

    fn lacks_app(&self, world: &mut World) -> Option<String> {
        let (socket, reply) = world.try_resume(&self.secret, json!({}));
        if reply["resumed"] != true {
            return Some(format!("the secret: {reply}"));
        }
        let app = App {
            socket,
            secret: self.secret.clone(),
        };
        let listed: BTreeSet<_> = world.list(&app).into_iter().collect();
        let expected = self.live.iter().cloned().collect();
        (listed != expected).then(|| format!("the list: {listed:?}, not {expected:?}"))
    }
}

/// An app at work, with what it knows.
struct Work {
    world: World,
    app: App,
    ledger: Ledger,
    count: u32,
}

impl Work {
    fn new() -> Self {
        let mut world = World::new();
        let app = world.register();
        let ledger = Ledger {
            secret: app.secret.clone(),
            briefing: "Paint things.".to_owned(),
            ..Ledger::default()
        };
        world.history = Some(Vec::new());
        Self {
            world,
            app,
            ledger,
            count: 0,
        }
    }

    /// Does something, then looks at the records after each event of it: they
    /// must show what was acknowledged before or after.
    fn step(&mut self, [kind, by]: [u8; 2]) {
        let before = self.ledger.clone();
        self.count += 1;
        self.act(kind, by);
        let history = self.world.history.replace(Vec::new()).unwrap();
        let last = history.len().saturating_sub(1);
        for (at, kept) in history.iter().enumerate() {
            let Some(lack) = self.ledger.lacks(&self.world, kept) else {
                continue;
            };
            assert!(at < last, "after {kind}: {lack}");
            assert_eq!(
                before.lacks(&self.world, kept),
                None,
                "within {kind}; or {lack}"
            );
        }
    }

    fn act(&mut self, kind: u8, by: u8) {
        match kind % 12 {
            0 | 1 if self.ledger.live.len() < 10 => {
                let token = self
                    .world
                    .mint_with(&self.app, json!({"label": by.to_string()}));
                self.ledger.live.push(token);
            }
            2 => {
                if let Some(token) = self.ledger.revoke(by) {
                    assert!(self.world.revoke(&self.app, &token));
                }
            }
            3..=5 => self.start_task(by),
            6 | 7 => self.complete_task(by),
            8 => self.update(),
            9 => self.resume(by),
            10 => self.use_up(),
            _ => {
                self.world.evict();
                self.world.advance(u64::from(by) * 100);
                self.world.frame(self.app.socket, &json!({"type": "ping"}));
            }
        }
    }

    fn start_task(&mut self, by: u8) {
        let Some(token) = self.ledger.live.get(usize::from(by % 4)).cloned() else {
            return;
        };
        let id = format!("t{}", self.count);
        self.world.start_task(&self.app, &token, &id);
        self.ledger.tasks.insert(id, (token, None));
    }

    fn complete_task(&mut self, by: u8) {
        let mut pending = self
            .ledger
            .tasks
            .iter_mut()
            .filter(|(_, (_, result))| result.is_none());
        if let Some((id, (_, result))) = pending.next() {
            *result = Some(by);
            assert!(
                self.world
                    .complete(&self.app, id, json!({"body": by}))
                    .is_empty()
            );
        }
    }

    fn update(&mut self) {
        let briefing = format!("Version {}.", self.count);
        let frame = json!({"type": "update_tools", "id": 1, "tools": [{"path": "/a"}], "agentsMd": briefing});
        assert_eq!(self.world.ask(self.app.socket, &frame)["ok"], true);
        self.ledger.briefing = briefing;
    }

    fn resume(&mut self, by: u8) {
        let revoked = by
            .is_multiple_of(2)
            .then(|| self.ledger.revoke(by))
            .flatten();
        let members =
            json!({"agentsMd": self.ledger.briefing, "revokeTokens": Vec::from_iter(revoked)});
        if by.is_multiple_of(3) {
            self.world.drop_socket(self.app.socket, 1006);
        }
        if by.is_multiple_of(5) {
            self.world.crash();
        }
        self.app = self.world.resume_with(&self.app, members);
    }

    fn use_up(&mut self) {
        let token = self.world.mint_with(&self.app, json!({"maxCalls": 1}));
        self.ledger.live.push(token.clone());
        let request = self.world.request("POST", &token, "/a");
        let minted = (self.world.machine.records.clone(), self.world.machine.alarm);
        assert_eq!(self.ledger.lacks(&self.world, &minted), None);
        self.world.history = Some(Vec::new());
        // It counts when its body is there.
        self.world.body(request, Ok(b"{}"));
        self.ledger.live.pop();
        self.ledger.used_up.insert(token);
    }
}

proptest! {
    #![proptest_config(crate::properties::config(64))]

    #[test]
    fn a_crash_after_any_event_loses_nothing(steps in prop::collection::vec(any::<[u8; 2]>(), 1..40)) {
        let mut work = Work::new();
        for step in steps {
            work.step(step);
        }
    }
}
