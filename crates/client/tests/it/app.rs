//! The app's side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_socket_client::{
    App, AppReply, Call, Error, Event, FileStore, Incoming, Json, LinkOptions, Saved, Store as _,
    Tool,
};
use agent_socket_wire::error::{AppCode, HttpCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::relay::{PATIENCE, Relay, agent, wait};

#[derive(Deserialize, JsonSchema)]
struct Numbers {
    a: i64,
    #[serde(default)]
    b: i64,
}

fn add() -> Tool {
    Tool::post("/add")
        .input::<Numbers>()
        .handle(async |Numbers { a, b }| Json(a + b))
}

fn connected(event: Event) -> Option<bool> {
    match event {
        Event::Connected { resumed } => Some(resumed),
        _ => None,
    }
}

#[tokio::test]
async fn input_is_typed() {
    let relay = Relay::start().await;
    let app = relay.app().tools([
        add(),
        Tool::get("/sum")
            .input::<Numbers>()
            .handle(async |Numbers { a, b }| Json(a + b)),
        Tool::post("/fail").handle_raw(async |_| Err::<(), _>("no luck")),
        Tool::post("/panic").handle_raw(async |_| panic!("on purpose") as ()),
    ]);
    let app = app.connect().await.unwrap();
    let agent = agent(&app.link("").await.unwrap());
    let schema = agent
        .tools()
        .await
        .unwrap()
        .tools
        .remove(0)
        .input_schema
        .unwrap();
    assert!(schema.get().contains(r#""required":["a"]"#), "{schema}");
    let call = |body: Value| agent.call(Call::post("/add").json(&body).unwrap());
    assert_eq!(
        call(json!({"a": 1, "b": 2}))
            .await
            .unwrap()
            .json::<i64>()
            .unwrap(),
        3
    );
    let bad = call(json!({"a": "x"})).await.unwrap();
    assert_eq!(bad.status(), 400);
    assert_eq!(
        bad.json::<Value>().unwrap()["error"]["code"],
        "bad_arguments"
    );
    let sum = agent
        .call(Call::get("/sum").query([("a", "4"), ("b", "5")]))
        .await
        .unwrap();
    assert_eq!(sum.json::<i64>().unwrap(), 9);
    for (path, words) in [("/fail", "no luck"), ("/panic", "handler failed")] {
        let reply = agent.call(Call::post(path)).await.unwrap();
        assert_eq!(reply.status(), 500);
        assert!(reply.text().unwrap().contains(words), "{reply:?}");
    }
}

#[tokio::test]
async fn calls_are_told_as_events() {
    let relay = Relay::start().await;
    let app = relay.app().tool(add()).connect().await.unwrap();
    let mut events = app.events();
    let agent = agent(&app.link("Claude").await.unwrap());
    agent
        .call(Call::post("/add").json(&json!({"a": 1})).unwrap())
        .await
        .unwrap();
    let called = wait(&mut events, |event| match event {
        Event::Called {
            method,
            path,
            agent,
            status,
            ..
        } => Some((method, path, agent, status)),
        _ => None,
    });
    assert_eq!(
        called.await,
        ("POST".into(), "/add".into(), "Claude".into(), 200)
    );
}

#[tokio::test]
async fn a_session_outlives_the_relays_restart_and_a_call_too() {
    let mut relay = Relay::start().await;
    let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait_for) = (Arc::clone(&started), Arc::clone(&go));
    let slow = Tool::post("/slow").handle_raw(move |_| {
        let (tell, wait_for) = (Arc::clone(&tell), Arc::clone(&wait_for));
        async move {
            tell.notify_one();
            wait_for.notified().await;
            "late"
        }
    });
    let app = relay.app().tools([slow, add()]).connect().await.unwrap();
    let mut events = app.events();
    let agent = agent(&app.link("").await.unwrap());
    relay.stop().await;
    wait(&mut events, |event| {
        matches!(event, Event::Disconnected { .. }).then_some(())
    })
    .await;
    // Asked for while there is no relay.
    let other = tokio::spawn({
        let app = app.clone();
        async move { app.link("second").await }
    });
    relay.again("relay.db").await;
    assert!(wait(&mut events, connected).await);
    agent
        .call(Call::post("/add").json(&json!({"a": 1})).unwrap())
        .await
        .unwrap();
    assert_eq!(other.await.unwrap().unwrap().label(), "second");
    assert_eq!(app.links().len(), 2);
    // A call in flight is answered.
    let call = tokio::spawn(async move { agent.call(Call::post("/slow")).await });
    started.notified().await;
    go.notify_one();
    assert_eq!(call.await.unwrap().unwrap().text().unwrap(), "late");
}

#[tokio::test]
async fn links_of_a_lost_session_are_made_anew() {
    let mut relay = Relay::start().await;
    let app = relay.app().tool(add()).connect().await.unwrap();
    let mut events = app.events();
    let narrow = LinkOptions::new("narrow")
        .tools(["/add"])
        .expires_in(Duration::from_secs(600));
    let narrow = app.link_with(narrow).await.unwrap();
    let wide = app.link("wide").await.unwrap();
    relay.stop().await;
    relay.again("another.db").await;
    let links = wait(&mut events, |event| match event {
        Event::SessionChanged { links } => Some(links),
        _ => None,
    });
    let links = links.await;
    assert_eq!(
        links.iter().map(|link| link.label()).collect::<Vec<_>>(),
        ["narrow", "wide"]
    );
    assert!(links[0].url() != narrow.url() && links[1].url() != wide.url());
    assert!(links[0].expires_at().unwrap() <= narrow.expires_at().unwrap() + 1000);
    assert_eq!(app.links(), links);
    for link in &links {
        let call = Call::post("/add").json(&json!({"a": 1})).unwrap();
        assert_eq!(agent(link).call(call).await.unwrap().status(), 200);
    }
    assert!(agent(&wide).tries(1).tools().await.is_err());
}

#[tokio::test]
async fn a_kept_session_is_resumed_by_the_next_process() {
    let relay = Relay::start().await;
    let folder = tempfile::tempdir().unwrap();
    let store = || FileStore::new(folder.path().join("session.json"));
    let app = relay
        .app()
        .tool(add())
        .store(store())
        .connect()
        .await
        .unwrap();
    let link = app.link("kept").await.unwrap();
    let gone = app.link("gone").await.unwrap();
    app.revoke(&gone).await.unwrap();
    app.leave().await.unwrap();
    assert!(matches!(app.link("").await, Err(Error::Closed(_))));
    let kept = store().load().unwrap().unwrap();
    let proof = "upgrade_proof".to_owned();
    assert!(kept.relay_features.contains(&proof), "{kept:?}");

    let app = relay
        .app()
        .tool(add())
        .store(store())
        .connect()
        .await
        .unwrap();
    assert_eq!(app.links(), std::slice::from_ref(&link));
    let call = Call::post("/add").json(&json!({"a": 1})).unwrap();
    assert_eq!(agent(&link).call(call).await.unwrap().status(), 200);
    assert_eq!(relay.sessions(), 1);
    app.end().await.unwrap();
    assert_eq!(store().load().unwrap(), None);
    assert_eq!(relay.sessions(), 0);
}

/// The head of the first upgrade of an app whose session was kept so.
async fn upgrade_of(relay_features: &[&str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path().join("session.json"));
    let saved = Saved {
        session_id: "A6VFRZQ2".to_owned(),
        resume_secret: "3GYiItGDHCp2A39RVsnEkx7JQ7zTgoyrBGNNuIOJFTE".to_owned(),
        relay_features: relay_features.iter().map(|name| name.to_string()).collect(),
        ..Saved::default()
    };
    store.save(Some(&saved)).unwrap();
    let app = App::builder(url)
        .agents_md("A test.")
        .store(store)
        .connect();
    let app = tokio::spawn(app);
    let head = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    };
    let head = timeout(PATIENCE, head).await.unwrap();
    app.abort();
    head
}

#[tokio::test]
async fn a_resume_proves_that_it_is_the_owners_to_a_relay_that_knows_of_it() {
    let head = upgrade_of(&["carry_calls", "upgrade_proof"]).await;
    // As docs/protocol.md has it.
    let offer = "agent-socket.v1, agent-socket.proof.ddSukXBnvkhLfZ1Dg73xew";
    let line = format!(
        "\r\nsec-websocket-protocol: {}\r\n",
        offer.to_ascii_lowercase()
    );
    assert!(head.contains(&line), "{head}");
    for older in [&["carry_calls"][..], &[]] {
        let head = upgrade_of(older).await;
        assert!(head.contains("?session=a6vfrzq2"), "{head}");
        assert!(!head.contains("sec-websocket-protocol"), "{head}");
    }
}

#[tokio::test]
async fn a_session_that_was_kept_elsewhere_is_replaced() {
    let relay = Relay::start().await;
    let folder = tempfile::tempdir().unwrap();
    let store = || FileStore::new(folder.path().join("session.json"));
    let first = relay.app().store(store()).connect().await.unwrap();
    let mut events = first.events();
    let _second = relay.app().store(store()).connect().await.unwrap();
    let reason = wait(&mut events, |event| match event {
        Event::Closed { reason } => Some(reason.to_string()),
        _ => None,
    });
    assert!(reason.await.contains("resumed elsewhere"));
}

#[tokio::test]
async fn a_handler_is_dropped_when_nobody_waits() {
    struct Dropped(Arc<Notify>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let relay = Relay::start().await;
    let (started, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, guard) = (Arc::clone(&started), Arc::clone(&dropped));
    let hang = Tool::post("/hang").handle_raw(move |_| {
        let guard = Dropped(Arc::clone(&guard));
        let tell = Arc::clone(&tell);
        async move {
            let _guard = guard;
            tell.notify_one();
            std::future::pending::<()>().await;
        }
    });
    let app = relay.app().tool(hang).connect().await.unwrap();
    let mut events = app.events();
    let link = app.link("").await.unwrap();
    let agent = agent(&link);
    let call = tokio::spawn(async move { agent.call(Call::post("/hang")).await });
    started.notified().await;
    call.abort();
    timeout(PATIENCE, dropped.notified()).await.unwrap();
    let reason = wait(&mut events, |event| match event {
        Event::Cancelled { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, "disconnected");
}

#[tokio::test]
async fn refusals_are_typed() {
    let relay = Relay::start().await;
    let refused = async |builder: agent_socket_client::Builder| match builder.connect().await {
        Err(Error::Refused(refused)) => refused.code.unwrap(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was let in"),
    };
    assert_eq!(
        refused(relay.app().app_id("elsewhere")).await,
        AppCode::OriginDenied
    );
    assert_eq!(
        refused(relay.app().app_id("no app")).await,
        AppCode::InvalidAppId
    );
    let reserved = Tool::post("/agents.md").handle_raw(async |_| ());
    assert_eq!(
        refused(relay.app().tool(reserved)).await,
        AppCode::ReservedPath
    );
    assert_eq!(
        refused(relay.app().agents_md("x".repeat(65_537))).await,
        AppCode::AgentsMdTooLarge
    );

    let app = relay.app().tool(add()).connect().await.unwrap();
    for _ in 0..50 {
        app.link("").await.unwrap();
    }
    let error = app.link("").await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused(refused) if refused.code == Some(AppCode::TooManyTokens)),
        "{error:?}"
    );
    assert_eq!(app.links().len(), 50);
    let twice = vec![add(), add()];
    assert!(matches!(
        app.set_tools(twice, None).await,
        Err(Error::Refused(_))
    ));
    app.set_tools(
        vec![Tool::post("/new").handle_raw(async |_| "new")],
        Some("New.".into()),
    )
    .await
    .unwrap();
    let agent = agent(&app.links()[0]);
    assert_eq!(
        agent
            .call(Call::post("/new"))
            .await
            .unwrap()
            .text()
            .unwrap(),
        "new"
    );
    assert!(agent.briefing().await.unwrap().contains("New."));
}

#[tokio::test]
async fn a_relay_that_is_away_is_told_at_once() {
    let mut relay = Relay::start().await;
    relay.stop().await;
    let error = relay.app().connect().await.err().unwrap();
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert!(error.to_string().contains(&relay.url()), "{error}");
}

#[tokio::test]
async fn a_session_that_the_operator_ends_is_made_anew() {
    let relay = Relay::start().await;
    let app = relay.app().connect().await.unwrap();
    let mut events = app.events();
    relay.end_all_sessions().await;
    let changed = wait(&mut events, |event| match event {
        Event::SessionChanged { links } => Some(links),
        _ => None,
    });
    assert!(changed.await.is_empty());
    assert_eq!(relay.sessions(), 1);
    app.end().await.unwrap();
    assert!(matches!(app.end().await, Err(Error::Closed(_))));
}

#[tokio::test]
async fn a_session_can_be_ended_while_the_relay_is_away() {
    let mut relay = Relay::start().await;
    let app = relay.app().connect().await.unwrap();
    let mut events = app.events();
    relay.stop().await;
    wait(&mut events, |event| {
        matches!(event, Event::Disconnected { .. }).then_some(())
    })
    .await;
    // The relay could not be told, but the app is through with it.
    assert!(matches!(app.end().await, Err(Error::Unreachable(_))));
    assert!(matches!(app.end().await, Err(Error::Closed(_))));
}

#[tokio::test]
async fn answers_that_do_not_fit_are_told() {
    let relay = Relay::start().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let app = relay.app().tools([
        Tool::post("/fits").handle_raw(async |_| "é".repeat(4_000_000)),
        Tool::post("/large").handle_raw(async |_| "x".repeat(4 * 1024 * 1024)),
        Tool::post("/task").handle_raw(async |_| AppReply::task(async |_| "x".repeat(64 * 1024))),
        Tool::post("/parts").handle_raw(move |_: Incoming| {
            counted.fetch_add(1, Ordering::Relaxed);
            let parts = ["a", "b", "c"].map(|part| Ok::<_, String>(part.as_bytes()));
            let reply = AppReply::stream(200, "text/plain", futures_util::stream::iter(parts));
            async move { reply }
        }),
    ]);
    let app = app.connect().await.unwrap();
    let agent = agent(&app.link("").await.unwrap());
    let fits = agent.call(Call::post("/fits")).await.unwrap();
    assert_eq!((fits.status(), fits.body().len()), (200, 8_000_000));
    let large = agent.call(Call::post("/large")).await.unwrap();
    assert_eq!(large.status(), 500);
    assert!(large.text().unwrap().contains("4 MiB"));
    let task = agent
        .call(Call::post("/task"))
        .await
        .unwrap()
        .task_id()
        .unwrap();
    let task = agent.task(&task, |_, _| {}).await.unwrap();
    assert!(
        task.status() == 500 && task.text().unwrap().contains("64 KiB"),
        "{task:?}"
    );
    assert_eq!(
        agent
            .call(Call::post("/parts"))
            .await
            .unwrap()
            .text()
            .unwrap(),
        "abc"
    );
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let error = agent.call(Call::post("/none")).await.unwrap_err();
    assert!(matches!(error, Error::Relay(error) if error.code == Some(HttpCode::NotFound)));
}

#[tokio::test]
async fn a_path_has_parameters_and_an_app_a_name() {
    let relay = Relay::start().await;
    let item = Tool::get("/items/:id")
        .handle_raw(async |call: Incoming| call.param("id").unwrap_or_default().to_owned());
    let app = relay.app().name("Shopping list").tool(item);
    let app = app.connect().await.unwrap();
    let agent = agent(&app.link("").await.unwrap());
    let reply = agent.call(Call::get("/items/a%20b")).await.unwrap();
    assert_eq!(reply.text().unwrap(), "a b");
    assert!(agent.briefing().await.unwrap().contains("Shopping list"));
}
