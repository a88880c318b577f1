//! What to do about a duty, given what the ledger says and what the chain says. Pure: the same two
//! always give the same action, whether the worker ran all the time or was killed a moment ago.
//!
//! Two rules carry the promise to deliver once. A reply is decided once, and written down before
//! it is sent. And as long as an extrinsic that carries it may still be included, another one is
//! only ever signed with the same nonce, so that the chain itself takes at most one of the two.

use crate::ledger::{Entry, Outcome, Reply, Stage};

/// Extrinsics that may fail on chain before a delivery is given up.
const MAX_ATTEMPTS: u32 = 3;

/// How a job stands with regard to one duty, at one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is assigned to us under this duty's seed.
    Open,
    /// It holds our answer.
    Answered,
    /// Anything else: not drawn yet, sent back, with somebody else, forgotten.
    Elsewhere,
}

/// What the chain says, as far as one duty is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct View {
    /// Number of the best block.
    pub best: u32,
    /// Number of the last finalised block.
    pub finalized: u32,
    pub at_best: Standing,
    pub at_finalized: Standing,
    /// The operator's next nonce at the best block.
    pub nonce_at_best: u64,
    /// The operator's next nonce at the last finalised block.
    pub nonce_at_finalized: u64,
    /// Whether the chain would take the receipt: its block is on the best chain, and its signer is
    /// the present operator.
    pub receipt_holds: bool,
    /// Whether the node has refused the extrinsic that the ledger holds.
    pub refused: bool,
}

/// The next thing to do about a duty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Wait,
    /// Compute the answer.
    Generate,
    /// Sign an extrinsic with the next free nonce, write it down, send it.
    Submit,
    /// Sign another extrinsic with the nonce of the last one, write it down, send it.
    Replace {
        nonce: u64,
    },
    /// Send the extrinsic that the ledger holds, byte for byte; the node may have forgotten it.
    SendAgain,
    /// Delivering has failed often enough: decline instead.
    GiveUp,
    /// A best block holds the reply.
    NoteInBlock,
    /// A finalised block has settled the duty.
    Finish(Outcome),
}

/// How the duty ended, by the chain whose standing and nonce are given; `None` if it has not.
fn outcome(entry: &Entry, standing: Standing, nonce: u64) -> Option<Outcome> {
    let used = entry
        .submission()
        .is_some_and(|submission| nonce > submission.nonce);
    match (standing, entry.reply()) {
        (Standing::Open, _) => None,
        (Standing::Answered, Some(Reply::Answer(_))) => Some(Outcome::Delivered),
        (Standing::Elsewhere, Some(Reply::Refusal { .. })) if used => Some(Outcome::Declined),
        _ => Some(Outcome::Lost),
    }
}

/// The next action for a duty.
pub fn decide(entry: &Entry, view: &View) -> Action {
    if let Stage::Finished(..) = entry.stage {
        return Action::Wait;
    }
    if let Some(ended) = outcome(entry, view.at_best, view.nonce_at_best) {
        // Below the block at which the duty was found, the finalised chain knows nothing of it.
        let decided = view.finalized >= entry.seen_at
            && outcome(entry, view.at_finalized, view.nonce_at_finalized) == Some(ended);
        return match (&entry.stage, ended) {
            (_, ended) if decided => Action::Finish(ended),
            (Stage::Submitted(..), Outcome::Delivered | Outcome::Declined) => Action::NoteInBlock,
            _ => Action::Wait,
        };
    }
    // What is sent now is included in the next block at the earliest.
    if view.best >= entry.deadline {
        return Action::Wait;
    }
    match &entry.stage {
        Stage::Seen => Action::Generate,
        Stage::Ready(reply) => submit(entry, reply),
        Stage::Submitted(reply, last) | Stage::InBlock(reply, last) => {
            if view.nonce_at_finalized > last.nonce {
                // Its nonce is used for good and the job is still open: it failed.
                submit(entry, reply)
            } else if view.nonce_at_best > last.nonce {
                // It failed on this fork; on another it may still succeed.
                Action::Wait
            } else if view.best >= last.valid_until || !view.receipt_holds || view.refused {
                Action::Replace { nonce: last.nonce }
            } else {
                Action::SendAgain
            }
        }
        Stage::Finished(..) => Action::Wait,
    }
}

fn submit(entry: &Entry, reply: &Reply) -> Action {
    match reply {
        _ if entry.attempts < MAX_ATTEMPTS => Action::Submit,
        Reply::Answer(_) => Action::GiveUp,
        Reply::Refusal { .. } => Action::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Answer, Submission};
    use assay_primitives::{Anchor, Finish, Receipt};
    use subxt::utils::H256;
    use Standing::{Answered, Elsewhere, Open};

    const NONCE: u64 = 5;

    fn answer() -> Reply {
        let receipt = Receipt {
            header: H256::zero(),
            anchor: Anchor {
                number: 10,
                hash: H256::zero(),
            },
            output_len: 1,
            output_root: H256::zero(),
            finish: Finish::Eos,
            fee: 1,
        };
        let (signer, signature) = ([0; 32], [0; 64]);
        Reply::Answer(Answer {
            receipt,
            signer,
            signature,
            output: vec![1],
        })
    }

    fn refusal() -> Reply {
        Reply::Refusal {
            reason: "no".into(),
        }
    }

    fn last() -> Submission {
        let (signer, hash) = ([0; 32], H256::zero());
        Submission {
            signer,
            nonce: NONCE,
            hash,
            replaced: vec![],
            valid_until: 28,
            extrinsic: vec![],
        }
    }

    /// A duty found at block 10 that is of use until block 30.
    fn entry(stage: Stage) -> Entry {
        let attempts = u32::from(!matches!(stage, Stage::Seen | Stage::Ready(_)));
        Entry {
            attempts,
            stage,
            ..Entry::new(10, 30)
        }
    }

    /// The duty is open on both chains, and none of our extrinsics is in.
    fn view() -> View {
        View {
            best: 12,
            finalized: 10,
            at_best: Open,
            at_finalized: Open,
            nonce_at_best: NONCE,
            nonce_at_finalized: NONCE,
            receipt_holds: true,
            refused: false,
        }
    }

    /// Each stage is a point at which the worker may have been killed; each row is what it finds
    /// when it comes back.
    #[test]
    fn every_restart_point_goes_on_from_the_ledger() {
        let seen = || entry(Stage::Seen);
        let ready = || entry(Stage::Ready(answer()));
        let sent = || entry(Stage::Submitted(answer(), last()));
        let included = || entry(Stage::InBlock(answer(), last()));
        let declining = || entry(Stage::Submitted(refusal(), last()));
        let used = NONCE + 1;
        let in_best = View {
            nonce_at_best: used,
            ..view()
        };
        let in_final = View {
            nonce_at_finalized: used,
            ..in_best
        };
        let gone = View {
            at_best: Elsewhere,
            ..view()
        };
        let gone_for_good = View {
            at_finalized: Elsewhere,
            ..gone
        };
        let answered = View {
            at_best: Answered,
            ..in_best
        };
        let answered_for_good = View {
            at_finalized: Answered,
            ..in_final
        };
        let answered_for_good = View {
            at_best: Answered,
            ..answered_for_good
        };
        let declined = View {
            at_best: Elsewhere,
            ..in_best
        };
        let declined_for_good = View {
            at_best: Elsewhere,
            at_finalized: Elsewhere,
            ..in_final
        };
        let late = View { best: 30, ..view() };
        let rows: Vec<(&str, Entry, View, Action)> = vec![
            ("killed while generating", seen(), view(), Action::Generate),
            ("too late to generate", seen(), late, Action::Wait),
            ("reassigned on this fork", seen(), gone, Action::Wait),
            (
                "reassigned for good",
                seen(),
                gone_for_good,
                Action::Finish(Outcome::Lost),
            ),
            (
                "the finalised chain is too old to tell",
                seen(),
                View {
                    finalized: 9,
                    ..gone_for_good
                },
                Action::Wait,
            ),
            ("killed before signing", ready(), view(), Action::Submit),
            ("too late to deliver", ready(), late, Action::Wait),
            (
                "missed for good",
                ready(),
                gone_for_good,
                Action::Finish(Outcome::Lost),
            ),
            (
                "killed before or after sending",
                sent(),
                view(),
                Action::SendAgain,
            ),
            (
                "its era is over",
                sent(),
                View { best: 28, ..view() },
                Action::Replace { nonce: NONCE },
            ),
            (
                "its anchor is on another fork",
                sent(),
                View {
                    receipt_holds: false,
                    ..view()
                },
                Action::Replace { nonce: NONCE },
            ),
            (
                "the node refuses it",
                sent(),
                View {
                    refused: true,
                    ..view()
                },
                Action::Replace { nonce: NONCE },
            ),
            ("it failed on this fork", sent(), in_best, Action::Wait),
            ("it failed for good", sent(), in_final, Action::Submit),
            (
                "it failed for good, and too often",
                Entry {
                    attempts: MAX_ATTEMPTS,
                    ..sent()
                },
                in_final,
                Action::GiveUp,
            ),
            (
                "the refusal failed too often",
                Entry {
                    attempts: MAX_ATTEMPTS,
                    ..declining()
                },
                in_final,
                Action::Wait,
            ),
            (
                "killed before inclusion was noted",
                sent(),
                answered,
                Action::NoteInBlock,
            ),
            ("included, not final", included(), answered, Action::Wait),
            (
                "a fork removed the delivery",
                included(),
                view(),
                Action::SendAgain,
            ),
            (
                "finalised while the worker was down",
                sent(),
                answered_for_good,
                Action::Finish(Outcome::Delivered),
            ),
            (
                "finalised",
                included(),
                answered_for_good,
                Action::Finish(Outcome::Delivered),
            ),
            (
                "missed although it was sent",
                sent(),
                gone_for_good,
                Action::Finish(Outcome::Lost),
            ),
            (
                "killed before declining",
                entry(Stage::Ready(refusal())),
                view(),
                Action::Submit,
            ),
            (
                "the refusal is in a block",
                declining(),
                declined,
                Action::NoteInBlock,
            ),
            (
                "declined for good",
                declining(),
                declined_for_good,
                Action::Finish(Outcome::Declined),
            ),
            (
                "missed before the refusal got in",
                declining(),
                gone_for_good,
                Action::Finish(Outcome::Lost),
            ),
            (
                "nothing is done twice",
                entry(Stage::Finished(Outcome::Delivered, None)),
                view(),
                Action::Wait,
            ),
        ];
        for (name, entry, view, expected) in rows {
            assert_eq!(decide(&entry, &view), expected, "{name}");
        }
    }

    /// The promise itself, over every combination: while the last extrinsic may still be included
    /// on some fork, no other nonce is used; and what was computed is never computed again.
    #[test]
    fn no_second_delivery_while_one_may_be_included() {
        let stages = [
            Stage::Seen,
            Stage::Ready(answer()),
            Stage::Submitted(answer(), last()),
            Stage::InBlock(answer(), last()),
        ];
        let standings = [Open, Answered, Elsewhere];
        let flags = [false, true];
        let mut combinations = 0;
        for stage in &stages {
            for (at_best, at_finalized) in standings
                .iter()
                .flat_map(|a| standings.iter().map(move |b| (*a, *b)))
            {
                for nonce_at_best in [NONCE, NONCE + 1] {
                    for best in [12, 28, 30, 31] {
                        for (receipt_holds, refused) in flags
                            .iter()
                            .flat_map(|a| flags.iter().map(move |b| (*a, *b)))
                        {
                            let view = View {
                                best,
                                at_best,
                                at_finalized,
                                nonce_at_best,
                                receipt_holds,
                                refused,
                                ..view()
                            };
                            let action = decide(&entry(stage.clone()), &view);
                            let carried = !matches!(stage, Stage::Seen | Stage::Ready(_));
                            assert!(!(carried && action == Action::Submit), "{stage:?} {view:?}");
                            let computed = *stage != Stage::Seen;
                            assert!(!(computed && action == Action::Generate));
                            assert!(!(at_best == Answered && action == Action::SendAgain));
                            combinations += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(combinations, 4 * 9 * 2 * 4 * 4);
    }
}
