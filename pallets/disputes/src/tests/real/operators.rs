//! Every operator of the judge, in a game over what is true and in one over what is not.

use std::collections::{BTreeMap, BTreeSet};

use assay_exact::{
    leaf::PAGE,
    trace::{Layout, Span},
};

use super::*;

/// Its trace has 18 positions: a page that is complete, and one that is not.
pub const POSITION: u32 = 13;

/// An answer in a channel of its own, in which one token was computed, the one that is disputed: before it
/// anything may stand.
pub fn answered(engine: &Engine) -> Given {
    let output = (0..=POSITION).map(|place| 10 + place).collect();
    let mut given = Given::asked(channel(10_000), 0, output, EVERYTHING);
    given.output[POSITION as usize] = truth(&mut trace_of(engine, &given, POSITION));
    pass(1);
    restated(given)
}

/// One row of each kind: at the last position, or where a page is complete.
pub fn rows(layout: &Layout) -> impl Iterator<Item = Span> {
    let positions = [PAGE as u32 - 1, layout.positions() - 1];
    let spans = positions.map(|position| layout.rows(position).collect::<Vec<_>>());
    let spans = spans.concat().into_iter();
    let rows: BTreeMap<Row, Span> = spans.map(|span| (span.place.row, span)).collect();
    rows.into_values()
}

/// The leaf and the place in it of some element of a row.
pub fn pick(layout: &Layout, span: &Span, numbers: &mut Numbers) -> (u64, u32) {
    let element = numbers.below(span.extent.elements() as usize) as u64;
    let place = span.place;
    layout.leaf_of(Cell { place, element }).unwrap()
}

fn all() -> BTreeSet<Operator> {
    Operator::ALL.iter().copied().collect()
}

#[test]
fn every_operator_acquits_who_told_the_truth() {
    with_model(|engine| {
        let mut numbers = Numbers::new(8);
        let mut judged = BTreeSet::new();
        let layout = Disputes::layout(&answered(engine).header, POSITION).unwrap();
        for span in rows(&layout) {
            let given = answered(engine);
            let number = given.dispute(CARL, POSITION);
            let mut player = Player::honest(trace_of(engine, &given, POSITION));
            let (leaf, element) = pick(&layout, &span, &mut numbers);
            let played = play(number, &given, POSITION, &mut player, |stage| {
                towards(leaf, element, &mut numbers, stage)
            });
            assert_eq!(verdict(), Verdict::Acquitted, "{:?}", span.place);
            assert_eq!(played.judged, Some(span.place.row.operator()));
            judged.extend(played.judged);
            System::reset_events();
        }
        assert_eq!(judged, all());
        assert!(Convictions::<Test>::iter().next().is_none());
        assert_eq!(provider(PETRA).bond, BOND);
    });
}

#[test]
fn every_operator_convicts_who_did_not() {
    with_model(|engine| {
        let mut numbers = Numbers::new(9);
        let mut judged = BTreeSet::new();
        let layout = Disputes::layout(&answered(engine).header, POSITION).unwrap();
        for span in rows(&layout) {
            let mut given = answered(engine);
            let (leaf, element) = pick(&layout, &span, &mut numbers);
            let change = 1 + numbers.below(2) as i64;
            if span.place.row == Row::Token {
                let token = &mut given.output[POSITION as usize];
                *token = (*token + change as u32) % 1_100;
                given = restated(given);
            }
            let number = given.dispute(CARL, POSITION);
            let mut player = Player::honest(trace_of(engine, &given, POSITION));
            match span.place.row {
                Row::Token => player.lie_about_token(given.output[POSITION as usize]),
                _ => player.lie(leaf, element, change),
            }
            let mut truth = trace_of(engine, &given, POSITION);
            let played = play(number, &given, POSITION, &mut player, |stage| {
                first_wrong(&mut truth, stage)
            });
            assert_eq!(verdict(), Verdict::Convicted, "{:?}", span.place);
            assert!(Convictions::<Test>::contains_key(given.claim));
            assert_eq!(played.judged, Some(span.place.row.operator()));
            judged.extend(played.judged);
            begin_again();
        }
        assert_eq!(judged, all());
    });
}
