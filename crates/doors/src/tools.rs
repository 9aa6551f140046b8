//! `tools.json`: the tools as data.

use agent_socket_wire::text::push_json_str;
use agent_socket_wire::tool::{Annotations, Scope, Tool};
use agent_socket_wire::work::counted;

/// The app, as `tools.json` shows it.
#[derive(Clone, Copy, Debug)]
pub struct AppView<'a> {
    /// App id.
    pub id: &'a str,
    /// Label from `apps.json`, else the id.
    pub name: &'a str,
    /// What the app calls itself, where anybody may register as this id.
    pub claimed_name: Option<&'a str>,
    /// The app's own description; may be empty.
    pub description: &'a str,
}

impl<'a> AppView<'a> {
    /// The name that people know the app by.
    #[must_use]
    pub fn shown_name(&self) -> &'a str {
        self.claimed_name.unwrap_or(self.name)
    }
}

/// The body of `tools.json` for those of `tools` that `scope` admits.
#[must_use]
pub fn tools_json(app: AppView<'_>, tools: &[Tool], scope: &Scope) -> String {
    let mut out = String::with_capacity(tools.len().saturating_mul(160).saturating_add(160));
    out.push_str(r#"{"version":"1.0","app":{"id":"#);
    push_json_str(&mut out, app.id);
    out.push_str(r#","name":"#);
    push_json_str(&mut out, app.name);
    if let Some(claimed) = app.claimed_name {
        out.push_str(r#","claimedName":"#);
        push_json_str(&mut out, claimed);
    }
    out.push_str(r#","description":"#);
    push_json_str(&mut out, app.description);
    out.push_str(r#"},"tools":["#);
    for (index, tool) in counted(tools).filter(|tool| scope.admits(tool)).enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(r#"{"method":"#);
        push_json_str(&mut out, &tool.method);
        out.push_str(r#","path":"#);
        push_json_str(&mut out, &tool.path);
        if let Some(title) = &tool.title {
            out.push_str(r#","title":"#);
            push_json_str(&mut out, title);
        }
        out.push_str(r#","description":"#);
        push_json_str(&mut out, &tool.description);
        for (name, schema) in [
            (r#","input_schema":"#, &tool.input_schema),
            (r#","output_schema":"#, &tool.output_schema),
        ] {
            if let Some(schema) = schema {
                out.push_str(name);
                out.push_str(schema.get());
            }
        }
        if tool.read_only {
            out.push_str(r#","read_only":true"#);
        }
        if tool.allow_get {
            out.push_str(r#","allow_get":true"#);
        }
        if tool.annotations != Annotations::default() {
            out.push_str(r#","annotations":{"#);
            push_marks(&mut out, tool.annotations, ["destructive", "idempotent"]);
            out.push('}');
        }
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// What an app says that a tool does, as members of an object under these names.
pub(crate) fn push_marks(out: &mut String, marks: Annotations, names: [&str; 2]) {
    for (name, mark) in names.into_iter().zip([marks.destructive, marks.idempotent]) {
        let Some(mark) = mark else { continue };
        if !out.ends_with('{') {
            out.push(',');
        }
        out.push('"');
        out.push_str(name);
        out.push_str(if mark { "\":true" } else { "\":false" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_socket_wire::tool::parse_tools;
    use serde_json::value::RawValue;

    #[test]
    fn the_list_has_what_the_app_registered() {
        let raw: Box<RawValue> = serde_json::from_str(r#"[{"path":"/a","input_schema":{"type":"object"}},{"path":"/b","method":"get","description":"x \"y\""}]"#).unwrap();
        let tools = parse_tools(Some(&raw)).unwrap();
        let app = AppView {
            id: "app",
            name: "App",
            claimed_name: None,
            description: "",
        };
        let raw: Box<RawValue> = serde_json::from_str(r#"[{"path":"/c","title":"See","output_schema":{},"annotations":{"idempotent":true,"destructive":false}}]"#).unwrap();
        let marked = parse_tools(Some(&raw)).unwrap();
        let claims = AppView {
            claimed_name: Some("Mine"),
            ..app
        };
        assert_eq!(
            tools_json(claims, &marked, &Scope::ALL),
            r#"{"version":"1.0","app":{"id":"app","name":"App","claimedName":"Mine","description":""},"tools":[{"method":"POST","path":"/c","title":"See","description":"","output_schema":{},"annotations":{"destructive":false,"idempotent":true}}]}"#
        );
        assert_eq!(
            tools_json(app, &tools, &Scope::ALL),
            r#"{"version":"1.0","app":{"id":"app","name":"App","description":""},"tools":[{"method":"POST","path":"/a","description":"","input_schema":{"type":"object"}},{"method":"GET","path":"/b","description":"x \"y\""}]}"#
        );
    }
}
