//! Any sequence of events keeps the promises that `World` checks after each:
//! one answer per request, limits, alarms, records that are enough, no secret
//! where it must not be, nothing left of a session that ended.

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::common::ops::{Op, Play};

pub(crate) fn config(cases: u32) -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: wanted.map_or(cases, |cases| cases.parse().unwrap()),
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel(
            "regressions",
        ))),
        ..ProptestConfig::default()
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any::<Op>(), 0..120)
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

/// What was found by chance once, to be tried every time.
const FOUND: [&[Op]; 5] = [
    // A hold that was over by then answered an agent that went away.
    &[
        [101, 0, 32, 0],
        [244, 0, 0, 0],
        [23, 1, 192, 0],
        [53, 0, 0, 0],
    ],
    // A null schema was in tools.json until the records were read again.
    &[[179, 0, 38, 0], [187, 0, 0, 0]],
    // Where the clock goes back, what an attachment said was not what was saved.
    &[
        [215, 21, 61, 0],
        [77, 0, 0, 0],
        [183, 92, 1, 0],
        [58, 35, 64, 0],
        [95, 63, 0, 0],
        [77, 0, 0, 0],
        [91, 0, 0, 0],
    ],
    // A heartbeat from before the clock went back kept an app alive in memory only.
    &[
        [222, 0, 0, 0],
        [183, 104, 1, 0],
        [45, 0, 0, 0],
        [95, 50, 0, 0],
        [91, 0, 0, 0],
        [94, 0, 0, 0],
        [31, 50, 0, 0],
        [27, 0, 0, 0],
    ],
    // An id is echoed as it came, lone surrogates and all.
    &[[156, 185, 53, 67]],
];

#[test]
fn what_was_found_stays_fixed() {
    for ops in FOUND {
        Play::new(&[], &[]).run(ops);
        Play::new(&[("RESUME_GRACE_MS", "0")], &[]).run(ops);
    }
}
