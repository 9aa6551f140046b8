//! What apps do.

use agent_socket_driver::SocketId;
use serde_json::{Value, json};

use crate::frames::{registration, with};
use crate::world::World;

/// An app that registered or resumed.
#[derive(Clone, Debug)]
pub struct App {
    /// Its socket.
    pub socket: SocketId,
    /// Its resume secret.
    pub secret: String,
}

impl World {
    /// Registers with these members over the usual ones.
    pub fn register_with(&mut self, members: Value) -> App {
        let socket = self.open(false);
        let reply = self.ask(socket, &with(registration("register"), members));
        assert_eq!(reply["ok"], true, "{reply}");
        App {
            socket,
            secret: reply["resumeSecret"].as_str().unwrap().to_owned(),
        }
    }

    /// Registers with the usual members.
    pub fn register(&mut self) -> App {
        self.register_with(json!({}))
    }

    /// A `resume` frame for this session.
    pub fn resume_frame(&self, secret: &str, members: Value) -> Value {
        let own = json!({"sessionId": self.id.as_str(), "secret": secret});
        with(with(registration("resume"), own), members)
    }

    /// Resumes on a new socket; gives it and what came back first.
    pub fn try_resume(&mut self, secret: &str, members: Value) -> (SocketId, Value) {
        let socket = self.open(true);
        let frame = self.resume_frame(secret, members);
        let reply = self.frame(socket, &frame);
        (socket, reply.into_iter().next().unwrap_or_default())
    }

    /// Resumes with these members over the usual ones; gives the app on its new socket.
    pub fn resume_with(&mut self, app: &App, members: Value) -> App {
        let (socket, reply) = self.try_resume(&app.secret, members);
        assert_eq!(reply["ok"], true, "{reply}");
        assert_eq!(reply["resumed"], true, "{reply}");
        assert_eq!(reply["resumeSecret"], app.secret.as_str());
        App {
            socket,
            secret: app.secret.clone(),
        }
    }

    /// Resumes with the usual members.
    pub fn resume(&mut self, app: &App) -> App {
        self.resume_with(app, json!({}))
    }

    /// Asks for a link and gives the reply.
    pub fn try_mint(&mut self, app: &App, members: Value) -> Value {
        let frame = with(json!({"type": "mint_agent_token", "id": "m"}), members);
        let reply = self.ask(app.socket, &frame);
        assert_eq!(reply["type"], "mint_agent_token_reply");
        reply
    }

    /// Asks for a link with these members and gives its token.
    pub fn mint_with(&mut self, app: &App, members: Value) -> String {
        let reply = self.try_mint(app, members);
        assert_eq!(reply["ok"], true, "{reply}");
        reply["token"].as_str().unwrap().to_owned()
    }

    /// Asks for a link and gives its token.
    pub fn mint(&mut self, app: &App) -> String {
        self.mint_with(app, json!({}))
    }

    /// Revokes a link; whether that was done.
    pub fn revoke(&mut self, app: &App, token: &str) -> bool {
        let frame = json!({"type": "revoke_agent_token", "id": "r", "token": token});
        let replies = self.frame(app.socket, &frame);
        let reply = replies
            .iter()
            .find(|reply| reply["type"] == "revoke_agent_token_reply");
        reply.unwrap()["ok"] == true
    }

    /// Texts of the live tokens, as the app is shown them.
    pub fn list(&mut self, app: &App) -> Vec<String> {
        let reply = self.ask(app.socket, &json!({"type": "list_agent_tokens", "id": 1}));
        let tokens = reply["tokens"].as_array().unwrap();
        let text = |token: &Value| token["token"].as_str().unwrap().to_owned();
        tokens.iter().map(text).collect()
    }

    /// Answers a call.
    pub fn reply(&mut self, app: &App, call_id: &str, members: Value) {
        let frame = with(json!({"type": "tool_reply", "id": call_id}), members);
        self.frame(app.socket, &frame);
    }

    /// Completes a task and gives what comes back: nothing, or a `task_error`.
    pub fn complete(&mut self, app: &App, task: &str, members: Value) -> Vec<Value> {
        let own = json!({"type": "task_complete", "taskId": task, "status": 200});
        self.frame(app.socket, &with(own, members))
    }
}
