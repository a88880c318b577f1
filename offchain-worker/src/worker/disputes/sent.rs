//! A move on its way: when it is sent again, and when another takes its place.

use assay_client::{Error, Snapshot};

use super::super::{nonces::Nonces, round::REPLACE, SEND_AGAIN};
use crate::{
    deliver::{self, Verdict},
    ledger::Submission,
};

pub(super) struct Sent {
    submission: Submission,
    /// When the node was last told.
    told: Option<Told>,
}

#[derive(Clone, Copy)]
struct Told {
    /// The best block, and the version of its runtime: no other takes what was signed for this one.
    at: u32,
    spec_version: u32,
    is_refused: bool,
}

/// What to do about a move on its way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    SendAgain,
    /// Sign another with the same nonce, so that the chain takes at most one of the two.
    Replace {
        nonce: u64,
    },
    /// Its nonce is used for good and the move is still to be made: it failed.
    Failed,
}

impl Sent {
    pub fn new(submission: Submission) -> Self {
        Self {
            submission,
            told: None,
        }
    }

    pub fn nonce(&self) -> u64 {
        self.submission.nonce
    }

    /// What the node was told may be lost.
    pub fn forget(&mut self) {
        self.told = None;
    }

    pub fn step(&self, nonces: &Nonces, best: &Snapshot) -> Step {
        self.step_at(nonces, best.number(), best.spec_version())
    }

    fn step_at(&self, nonces: &Nonces, best: u32, spec_version: u32) -> Step {
        let nonce = self.nonce();
        if nonces.at_finalized > nonce {
            return Step::Failed;
        }
        // It failed on this fork; on another it may still succeed.
        if nonces.at_best > nonce {
            return Step::Wait;
        }
        if best >= self.submission.valid_until {
            return Step::Replace { nonce };
        }
        let Some(told) = self.told else {
            return Step::SendAgain;
        };
        let since = best.saturating_sub(told.at);
        let is_void = told.is_refused || told.spec_version != spec_version;
        match is_void {
            true if since >= REPLACE => Step::Replace { nonce },
            false if since >= SEND_AGAIN => Step::SendAgain,
            _ => Step::Wait,
        }
    }

    /// Tells the node; why it refuses, if it does.
    pub async fn send(&mut self, best: &Snapshot) -> Result<Option<String>, Error> {
        let refusal = match deliver::send(best, &self.submission).await? {
            Verdict::Taken | Verdict::Occupied => None,
            Verdict::Refused(why) => Some(why),
        };
        self.told = Some(Told {
            at: best.number(),
            spec_version: best.spec_version(),
            is_refused: refusal.is_some(),
        });
        Ok(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_client::H256;

    const NONCE: u64 = 5;
    const TOLD: Told = Told {
        at: 100,
        spec_version: 1,
        is_refused: false,
    };

    fn signed() -> Sent {
        Sent::new(Submission {
            signer: [0; 32],
            nonce: NONCE,
            hash: H256::zero(),
            replaced: vec![],
            valid_until: 150,
            extrinsic: vec![],
        })
    }

    /// What is done at this block, with this runtime, about a move of which the node was told at block 100.
    fn step(
        (at_best, at_finalized): (u64, u64),
        is_refused: bool,
        best: u32,
        version: u32,
    ) -> Step {
        let mut sent = signed();
        sent.told = Some(Told { is_refused, ..TOLD });
        sent.step_at(&Nonces::new(at_best, at_finalized), best, version)
    }

    #[test]
    fn a_move_is_sent_again_until_a_block_has_it() {
        let (open, used) = ((NONCE, NONCE), NONCE + 1);
        assert_eq!(step(open, false, 100, 1), Step::Wait);
        assert_eq!(step(open, false, 105, 1), Step::Wait);
        assert_eq!(step(open, false, 106, 1), Step::SendAgain);
        assert_eq!(step((used, NONCE), false, 140, 1), Step::Wait);
        assert_eq!(step((used, used), false, 101, 1), Step::Failed);
    }

    #[test]
    fn a_move_that_no_block_can_take_any_more_is_replaced_under_its_nonce() {
        let open = (NONCE, NONCE);
        let replaced = Step::Replace { nonce: NONCE };
        assert_eq!(step(open, false, 150, 1), replaced);
        assert_eq!(step(open, true, 101, 1), Step::Wait);
        assert_eq!(step(open, true, 102, 1), replaced);
        // The runtime for which it was signed is gone.
        assert_eq!(step(open, false, 102, 2), replaced);
    }

    #[test]
    fn another_node_is_told_at_once() {
        let mut sent = signed();
        sent.told = Some(TOLD);
        sent.forget();
        let nonces = Nonces::new(NONCE, NONCE);
        assert_eq!(sent.step_at(&nonces, 100, 1), Step::SendAgain);
    }
}
