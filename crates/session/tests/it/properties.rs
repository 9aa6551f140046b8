//! Any sequence of events keeps the promises that `World` checks after each:
//! one answer per request, limits, alarms, records that are enough, no secret
//! where it must not be, nothing left of a session that ended.

use agent_socket_testkit::{Ask, CallResult, Op, Origin, PagePath, Play, Proof, Tools, Which};
use proptest::prelude::*;

/// A program that fails is printed by the names of its operations: it belongs
/// into [`found`], and no seed needs to be kept.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: wanted.map_or(cases, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any::<[u8; 4]>().prop_map(Op::from_bytes), 0..120)
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn any_events_keep_every_promise(
        ops in ops(),
        raw in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3),
    ) {
        Play::new(&[], &raw).run(&ops);
    }

    #[test]
    fn so_they_do_where_nothing_is_held(ops in ops()) {
        Play::new(&[("RESUME_GRACE_MS", "0")], &[]).run(&ops);
    }
}

const HOUR: i64 = 60 * 60 * 1000;

const CALL: Op = Op::Request {
    token: 0,
    ask: Ask::Call,
    cross_site: false,
    body: true,
    times: 1,
};

const DROP: Op = Op::Close {
    socket: Which::Newest,
    code: 1006,
};

/// A sign of life: a reply to no call.
const REPLY: Op = Op::Reply {
    socket: Which::Newest,
    call: 0,
    result: CallResult::Task(0),
};

/// What was found by chance once, to be tried every time.
fn found() -> Vec<(&'static str, Vec<Op>)> {
    vec![
        (
            "a hold that was over by then answered an agent that went away",
            vec![
                CALL,
                DROP,
                Op::Jump { ms: 24 * HOUR },
                Op::Gone { request: 0 },
            ],
        ),
        (
            "a null schema was in tools.json until the records were read again",
            vec![
                Op::Update {
                    socket: Which::Newest,
                    tools: Tools::NullSchema,
                    briefing: None,
                },
                Op::Compare,
            ],
        ),
        (
            "where the clock goes back, what an attachment said was not what was saved",
            vec![
                Op::Jump { ms: 61 * HOUR / 8 },
                REPLY,
                Op::Jump { ms: -HOUR / 8 },
                Op::Ping {
                    socket: Which::Newest,
                    id: 35,
                },
                Op::Wait { ms: 63_000 },
                REPLY,
                Op::Compare,
            ],
        ),
        (
            "a heartbeat from before the clock went back kept an app alive in memory only",
            vec![
                Op::Heartbeats,
                Op::Jump { ms: -HOUR / 8 },
                REPLY,
                Op::Wait { ms: 50_000 },
                Op::Compare,
                Op::Heartbeats,
                Op::Wait { ms: 50_000 },
                Op::Compare,
            ],
        ),
        (
            "a form waited for its body where no call had room",
            vec![
                Op::Open {
                    resume: true,
                    origin: Origin::Absent,
                    proof: Proof::Absent,
                    address: None,
                },
                Op::FloodOfTasks,
                Op::Page {
                    token: 0,
                    page: PagePath::Form,
                    same_origin: false,
                    body: true,
                },
            ],
        ),
    ]
}

#[test]
fn what_was_found_stays_fixed() {
    for (what, ops) in found() {
        println!("{what}");
        Play::new(&[], &[]).run(&ops);
        Play::new(&[("RESUME_GRACE_MS", "0")], &[]).run(&ops);
    }
}

/// Found by chance, too: an id is echoed as it came, lone surrogates and all.
#[test]
fn an_id_with_a_lone_surrogate_is_echoed() {
    let raw = [br#"{"type":"list_agent_tokens","id":"\ud800"}"#.to_vec()];
    Play::new(&[], &raw).run(&[Op::Raw {
        socket: Which::Newest,
        frame: 0,
    }]);
}
