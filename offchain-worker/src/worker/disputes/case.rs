//! One dispute, as it was seen last.

use assay_client::{
    dispute::{Dispute, Move},
    H256,
};
use assay_primitives::Claim;

use super::{
    sent::Sent,
    studies::{about, About},
    RETRY,
};

/// A dispute that was seen.
pub(super) struct Case {
    pub claim: Claim,
    pub about: Option<About>,
    pub found_at: u32,
    /// The state that what follows is about.
    pub state: H256,
    pub reply: Reply,
    pub sent: Option<Sent>,
    /// Transactions that failed in blocks.
    pub failures: u32,
    pub refusal: Option<Refusal>,
}

/// How far the next move is.
// There are as many as disputes that live.
#[allow(clippy::large_enum_variant)]
pub(super) enum Reply {
    Unknown,
    Computing,
    Ready(Move),
    /// It is tried again at this block.
    Failed(u32),
}

/// That the chain would not have taken the move. One answer is not the last word: the node may have been behind, or
/// on a fork.
pub(super) struct Refusal {
    why: String,
    /// The block at which it is asked again.
    ask_at: u32,
}

impl Case {
    pub fn new(dispute: &Dispute, best: u32) -> Self {
        Self {
            claim: dispute.claim,
            about: about(dispute),
            found_at: best,
            state: dispute.state,
            reply: Reply::Unknown,
            sent: None,
            failures: 0,
            refusal: None,
        }
    }

    /// What was found for another state is of no use at this one. Whether it is another.
    pub fn go_on(&mut self, state: H256) -> bool {
        if self.state == state {
            return false;
        }
        self.state = state;
        self.reply = Reply::Unknown;
        self.sent = None;
        self.failures = 0;
        self.refusal = None;
        true
    }

    /// Whether the next move is to be looked for.
    pub fn lacks_reply(&self, best: u32) -> bool {
        match self.reply {
            Reply::Unknown => true,
            Reply::Failed(until) => best >= until,
            Reply::Computing | Reply::Ready(_) => false,
        }
    }

    /// Whether the chain is asked about the move.
    pub fn may_ask(&self, best: u32) -> bool {
        let refusal = self.refusal.as_ref();
        refusal.is_none_or(|refusal| best >= refusal.ask_at)
    }

    /// Notes that the chain would not take the move. Whether that is news.
    pub fn refuse(&mut self, why: &str, best: u32) -> bool {
        let before = self.refusal.replace(Refusal {
            why: why.into(),
            ask_at: best.saturating_add(RETRY),
        });
        self.failures = 0;
        before.is_none_or(|before| before.why != why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        Case {
            claim: Claim::Job(1),
            about: None,
            found_at: 1,
            state: H256::zero(),
            reply: Reply::Unknown,
            sent: None,
            failures: 3,
            refusal: None,
        }
    }

    #[test]
    fn a_move_that_was_refused_is_asked_about_again_and_told_once() {
        let mut case = case();
        assert!(case.may_ask(10));
        assert!(case.refuse("StateChanged", 10));
        assert_eq!(case.failures, 0);
        assert!(!case.may_ask(10 + RETRY - 1));
        assert!(case.may_ask(10 + RETRY));
        assert!(!case.refuse("StateChanged", 10 + RETRY));
        assert!(!case.may_ask(10 + RETRY));
        assert!(case.may_ask(10 + 2 * RETRY));
        assert!(case.refuse("WrongProof", 10 + 2 * RETRY));
    }

    #[test]
    fn another_state_is_another_start() {
        let mut case = case();
        case.refuse("StateChanged", 10);
        case.reply = Reply::Failed(15);
        assert!(!case.go_on(H256::zero()));
        assert!(!case.lacks_reply(14) && case.lacks_reply(15));
        assert!(case.go_on(H256::repeat_byte(1)));
        assert!(case.lacks_reply(11) && case.may_ask(11));
    }
}
