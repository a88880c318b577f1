//! Disputes (docs/dispute.md): what the chain says of one, and those who play it.
//!
//! * [`Dispute`] is what the chain says, with the [`Stage`] that tells what the next [`Move`] is about;
//!   [`crate::Snapshot`] reads it, [`MoveCall`] is a move as a transaction, and a [`Trial`] says what the chain would
//!   say of it.
//! * [`play`] says which move follows, from the chain's state and a [`Witness`] alone: the trace as a
//!   player sees it. [`Computed`] is the true one, and a [`Study`] computes it in a thread of its own.
//! * [`Charge`] is what a provider is accused of. A [`Campaign`] takes it to the end: it commits, opens,
//!   plays, and remembers in a [`Plan`] on disk what the chain does not say.

mod calls;
mod campaign;
mod charge;
mod computed;
mod exhibit;
mod game;
mod news;
mod plan;
pub mod play;
mod refusal;
mod storage;
mod study;
#[cfg(test)]
mod tests;
mod tokens;
mod trial;
mod witness;

pub use self::{
    calls::{commit, open, MoveCall},
    campaign::{leaves, Campaign},
    charge::{without_game, Charge},
    computed::Computed,
    exhibit::Exhibit,
    game::{Choice, Dispute, DisputeId, Move, Question, Side, Stage, Step},
    news::News,
    plan::{Opened, Plan},
    play::Play,
    refusal::refusal,
    storage::{Commitment, Conviction, Docket, Ending, Fault, Parameters, Verdict},
    study::{computed, Show, Study},
    trial::Trial,
    witness::Witness,
};
