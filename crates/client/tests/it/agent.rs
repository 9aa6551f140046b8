//! The agent's side.

use agent_socket_client::{Agent, AppReply, Call, Error, LinkOptions, TaskState, Tool};
use agent_socket_wire::error::HttpCode;
use serde_json::{Value, json};

use crate::relay::{Relay, agent};

fn relay_error(result: Result<impl std::fmt::Debug, Error>) -> HttpCode {
    match result.unwrap_err() {
        Error::Relay(error) => error.code.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_reads_what_a_link_offers() {
    let relay = Relay::start().await;
    let app = relay.app().description("For tests.").tools([
        Tool::post("/echo")
            .describe("Says it again.")
            .schema(&json!({"type": "object"}))
            .handle(async |input: Value| input),
        Tool::get("/time").handle_raw(async |_| "now"),
    ]);
    let app = app.connect().await.unwrap();
    let agent = agent(&app.link("me").await.unwrap());
    let offer = agent.tools().await.unwrap();
    assert_eq!(
        (offer.app.id.as_str(), offer.app.description.as_str()),
        ("as_app_anon", "For tests.")
    );
    let [echo, time] = &offer.tools[..] else {
        panic!()
    };
    assert_eq!(
        (echo.path.as_str(), echo.description.as_str()),
        ("/echo", "Says it again.")
    );
    assert_eq!(
        echo.input_schema.as_ref().unwrap().get(),
        r#"{"type":"object"}"#
    );
    assert!(time.read_only && !echo.read_only);
    assert!(agent.briefing().await.unwrap().contains("A test."));
}

#[tokio::test]
async fn what_an_app_answers_is_no_error() {
    let relay = Relay::start().await;
    // In the very words of the relay.
    let error = async |_| AppReply::error(503, "app_offline", "I say so.");
    let app = relay.app().tools([
        Tool::post("/error").handle_raw(error),
        Tool::post("/bytes").handle_raw(async |_| AppReply::bytes(201, "image/png", [0, 255, 7])),
        Tool::post("/nothing").handle_raw(async |_| ()),
        Tool::get("/ask")
            .handle_raw(async |call: agent_socket_client::Incoming| call.query().to_owned()),
    ]);
    let app = app.connect().await.unwrap();
    let agent = agent(&app.link("").await.unwrap());
    let reply = agent.call(Call::post("/error")).await.unwrap();
    assert_eq!((reply.status(), reply.is_success()), (503, false));
    assert_eq!(
        reply.json::<Value>().unwrap()["error"]["message"],
        "I say so."
    );
    let reply = agent.call(Call::post("bytes")).await.unwrap();
    assert_eq!(
        (reply.status(), reply.content_type()),
        (201, Some("image/png"))
    );
    assert_eq!(&reply.body()[..], [0, 255, 7]);
    assert!(reply.text().is_err());
    let reply = agent.call(Call::post("/nothing")).await.unwrap();
    assert_eq!((reply.status(), reply.body().len()), (204, 0));
    let call = Call::get("/ask").query([("a b", "c&d"), ("e", "ü")]);
    let mut stream = agent.stream(call).await.unwrap();
    assert_eq!(stream.status(), 200);
    let mut text = Vec::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    assert_eq!(text, b"a+b=c%26d&e=%C3%BC");
}

#[tokio::test]
async fn errors_have_the_codes_of_the_protocol() {
    let mut relay = Relay::start().await;
    let tools = || {
        [
            Tool::post("/a").handle_raw(async |_| "a"),
            Tool::post("/b").handle_raw(async |_| "b"),
        ]
    };
    let app = relay.app().tools(tools()).connect().await.unwrap();
    let narrow = app
        .link_with(LinkOptions::new("").tools(["/a"]).max_calls(1))
        .await
        .unwrap();
    let link = app.link("").await.unwrap();
    let (narrow, agent) = (agent(&narrow), agent(&link));
    assert_eq!(
        relay_error(agent.call(Call::post("/none")).await),
        HttpCode::NotFound
    );
    assert_eq!(
        relay_error(agent.call(Call::get("/a")).await),
        HttpCode::MethodNotAllowed
    );
    assert_eq!(
        relay_error(narrow.call(Call::post("/b")).await),
        HttpCode::ToolNotAllowed
    );
    narrow.call(Call::post("/a")).await.unwrap();
    assert_eq!(
        relay_error(narrow.call(Call::post("/a")).await),
        HttpCode::TokenExpired
    );
    let large = vec![b'x'; 1024 * 1024 + 1];
    assert_eq!(
        relay_error(agent.call(Call::post("/a").body("text/plain", large)).await),
        HttpCode::BodyTooLarge
    );
    app.revoke(&link).await.unwrap();
    assert_eq!(relay_error(agent.tools().await), HttpCode::TokenInvalid);
    app.end().await.unwrap();
    // A dead link asks for no second try.
    assert_eq!(relay_error(agent.tools().await), HttpCode::AppOffline);

    relay.stop().await;
    let error = agent.tools().await.unwrap_err();
    let Error::Unreachable(unreachable) = &error else {
        panic!("{error:?}")
    };
    assert!(
        !unreachable.is_tls && unreachable.relay == relay.url(),
        "{error:?}"
    );
    assert!(!error.to_string().contains(link.token()));
}

#[tokio::test]
async fn only_what_is_safe_is_tried_again() {
    let relay = Relay::start().await;
    let app = relay
        .app()
        .tool(Tool::post("/a").handle_raw(async |_| "a"))
        .connect()
        .await
        .unwrap();
    let link = app.link("").await.unwrap();
    app.leave().await.unwrap();
    drop(app);
    let agent = agent(&link).tries(2);
    // The app is away, and the relay asks to try again in 2 s.
    let took = async |call: Call| {
        let since = tokio::time::Instant::now();
        let mut code = relay_error(agent.call(call).await);
        // Until the relay knows that the app is away.
        while code != HttpCode::AppOffline {
            code = relay_error(agent.call(Call::post("/a")).await);
        }
        since.elapsed().as_millis()
    };
    let once = took(Call::post("/a")).await;
    assert!(once < 1_900, "{once}");
    let twice = took(Call::post("/a").read_only()).await;
    assert!(twice >= 1_900, "{twice}");
}

#[tokio::test]
async fn a_task_is_waited_for() {
    let relay = Relay::start().await;
    let (go, wait) = tokio::sync::watch::channel(false);
    let work = move |progress: agent_socket_client::Progress| {
        let mut wait = wait.clone();
        async move {
            progress.tell(Some(0.5), Some("half"));
            wait.wait_for(|go| *go)
                .await
                .map_err(|error| error.to_string())?;
            Ok::<_, String>(json!({"done": true}))
        }
    };
    let tool = Tool::post("/long").handle_raw(move |_| {
        let work = work.clone();
        async move { AppReply::task(work) }
    });
    let app = relay.app().tool(tool).connect().await.unwrap();
    let agent = agent(&app.link("").await.unwrap());
    let reply = agent.call(Call::post("/long")).await.unwrap();
    let task = reply.task_id().unwrap();
    let half = loop {
        match agent
            .poll(&task, std::time::Duration::from_secs(5))
            .await
            .unwrap()
        {
            TaskState::Pending {
                progress,
                message: Some(message),
            } => break (progress, message),
            TaskState::Pending { .. } => {}
            TaskState::Done(reply) => panic!("{reply:?}"),
        }
    };
    assert_eq!(half, (Some(0.5), "half".to_owned()));
    go.send(true).unwrap();
    let reply = agent.task(&task, |_, _| {}).await.unwrap();
    assert_eq!(reply.json::<Value>().unwrap(), json!({"done": true}));
    let bad = agent
        .poll("no/id", std::time::Duration::ZERO)
        .await
        .unwrap_err();
    assert!(matches!(bad, Error::Invalid(_)), "{bad:?}");
}

#[tokio::test]
async fn what_is_no_relay_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            let _ = stream.write_all(answer).await;
        }
    });
    let agent = Agent::new(&format!(
        "http://{address}/v1/t/as_A6VFRZQ2_twwSvmqprXSs0Lfen-KeVA"
    ))
    .unwrap();
    let error = agent.tools().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
    let error = agent_socket_client::App::builder(format!("http://{address}"))
        .connect()
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
}
