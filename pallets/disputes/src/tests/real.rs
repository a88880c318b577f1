//! Games over true traces of a small model, judged by the real referee.

mod operators;
mod player;
mod scores;
mod tampered;

use self::player::*;
use crate::{mock::*, referee, Choice, Convictions, DisputeId, Event, Stage, Verdict, WeightInfo};
use assay_exact::{
    random::{Numbers, Weights},
    sampling::Settings,
    tensor::Tensor,
    trace::{levels, Answered, Cell, Digest, Operator, Place, Row, Source, Trace, Tree, Trees},
    Backend, Cpu, Engine,
};
use assay_primitives::{
    tree::{leaf_hash, root_of},
    Sampling, TokenId,
};

/// What a challenger chooses that has the true trace: the first that is wrong, or if nothing is, the
/// last.
fn first_wrong(truth: &mut Trace, stage: &Stage) -> Choice {
    let pick = |wrong: Option<usize>, count: usize| wrong.unwrap_or(count - 1) as u32;
    match stage {
        Stage::Nodes {
            level,
            first,
            nodes,
        } => {
            let wrong = (*first..)
                .zip(nodes.iter())
                .position(|(index, node)| truth.node(*level, index).unwrap() != node.0);
            Choice::Node(pick(wrong, nodes.len()))
        }
        Stage::Leaves { first, leaves } => {
            let own = truth.leaves(*first, leaves.len() as u64).unwrap();
            let wrong = own.iter().zip(leaves.iter()).position(|(a, b)| *a != b[..]);
            let leaf = pick(wrong, leaves.len());
            let layout = truth.layout();
            let held = layout.leaf(first + u64::from(leaf)).unwrap();
            let at =
                |bytes: &[u8], element: u32| held.place.row.element().at(bytes, element as usize);
            let (own, shown) = (&own[leaf as usize], &leaves[leaf as usize]);
            let wrong =
                (0..held.elements).position(|element| at(own, element) != at(shown, element));
            let element = pick(wrong, held.elements as usize);
            Choice::Element { leaf, element }
        }
        Stage::Parts { step, parts } => {
            let target = target_of(truth, step);
            let own = truth.parts(&target).unwrap();
            let wrong = own.iter().zip(parts.iter()).position(|(a, b)| a != b);
            Choice::Part(pick(wrong, parts.len()))
        }
        other => panic!("not the challenger's turn: {other:?}"),
    }
}

/// A choice without any sense.
fn any(numbers: &mut Numbers, truth: &Trace, stage: &Stage) -> Choice {
    match stage {
        Stage::Nodes { nodes, .. } => Choice::Node(numbers.below(nodes.len()) as u32),
        Stage::Leaves { first, leaves } => {
            let leaf = numbers.below(leaves.len()) as u32;
            let held = truth.layout().leaf(first + u64::from(leaf)).unwrap();
            let element = numbers.below(held.elements as usize) as u32;
            Choice::Element { leaf, element }
        }
        Stage::Parts { parts, .. } => Choice::Part(numbers.below(parts.len()) as u32),
        other => panic!("not the challenger's turn: {other:?}"),
    }
}

/// What leads to one element, and from there to some part of it.
fn towards(leaf: u64, element: u32, numbers: &mut Numbers, stage: &Stage) -> Choice {
    match stage {
        Stage::Nodes { level, first, .. } => Choice::Node(((leaf >> level) - first) as u32),
        Stage::Leaves { first, .. } => Choice::Element {
            leaf: (leaf - first) as u32,
            element,
        },
        Stage::Parts { parts, .. } => Choice::Part(numbers.below(parts.len()) as u32),
        other => panic!("not the challenger's turn: {other:?}"),
    }
}

/// A game that is over.
struct Played {
    moves: u32,
    /// What the last step that was judged is computed by.
    judged: Option<Operator>,
}

/// Play to the end; whoever has nothing to show lets the time pass.
fn play(
    number: DisputeId,
    given: &Given,
    position: u32,
    player: &mut Player,
    mut chooser: impl FnMut(&Stage) -> Choice,
) -> Played {
    let (mut moves, mut judged) = (0, None);
    while !is_over(number) {
        moves += 1;
        let by = operator(PETRA);
        match stage(number) {
            Stage::Step(step) => {
                let target = target_of(&player.truth, &step);
                match player.prove(given, &target) {
                    Some(proof) => {
                        assert!(proof.len() <= crate::MAX_PROOF_BYTES as usize);
                        let weight = prove(by, number, proof).unwrap().actual_weight.unwrap();
                        let operator = target.cell.place.row.operator();
                        judged = Some(operator);
                        assert_eq!(weight, <()>::prove(<()>::judge(operator)));
                        // It could have opened more than it reads.
                        assert!(weight.all_gte(<()>::prove(<()>::judge_nothing())));
                        assert!(weight.all_lte(<()>::prove(<()>::dearest_judgement())));
                    }
                    None => pass(10),
                }
            }
            before => descend(number, given, position, player, &before, &mut chooser),
        }
    }
    Played { moves, judged }
}

/// A move of whosever turn it is, on the way to a step.
fn descend(
    number: DisputeId,
    given: &Given,
    position: u32,
    player: &mut Player,
    stage: &Stage,
    chooser: &mut impl FnMut(&Stage) -> Choice,
) {
    let by = operator(PETRA);
    let moved = match stage {
        Stage::Answer => answer(by, number, player.answer(given, position)),
        Stage::Node { level, index, .. } => reveal(by, number, player.below(*level, *index)),
        choosing => choose(CARL, number, chooser(choosing)),
    };
    moved.unwrap();
}

fn verdict() -> Verdict {
    let ended = System::events()
        .into_iter()
        .rev()
        .find_map(|record| match record.event {
            RuntimeEvent::Disputes(Event::Ended { verdict, .. }) => Some(verdict),
            _ => None,
        });
    ended.unwrap()
}

#[test]
fn an_honest_provider_wins_whatever_is_chosen() {
    let mut steps_with_parts = 0;
    for sampling in [GREEDY, EVERYTHING] {
        with_model(|engine| {
            let given = true_answer(engine, 0, sampling, 20);
            let mut numbers = Numbers::new(7);
            for game in 0..24 {
                let position = numbers.below(20) as u32;
                let number = given.dispute(CARL, position);
                let mut player = Player::honest(trace_of(engine, &given, position));
                let truth = trace_of(engine, &given, position);
                let mut parts = false;
                let played = play(number, &given, position, &mut player, |stage| {
                    parts |= matches!(stage, Stage::Parts { .. });
                    // Half of the games go to where most rows have parts, the last position.
                    match (game % 2, stage) {
                        (0, Stage::Nodes { nodes, .. }) => Choice::Node(nodes.len() as u32 - 1),
                        _ => any(&mut numbers, &truth, stage),
                    }
                });
                steps_with_parts += u32::from(parts);
                assert_eq!(verdict(), Verdict::Acquitted, "game {game} at {position}");
                assert!(played.moves <= 16, "{} moves", played.moves);
                run_to_fresh_window(&given);
            }
            assert!(Convictions::<Test>::iter().next().is_none());
            assert_eq!(provider(PETRA).bond, BOND);
        });
    }
    assert!(steps_with_parts > 5, "{steps_with_parts}");
}

/// Games take no blocks, but commitments do; the window is 30.
fn run_to_fresh_window(given: &Given) {
    assert!(System::block_number() <= u64::from(given.receipt.anchor.number) + 30 + 2);
    System::reset_events();
}

#[test]
fn a_false_token_is_convicted_by_one_honest_challenger() {
    for sampling in [GREEDY, EVERYTHING] {
        with_model(|engine| {
            let mut given = true_answer(engine, 0, sampling, 12);
            given.output[9] = (given.output[9] + 1) % 1_100;
            // Only the last leaf is false.
            let given = restated(given);
            let number = given.dispute(CARL, 9);
            let mut player = Player::honest(trace_of(engine, &given, 9));
            player.lie_about_token(given.output[9]);
            let mut truth = trace_of(engine, &given, 9);
            play(number, &given, 9, &mut player, |stage| {
                first_wrong(&mut truth, stage)
            });
            assert_eq!(verdict(), Verdict::Convicted);
            assert!(Convictions::<Test>::contains_key(given.claim));
        });
    }
}

/// The receipt over the output as it is now.
fn restated(mut given: Given) -> Given {
    let root =
        assay_primitives::salted_token_root(&SECRET, assay_primitives::Side::Output, &given.output);
    given.receipt.output_root = root;
    given
}

#[test]
fn a_lie_anywhere_in_the_trace_is_found() {
    with_model(|engine| {
        let mut numbers = Numbers::new(5);
        let mut rows = std::collections::BTreeSet::new();
        for game in 0..40u64 {
            let mut given = true_answer(engine, game, EVERYTHING, 3);
            let position = 2;
            given.output[2] = (given.output[2] + 1 + numbers.below(1_000) as u32) % 1_100;
            let given = restated(given);
            let number = given.dispute(CARL, position);
            let mut player = Player::honest(trace_of(engine, &given, position));
            let layout = player.truth.layout().clone();
            // Every second lie is at the last position, which has all rows.
            let first = if game % 2 == 0 {
                layout.start(layout.positions() - 1)
            } else {
                0
            };
            let leaf = first + numbers.below((layout.leaves() - 1 - first) as usize) as u64;
            let held = layout.leaf(leaf).unwrap();
            rows.insert(held.place.row);
            let element = numbers.below(held.elements as usize) as u32;
            player.lie(leaf, element, 1 + numbers.below(2) as i64);
            player.lie_about_token(given.output[2]);
            let mut truth = trace_of(engine, &given, position);
            play(number, &given, position, &mut player, |stage| {
                first_wrong(&mut truth, stage)
            });
            assert_eq!(
                verdict(),
                Verdict::Convicted,
                "game {game}: {held:?} element {element}"
            );
            begin_again();
        }
        assert!(rows.len() > 10, "{rows:?}");
    });
}

/// The next game needs a provider with something at stake.
fn begin_again() {
    System::reset_events();
    if provider(PETRA).bond < BOND / 2 {
        Providers::bond_extra(RuntimeOrigin::signed(PETRA), BOND).unwrap();
    }
    Providers::set_online(RuntimeOrigin::signed(PETRA), true).unwrap();
}

#[test]
fn another_seed_is_another_truth() {
    with_model(|engine| {
        // Petra computes with a seed of her own choice; the chain with the header's.
        let given = true_answer(engine, 0, EVERYTHING, 4);
        let wrong = given
            .clone()
            .with_header(|header| header.sampling.nonce += 1);
        let mut own = trace_of(engine, &wrong, 3);
        let mut right = trace_of(engine, &given, 3);
        let mut given = given.clone();
        given.output[3] = match truth(&mut own) {
            token if token == truth(&mut right) => (token + 1) % 1_100,
            token => token,
        };
        let given = restated(given);
        let number = given.dispute(CARL, 3);
        let mut player = Player::honest(trace_of(engine, &given, 3));
        player.lie_about_token(given.output[3]);
        let mut right = trace_of(engine, &given, 3);
        play(number, &given, 3, &mut player, |stage| {
            first_wrong(&mut right, stage)
        });
        assert_eq!(verdict(), Verdict::Convicted);
    });
}

/// A model with a number outside the format in its final norm: whoever computed with it is not to blame.
#[test]
fn a_broken_model_is_frozen_and_nobody_is_slashed() {
    let weights = Weights::random(&shape(), 4);
    let model = weights.model();
    let cpu = Cpu::new(Backend::Portable, 1).unwrap();
    let engine = Engine::new(&model, &cpu).unwrap();
    let mut parts = parts_of(&engine);

    let tensor = Tensor::FinalNorm;
    let answered = Answered {
        prompt: &[1],
        output: &[0],
        settings: Settings::from(GREEDY),
        seed: [0; 32],
        secret: None,
        scored: false,
        index: 0,
    };
    let mut any_trace = Trace::new(&engine, &answered).unwrap();
    let count = tensor.form(&shape()).leaves();
    let leaves: Vec<Vec<u8>> = (0..count)
        .map(|leaf| {
            let bytes = any_trace.tensor(tensor, leaf).unwrap();
            vec![0x7f; bytes.len()]
        })
        .collect();
    let bent_root = root_of(leaves.iter().map(|leaf| leaf_hash(leaf)).collect()).0;
    let roots: Vec<Digest> = Tensor::weights(&shape())
        .map(|other| match other == tensor {
            true => bent_root,
            false => {
                let height = levels::height(other.form(&shape()).leaves());
                Trees::node(&mut any_trace, Tree::Tensor(other), height, 0).unwrap()
            }
        })
        .collect();
    parts.weights_root = root_of(roots.iter().map(|root| leaf_hash(root)).collect());

    TestExt::new().model(parts).execute_with(|| {
        let given = true_answer(&engine, 0, GREEDY, 4);
        let number = given.dispute(CARL, 2);
        let mut player = Player::honest(trace_of(&engine, &given, 2));
        player.bent = Some(Bent {
            tensor,
            leaves: leaves.clone(),
            roots,
        });
        // Carl names an element that reads the norm.
        let layout = player.truth.layout().clone();
        let place = Place {
            position: layout.positions() - 1,
            layer: 0,
            row: Row::FinalActivation,
        };
        let (leaf, element) = layout.leaf_of(Cell { place, element: 3 }).unwrap();
        let bond = bond_of(CARL);
        let carl = free(CARL);
        assert!(bond > 0);
        let mut numbers = Numbers::new(3);
        play(number, &given, 2, &mut player, |stage| {
            towards(leaf, element, &mut numbers, stage)
        });
        assert_eq!(verdict(), Verdict::ModelBroken);
        let listing = Models::listing(listing()).unwrap();
        assert_eq!(listing.status, pallet_models::ListingStatus::Frozen);
        assert_eq!((free(CARL), bond_of(CARL)), (carl + bond, 0));
        assert_eq!(provider(PETRA).bond, BOND);
        assert!(Convictions::<Test>::iter().next().is_none());

        // Another dispute over it ends in the same way.
        let number = given.dispute(CORA, 2);
        assert!(!is_over(number));
    });
}

#[test]
fn a_leaf_is_as_long_as_the_referee_says() {
    with_model(|engine| {
        let given = true_answer(engine, 0, EVERYTHING, 2);
        let mut trace = trace_of(engine, &given, 1);
        let layout = Disputes::layout(&given.header, 1).unwrap();
        assert_eq!(&layout, trace.layout());
        for index in 0..layout.leaves() {
            let leaf = trace.leaves(index, 1).unwrap().remove(0);
            assert_eq!(referee::leaf_length(&layout, index), Some(leaf.len()));
        }
        assert_eq!(referee::leaf_length(&layout, layout.leaves()), None);
    });
}
