//! Things by the request that they belong to.

use agent_socket_wire::work::{self, counted};

use crate::effect::RequestId;

/// A map of at most some hundred entries, by request, the oldest first.
///
/// It keeps its memory when it is empty, as it is between two calls: a tree would
/// take and free a node for every call.
pub(crate) struct ByRequest<T>(Vec<(RequestId, T)>);

impl<T> Default for ByRequest<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByRequest<T> {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts one in, in place of the one before, if there is one.
    pub(crate) fn insert(&mut self, request: RequestId, one: T) {
        match self.position(request) {
            Ok(at) => {
                if let Some(place) = self.0.get_mut(at) {
                    *place = (request, one);
                }
            }
            Err(at) => self.0.insert(at, (request, one)),
        }
    }

    pub(crate) fn has(&self, request: RequestId) -> bool {
        self.position(request).is_ok()
    }

    pub(crate) fn get_mut(&mut self, request: RequestId) -> Option<&mut T> {
        let at = self.position(request).ok()?;
        self.0.get_mut(at).map(|(_, one)| one)
    }

    pub(crate) fn remove(&mut self, request: RequestId) -> Option<T> {
        let at = self.position(request).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RequestId, &T)> {
        counted(&self.0).map(|(request, one)| (*request, one))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (RequestId, &mut T)> {
        counted(&mut self.0).map(|(request, one)| (*request, one))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        counted(&self.0).map(|(_, one)| one)
    }

    pub(crate) fn take_all(&mut self) -> Vec<(RequestId, T)> {
        std::mem::take(&mut self.0)
    }

    /// Takes out those that `which` picks.
    pub(crate) fn take_where(
        &mut self,
        which: impl Fn(RequestId, &T) -> bool,
    ) -> Vec<(RequestId, T)> {
        work::add(self.0.len());
        self.0
            .extract_if(.., |(request, one)| which(*request, one))
            .collect()
    }

    /// Where it is, or where it would be.
    fn position(&self, request: RequestId) -> Result<usize, usize> {
        self.0
            .binary_search_by_key(&request, |(request, _)| *request)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..12_u32, any::<u8>()), 0..60)) {
            let (mut ours, mut tree) = (ByRequest::default(), BTreeMap::new());
            for (is_insert, id, value) in steps {
                let request = RequestId(id);
                if is_insert {
                    ours.insert(request, value);
                    tree.insert(request, value);
                } else {
                    prop_assert_eq!(ours.remove(request), tree.remove(&request));
                }
                prop_assert_eq!(ours.len(), tree.len());
                prop_assert_eq!(ours.has(request), tree.contains_key(&request));
                prop_assert_eq!(ours.get_mut(request), tree.get_mut(&request));
                let all: Vec<_> = ours.iter().collect();
                let expected: Vec<_> = tree.iter().map(|(id, value)| (*id, value)).collect();
                prop_assert_eq!(all, expected);
            }
            let even = ours.take_where(|_, value| value % 2 == 0);
            let expected: Vec<_> = tree.extract_if(.., |_, value| *value % 2 == 0).collect();
            prop_assert_eq!(even, expected);
            prop_assert_eq!(ours.take_all(), tree.into_iter().collect::<Vec<_>>());
        }
    }
}
