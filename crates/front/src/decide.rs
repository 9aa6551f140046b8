//! Where a request goes, and in which order it is checked.

use agent_socket_wire::answer::Answer;
use agent_socket_wire::error::HttpError;
use agent_socket_wire::id::SessionId;
use agent_socket_wire::limits::MAX_BODY_BYTES;
use agent_socket_wire::token::AgentToken;
use agent_socket_wire::url::path_and_query;

use crate::answers;
use crate::config::Config;
use crate::debug::DebugRequest;
use crate::handed::{MAX_DRAWS, Upgrade};
use crate::head::Head;
use crate::route::{Route, route};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is answered at once, and nobody reads its body: the shell lets go of
    /// that.
    Answer(Answer),
    /// An agent's request goes to the session of its token.
    Agent {
        /// The token of the link. That it is one of the session's is not known
        /// yet.
        token: AgentToken,
        /// Whether it has a body.
        body: Body,
    },
    /// An agent's request for a session that this relay never had: it is answered
    /// as one for a session that ended is, and wakes nothing.
    Stranger(AgentToken),
    /// An upgrade that asks for such a session, unless the limiter is against it as
    /// for [`Self::App`]: what is sent on it is answered as where a session ended, and
    /// nothing is stored or woken for it.
    StrangerSocket(SessionId),
    /// An app's upgrade goes to its session, unless the shell's limiter, asked
    /// with [`answers::limit_key`], is against it: then
    /// [`answers::rate_limited`].
    App(Upgrade),
    /// It is for a static page; where there is none of this path,
    /// [`answers::nothing_here`].
    Page,
    /// A debugger's request goes to its session.
    Debug(DebugRequest),
}

/// Whether a request that goes on to its session has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none, or none that counts.
    None,
    /// There is one, and it goes on as it comes. **Nobody reads it before its
    /// session asks for it**: until then anybody may have sent it. An announced
    /// length is within [`MAX_BODY_BYTES`]; whoever reads the body counts, too.
    Pass,
}

/// A cryptographic source of random bytes.
pub trait Random {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// Says what becomes of a request.
///
/// The order of the checks is the protocol's: host, token format, upgrade on
/// an agent's URL, announced size of the body. All else is the session's.
#[must_use]
pub fn decide(head: &Head<'_>, config: &Config, random: &mut impl Random) -> Decision {
    let route = route(head.url, &config.token_prefix);
    // Whoever looks after the relay may ask under any name whether it lives.
    if route != Route::Health
        && let Err(error) = config.addresses.written_for(head.url)
    {
        return refuse(error);
    }
    match route {
        Route::Agent(token) => on_agent(head, config, token),
        Route::BadToken => refuse(answers::bad_token()),
        Route::Upgrade {
            session,
            force_session,
        } => on_upgrade(
            head,
            config,
            session,
            force_session.filter(|_| config.debug),
            random,
        ),
        Route::Health if head.is_read() => Decision::Answer(answers::health()),
        Route::Health => refuse(answers::health_is_read()),
        Route::Debug(path) if config.debug => on_debug(head, path),
        Route::Debug(_) | Route::Other => Decision::Page,
    }
}

/// The same for a shell that knows at once whether an id is taken: an id that is
/// drawn for a new session is one that is free.
#[must_use]
pub fn decide_free(
    head: &Head<'_>,
    config: &Config,
    random: &mut impl Random,
    is_taken: impl Fn(SessionId) -> bool,
) -> Decision {
    for _ in 0..MAX_DRAWS {
        match decide(head, config, random) {
            Decision::App(upgrade) if upgrade.drawn && is_taken(upgrade.session) => {}
            decision => return decision,
        }
    }
    refuse(answers::session_failed())
}

fn refuse(error: HttpError) -> Decision {
    Decision::Answer(error.into())
}

fn on_agent(head: &Head<'_>, config: &Config, token: AgentToken) -> Decision {
    if head.is_upgrade() {
        return refuse(answers::no_upgrade_of_links());
    }
    let announced = head
        .content_length
        .and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return refuse(answers::body_too_large());
    }
    if !config.may_have(token.session) {
        return Decision::Stranger(token);
    }
    let body = if head.has_content() {
        Body::Pass
    } else {
        Body::None
    };
    Decision::Agent { token, body }
}

fn on_upgrade(
    head: &Head<'_>,
    config: &Config,
    session: Option<&str>,
    force_session: Option<&str>,
    random: &mut impl Random,
) -> Decision {
    if !head.is_upgrade() {
        return refuse(answers::only_upgrades());
    }
    let resume = session.is_some();
    let Some(named) = session.or(force_session) else {
        return Decision::App(Upgrade {
            session: draw(config, random),
            resume,
            drawn: true,
        });
    };
    match SessionId::parse(named) {
        None => refuse(answers::bad_session_id()),
        Some(session) if resume && !config.may_have(session) => Decision::StrangerSocket(session),
        Some(session) => Decision::App(Upgrade {
            session,
            resume,
            drawn: false,
        }),
    }
}

/// The id of a new session.
fn draw(config: &Config, random: &mut impl Random) -> SessionId {
    let mut bytes = [0; 5];
    random.fill(&mut bytes);
    let [a, b, c, d, _] = bytes;
    match &config.secret {
        Some(secret) => secret.session_id([a, b, c, d]),
        None => SessionId::from_random(bytes),
    }
}

fn on_debug(head: &Head<'_>, path: &str) -> Decision {
    if path == "health" {
        return Decision::Answer(answers::debug_health());
    }
    let (_, query) = path_and_query(head.url);
    DebugRequest::parse(path, query).map_or_else(|| refuse(answers::debug_paths()), Decision::Debug)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::{Addresses, Others};
    use crate::handed::Handed;
    use agent_socket_wire::relay_secret::RelaySecret;
    use agent_socket_wire::token::Verifier;
    use proptest::prelude::*;

    /// Bytes that are all the same.
    struct Same(u8);

    impl Random for Same {
        fn fill(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn token() -> AgentToken {
        AgentToken {
            session: SessionId::from_random([1; 5]),
            verifier: Verifier::new([2; 16]),
        }
    }

    fn decided(head: &Head<'_>, debug: bool) -> Decision {
        decide(head, &Config::new("as", debug.then_some("1")), &mut Same(3))
    }

    fn link() -> String {
        format!("https://r.example/v1/t/{}/echo", token().reveal("as"))
    }

    /// Status and text of a decision that is an answer.
    #[track_caller]
    fn answer(decision: Decision) -> (u16, String) {
        match decision {
            Decision::Answer(answer) => (answer.status, String::from_utf8(answer.body).unwrap()),
            other => panic!("no answer but {other:?}"),
        }
    }

    #[test]
    fn an_agent_s_request_goes_on_with_its_body_unread() {
        let url = link();
        for (method, content_length, expected) in [
            ("GET", None, Body::None),
            ("HEAD", None, Body::None),
            ("POST", Some("0"), Body::None),
            ("POST", Some("12"), Body::Pass),
            ("GET", Some("12"), Body::Pass),
            ("POST", Some("1048576"), Body::Pass),
            ("POST", None, Body::Pass),
            ("DELETE", None, Body::Pass),
            ("POST", Some("twelve"), Body::Pass),
        ] {
            let head = Head {
                method,
                url: &url,
                content_length,
                upgrade: None,
            };
            let expected = Decision::Agent {
                token: token(),
                body: expected,
            };
            assert_eq!(
                decided(&head, false),
                expected,
                "{method} {content_length:?}"
            );
        }
    }

    #[test]
    fn a_body_that_is_announced_as_too_large_is_refused_at_once() {
        let url = link();
        for length in ["1048577", "18446744073709551615"] {
            let head = Head {
                method: "POST",
                url: &url,
                content_length: Some(length),
                upgrade: None,
            };
            let (status, text) = answer(decided(&head, false));
            assert_eq!(status, 413);
            assert!(text.contains("1024 KiB"), "{text}");
        }
    }

    #[test]
    fn only_health_is_told_under_any_host() {
        let local = Addresses::new(None, Others::None).unwrap();
        let config = Config::new("as", Some("1")).reached_at(local);
        let token = token().reveal("as");
        for (path, status) in [
            ("healthz", 200),
            ("", 421),
            (&format!("v1/t/{token}"), 421),
            ("v1/t/x", 421),
            ("v1/_ws", 421),
            ("_debug/health", 421),
        ] {
            let url = format!("https://r.example/{path}");
            let head = Head {
                method: "GET",
                url: &url,
                ..Head::default()
            };
            let decision = decide(&head, &config, &mut Same(3));
            assert_eq!(answer(decision).0, status, "{path}");
        }
    }

    #[test]
    fn the_checks_have_the_protocol_s_order() {
        // All three at once: the token's format comes first, then the upgrade.
        let too_large = Head {
            method: "GET",
            url: "https://r.example/v1/t/as_x/echo",
            content_length: Some("1048577"),
            upgrade: Some("websocket"),
        };
        assert_eq!(answer(decided(&too_large, false)).0, 404);
        let url = link();
        let head = Head {
            url: &url,
            ..too_large
        };
        assert_eq!(answer(decided(&head, false)).0, 400);
        let head = Head {
            upgrade: None,
            ..head
        };
        assert_eq!(answer(decided(&head, false)).0, 413);
    }

    #[test]
    fn an_upgrade_goes_to_its_session() {
        let upgrade = |query: &str, debug| {
            let url = format!("https://r.example/v1/_ws{query}");
            decided(
                &Head {
                    method: "GET",
                    url: &url,
                    content_length: None,
                    upgrade: Some("WebSocket"),
                },
                debug,
            )
        };
        let new = Decision::App(Upgrade {
            session: SessionId::from_random([3; 5]),
            resume: false,
            drawn: true,
        });
        let named = |resume| {
            Decision::App(Upgrade {
                session: SessionId::parse("ABCDEFGH").unwrap(),
                resume,
                drawn: false,
            })
        };
        assert_eq!(upgrade("", false), new);
        assert_eq!(upgrade("?x=1", false), new);
        assert_eq!(upgrade("?session=ABCDEFGH", false), named(true));
        // Only a relay in debug mode lets a client choose the id of a new session.
        assert_eq!(upgrade("?force_session=ABCDEFGH", false), new);
        assert_eq!(upgrade("?force_session=ABCDEFGH", true), named(false));
        assert_eq!(
            upgrade("?force_session=11111111&session=ABCDEFGH", true),
            named(true)
        );
        for bad in ["", "abcdefgh", "ABCDEFG", "ABCDEFGHJ", "ABCDEFGI", "%41"] {
            let (status, text) = answer(upgrade(&format!("?session={bad}"), false));
            assert_eq!(status, 400, "{bad}");
            assert!(
                text.contains("must be a session id: 8 characters"),
                "{text}"
            );
        }
        // What the private contract is made of means nothing from outside.
        assert_eq!(upgrade("?resume=ABCDEFGH&open=ABCDEFGH", false), new);
    }

    #[test]
    fn the_app_surface_takes_upgrades_only() {
        for upgrade in [None, Some("h2c")] {
            let head = Head {
                method: "GET",
                url: "https://r.example/v1/_ws?session=ABCDEFGH",
                content_length: None,
                upgrade,
            };
            let (status, text) = answer(decided(&head, false));
            assert_eq!(status, 400);
            assert!(text.contains("upgrades"), "{text}");
        }
    }

    #[test]
    fn health_is_read_only() {
        let health = |method| {
            decided(
                &Head {
                    method,
                    url: "https://r.example/healthz",
                    ..Head::default()
                },
                false,
            )
        };
        for method in ["GET", "HEAD"] {
            let (status, text) = answer(health(method));
            assert_eq!(status, 200);
            assert!(text.starts_with(r#"{"ok":true,"version":""#), "{text}");
        }
        let Decision::Answer(refusal) = health("POST") else {
            panic!("no answer");
        };
        assert_eq!(refusal.status, 405);
        assert_eq!(refusal.allow.as_deref(), Some("GET, HEAD"));
    }

    #[test]
    fn debug_is_served_to_debuggers_only() {
        let debug = |path: &str, on| {
            let url = format!("https://r.example/_debug/{path}");
            decided(
                &Head {
                    method: "POST",
                    url: &url,
                    ..Head::default()
                },
                on,
            )
        };
        for path in ["health", "state/ABCDEFGH", "kill-ws/ABCDEFGH?end=1", "x"] {
            assert_eq!(debug(path, false), Decision::Page, "{path}");
        }
        assert_eq!(answer(debug("health", true)), (200, "ok".to_owned()));
        let session = SessionId::parse("ABCDEFGH").unwrap();
        assert_eq!(
            debug("kill-ws/ABCDEFGH?end=1", true),
            Decision::Debug(DebugRequest::Kill(session, crate::KillMode::End))
        );
        assert_eq!(answer(debug("x", true)).0, 404);
    }

    #[test]
    fn all_else_is_a_page_or_nothing() {
        for path in ["", "/", "/privacy", "/v1", "/v1/t", "/v1/_ws/", "/healthz/"] {
            let head = Head {
                method: "GET",
                url: &format!("https://r.example{path}"),
                ..Head::default()
            };
            assert_eq!(decided(&head, false), Decision::Page, "{path}");
        }
    }

    #[test]
    fn an_id_that_was_never_given_out_leads_to_no_session() {
        let secret = RelaySecret::new([7; 32]);
        let ours = secret.session_id([1, 2, 3, 4]);
        let [a, b, c, d, check] = ours.to_bytes();
        let other = SessionId::from_bytes([a, b, c, d, check ^ 1]);
        let config = Config::new("as", Some("1")).keyed_by(Some(secret));
        let token = |session| AgentToken {
            session,
            verifier: Verifier::new([2; 16]),
        };
        let asked = |url: &str, content_length, upgrade| {
            let url = format!("https://r.example{url}");
            let head = Head {
                method: "POST",
                url: &url,
                content_length,
                upgrade,
            };
            decide(&head, &config, &mut Same(3))
        };
        let call = |session, length| {
            let link = format!("/v1/t/{}/echo", token(session).reveal("as"));
            asked(&link, Some(length), None)
        };
        assert!(matches!(call(ours, "12"), Decision::Agent { .. }));
        for length in ["0", "12", "1048576"] {
            assert_eq!(call(other, length), Decision::Stranger(token(other)));
        }
        // What the protocol checks before the session stays before it.
        assert_eq!(answer(call(other, "1048577")).0, 413);
        let link = format!("/v1/t/{}/echo", token(other).reveal("as"));
        assert_eq!(answer(asked(&link, None, Some("websocket"))).0, 400);

        let upgrade = |query: &str| asked(&format!("/v1/_ws{query}"), None, Some("websocket"));
        let named = |session, resume| {
            Decision::App(Upgrade {
                session,
                resume,
                drawn: false,
            })
        };
        assert_eq!(upgrade(&format!("?session={ours}")), named(ours, true));
        assert_eq!(
            upgrade(&format!("?session={other}")),
            Decision::StrangerSocket(other)
        );
        assert_eq!(
            upgrade(&format!("?force_session={other}")),
            named(other, false)
        );
        let Decision::App(drawn) = upgrade("") else {
            panic!("an app may register");
        };
        assert!(drawn.drawn && config.may_have(drawn.session));
        assert_eq!(drawn.session.to_bytes()[..4], [3; 4]);
    }

    #[test]
    fn an_id_that_is_taken_is_drawn_again() {
        /// Other bytes each time.
        struct Counting(u8);

        impl Random for Counting {
            fn fill(&mut self, bytes: &mut [u8]) {
                self.0 += 1;
                bytes.fill(self.0);
            }
        }

        let config = Config::new("as", Some("1"));
        let drawn = |url: &str, taken: usize| {
            let head = Head {
                method: "GET",
                url,
                upgrade: Some("websocket"),
                ..Head::default()
            };
            let is_taken = |id: SessionId| usize::from(id.to_bytes()[0]) <= taken;
            decide_free(&head, &config, &mut Counting(0), is_taken)
        };
        for taken in 0..MAX_DRAWS {
            let Decision::App(upgrade) = drawn("https://r.example/v1/_ws", taken) else {
                panic!("draw {taken} is free");
            };
            let free = u8::try_from(taken).unwrap() + 1;
            assert_eq!(upgrade.session, SessionId::from_random([free; 5]));
        }
        let (status, _) = answer(drawn("https://r.example/v1/_ws", MAX_DRAWS));
        assert_eq!(status, 500);
        // Whoever names an id means that one.
        for query in ["session", "force_session"] {
            let url = format!("https://r.example/v1/_ws?{query}=00000000");
            assert!(matches!(drawn(&url, 3), Decision::App(_)), "{query}");
        }
    }

    /// Heads of all kinds, many of them just beside what is served.
    fn heads() -> impl Strategy<Value = (String, String, Option<String>, Option<String>)> {
        let path = prop_oneof![
            Just("/v1/_ws".to_owned()),
            "/v1/_ws\\?(session|force_session|open)=[0-9A-Za-z]{6,9}",
            Just(format!("/v1/t/{}/echo", token().reveal("as"))),
            "/v1/t/[ -~]{0,40}",
            "/_debug/(state|kill-ws|evict|health)/?[0-9A-Z]{0,9}",
            "/[ -~]{0,20}",
        ];
        let length = prop_oneof!["[0-9]{1,8}", "[ -~]{0,4}"];
        (
            "(GET|HEAD|POST|PUT|DELETE|[A-Z]{1,9})",
            path,
            prop::option::of(length),
            prop::option::of("(websocket|WebSocket|h2c)"),
        )
    }

    proptest! {
        /// Every head has its decision; what goes on is what the far side
        /// reads, and every refusal is an error with its message.
        #[test]
        fn what_is_decided_is_what_is_handed_on(
            (method, path, content_length, upgrade) in heads(),
            debug: bool,
            keyed: bool,
            random: u8,
        ) {
            let url = format!("https://r.example{path}");
            let head = Head {
                method: &method,
                url: &url,
                content_length: content_length.as_deref(),
                upgrade: upgrade.as_deref(),
            };
            let secret = keyed.then(|| RelaySecret::new([7; 32]));
            let config = Config::new("as", debug.then_some("1")).keyed_by(secret);
            let decision = decide(&head, &config, &mut Same(random));
            prop_assert_eq!(&decision, &decide(&head, &config, &mut Same(random)));
            match decision {
                Decision::Agent { token, body } => {
                    prop_assert_eq!(Handed::read(&url, &config), Some(Handed::Agent(token)));
                    prop_assert_eq!(body == Body::None, !head.has_content());
                }
                Decision::Stranger(token) => prop_assert!(!config.may_have(token.session)),
                Decision::StrangerSocket(session) => prop_assert!(!config.may_have(session)),
                Decision::App(upgrade) => {
                    let is_forced = !upgrade.resume && !upgrade.drawn;
                    prop_assert!(is_forced || config.may_have(upgrade.session));
                    prop_assert_eq!(Handed::read(&upgrade.url(), &config), Some(Handed::Upgrade(upgrade)));
                    prop_assert!(head.is_upgrade());
                }
                Decision::Debug(request) => {
                    prop_assert!(debug);
                    prop_assert_eq!(Handed::read(&url, &config), Some(Handed::Debug(request)));
                }
                Decision::Answer(answer) => {
                    prop_assert_eq!(answer.error_code.is_some(), answer.status >= 400);
                    let text = String::from_utf8(answer.body).unwrap();
                    prop_assert!(answer.status < 400 || text.starts_with(r#"{"error":{"code":""#), "{text}");
                }
                Decision::Page => {}
            }
        }
    }
}
