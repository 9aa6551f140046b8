//! `agent-socket relay sessions`, `kick`, `apps` and `backup`, and `doctor`.

use agent_socket_client::App;
use serde_json::json;

use crate::program::{Place, Running};

const LISTEN: [&str; 4] = ["relay", "--json", "--listen", "127.0.0.1:0"];

fn start(place: &Place, more: &[&str]) -> (Running, String) {
    let mut relay = place.start(LISTEN.iter().chain(more));
    let url = relay.event("ready")["url"].as_str().unwrap().to_owned();
    (relay, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_and_ends_sessions() {
    let place = Place::new();
    let (_relay, url) = start(&place, &[]);
    let app = App::builder(&url).agents_md("x").connect().await.unwrap();
    let sessions = place.run(["relay", "sessions", "--json"]).events();
    let [session, done] = &sessions[..] else {
        panic!("{sessions:?}")
    };
    assert_eq!(
        (&session["type"], &session["app"], &done["type"]),
        (&json!("session"), &json!("as_app_anon"), &json!("done"))
    );
    let id = session["session"].as_str().unwrap();
    assert!(place.run(["relay", "sessions"]).out.starts_with(id));
    assert_eq!(
        place
            .run(["relay", "sessions", "--json", "--app", "other"])
            .events()
            .len(),
        1
    );
    let apps = place.run(["relay", "apps", "--json"]).events();
    assert_eq!(
        (&apps[0]["app"], &apps[0]["sessions"]),
        (&json!("as_app_anon"), &json!(1))
    );

    let copy = place.path("copy.db").display().to_string();
    assert_eq!(place.run(["relay", "backup", &copy]).code, 0);
    place
        .run(["relay", "backup", "--json", &copy])
        .failed(1, "backup", &[&copy]);

    app.leave().await.unwrap();
    assert_eq!(place.run(["relay", "kick", id]).code, 0);
    place
        .run(["relay", "kick", "--json", id])
        .failed(4, "no_session", &[id]);
    place
        .run(["relay", "kick", "--json", "x"])
        .failed(2, "bad_request", &["8 characters"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_says_who_may_register() {
    let place = Place::new();
    let apps = place.write(
        "apps.json",
        r#"{"one":{"label":"One","allowedOrigins":["*"]}}"#,
    );
    let (_relay, url) = start(&place, &["--apps", &apps.display().to_string()]);
    let added = place
        .run(["relay", "apps", "add", "--json", "two", "--label", "Two"])
        .events();
    let key = added[0]["key"].as_str().unwrap();
    let two = || App::builder(&url).app_id("two").agents_md("x");
    assert!(two().connect().await.is_err());
    two()
        .app_key(key)
        .connect()
        .await
        .unwrap()
        .end()
        .await
        .unwrap();
    assert!(!std::fs::read_to_string(&apps).unwrap().contains(key));
    place
        .run(["relay", "apps", "add", "--json", "two", "--label", "x"])
        .failed(1, "apps_file", &["two"]);

    assert_eq!(place.run(["relay", "apps", "block", "two"]).code, 0);
    assert_eq!(place.run(["relay", "apps", "blocked"]).out, "two\n");
    assert!(two().app_key(key).connect().await.is_err());
    assert_eq!(place.run(["relay", "apps", "unblock", "two"]).code, 0);
    two()
        .app_key(key)
        .connect()
        .await
        .unwrap()
        .end()
        .await
        .unwrap();
    std::fs::write(&apps, "{").unwrap();
    let shown = apps.display().to_string();
    place
        .run(["relay", "apps", "reload", "--json"])
        .failed(1, "apps_file", &[&shown]);
}

#[test]
fn without_a_relay_an_operator_is_told_where_it_was_looked_for() {
    let place = Place::new();
    for arguments in [
        ["relay", "sessions", "--json"].as_slice(),
        &["relay", "apps", "blocked", "--json"],
    ] {
        place
            .run(arguments)
            .failed(1, "no_relay", &["relay.db-admin", "Is it running"]);
    }
    place
        .run(["relay", "apps", "blck", "--json"])
        .failed(2, "usage", &["block"]);
}

#[test]
fn figures_are_served_where_they_were_asked_for() {
    let place = Place::new();
    let mut relay =
        place.start(
            LISTEN
                .iter()
                .copied()
                .chain(["--memory", "--metrics", "127.0.0.1:0"]),
        );
    let metrics = relay.event("ready")["metrics"].as_str().unwrap().to_owned();
    let (host, _) = metrics
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    assert!(
        crate::relay::get(&metrics)
            .1
            .contains("agent_socket_sessions")
    );
    let taken = place.run(
        LISTEN
            .iter()
            .copied()
            .chain(["--memory", "--metrics", host]),
    );
    taken.failed(1, "port_in_use", &[host, "--metrics"]);
}

#[test]
fn a_tunnel_is_told_as_it_comes() {
    let place = Place::new();
    // What stands in for cloudflared says what that would say.
    let stand_in = place.write(
        "cloudflared",
        "#!/bin/sh\necho 'INF |  https://stand-in-for-it.trycloudflare.com  |' >&2\necho 'INF Registered tunnel connection connIndex=0' >&2\nexec sleep 60\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&stand_in, mode).unwrap();
    let mut relay = place.start(LISTEN.iter().copied().chain([
        "--memory",
        "--tunnel",
        "--cloudflared",
        stand_in.to_str().unwrap(),
    ]));
    assert_eq!(relay.event("cloudflared")["fetched"], false);
    assert_eq!(
        relay.event("tunnel")["url"],
        "https://stand-in-for-it.trycloudflare.com"
    );
    assert_eq!(relay.event("tunnel")["reachable"], true);
    relay.signal("TERM");
    assert_eq!(relay.ended().code, 0);
}

#[test]
fn doctor_says_what_is_missing() {
    let place = Place::new();
    let (relay, url) = start(&place, &["--memory"]);
    let healthy = place.run(["doctor", "--json", "--relay", &url]);
    assert_eq!(healthy.code, 0, "{}", healthy.out);
    let checks = healthy.events();
    let state =
        |name: &str| checks.iter().find(|check| check["name"] == name).unwrap()["state"].clone();
    assert_eq!(
        (state("version"), state("files"), state("relay")),
        (json!("ok"), json!("ok"), json!("ok"))
    );
    relay.signal("TERM");
    relay.ended();
    std::fs::write(place.path("home/config.toml"), "relay = 1").unwrap();
    let ill = place.run(["doctor", "--json", "--relay", &url]);
    ill.failed(1, "unhealthy", &["2 of the checks"]);
    let checks = ill.events();
    let bad: Vec<_> = checks
        .iter()
        .filter(|check| check["state"] == "bad")
        .collect();
    assert_eq!(
        (&bad[0]["name"], &bad[1]["name"]),
        (&json!("config"), &json!("relay"))
    );
}
