//! What a challenger hears while a dispute is played for it.

use std::fmt;

use super::game::DisputeId;
use crate::Amount;

/// Something that happened, or is waited for.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The trace that every move is found with.
    Computing {
        /// Place of its token in the answer, from 0.
        position: u32,
    },
    Committed,
    Opened {
        dispute: DisputeId,
        bond: u128,
    },
    /// Clock readings until the deadline, if the clock runs.
    Waiting {
        what: &'static str,
        left: Option<u32>,
    },
    Moved {
        dispute: DisputeId,
        what: String,
    },
    NothingWrong,
    /// The dispute is gone from the best block, and may come back until this block is final.
    NotFinal {
        block: u32,
    },
    /// The chain would not take the next move; it is tried again some blocks later.
    Refused(String),
    /// It is tried again.
    Trouble(String),
}

impl News {
    /// Whether it is of interest only until the next comes.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::NotFinal { .. })
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Computing { position } => write!(
                f,
                "computing the trace of token {}, with which every move is found; nothing is committed or chosen before",
                position.saturating_add(1)
            ),
            Self::Committed => f.write_str("committed to the claim"),
            Self::Opened { dispute, bond } => {
                write!(f, "dispute {dispute} is open, with a bond of {}", Amount(*bond))
            }
            Self::Waiting { what, left: Some(left) } => {
                write!(f, "{what}; {left} blocks are left for it")
            }
            Self::Waiting { what, left: None } => {
                write!(f, "{what}, once other disputes with this provider are over")
            }
            Self::Moved { dispute, what } => write!(f, "dispute {dispute}: the challenger {what}"),
            Self::NothingWrong => f.write_str(
                "everything that the provider shows is right: this dispute is lost when its time is over",
            ),
            Self::NotFinal { block } => write!(f, "it ends when block {block} is final"),
            Self::Refused(why) => write!(f, "the chain would not take the next move: {why}; trying again in some blocks"),
            Self::Trouble(why) => write!(f, "{why}; trying again"),
        }
    }
}
