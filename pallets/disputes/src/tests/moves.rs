use super::forged::{at_a_step, disputed, Forged};
use crate::{mock::*, Answer, Choice, Error, Revelation, Side, Stage, Traces};
use assay_exact::trace::levels;
use frame_support::{assert_noop, assert_ok, dispatch::Pays};
use sp_core::H256;

#[test]
fn a_game_goes_down_to_a_step() {
    TestExt::new().execute_with(|| {
        let (_, number, forged) = at_a_step(12);
        let Stage::Step(step) = stage(number) else {
            unreachable!()
        };
        assert_eq!((step.leaf, step.element), (forged.count() - 1, 0));
        assert_eq!(step.value, 22);
        assert!(dispute(number).moves <= 10);
        assert_eq!(dispute(number).stage.side(), Side::Provider);
    });
}

#[test]
fn good_moves_are_free() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(0);
        let done = answer(PETRA, number, forged.answer(&given, 0)).unwrap();
        assert_eq!(done.pays_fee, Pays::No);
        let done = choose(CARL, number, Choice::Node(0)).unwrap();
        assert_eq!(done.pays_fee, Pays::No);
        let Stage::Node { level, index, .. } = stage(number) else {
            unreachable!()
        };
        let done = reveal(PETRA, number, forged.below(level, index)).unwrap();
        assert_eq!(done.pays_fee, Pays::No);
        // A bad one pays: that is what an error means.
        assert!(choose(CARL, number, Choice::Node(64)).is_err());
    });
}

#[test]
fn only_those_whose_turn_it_is_move() {
    TestExt::new().execute_with(|| {
        let given = Given::in_channel(channel(10_000), 0, (10..50).collect());
        pass(1);
        let number = commit(CARL, &given.claim);
        pass(1);
        let by = RuntimeOrigin::signed(CARL);
        let statement = given.statement();
        assert_ok!(Disputes::open(
            by,
            given.claim,
            statement,
            Some(0),
            SALT,
            Some(DORA)
        ));
        let forged = Forged::of(&given, 0);
        let shown = forged.answer(&given, 0);
        for who in [CARL, DORA, SAM, PIUS, operator(PIUS)] {
            assert_noop!(
                answer(who, number, shown.clone()),
                Error::<Test>::NotYourTurn
            );
        }
        assert_noop!(
            choose(CARL, number, Choice::Node(0)),
            Error::<Test>::NotYourTurn
        );
        assert_ok!(answer(PETRA, number, shown.clone()));
        assert_noop!(
            answer(PETRA, number, shown.clone()),
            Error::<Test>::NotYourTurn
        );
        for who in [PETRA, operator(PETRA), SAM] {
            assert_noop!(
                choose(who, number, Choice::Node(0)),
                Error::<Test>::NotYourTurn
            );
        }
        assert_ok!(choose(DORA, number, Choice::Node(0)));
        assert_noop!(
            answer(PETRA, number, shown),
            Error::<Test>::OtherMoveExpected
        );
        assert_noop!(
            prove(PETRA, number, vec![]),
            Error::<Test>::OtherMoveExpected
        );
    });
}

fn choose_99() -> Result<(), sp_runtime::DispatchError> {
    Disputes::choose(
        RuntimeOrigin::signed(CARL),
        99,
        H256::zero(),
        Choice::Node(0),
    )
    .map(|_| ())
    .map_err(|error| error.error)
}

#[test]
fn a_move_names_the_state_that_it_was_made_for() {
    TestExt::new().execute_with(|| {
        assert_eq!(choose_99(), Err(Error::<Test>::UnknownDispute.into()));
        let (given, number, forged) = disputed(0);
        let before = dispute(number).state;
        assert_ok!(answer(PETRA, number, forged.answer(&given, 0)));
        let by = || RuntimeOrigin::signed(CARL);
        let after = dispute(number).state;
        assert_ne!(before, after);
        assert_noop!(
            Disputes::choose(by(), number, before, Choice::Node(0)),
            Error::<Test>::StateChanged
        );
        assert_ok!(Disputes::choose(by(), number, after, Choice::Node(0)));
        // Behind the provider's move there is no excuse for the challenger.
        assert_noop!(
            Disputes::choose(by(), number, before, Choice::Node(0)),
            Error::<Test>::StateChanged
        );
    });
}

/// Two that play for one side cannot know of each other; and a flood of moves must cost something.
#[test]
fn who_comes_second_with_a_move_pays_nothing_once() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(0);
        let before = dispute(number).state;
        let shown = forged.answer(&given, 0);
        let again =
            |who| Disputes::answer(RuntimeOrigin::signed(who), number, before, shown.clone());
        assert_ok!(again(PETRA));
        let opened = dispute(number).state;
        // Neither the other side nor a stranger uses up the provider's.
        for who in [CARL, DORA, SAM] {
            assert_noop!(again(who), Error::<Test>::StateChanged);
        }
        let choose = |who| {
            let by = RuntimeOrigin::signed(who);
            Disputes::choose(by, number, before, Choice::Node(0))
        };
        assert_noop!(choose(CARL), Error::<Test>::StateChanged);
        let events = System::events().len();
        let late = again(operator(PETRA)).unwrap();
        assert_eq!(late.pays_fee, Pays::No);
        assert_eq!(System::events().len(), events);
        assert_eq!((dispute(number).state, dispute(number).moves), (opened, 1));
        assert_noop!(again(PETRA), Error::<Test>::StateChanged);

        let choose = |who, node| {
            let by = RuntimeOrigin::signed(who);
            Disputes::choose(by, number, opened, Choice::Node(node))
        };
        assert_ok!(choose(CARL, 0));
        let chosen = dispute(number).stage;
        assert_eq!(choose(CARL, 1).unwrap().pays_fee, Pays::No);
        assert_eq!(dispute(number).stage, chosen);
        assert_noop!(choose(CARL, 0), Error::<Test>::StateChanged);
    });
}

#[test]
fn the_state_tells_forks_apart() {
    let state_after = |token: u32| {
        TestExt::new().execute_with(|| {
            let (given, number, mut forged) = disputed(0);
            if token > 0 {
                let mut leaves: Vec<Vec<u8>> = (0..forged.count())
                    .map(|index| {
                        let layout = Disputes::layout(&given.header, 0).unwrap();
                        vec![9; crate::referee::leaf_length(&layout, index).unwrap()]
                    })
                    .collect();
                *leaves.last_mut().unwrap() = given.output[0].to_le_bytes().to_vec();
                forged = Forged::from(leaves);
            }
            answer(PETRA, number, forged.answer(&given, 0)).unwrap();
            dispute(number).state
        })
    };
    assert_eq!(state_after(0), state_after(0));
    assert_ne!(state_after(0), state_after(1));
}

#[test]
fn an_answer_must_hang_together() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(33);
        let Answer::Trace {
            signature,
            nodes,
            last,
            token,
        } = forged.answer(&given, 33)
        else {
            unreachable!()
        };
        let with = |change: &dyn Fn(&mut Answer<u64>)| {
            let mut shown = Answer::Trace {
                signature,
                nodes: nodes.clone(),
                last: last.clone(),
                token: token.clone(),
            };
            change(&mut shown);
            answer(PETRA, number, shown).map_err(|error| error.error)
        };
        type Change = Box<dyn Fn(&mut Answer<u64>)>;
        let cases: Vec<(Error<Test>, Change)> = vec![
            (
                Error::InvalidSignature,
                Box::new(|shown| {
                    if let Answer::Trace { signature, .. } = shown {
                        *signature = None;
                    }
                }),
            ),
            (
                Error::InvalidSignature,
                Box::new(|shown| {
                    if let Answer::Trace { signature, .. } = shown {
                        *signature = Some(user_signature(b"something else"));
                    }
                }),
            ),
            (
                Error::WrongLength,
                Box::new(|shown| {
                    if let Answer::Trace { nodes, .. } = shown {
                        nodes.pop();
                    }
                }),
            ),
            // The last leaf is under another root then.
            (
                Error::WrongHash,
                Box::new(|shown| {
                    if let Answer::Trace { nodes, .. } = shown {
                        nodes[0] = H256::zero();
                    }
                }),
            ),
            (
                Error::WrongHash,
                Box::new(|shown| {
                    if let Answer::Trace { last, .. } = shown {
                        last.bytes[0] ^= 1;
                    }
                }),
            ),
            (
                Error::WrongHash,
                Box::new(|shown| {
                    if let Answer::Trace { last, .. } = shown {
                        last.siblings.pop();
                    }
                }),
            ),
            (
                Error::WrongHash,
                Box::new(|shown| {
                    if let Answer::Trace { token, .. } = shown {
                        token.bytes[33] ^= 1;
                    }
                }),
            ),
            (
                Error::WrongHash,
                Box::new({
                    let other = given.open_token(0);
                    move |shown| {
                        if let Answer::Trace { token, .. } = shown {
                            *token = other.clone();
                        }
                    }
                }),
            ),
        ];
        for (index, (error, change)) in cases.into_iter().enumerate() {
            assert_eq!(with(&*change), Err(error.into()), "case {index}");
        }
        // What was refused leaves nothing behind.
        assert_eq!(stage(number), Stage::Answer);
        assert_eq!(Traces::<Test>::iter().count(), 0);
        assert_ok!(with(&|_| ()));
    });
}

#[test]
fn the_traces_last_leaf_must_be_the_token_that_was_given() {
    TestExt::new().execute_with(|| {
        let (given, number, _) = disputed(3);
        let mut other = given.clone();
        other.output[3] += 1;
        let forged = Forged::of(&other, 3);
        let Answer::Trace {
            signature,
            nodes,
            last,
            ..
        } = forged.answer(&other, 3)
        else {
            unreachable!()
        };
        let shown = Answer::Trace {
            signature,
            nodes,
            last,
            token: given.open_token(3),
        };
        assert_noop!(answer(PETRA, number, shown), Error::<Test>::TokenMismatch);
    });
}

#[test]
fn a_provider_has_one_root_for_a_token() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(2);
        // Opened before anything was answered.
        let second = given.dispute(CORA, 2);
        answer(PETRA, number, forged.answer(&given, 2)).unwrap();
        let layout = Disputes::layout(&given.header, 2).unwrap();
        let mut leaves: Vec<Vec<u8>> = (0..layout.leaves())
            .map(|index| vec![7; crate::referee::leaf_length(&layout, index).unwrap()])
            .collect();
        *leaves.last_mut().unwrap() = given.output[2].to_le_bytes().to_vec();
        let other = Forged::from(leaves);
        assert_noop!(
            answer(PETRA, second, other.answer(&given, 2)),
            Error::<Test>::WrongHash
        );
        assert_ok!(answer(PETRA, second, forged.answer(&given, 2)));
    });
}

#[test]
fn what_is_revealed_must_lie_under_the_node_that_was_chosen() {
    TestExt::new().execute_with(|| {
        let (given, number, forged) = disputed(39);
        answer(PETRA, number, forged.answer(&given, 39)).unwrap();
        let Stage::Nodes { nodes, level, .. } = stage(number) else {
            unreachable!()
        };
        assert!(level > levels::LEAF_LEVEL);
        assert_noop!(
            choose(CARL, number, Choice::Node(nodes.len() as u32)),
            Error::<Test>::ChoiceOutOfBounds
        );
        for other in [
            Choice::Part(0),
            Choice::Element {
                leaf: 0,
                element: 0,
            },
        ] {
            assert_noop!(
                choose(CARL, number, other),
                Error::<Test>::OtherMoveExpected
            );
        }
        assert_ok!(choose(CARL, number, Choice::Node(1)));
        let wrong = forged.below(level, 0);
        assert_noop!(reveal(PETRA, number, wrong), Error::<Test>::WrongHash);
        assert_noop!(
            reveal(PETRA, number, Revelation::Nodes(Default::default())),
            Error::<Test>::WrongLength
        );
        assert_noop!(
            reveal(PETRA, number, Revelation::Leaves(Default::default())),
            Error::<Test>::OtherMoveExpected
        );
        assert_ok!(reveal(PETRA, number, forged.below(level, 1)));
        assert_ok!(choose(CARL, number, Choice::Node(0)));
        let Stage::Node { level, index, .. } = stage(number) else {
            unreachable!()
        };
        assert_eq!(levels::next(level), None);
        assert_noop!(
            reveal(PETRA, number, Revelation::Nodes(nodes)),
            Error::<Test>::OtherMoveExpected
        );
        let Revelation::Leaves(good) = forged.below(level, index) else {
            unreachable!()
        };
        let mut leaves = good.clone();
        leaves[0][0] ^= 1;
        assert_noop!(
            reveal(PETRA, number, Revelation::Leaves(leaves)),
            Error::<Test>::WrongHash
        );
        let mut leaves = good.clone();
        leaves[1].pop();
        assert_noop!(
            reveal(PETRA, number, Revelation::Leaves(leaves)),
            Error::<Test>::WrongLength
        );
        let mut leaves = good.clone();
        leaves.pop();
        assert_noop!(
            reveal(PETRA, number, Revelation::Leaves(leaves)),
            Error::<Test>::WrongLength
        );
        assert_ok!(reveal(PETRA, number, Revelation::Leaves(good.clone())));
        let layout = Disputes::layout(&given.header, 39).unwrap();
        let Stage::Leaves { first, .. } = stage(number) else {
            unreachable!()
        };
        let elements = layout.leaf(first).unwrap().elements;
        for (leaf, element) in [(good.len() as u32, 0), (0, elements), (u32::MAX, u32::MAX)] {
            assert_noop!(
                choose(CARL, number, Choice::Element { leaf, element }),
                Error::<Test>::ChoiceOutOfBounds
            );
        }
        let element = elements - 1;
        assert_ok!(choose(CARL, number, Choice::Element { leaf: 0, element }));
    });
}

/// A leaf of the wrong length that hashes to the node's hash was made wrong on purpose.
#[test]
fn a_leaf_that_was_hashed_with_a_wrong_length_cannot_be_revealed() {
    TestExt::new().execute_with(|| {
        let (given, number, _) = disputed(0);
        let layout = Disputes::layout(&given.header, 0).unwrap();
        let mut leaves: Vec<Vec<u8>> = (0..layout.leaves())
            .map(|index| vec![1; crate::referee::leaf_length(&layout, index).unwrap()])
            .collect();
        leaves[0].push(1);
        *leaves.last_mut().unwrap() = given.output[0].to_le_bytes().to_vec();
        let forged = Forged::from(leaves);
        answer(PETRA, number, forged.answer(&given, 0)).unwrap();
        loop {
            choose(CARL, number, Choice::Node(0)).unwrap();
            let Stage::Node { level, index, .. } = stage(number) else {
                unreachable!()
            };
            let shown = forged.below(level, index);
            match levels::next(level) {
                Some(_) => reveal(PETRA, number, shown).unwrap(),
                None => {
                    assert_noop!(reveal(PETRA, number, shown), Error::<Test>::WrongLength);
                    break;
                }
            };
        }
    });
}

#[test]
fn what_is_no_proof_is_refused_and_the_clock_runs_on() {
    TestExt::new().execute_with(|| {
        let (_, number, _) = at_a_step(1);
        let deadline = dispute(number).deadline;
        for proof in [vec![], vec![0; 100], vec![255; 12 * 1024]] {
            assert_noop!(prove(PETRA, number, proof), Error::<Test>::InvalidProof);
        }
        assert_eq!(dispute(number).deadline, deadline);
    });
}

#[test]
fn an_answer_to_a_game_over_one_token_is_no_header() {
    TestExt::new().execute_with(|| {
        let (given, number, _) = disputed(0);
        assert_noop!(
            answer(PETRA, number, Answer::Header(given.signed_header())),
            Error::<Test>::OtherMoveExpected
        );
    });
}
