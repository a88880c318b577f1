//! A provider that lies: however it does it, a user loses at most one window per request.

use assay_channel::{
    Caught, ChannelState, Facts, Payer, PayerError, Phase, SignedReceipt, Taken, ANCHOR_AGE,
};
use assay_primitives::{Anchor, Finish, Receipt, TokenId, WINDOW_TOKENS};
use proptest::prelude::*;
use sp_core::{sr25519, Pair, H256};
use sp_runtime::MultiSignature;

use crate::world::{ask, good, output_root, pair, sign, terms, PRICE};

/// The last finalized block, all the time.
const BLOCK: u32 = 100;

/// What a receipt is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lie {
    None,
    Fee,
    Tokens,
    Header,
    Ahead,
    Signature,
    Finish,
    Anchor,
}

#[derive(Clone, Debug)]
enum Move {
    Order {
        prompt: u32,
        limit: u32,
    },
    /// Some tokens, and a receipt or none.
    Chunk {
        which: u8,
        tokens: u32,
        lie: Option<Lie>,
        last: bool,
    },
    /// The connection breaks; later a receipt is shown that is over tokens that never came.
    Cut(u8),
    Unseen {
        which: u8,
        tokens: u32,
        last: bool,
    },
    /// Claims on chain whatever the highest voucher gives.
    ClaimCeiling,
    Restart,
}

fn moves() -> impl Strategy<Value = Move> {
    let lie = prop_oneof![
        40 => Just(Lie::None),
        1 => Just(Lie::Fee),
        1 => Just(Lie::Tokens),
        1 => Just(Lie::Header),
        1 => Just(Lie::Ahead),
        1 => Just(Lie::Signature),
        1 => Just(Lie::Finish),
        1 => Just(Lie::Anchor),
    ];
    prop_oneof![
        4 => (1..40u32, 1..300u32).prop_map(|(prompt, limit)| Move::Order { prompt, limit }),
        12 => (any::<u8>(), 0..70u32, prop::option::weighted(0.8, lie), prop::bool::weighted(0.1))
            .prop_map(|(which, tokens, lie, last)| Move::Chunk { which, tokens, lie, last }),
        3 => any::<u8>().prop_map(Move::Cut),
        3 => (any::<u8>(), 0..200u32, any::<bool>())
            .prop_map(|(which, tokens, last)| Move::Unseen { which, tokens, last }),
        1 => Just(Move::ClaimCeiling),
        1 => Just(Move::Restart),
    ]
}

struct Truth {
    prompt: u32,
    limit: u32,
    sent: Vec<TokenId>,
    /// Tokens that came and that a good receipt is over.
    receipted: u32,
}

impl Truth {
    fn cost(&self, tokens: u32) -> u128 {
        u128::from(self.prompt) * PRICE.input + u128::from(tokens) * PRICE.output
    }
}

fn receipt(payer: &Payer, seq: u64, truth: &Truth, tokens: &[TokenId], lie: Lie) -> SignedReceipt {
    let length = tokens.len() as u32;
    let mut receipt = Receipt {
        header: payer.request(seq).unwrap().header.header.hash(),
        anchor: Anchor {
            number: BLOCK,
            hash: H256::zero(),
        },
        output_len: length,
        output_root: output_root(tokens),
        finish: Finish::Caller,
        fee: truth.cost(length),
    };
    match lie {
        Lie::Fee => receipt.fee += 1,
        Lie::Tokens => receipt.output_root = H256::repeat_byte(9),
        Lie::Header => receipt.header = H256::repeat_byte(9),
        Lie::Ahead => {
            receipt.output_len += 1;
            receipt.fee = truth.cost(length + 1);
        }
        Lie::Finish => receipt.finish = Finish::Length,
        Lie::Anchor => receipt.anchor.number = BLOCK - ANCHOR_AGE - 1,
        Lie::None | Lie::Signature => {}
    }
    let signature = match lie {
        Lie::Signature => {
            let other = sr25519::Pair::from_seed(&[9; 32]);
            MultiSignature::Sr25519(other.sign(&receipt.signing_payload()))
        }
        _ => sign(&receipt),
    };
    SignedReceipt { receipt, signature }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lying_provider_gains_one_window_per_request_and_leaves_evidence(
        moves in prop::collection::vec(moves(), 1..120),
    ) {
        let chain = Facts { deposit: 1_000_000, settled: 0, state: ChannelState::Open };
        let mut payer = Payer::restore(terms(), pair(), u128::MAX, []);
        payer.observe(chain).persisted().unwrap();
        let mut disk = std::collections::BTreeMap::new();
        let mut truths: Vec<Truth> = Vec::new();
        let mut caught: Option<Caught> = None;
        macro_rules! write {
            ($step:expr) => {{
                let step = $step;
                for record in step.records() {
                    disk.insert(record.key(), record.clone());
                }
                step.persisted()
            }};
        }
        for one in moves {
            let highest = payer.highest().copied();
            let spent = payer.spent();
            let was_caught = caught;
            let pick = |which: u8| Some(usize::from(which).checked_rem(truths.len())? as u64);
            match one {
                Move::Order { prompt, limit } => match payer.order(&[ask(prompt, limit, BLOCK)]) {
                    Ok(step) => {
                        let order = write!(step);
                        prop_assert_eq!(&order.seqs, &[truths.len() as u64]);
                        truths.push(Truth { prompt, limit, sent: Vec::new(), receipted: 0 });
                    }
                    Err(error) => prop_assert_eq!(Some(error), caught.map(PayerError::GivenUp)),
                },
                Move::Chunk { which, tokens, lie, last } => {
                    let Some(seq) = pick(which) else { continue };
                    if payer.request(seq).unwrap().phase != Phase::Live {
                        continue;
                    }
                    let truth = &mut truths[seq as usize];
                    let from = truth.sent.len() as u32;
                    let to = truth.limit.min(from + tokens);
                    truth.sent.extend(from..to);
                    let Some(mut lie) = lie else { continue };
                    let held = payer.request(seq).unwrap().receipt.as_ref();
                    let says_nothing = !last && held.is_some_and(|held| held.receipt.output_len == to);
                    let is_true = match lie {
                        Lie::Finish => to == truth.limit,
                        Lie::Anchor => says_nothing,
                        _ => false,
                    };
                    if is_true {
                        lie = Lie::None;
                    }
                    let signed = receipt(&payer, seq, truth, &truth.sent, lie);
                    let step = payer.receipt(seq, signed, good(), &truth.sent, last).unwrap();
                    match write!(step) {
                        Ok(taken) => {
                            prop_assert_eq!(lie, Lie::None, "a lie was believed");
                            let expected = if says_nothing { Taken::Old } else { Taken::Held };
                            prop_assert_eq!(taken, expected);
                            truth.receipted = to;
                        }
                        Err(fault) => {
                            prop_assert_ne!(lie, Lie::None, "the truth was not believed: {}", fault);
                            caught = caught.or(Some(fault));
                        }
                    }
                }
                Move::Cut(which) => {
                    let Some(seq) = pick(which) else { continue };
                    write!(payer.cut(seq).unwrap());
                }
                Move::Unseen { which, tokens, last } => {
                    let Some(seq) = pick(which) else { continue };
                    let truth = &truths[seq as usize];
                    let length = truth.limit.min(truth.sent.len() as u32 + tokens);
                    let all: Vec<TokenId> = (0..length).collect();
                    let signed = receipt(&payer, seq, truth, &all, Lie::None);
                    let step = payer.receipt(seq, signed, good(), &truth.sent, last).unwrap();
                    match write!(step) {
                        Ok(_) if length as usize <= truth.sent.len() => {
                            let truth = &mut truths[seq as usize];
                            truth.receipted = truth.receipted.max(length);
                        }
                        Ok(_) => {}
                        Err(fault) => caught = caught.or(Some(fault)),
                    }
                }
                Move::ClaimCeiling => {
                    let claimed = highest.map_or(0, |voucher| voucher.cumulative);
                    let facts = Facts { settled: claimed, state: ChannelState::Closed, ..chain };
                    if let Err(fault) = write!(payer.observe(facts)) {
                        caught = caught.or(Some(fault));
                    }
                    // As if it had not been closed, so that the story goes on.
                    payer.observe(chain).persisted().unwrap();
                }
                Move::Restart => {
                    payer = Payer::restore(terms(), pair(), u128::MAX, disk.values().cloned());
                    payer.observe(chain).persisted().unwrap();
                }
            }
            if let Some(step) = payer.voucher() {
                write!(step);
            }
            let evidence = payer.evidence().map(|evidence| evidence.caught);
            prop_assert_eq!(evidence, caught, "evidence is kept, and nobody is accused without");
            let now = payer.highest().map_or(0, |voucher| voucher.cumulative);
            if was_caught.is_some() {
                prop_assert_eq!(payer.highest().copied(), highest, "paid after it was caught");
            }
            if caught != was_caught {
                prop_assert_eq!(payer.spent(), spent, "what was wrong was paid");
            }
            // All that the provider can ever take.
            let most: u128 = truths
                .iter()
                .map(|truth| truth.cost(truth.limit.min(truth.receipted + WINDOW_TOKENS)))
                .sum();
            prop_assert!(now <= most, "{} is more than {}", now, most);
        }
    }
}
