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
