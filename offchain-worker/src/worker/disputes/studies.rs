//! The traces of disputed tokens. One costs about as much as its answer did, so it is kept for as long as the token can be
//! disputed again, if there is room for it.

use std::sync::Arc;

use assay_client::{
    dispute::{Dispute, Study},
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
    /// The disputed tokens, those whose clocks run first.
    order: Vec<About>,
    limit: usize,
}

impl Room {
    /// For at most `limit` traces, and always for those of the disputes whose clocks run.
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

/// What a dispute is about, if that has a trace.
pub(super) fn about(dispute: &Dispute) -> Option<About> {
    let position = dispute.position()?;
    Some((receipt_hash(&dispute.receipt), position))
}

#[cfg(test)]
mod tests {
    use super::*;

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
