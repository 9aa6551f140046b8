//! What an observer knows of a fact whose changes may get lost.

use std::fmt::Debug;

use anyhow::{Result, bail};

/// The values that a fact may have: one while all is acknowledged, more when a
/// change was asked for and the answer never came.
#[derive(Clone, Debug)]
pub struct Belief<T>(Vec<T>);

impl<T: Clone + Debug + PartialEq> Belief<T> {
    /// The fact has this value.
    pub fn sure(value: T) -> Self {
        Self(vec![value])
    }

    /// A change to this value is on its way: from now on both may be found.
    pub fn maybe(&mut self, value: T) {
        if !self.0.contains(&value) {
            self.0.push(value);
        }
    }

    /// The change to this value was acknowledged.
    pub fn known(&mut self, value: T) {
        self.0 = vec![value];
    }

    /// The value, if there is no doubt about it.
    pub fn certain(&self) -> Option<&T> {
        match self.0.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Notes that a value like this was found.
    ///
    /// # Errors
    /// If no such value is possible.
    pub fn found(&mut self, what: &str, fits: impl Fn(&T) -> bool) -> Result<&T> {
        let Some(at) = self.0.iter().position(fits) else {
            bail!("{what}; possible was only one of {:?}", self.0);
        };
        self.0.swap(0, at);
        self.0.truncate(1);
        Ok(&self.0[0])
    }
}
