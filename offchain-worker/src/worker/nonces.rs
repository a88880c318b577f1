//! The operator's nonces: what the chain has used, and what is on its way.

use std::collections::BTreeSet;

/// The operator's nonces at one look at the chain.
pub(super) struct Nonces {
    /// The next one at the best block.
    pub at_best: u64,
    /// The next one at the last finalised block.
    pub at_finalized: u64,
    on_their_way: BTreeSet<u64>,
}

impl Nonces {
    pub fn new(at_best: u64, at_finalized: u64) -> Self {
        Self {
            at_best,
            at_finalized,
            on_their_way: BTreeSet::new(),
        }
    }

    /// An extrinsic with this nonce is on its way.
    pub fn note(&mut self, nonce: u64) {
        self.on_their_way.insert(nonce);
    }

    /// The nonce for a new extrinsic: after the account's, and after those that are on their way.
    pub fn next(&self) -> u64 {
        let last = self.on_their_way.last();
        last.map_or(self.at_best, |last| {
            last.saturating_add(1).max(self.at_best)
        })
    }

    /// The next nonce, for an extrinsic that is certain to go on its way.
    pub fn take(&mut self) -> u64 {
        let nonce = self.next();
        self.note(nonce);
        nonce
    }

    /// The nonce that nothing on its way will use although something waits behind it.
    pub fn gap(&self) -> Option<u64> {
        let behind = self.on_their_way.last() > Some(&self.at_best);
        (behind && !self.on_their_way.contains(&self.at_best)).then_some(self.at_best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces(at_best: u64, on_their_way: &[u64]) -> Nonces {
        Nonces {
            on_their_way: on_their_way.iter().copied().collect(),
            ..Nonces::new(at_best, 0)
        }
    }

    #[test]
    fn nonces_follow_the_account_and_what_is_on_its_way() {
        assert_eq!(nonces(5, &[]).next(), 5);
        assert_eq!(nonces(5, &[5, 6]).next(), 7);
        // Somebody else used the key.
        assert_eq!(nonces(9, &[5, 6]).next(), 9);
        let mut two = nonces(5, &[]);
        assert_eq!([two.take(), two.take()], [5, 6]);
    }

    #[test]
    fn a_gap_is_a_lost_nonce_that_others_wait_behind() {
        assert_eq!(nonces(5, &[]).gap(), None);
        assert_eq!(nonces(5, &[5, 6]).gap(), None);
        assert_eq!(nonces(5, &[6, 7]).gap(), Some(5));
        assert_eq!(nonces(5, &[3, 4]).gap(), None);
    }
}
