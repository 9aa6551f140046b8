//! A timer that goes off in steps, so that few events have to set one.

use agent_socket_session::Millis;

use crate::frugal::step_to;

/// When the one timer of a session goes off, for a runtime where setting and
/// clearing one costs more than going off too early.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the session wants its timer; see [`crate::Runtime::set_timer`].
    wanted: Option<Millis>,
    armed: Option<Millis>,
    has_unwatched: bool,
}

/// What to do about the runtime's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// Nothing.
    Keep,
    /// Clear it: a timer that is left over may keep a session in memory.
    Clear,
    /// Set it in place of the one that is set, to go off in so many ms.
    In(Millis),
}

impl Pace {
    /// The session wants its timer then, in place of any time before.
    pub const fn want(&mut self, at: Option<Millis>) {
        self.wanted = at;
    }

    /// A request waits whose agent is not watched yet. The runtime watches all
    /// of them when its timer goes off.
    pub const fn waits(&mut self) {
        self.has_unwatched = true;
    }

    /// The runtime's timer went off.
    pub const fn went_off(&mut self) {
        self.armed = None;
        self.has_unwatched = false;
    }

    /// What to do about the timer, at the end of an event.
    pub fn arm(&mut self, now: Millis) -> Arm {
        let Some(wanted) = self.wanted else {
            return match self.armed.take() {
                Some(_) => Arm::Clear,
                None => Arm::Keep,
            };
        };
        let until = step_to(wanted, now, !self.has_unwatched);
        if self.armed.is_some_and(|armed| armed <= until) {
            return Arm::Keep;
        }
        self.armed = Some(until);
        Arm::In(until.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_events_set_the_timer() {
        let mut pace = Pace::default();
        assert_eq!(pace.arm(1000), Arm::Keep);
        // A call with 30 s: its agent is watched first, then it is looked at in steps.
        pace.want(Some(31_000));
        pace.waits();
        assert_eq!(pace.arm(1000), Arm::In(100));
        for now in [1001, 1050, 1099] {
            pace.want(Some(now + 30_000));
            pace.waits();
            assert_eq!(pace.arm(now), Arm::Keep, "{now}");
        }
        pace.went_off();
        assert_eq!(pace.arm(1100), Arm::In(2000));
        // One whose time is sooner comes in between.
        pace.want(Some(1600));
        assert_eq!(pace.arm(1100), Arm::In(500));
        pace.want(Some(1000));
        assert_eq!(pace.arm(1101), Arm::In(0));
    }

    #[test]
    fn no_timer_is_left_over() {
        let mut pace = Pace::default();
        pace.want(Some(5000));
        assert_eq!(pace.arm(1000), Arm::In(2000));
        pace.want(None);
        assert_eq!(pace.arm(1001), Arm::Clear);
        assert_eq!(pace.arm(1002), Arm::Keep);
        // It has to be set again, since it was cleared.
        pace.want(Some(5000));
        assert_eq!(pace.arm(1003), Arm::In(2000));
    }
}
