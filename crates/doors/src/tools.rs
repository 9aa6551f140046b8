//! `tools.json`: the tools as data.

use agent_socket_wire::text::push_json_str;
use agent_socket_wire::tool::{Scope, Tool};
use agent_socket_wire::work::counted;

/// The app, as `tools.json` shows it.
#[derive(Clone, Copy, Debug)]
pub struct AppView<'a> {
    /// App id.
    pub id: &'a str,
    /// Label from `apps.json`, else the id.
    pub name: &'a str,
    /// The app's own description; may be empty.
    pub description: &'a str,
}

/// The body of `tools.json` for those of `tools` that `scope` admits.
#[must_use]
pub fn tools_json(app: AppView<'_>, tools: &[Tool], scope: &Scope) -> String {
    let mut out = String::with_capacity(tools.len().saturating_mul(160).saturating_add(160));
    out.push_str(r#"{"version":"1.0","app":{"id":"#);
    push_json_str(&mut out, app.id);
    out.push_str(r#","name":"#);
    push_json_str(&mut out, app.name);
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
        out.push_str(r#","description":"#);
        push_json_str(&mut out, &tool.description);
        if let Some(schema) = &tool.input_schema {
            out.push_str(r#","input_schema":"#);
            out.push_str(schema.get());
        }
        if tool.read_only {
            out.push_str(r#","read_only":true"#);
        }
        if tool.allow_get {
            out.push_str(r#","allow_get":true"#);
        }
        out.push('}');
    }
    out.push_str("]}");
    out
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
            description: "",
        };
        assert_eq!(
            tools_json(app, &tools, &Scope::ALL),
            r#"{"version":"1.0","app":{"id":"app","name":"App","description":""},"tools":[{"method":"POST","path":"/a","description":"","input_schema":{"type":"object"}},{"method":"GET","path":"/b","description":"x \"y\""}]}"#
        );
    }
}
