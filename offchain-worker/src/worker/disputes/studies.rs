//! The traces of disputed tokens. One costs about as much as its answer did, so it is kept for as long as the token can be
//! disputed again, if there is room for it.

use std::sync::Arc;

use assay_client::{
    dispute::{Dispute, DisputeId, Side, Study},
    H256,
};

use crate::chain::receipt_hash;

/// A token: its receipt's hash, and its place in the answer, from 0.
pub(super) type About = (H256, u32);

/// Traces, the one that was used last at the end.
#[derive(Default)]
pub(super) struct Studies {
    kept: Vec<(About, Arc<Study>)>,
}

impl Studies {
    /// The trace of a token, if it is there or is computed. One that failed is not: it is tried again.
    pub fn take(&mut self, about: &About) -> Option<Arc<Study>> {
        let index = self.kept.iter().position(|(of, _)| of == about)?;
        let (of, study) = self.kept.remove(index);
        if study.has_failed() {
            return None;
        }
        self.kept.push((of, study.clone()));
        Some(study)
    }

    /// Whether it was begun. What failed is begun again when a move is due.
    pub fn has(&self, about: &About) -> bool {
        self.kept.iter().any(|(of, _)| of == about)
    }

    /// Whether one is computed just now.
    pub fn is_computing(&self) -> bool {
        self.kept.iter().any(|(_, study)| study.is_computing())
    }

    /// Whether this one is begun only when another is there: one is computed after the other, since all together take as
    /// long as they take one by one, and then none would be there before the last. What is needed sooner than all that is
    /// computed does not wait.
    pub fn waits(&self, about: &About, room: &Room) -> bool {
        let rank = room.rank(about);
        let sooner = |of: &About| room.rank(of) < rank;
        let mut kept = self.kept.iter();
        !self.has(about) && kept.any(|(of, study)| sooner(of) && study.is_computing())
    }

    /// The tokens of those that are there.
    pub fn tokens(&self) -> Vec<About> {
        self.kept.iter().map(|(about, _)| *about).collect()
    }

    pub fn forget(&mut self, about: &About) {
        self.kept.retain(|(of, _)| of != about);
    }

    /// Whether this one would have room, without one being dropped that is needed before.
    pub fn has_room(&self, about: &About, room: &Room) -> bool {
        let rank = room.rank(about);
        let first = self.kept.iter().filter(|(of, _)| room.rank(of) < rank);
        first.count() < room.limit
    }

    /// Keeps one more. What is needed last makes room for it; of several that nobody needs, the one that was not used
    /// for the longest time.
    pub fn insert(&mut self, about: About, study: Arc<Study>, room: &Room) {
        while self.kept.len() >= room.limit {
            let ranks = self.kept.iter().map(|(of, _)| room.rank(of));
            match ranks.enumerate().rev().max_by_key(|(_, rank)| *rank) {
                Some((index, _)) => self.kept.remove(index),
                None => break,
            };
        }
        self.kept.push((about, study));
    }
}

/// For whom there is room.
pub(super) struct Room {
    /// The disputed tokens, what is needed first before the others.
    order: Vec<About>,
    limit: usize,
}

impl Room {
    /// For at most `limit` traces, and always for those of the disputes whose clocks run. The disputes come in the order
    /// of their [`urgency`].
    pub fn of(disputes: &[Dispute], limit: u32) -> Self {
        let live = disputes.iter().filter(|dispute| dispute.turn().is_some());
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self {
            order: disputes.iter().filter_map(about).collect(),
            limit: limit.max(live.count()).max(1),
        }
    }

    fn rank(&self, about: &About) -> usize {
        let rank = self.order.iter().position(|of| of == about);
        rank.unwrap_or(usize::MAX)
    }
}

/// Which disputes are seen to first: those with a move of the provider's, by the block at which it is due, then those with
/// one of the challenger's, then those that wait for others.
pub(super) fn urgency(dispute: &Dispute) -> (u8, Option<u32>, DisputeId) {
    let turn = match dispute.turn() {
        Some(Side::Provider) => 0,
        Some(Side::Challenger) => 1,
        None => 2,
    };
    (turn, dispute.deadline, dispute.id)
}

/// What a dispute is about, if that has a trace.
pub(super) fn about(dispute: &Dispute) -> Option<About> {
    let position = dispute.position()?;
    Some((receipt_hash(&dispute.receipt), position))
}

#[cfg(test)]
mod tests {
    use assay_client::dispute::Stage;

    use super::*;
    use crate::disputes::tests::dispute;

    fn about(token: u32) -> About {
        (H256::repeat_byte(1), token)
    }

    /// One that is computed until the test drops what it returns with it.
    fn study() -> (std::sync::mpsc::Sender<()>, Arc<Study>) {
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let study = Study::start(Box::new(move |_| {
            let _ = gate.recv();
            Err("no such folder".into())
        }));
        (go, Arc::new(study.unwrap()))
    }

    #[test]
    fn the_trace_that_is_needed_last_makes_room() {
        let mut studies = Studies::default();
        let mut gates = Vec::new();
        let mut insert = |studies: &mut Studies, token, room: &Room| {
            let (gate, study) = study();
            gates.push(gate);
            studies.insert(about(token), study, room);
        };
        let room = |order: &[u32], limit| Room {
            order: order.iter().map(|token| about(*token)).collect(),
            limit,
        };
        for token in 1..=3 {
            insert(&mut studies, token, &room(&[], 3));
        }
        // The first is used once more, and of those that nobody needs the second is the oldest then.
        studies.take(&about(1)).unwrap();
        let three = room(&[9, 3, 8, 7], 3);
        insert(&mut studies, 8, &three);
        assert_eq!(studies.tokens(), [3, 1, 8].map(about));
        assert!(studies.has_room(&about(7), &three));
        insert(&mut studies, 9, &three);
        assert_eq!(studies.tokens(), [3, 8, 9].map(about));
        // What is needed later does not take the place of what is needed before.
        assert!(!studies.has_room(&about(7), &three));
        assert!(studies.has_room(&about(9), &three));
        insert(&mut studies, 5, &room(&[5, 9], 2));
        assert_eq!(studies.tokens(), [9, 5].map(about));
    }

    #[tokio::test]
    async fn traces_are_computed_one_after_another_and_what_is_needed_sooner_does_not_wait() {
        let mut studies = Studies::default();
        let room = Room {
            order: [1, 2, 3].map(about).into(),
            limit: 8,
        };
        assert!(!studies.waits(&about(2), &room));
        let (gate, second) = study();
        studies.insert(about(2), second.clone(), &room);
        // It is not waiting for itself, nor the first for what is needed later.
        let waiting = |studies: &Studies| [1, 2, 3, 9].map(|n| studies.waits(&about(n), &room));
        assert_eq!(waiting(&studies), [false, false, true, true]);
        let (other, first) = study();
        studies.insert(about(1), first.clone(), &room);
        drop(gate);
        second.ready().await.unwrap_err();
        assert_eq!(waiting(&studies), [false, false, true, true]);
        drop(other);
        first.ready().await.unwrap_err();
        assert_eq!(waiting(&studies), [false; 4]);
    }

    #[test]
    fn the_move_that_is_due_first_is_the_most_urgent() {
        let dispute = |id, deadline, stage: Stage| Dispute {
            id,
            deadline,
            stage,
            ..dispute(1, H256::zero())
        };
        let chosen = || Stage::Nodes {
            level: 1,
            first: 0,
            nodes: Vec::new(),
        };
        let mut disputes = [
            dispute(1, None, Stage::Answer),
            dispute(2, Some(5), chosen()),
            dispute(3, Some(9), Stage::Answer),
            dispute(4, None, Stage::Answer),
            dispute(5, Some(7), Stage::Node { level: 2, index: 1 }),
            dispute(6, Some(9), Stage::Answer),
        ];
        disputes.sort_by_key(urgency);
        let order = disputes.iter().map(|dispute| dispute.id);
        assert_eq!(order.collect::<Vec<_>>(), [5, 3, 6, 2, 1, 4]);
    }

    #[tokio::test]
    async fn a_trace_that_failed_is_computed_again() {
        let mut studies = Studies::default();
        let (gate, study) = study();
        let room = Room::of(&[], 0);
        studies.insert(about(1), study.clone(), &room);
        assert!(studies.is_computing() && studies.has(&about(1)));
        assert!(Arc::ptr_eq(&studies.take(&about(1)).unwrap(), &study));
        drop(gate);
        study.ready().await.unwrap_err();
        assert!(!studies.is_computing() && studies.has(&about(1)));
        assert!(studies.take(&about(1)).is_none());
        assert_eq!(studies.tokens(), []);
    }
}
