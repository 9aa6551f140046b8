//! Sorted maps and sets, made an entry at a time.
//!
//! `collect` sorts the entries first, with code of its own for each type of entry:
//! 2 to 10 KB each in a program that is small for the sake of a quick start.

use std::collections::{BTreeMap, BTreeSet};

/// The map of some entries; the last value of a key wins, as with `collect`.
pub fn map_of<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}

/// The set of some values.
pub fn set_of<T: Ord>(values: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(values);
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_what_collect_makes(entries in prop::collection::vec((0..9_u8, any::<u8>()), 0..20)) {
            let map: BTreeMap<_, _> = entries.iter().copied().collect();
            prop_assert_eq!(map_of(entries.iter().copied()), map);
            let set: BTreeSet<_> = entries.iter().copied().collect();
            prop_assert_eq!(set_of(entries), set);
        }
    }
}
