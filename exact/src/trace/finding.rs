//! What the check of an element finds.

/// What an element is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// This number.
    Is(i64),
    /// The claimed number, or another.
    Recognised(bool),
}

impl Finding {
    pub fn holds(self, claimed: i64) -> bool {
        match self {
            Self::Is(value) => value == claimed,
            Self::Recognised(holds) => holds,
        }
    }
}
