//! The scenarios, a file for each layer.

mod smoke;

use crate::scenario::Scenario;

/// All scenarios, by number.
pub fn all() -> Vec<Scenario> {
    let mut all = smoke::scenarios();
    all.sort_by_key(|scenario| scenario.number);
    all
}
