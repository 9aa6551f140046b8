use super::*;
use agent_socket_wire::answer::JSON;
use agent_socket_wire::error::HttpCode;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const BASE: &str = "https://relay.example/v1/t/as_0123ABCD_AAAAAAAAAAAAAAAAAAAAAA";

fn tool(members: Value) -> Tool {
    let mut tool = json!({"path": "/paint"});
    tool.as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let raw: Box<RawValue> = serde_json::value::to_raw_value(&json!([tool])).unwrap();
    agent_socket_wire::tool::parse_tools(Some(&raw))
        .unwrap()
        .remove(0)
}

fn with_schema(schema: Value) -> Tool {
    tool(json!({"input_schema": schema}))
}

fn view<'a>(tools: Vec<&'a Tool>, text: &'a str) -> PageView<'a> {
    PageView {
        base: BASE,
        app: AppView {
            id: "app",
            name: text,
            claimed_name: None,
            description: text,
        },
        offline_for: None,
        tools,
        registered: &[],
        nonce: "1.AA",
    }
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn form(body: &str) -> Form {
    Form::parse(body.as_bytes()).unwrap()
}

/// A form whose field `a` has this text.
fn filled(text: &str) -> Form {
    let coded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    form(&format!("f.a={coded}"))
}

/// The body that a form makes, or the first of its problems.
fn body(form: &Form, tool: &Tool) -> Result<Vec<u8>, FieldError> {
    form.call(tool)
        .map(|call| call.body)
        .map_err(|problems| problems[0].clone())
}

fn arguments(schema: Value, sent: &str) -> Result<String, FieldError> {
    let bytes = body(&form(sent), &with_schema(schema))?;
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn a_form_becomes_the_body_that_the_schema_asks_for() {
    let schema = || {
        json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "n": {"type": "integer"}, "on": {"type": "boolean"},
            "c": {"enum": ["red", 7, null]}, "list": {"type": "array"}, "_as_nonce": {"type": "string"}
        }})
    };
    assert_eq!(
        arguments(schema(), "f.name=a+%22b%22%0D%0Ac&f.n=+3&f.on=true&f.c=7&f.list=%5B1%5D&f._as_nonce=x&_as_nonce=1.AA").unwrap(),
        r#"{"_as_nonce":"x","c":7,"list":[1],"n":3,"name":"a \"b\"\nc","on":true}"#
    );
    assert_eq!(
        arguments(schema(), "f.name=a&f.n=&f.on=&f.c=").unwrap(),
        r#"{"name":"a"}"#
    );
    for (body, field, expected) in [
        ("", "name", "filled in"),
        ("f.name=a&f.n=1.5", "n", "a whole number"),
        ("f.name=a&f.on=yes", "on", "true or false"),
        ("f.name=a&f.c=blue", "c", "one of the choices"),
        (
            "f.name=a&f.list=%5B1",
            "list",
            "JSON, such as [1,2] or {\"a\":1} or \"text\"",
        ),
    ] {
        let error = arguments(schema(), body).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.expected),
            (field, expected),
            "{body}"
        );
    }
}

#[test]
fn a_tool_without_properties_takes_a_body() {
    let free = tool(json!({}));
    assert_eq!(body(&form("f.body="), &free).unwrap(), b"");
    assert_eq!(
        body(&form("f.body=%7B%22a%22%3A1%7D"), &free).unwrap(),
        br#"{"a":1}"#
    );
    let sent = form("f.body=a%0D%0Ab ").call(&free).unwrap();
    assert!(sent.is_text && sent.body == b"a\nb ");
    assert!(!form("f.body=7").call(&free).unwrap().is_text);
    let says = with_schema(json!({"type": "string"}));
    assert_eq!(body(&form("f.body=%22a%22"), &says).unwrap(), br#""\"a\"""#);
    let get = tool(json!({"method": "GET"}));
    assert_eq!(body(&form("f.body=a"), &get).unwrap(), b"");
    assert!(!text(&page(&view(vec![&get], "App"), "")).contains("f.body"));
    assert!(arguments(json!({"type": "array"}), "").is_err());
    assert_eq!(
        arguments(json!({"type": "array"}), "f.body=%5B%5D").unwrap(),
        "[]"
    );
    assert_eq!(
        arguments(json!({"type": "object"}), "f.body=x").unwrap(),
        "{}"
    );
}

#[test]
fn what_was_filled_in_stays() {
    let tool = with_schema(
        json!({"properties": {"x": {"type": "integer", "default": 1}, "s": {"type": "string"}}}),
    );
    let fresh = tool_page(&view(vec![&tool], "App"), &tool, None, None);
    assert!(text(&fresh).contains("step=\"1\" value=\"1\""));
    let odd = with_schema(json!({"properties": {"x": {"type": "integer", "default": "one"}}}));
    let fresh_odd = tool_page(&view(vec![&odd], "App"), &odd, None, None);
    assert!(text(&fresh_odd).contains("step=\"1\" value=\"\""));
    let note = Note::Fields(vec![FieldError {
        field: "x".into(),
        expected: "a whole number",
    }]);
    let again = tool_page(
        &view(vec![&tool], "App"),
        &tool,
        Some(&form("f.x=q%22&f.s=%3Cb%3E")),
        Some(&note),
    );
    assert_eq!(again.status, 400);
    for part in [
        "value=\"q&quot;\"",
        "value=\"&lt;b&gt;\"",
        "It must be a whole number.",
        "aria-invalid=\"true\"",
        "one field needs another look",
    ] {
        assert!(text(&again).contains(part), "{part}");
    }
}

#[test]
fn bounds_stand_beside_the_field() {
    let hint = |schema: Value| {
        let tool = with_schema(json!({"properties": {"n": schema}}));
        let page = tool_page(&view(vec![&tool], "App"), &tool, None, None);
        let hint = text(&page).split("id=\"t0-0-hint\">").nth(1).unwrap();
        hint.split("</span>").next().unwrap().to_owned()
    };
    for (schema, shown) in [
        (
            json!({"type": "integer", "minimum": 0, "maximum": 31}),
            "0 to 31",
        ),
        (
            json!({"type": "number", "minimum": 0.5, "description": "Share"}),
            "Share (at least 0.5)",
        ),
        (json!({"type": "number", "maximum": -1}), "at most -1"),
        (json!({"type": "integer", "minimum": "<b>"}), ""),
        (json!({"type": "string", "minimum": 3}), ""),
        (
            json!({"type": "array", "description": "All"}),
            "All (as JSON)",
        ),
    ] {
        assert_eq!(hint(schema), shown);
    }
}

#[test]
fn what_is_long_is_bounded() {
    let marks = "&".repeat(60_000);
    let one = with_schema(json!({"properties": {"a": {"enum": [marks]}}}));
    assert!(text(&page(&view(vec![&one], "App"), "")).contains("<option value=\"&quot;&amp;"));
    // Of many such tools the last ones are links.
    let many = page(&view(vec![&one; 60], "App"), "");
    assert!(many.body.len() < MAX_PAGE_BYTES + 1024 * 1024);
    assert!(text(&many).contains("<p class=\"card\"><a href=\"/v1/t/"));

    // A schema that is not read (registered before there was a limit) makes one field,
    // which takes its arguments all the same.
    let huge = |method: &str| {
        let schema = json!({"properties": {"a": {"enum": ["&".repeat(70_000)]}}});
        Tool {
            input_schema: Some(serde_json::value::to_raw_value(&schema).unwrap()),
            ..Tool::new(method, "/paint", "")
        }
    };
    let (post, get) = (huge("POST"), huge("GET"));
    let shown = page(&view(vec![&post, &get], "App"), "");
    assert!(shown.body.len() < 20_000);
    assert_eq!(text(&shown).matches("name=\"f.body\"").count(), 2);
    for tool in [&post, &get] {
        let sent = body(&form("f.body=%7B%22a%22%3A1%7D"), tool).unwrap();
        assert_eq!(sent, br#"{"a":1}"#);
    }

    let wordy = Tool::new("POST", "/paint", "w".repeat(100_000));
    assert!(
        text(&page(&view(vec![&wordy], "App"), "")).contains(&format!(">{}…<", "w".repeat(4000)))
    );

    // A result is shown without a form that is too long to be kept.
    let text_tool = with_schema(json!({"properties": {"a": {"type": "string"}}}));
    for (length, is_kept) in [(1000, true), (200_000, false)] {
        let form = filled(&"x".repeat(length));
        let result = ResultPage::new(&view(vec![&text_tool], "App"), &text_tool, &form);
        let shown = result.finish(Answer::json("1"));
        assert_eq!(text(&shown).contains("<form"), is_kept);
        assert!(text(&shown).contains("<pre") && text(&shown).contains("/_as_page/POST/paint\""));
    }
}

#[test]
fn many_fields_are_found_at_once() {
    let properties: serde_json::Map<String, Value> =
        (0..4000).map(|n| (n.to_string(), json!({}))).collect();
    let tool = with_schema(json!({ "properties": properties }));
    let coded: String = (0..200_000).map(|n| format!("f.x{n}=&")).collect();
    let form = form(&format!("{coded}f.3999=7&f.3999=8"));
    assert_eq!(body(&form, &tool).unwrap(), br#"{"3999":7}"#);
}

#[test]
fn a_servers_name_is_one_that_clients_take() {
    for (id, name) in [
        ("as_app_anon", "as_app_anon"),
        ("my.app", "my-app"),
        ("--help", "help"),
        ("...", "app"),
    ] {
        assert_eq!(server_name(id), name);
    }
}

#[test]
fn who_has_a_dead_link_is_told_what_a_person_can_do() {
    let error = |code| problem_page(&HttpError::new(code, "Ask the user."));
    for (code, status) in [
        (HttpCode::AppOffline, 503),
        (HttpCode::TokenInvalid, 401),
        (HttpCode::TokenExpired, 401),
    ] {
        let page = error(code);
        assert_eq!(page.status, status);
        assert!(text(&page).contains("ask whoever gave you this one"));
        assert!(!text(&page).contains("the user"));
    }
    assert!(text(&error(HttpCode::NotFound)).contains("Ask the user."));
}

#[test]
fn outcomes_are_shown_as_what_they_are() {
    let tool = tool(json!({}));
    let page = ResultPage::new(&view(vec![&tool], "App"), &tool, &Form::default());
    let show = |answer: Answer| {
        let shown = page.finish(answer);
        (shown.status, text(&shown).to_owned())
    };
    let (status, json) = show(Answer::json(r#"{"b":[1,{}],"a":"<\" x"}"#));
    assert_eq!(status, 200);
    let pretty = "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"<\\\" x\"\n}";
    let escaped = pretty.replace('<', "&lt;").replace('"', "&quot;");
    assert!(json.contains(&escaped), "{json}");
    let (status, error) = show(HttpError::new(HttpCode::ToolTimeout, "Too <slow>").into());
    assert!(
        status == 504 && error.contains("It did not work") && error.contains("Too &lt;slow&gt;")
    );
    assert!(show(Answer::empty(204)).1.contains("nothing to show"));
    assert!(
        show(Answer::new(200, "image/png", b"x".to_vec()))
            .1
            .contains("src=\"data:image/png;base64,eA==\"")
    );
    for harmful in ["image/svg+xml", "application/octet-stream", "video/mp4"] {
        assert!(
            show(Answer::new(200, harmful, b"x".to_vec()))
                .1
                .contains("can't be shown")
                || !show(Answer::new(200, harmful, b"x".to_vec()))
                    .1
                    .contains("<img"),
            "{harmful}"
        );
    }
    let (status, task) = show(Answer::new(202, JSON, r#"{"taskId":"t1"}"#));
    assert!(status == 200 && task.contains("/_as_page/_as_tasks/t1\""));
    // An app may write anything as its body, and only an id leads somewhere.
    for no_id in ["../../../x", "t/1", "t?x=1", "t\"", ""] {
        let body = json!({"taskId": no_id}).to_string();
        let (status, shown) = show(Answer::new(202, JSON, body));
        assert!(status == 200 && !shown.contains("_as_tasks/"), "{no_id}");
    }
    assert!(
        show(Answer::new(200, "text/plain", "y".repeat(300_000)))
            .1
            .contains("start of 300000 bytes")
    );
}

#[test]
fn all_problems_are_told_at_once_beside_their_fields() {
    let tool = with_schema(
        json!({"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"}, "n": {"type": "integer"}, "ok": {"type": "integer"}
        }}),
    );
    let sent = form("f.n=x&f.ok=1");
    let problems = sent.call(&tool).unwrap_err();
    let told: Vec<_> = problems
        .iter()
        .map(|one| (one.field.as_str(), one.expected))
        .collect();
    assert_eq!(told, [("n", "a whole number"), ("name", "filled in")]);
    let page = tool_page(
        &view(vec![&tool], "App"),
        &tool,
        Some(&sent),
        Some(&Note::Fields(problems)),
    );
    let page = text(&page);
    assert!(page.contains("2 fields need another look"));
    assert_eq!(page.matches("aria-invalid=\"true\"").count(), 2);
    assert!(page.contains("It must be a whole number.") && page.contains("It must be filled in."));
    assert!(
        page.contains("value=\"x\"") && page.contains("value=\"1\""),
        "nothing is lost"
    );
}

#[test]
fn what_may_destroy_asks_first() {
    let tool = tool(json!({"title": "Wipe it", "annotations": {"destructive": true}}));
    let problems = form("").call(&tool).unwrap_err();
    assert_eq!(problems[0].field, "_as_sure");
    assert!(form("_as_sure=on").call(&tool).is_ok());
    let shown = page(&view(vec![&tool], "App"), "");
    let shown = text(&shown);
    assert!(shown.contains("name=\"_as_sure\" required"));
    assert!(shown.contains("<h2>Wipe it</h2>") && shown.contains("may destroy"));
    let mild = super::tests::tool(json!({"annotations": {"destructive": false}}));
    assert!(form("").call(&mild).is_ok());
}

#[test]
fn fields_show_examples_and_nested_ones_carry_their_schema() {
    let shown = |schema: Value| {
        let tool = with_schema(schema);
        let page = tool_page(&view(vec![&tool], "App"), &tool, None, None);
        text(&page).to_owned()
    };
    let page = shown(json!({"properties": {
        "s": {"type": "string", "examples": ["Ada <3"]}, "n": {"type": "integer", "examples": [7]},
        "list": {"type": "array", "items": {"type": "string"}, "examples": [["a"]]}
    }}));
    for part in [
        "placeholder=\"Ada &lt;3\"",
        "placeholder=\"7\"",
        "placeholder=\"[&quot;a&quot;]\"",
        "data-name=\"list\"",
        "data-schema=\"{&quot;properties&quot;",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!shown(json!({"properties": {"s": {"type": "string"}}})).contains("data-schema="));
    let large = json!({"properties": {"l": {"type": "array"}}, "description": "d".repeat(17_000)});
    assert!(!shown(large).contains("data-schema="));
}

#[test]
fn what_cannot_be_shown_can_be_saved() {
    let tool = tool(json!({}));
    let page = ResultPage::new(&view(vec![&tool], "App"), &tool, &Form::default());
    let show = |answer: Answer| text(&page.finish(answer)).to_owned();
    let pdf = show(Answer::new(200, "application/pdf", vec![b'x'; 1_500_000]));
    assert!(
        pdf.contains("download=\"result.pdf\" href=\"data:application/octet-stream;base64,eHh4")
    );
    assert!(pdf.contains("(1.5 MB, application/pdf)"));
    let script = show(Answer::new(200, "application/x-evil", "<script>"));
    assert!(script.contains("result.bin") && script.contains("(8 bytes, application/x-evil)"));
    assert!(show(Answer::new(200, "text/csv", "y".repeat(300_000))).contains("result.csv"));
    assert!(!show(Answer::new(200, "text/csv", "y")).contains("download="));
    assert!(
        show(Answer::new(200, "text/markdown; charset=utf-8", "# a")).contains("data-markdown")
    );
}

#[test]
fn a_started_task_leads_to_its_progress() {
    let tool = tool(json!({}));
    let page = ResultPage::new(&view(vec![&tool], "App"), &tool, &Form::default());
    let started = page.finish(Answer::new(202, JSON, r#"{"taskId":"t1"}"#));
    let path = BASE.strip_prefix("https://relay.example").unwrap();
    assert!(text(&started).contains(&format!(
        "http-equiv=\"refresh\" content=\"1;url={path}/_as_page/_as_tasks/t1\""
    )));
    assert!(!text(&page.finish(Answer::json("1"))).contains("http-equiv"));
}

/// The page admits the script as it is in `public/`.
#[test]
fn the_script_is_the_one_that_the_page_admits() {
    let script = include_bytes!("../../../../public/people.js");
    let hash = format!("sha256-{}", STANDARD.encode(Sha256::digest(script)));
    assert_eq!(PEOPLE_INTEGRITY, hash, "write this into page/mod.rs");
}

#[test]
fn a_tasks_page_looks_again_until_it_is_done() {
    let pending = Answer::new(
        202,
        JSON,
        r#"{"completed":false,"message":"<half>","taskId":"t"}"#,
    );
    let page = task_page("App", BASE, &pending);
    assert!(text(&page).contains("http-equiv=\"refresh\"") && text(&page).contains("&lt;half&gt;"));
    for (progress, shown) in [
        ("0.4", "value=\"0.4\">40 %</progress>"),
        ("1", "value=\"1\">100 %</progress>"),
        ("17", "Progress: 17<"),
        ("-1", "Progress: -1<"),
    ] {
        let body = format!(r#"{{"completed":false,"progress":{progress},"taskId":"t"}}"#);
        let page = task_page("App", BASE, &Answer::new(202, JSON, body));
        assert!(text(&page).contains(shown), "{progress}");
    }
    let done = task_page("App", BASE, &Answer::json("1"));
    assert!(!text(&done).contains("http-equiv=\"refresh\""));
}

#[test]
fn the_policy_has_the_hashes_of_what_is_inline() {
    let page = page(&view(vec![], "App"), "");
    let policy = &page.headers[0];
    assert_eq!(policy.0, "content-security-policy");
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let inline = text(&page)
            .split(open)
            .nth(1)
            .unwrap()
            .split(close)
            .next()
            .unwrap();
        let hash = STANDARD.encode(Sha256::digest(inline));
        assert!(policy.1.contains(&format!("'sha256-{hash}'")), "{open}");
    }
    assert_eq!(text(&page).matches("<script").count(), 2);
    assert!(policy.1.contains(&format!("'{PEOPLE_INTEGRITY}'")));
    assert!(!policy.1.contains("unsafe"));
}

#[test]
fn what_html_has_no_character_for_is_replaced() {
    let page = problem_page(&HttpError::new(HttpCode::NotFound, "a\0b"));
    assert!(text(&page).contains("a\u{fffd}b"));
}

#[test]
fn forms_go_to_the_links_path_whatever_the_scheme() {
    let tool = tool(json!({"method": "put"}));
    let page = page(&view(vec![&tool], "App"), "");
    let path = BASE.strip_prefix("https://relay.example").unwrap();
    assert!(text(&page).contains(&format!("action=\"{path}/_as_page/PUT/paint\"")));
}

/// Markup of the page itself, with every text of the app taken out of it.
fn skeleton(html: &str) -> Vec<String> {
    let tags = html
        .split('<')
        .skip(1)
        .filter_map(|part| part.split('>').next());
    let names = tags.filter_map(|tag| tag.split([' ', '"']).next());
    names.map(ToOwned::to_owned).collect()
}

proptest! {
    #[test]
    fn a_text_of_the_app_is_never_markup(hostile in r#"([<>&"'/=a-z \-!]|<script>|\]\]>|-->|</textarea>|</pre>|\PC){0,40}"#) {
        let schema = |text: &str| json!({"type": "object", "properties": {
            "a": {"type": "string", "description": text, "default": text, "format": text},
            "b": {"enum": [text, "x"], "title": text, "default": text},
            "c": {"type": "array", "default": [text]},
            // Last, whatever it is: the order decides which field is which.
            format!("z{text}"): {"type": "boolean"},
        }});
        let make = |text: &str| {
            let tool = tool(json!({"description": text, "input_schema": schema(text)}));
            let other = tool_other(text);
            let view = view(vec![&tool, &other], text);
            let form = filled(text);
            let result = ResultPage::new(&view, &tool, &form);
            let reply = Answer::new(200, "text/plain", text);
            let note = Note::Fields(vec![FieldError { field: text.to_owned(), expected: "a number" }]);
            let pages = [page(&view, text), tool_page(&view, &tool, Some(&form), Some(&note)), result.finish(reply), result.finish(Answer::json(json!({"a": text}).to_string())), task_page(text, BASE, &Answer::new(202, JSON, json!({"completed": false, "message": text}).to_string())), problem_page(&HttpError::new(HttpCode::NotFound, text))];
            pages.iter().map(|page| skeleton(super::tests::text(page))).collect::<Vec<_>>()
        };
        prop_assume!(!hostile.trim().is_empty() && !matches!(hostile.as_str(), "date" | "email" | "uri"));
        prop_assert_eq!(make(&hostile), make("plain"));
    }

    #[test]
    fn any_form_is_read_or_refused(body in prop_oneof![any::<Vec<u8>>(), "(f\\.a=|&|%c3|%A4|%ff|1|true|\\[1\\]|x|\\+|%){0,12}".prop_map(String::into_bytes)], schema in r#"\{"type":"object","properties":\{"a":\{"type":"(string|integer|boolean|array)"\}\}\}"#) {
        let tool = with_schema(serde_json::from_str(&schema).unwrap());
        let Ok(form) = Form::parse(&body) else {
            let decoded: Vec<u8> = percent_encoding::percent_decode(&body).collect();
            prop_assert!(String::from_utf8(decoded).is_err());
            return Ok(());
        };
        match super::tests::body(&form, &tool) {
            Ok(arguments) => prop_assert!(serde_json::from_slice::<Value>(&arguments).unwrap().is_object()),
            Err(error) => prop_assert!(error.field == "a" && form.field("a").is_some()),
        }
    }

    #[test]
    fn what_a_browser_sends_is_read_as_it_was(values in prop::collection::btree_map("[a-zäc &=+%]{1,6}", any::<String>(), 0..6)) {
        let mut sent = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &values {
            sent.append_pair(&format!("f.{name}"), value);
        }
        let form = Form::parse(sent.finish().as_bytes()).unwrap();
        for (name, value) in &values {
            prop_assert_eq!(form.field(name), Some(value.as_str()));
        }
    }

    #[test]
    fn indented_json_says_the_same(text in r#"(\{|\}|\[|\]|,|:|"|\\|[a-z0-9 ]|"a"|1){0,40}"#) {
        let shown = result::indented(&text);
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        }
    }
}

fn tool_other(text: &str) -> Tool {
    tool(
        json!({"path": "/other", "input_schema": {"type": "string", "description": text}, "read_only": true}),
    )
}
