//! What is disputed about.

use super::layout::Layout;

/// One trace, as far as its request decides it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub layout: Layout,
    /// Of the request's draws.
    pub seed: [u8; 32],
}
