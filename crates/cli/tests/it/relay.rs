//! `agent-socket relay`.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::program::{Place, Running};

const ANY_PORT: [&str; 4] = ["relay", "--json", "--listen", "127.0.0.1:0"];

fn start(place: &Place, more: &[&str]) -> (Running, String) {
    let mut relay = place.start(ANY_PORT.iter().chain(more));
    let ready = relay.event("ready");
    let url = ready["url"].as_str().unwrap();
    assert!(url.starts_with("http://localhost:"), "{ready}");
    let port = url.rsplit_once(':').unwrap().1;
    (relay, format!("http://127.0.0.1:{port}"))
}

pub(crate) fn get(url: &str) -> (u16, String) {
    let answer = ureq(url);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// One request over a connection of its own.
fn ureq(url: &str) -> String {
    use std::io::{Read as _, Write as _};
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn it_serves_until_it_is_told_to_end() {
    let place = Place::new();
    for (signal, code) in [("INT", 130), ("TERM", 0)] {
        let (relay, url) = start(&place, &[]);
        assert_eq!(get(&format!("{url}/healthz")).0, 200);
        let (status, page) = get(&format!("{url}/"));
        assert!(status == 200 && page.contains("<title>"), "{page}");
        relay.signal(signal);
        let ended = relay.ended();
        assert_eq!(ended.code, code, "{}", ended.err);
        assert_eq!(ended.events().last().unwrap()["type"], "stopped");
    }
}

#[test]
fn for_people_the_first_line_says_where_it_is() {
    let place = Place::new();
    let mut relay = place.start(["relay", "--listen", "127.0.0.1:0", "--memory"]);
    let line = relay.line();
    let url = line.strip_prefix("ready http://localhost:").unwrap();
    assert!(url.parse::<u16>().is_ok(), "{line}");
}

#[test]
fn the_state_is_a_private_file_in_a_private_folder() {
    let place = Place::new();
    let (_relay, _) = start(&place, &[]);
    let mode = |path: &str| {
        let metadata = std::fs::metadata(place.path(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("home"), 0o700);
    assert_eq!(mode("home/relay.db"), 0o600);
}

#[test]
fn a_second_relay_on_the_same_file_is_refused() {
    let place = Place::new();
    let (_relay, _) = start(&place, &[]);
    let second = place.run(ANY_PORT);
    second.failed(1, "state_file", &["in use by another relay", "--state"]);
    let (_third, _) = start(&place, &["--memory"]);
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Place::new().run(["relay", "--json", "--memory", "--listen", &address]);
    ended.failed(1, "port_in_use", &[&address, "another program", "--listen"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let place = Place::new();
    let missing = place.path("missing").display().to_string();
    let ended = place.run(ANY_PORT.iter().copied().chain(["--apps", &missing]));
    ended.failed(2, "unreadable_file", &[&missing]);

    let bad = place.write(
        "apps.json",
        r#"{"my app":{"label":"x","allowedOrigins":["*"]}}"#,
    );
    let bad = bad.display().to_string();
    let ended = place.run(ANY_PORT.iter().copied().chain(["--apps", &bad]));
    ended.failed(2, "bad_apps", &[&bad, "my app"]);

    let tls = ["--tls-cert", &missing, "--tls-key", &missing];
    let ended = place.run(ANY_PORT.iter().copied().chain(["--memory"]).chain(tls));
    ended.failed(2, "bad_tls", &[&missing]);
    let ended = place.run(ANY_PORT.iter().copied().chain(["--tls-cert", &missing]));
    ended.failed(2, "usage", &["--tls-key"]);

    let foreign = place.write("foreign.db", &"not a database ".repeat(100));
    let foreign = foreign.display().to_string();
    let ended = place.run(ANY_PORT.iter().copied().chain(["--state", &foreign]));
    ended.failed(1, "state_file", &[&foreign]);
}

#[test]
fn what_others_can_reach_needs_a_public_url() {
    let place = Place::new();
    let others = ["relay", "--json", "--memory", "--listen", "0.0.0.0:0"];
    place
        .run(others)
        .failed(2, "no_public_url", &["public URL", "--insecure-any-host"]);
    let debug = others
        .iter()
        .copied()
        .chain(["--debug", "--insecure-any-host"]);
    place.run(debug).failed(2, "debug_not_local", &["/_debug"]);
    let bad = ANY_PORT
        .iter()
        .copied()
        .chain(["--memory", "--public-url", "relay.example"]);
    place.run(bad).failed(2, "bad_public_url", &["origin"]);

    let mut relay = place.start(
        others
            .iter()
            .copied()
            .chain(["--public-url", "http://r.example:1"]),
    );
    assert_eq!(relay.event("ready")["url"], "http://r.example:1");
    relay.signal("TERM");
    assert!(relay.ended().err.contains("without TLS"));
}

#[test]
fn every_var_is_a_flag_and_a_variable() {
    let place = Place::new();
    for (flag, value) in [
        ("--max-sync-tool-ms", "0"),
        ("--max-tool-ms", "x"),
        ("--heartbeat-timeout-ms", "99"),
        ("--resume-grace-ms", "-1"),
        ("--token-prefix", "9"),
    ] {
        let name = flag
            .strip_prefix("--")
            .unwrap()
            .replace('-', "_")
            .to_uppercase();
        let given = format!("{flag}={value}");
        let ended = place.run(ANY_PORT.iter().copied().chain(["--memory", &given]));
        ended.failed(2, "bad_setting", &[&name]);
        let mut command = place.command(ANY_PORT.iter().copied().chain(["--memory"]));
        let output = command
            .env(format!("AGENT_SOCKET_{name}"), value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    let (_relay, url) = start(&place, &["--memory", "--debug"]);
    assert_eq!(get(&format!("{url}/_debug/health")), (200, "ok".to_owned()));
    let (_relay, url) = start(&place, &["--memory"]);
    assert_eq!(get(&format!("{url}/_debug/health")).0, 404);
}

#[test]
fn apps_are_read_again_on_sighup() {
    let place = Place::new();
    let apps = place.write(
        "apps.json",
        r#"{"one":{"label":"One","allowedOrigins":["*"]}}"#,
    );
    let shown = apps.display().to_string();
    let mut relay = place.start([
        "relay",
        "--listen",
        "127.0.0.1:0",
        "--memory",
        "--apps",
        &shown,
    ]);
    relay.line();
    std::fs::write(&apps, "{").unwrap();
    relay.signal("HUP");
    relay.log("goes on with the apps that it had");
    std::fs::write(&apps, r#"{"two":{"label":"Two","allowedOrigins":["*"]}}"#).unwrap();
    relay.signal("HUP");
    relay.log("read again");
}

#[test]
fn logs_can_be_read_by_programs() {
    let place = Place::new();
    let mut relay = place.start([
        "relay",
        "--listen",
        "127.0.0.1:0",
        "--memory",
        "--log-format",
        "json",
    ]);
    relay.line();
    relay.signal("HUP");
    let line = relay.log("without an apps.json");
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "ERROR");
}
