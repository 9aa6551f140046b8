//! What an app or a relay may know beyond the first version of the protocol.

/// An addition to the protocol that both sides have to know.
///
/// An app lists the names of those it uses in the `features` of `register` and
/// `resume`; the relay lists those it has in `register_reply`. Unknown names are
/// ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Calls in flight outlive a drop of the app's socket.
    CarryCalls,
    /// An upgrade may prove that it is the owner's ([`crate::proof`]). Only the
    /// relay says that it has this one.
    UpgradeProof,
    /// The paths of tools may have [parameters](crate::route).
    PathParams,
    /// Results of tasks may have [`crate::limits::MAX_LARGE_RESULT_BYTES`].
    LargeResults,
}

impl Feature {
    /// Every feature that this relay has.
    pub const ALL: &'static [Self] = &[
        Self::CarryCalls,
        Self::UpgradeProof,
        Self::PathParams,
        Self::LargeResults,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CarryCalls => "carry_calls",
            Self::UpgradeProof => "upgrade_proof",
            Self::PathParams => "path_params",
            Self::LargeResults => "large_results",
        }
    }

    /// The names of all features, as `register_reply` lists them.
    #[must_use]
    pub fn names() -> Vec<String> {
        Self::ALL
            .iter()
            .map(|feature| feature.name().to_owned())
            .collect()
    }

    /// Whether a list of names has this feature.
    #[must_use]
    pub fn is_in(self, names: &[String]) -> bool {
        names.iter().any(|name| name == self.name())
    }
}
