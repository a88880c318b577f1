use alloc::vec::Vec;

use super::*;
use crate::shape::{Rotary, PPM};

fn shape(head_norms: bool) -> Shape {
    Shape {
        layers: 3,
        hidden: 72,
        intermediate: 200,
        heads: 6,
        kv_heads: 2,
        head_dim: 10,
        vocabulary: 1100,
        context: 400,
        tied: true,
        biases: false,
        head_norms,
        fraction_bits: 16,
        eps40: 11,
        rotary: Rotary {
            base: PPM,
            scaling: None,
        },
    }
}

fn all_settings() -> Vec<Settings> {
    let drawn = Settings {
        temperature: 700_000,
        ..Settings::GREEDY
    };
    let every = Settings {
        top_k: 40,
        top_p: 900_000,
        min_p: 10_000,
        penalty: 1_100_000,
        ..drawn
    };
    let greedy = Settings {
        temperature: 0,
        ..every
    };
    [Settings::GREEDY, drawn, every, greedy].to_vec()
}

/// The leaves one after the other, as the page says it.
#[test]
fn leaves_are_numbered_row_by_row_without_a_gap() {
    for head_norms in [false, true] {
        for settings in all_settings() {
            let layout = Layout::new(&shape(head_norms), &settings, 70, 65).unwrap();
            let mut next = 0;
            for position in 0..layout.positions() {
                assert_eq!(layout.start(position), next);
                for span in layout.rows(position) {
                    assert_eq!(span.leaf, next, "{:?}", span.place);
                    assert_eq!(layout.span(span.place), Some(span));
                    let per_leaf = u64::from(span.extent.element.per_leaf());
                    for group in 0..span.extent.groups {
                        for first in (0..span.extent.width).step_by(per_leaf as usize) {
                            let elements = per_leaf.min(span.extent.width - first);
                            let first = group * span.extent.width + first;
                            let leaf = Leaf {
                                place: span.place,
                                first,
                                elements: elements as u32,
                            };
                            assert_eq!(layout.leaf(next), Some(leaf));
                            for element in [0, elements - 1] {
                                let cell = Cell {
                                    place: span.place,
                                    element: first + element,
                                };
                                assert_eq!(layout.leaf_of(cell), Some((next, element as u32)));
                                assert_eq!(layout.cell(next, element as u32), Some(cell));
                            }
                            assert_eq!(layout.cell(next, elements as u32), None);
                            next += 1;
                        }
                    }
                    let beyond = Cell {
                        place: span.place,
                        element: span.extent.elements(),
                    };
                    assert_eq!(layout.leaf_of(beyond), None);
                }
            }
            assert_eq!(layout.leaves(), next);
            assert_eq!(layout.leaf(next), None);
            assert_eq!(layout.leaf(next - 1).unwrap().place.row, Row::Token);
            assert!(1 << layout.height() >= next && 1 << (layout.height() - 1) < next);
        }
    }
}

#[test]
fn rows_stand_in_the_order_of_their_kinds() {
    let layout = Layout::new(&shape(true), &all_settings()[2], 20, 3).unwrap();
    for position in 0..layout.positions() {
        let places: Vec<_> = layout.rows(position).map(|span| span.place).collect();
        let layered = |row: Row| Row::LAYER.contains(&row);
        for pair in places.windows(2) {
            let [before, after] = [pair[0], pair[1]];
            assert!(
                before.row < after.row || (layered(after.row) && before.layer < after.layer),
                "{before:?} {after:?}"
            );
        }
    }
    let kinds = [Row::BEFORE, Row::LAYER, Row::AFTER].concat();
    assert!(kinds.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn what_has_no_trace_is_refused() {
    let (shape, greedy) = (shape(false), Settings::GREEDY);
    let new = |prompt, index| Layout::new(&shape, &greedy, prompt, index).map(|_| ());
    assert_eq!(new(0, 5), Err(LayoutError::EmptyPrompt));
    assert_eq!(new(1, 0), Ok(()));
    assert_eq!(new(400, 0), Ok(()));
    assert_eq!(new(400, 1), Err(LayoutError::Context));
    assert_eq!(new(u32::MAX, u32::MAX), Err(LayoutError::Context));
    let wrong = Settings { top_p: 0, ..greedy };
    let refused = Layout::new(&shape, &wrong, 1, 0).map(|_| ());
    assert_eq!(refused, Err(LayoutError::Settings));
    let mut broken = shape.clone();
    broken.head_dim = 3;
    let refused = Layout::new(&broken, &greedy, 1, 0).map(|_| ());
    assert_eq!(refused, Err(LayoutError::Shape(ShapeError::HeadDim)));
    let scored = |request, answer_at, index| {
        Layout::scored(&shape, &greedy, request, answer_at, index).map(|_| ())
    };
    assert_eq!(scored(10, 0, 5), Err(LayoutError::EmptyPrompt));
    assert_eq!(scored(10, 5, 4), Ok(()));
    assert_eq!(scored(10, 5, 5), Err(LayoutError::Answer));
    assert_eq!(scored(5, 5, 0), Err(LayoutError::Answer));
    assert_eq!(scored(10, 5, u32::MAX), Err(LayoutError::Answer));
    assert_eq!(scored(500, 400, 0), Ok(()));
    assert_eq!(scored(500, 400, 1), Err(LayoutError::Context));
}

/// Rows and places that a trace does not have.
#[test]
fn an_unknown_place_has_no_leaves() {
    let layout = Layout::new(&shape(false), &Settings::GREEDY, 20, 0).unwrap();
    let span = |position, layer, row| {
        layout.span(Place {
            position,
            layer,
            row,
        })
    };
    assert!(span(15, 2, Row::ValuePage).is_some());
    assert_eq!(span(14, 2, Row::ValuePage), None);
    assert_eq!(span(15, 3, Row::ValuePage), None);
    assert_eq!(span(3, 1, Row::Embed), None);
    assert_eq!(span(3, 0, Row::Token), None);
    assert_eq!(span(19, 0, Row::Kept), None);
    assert_eq!(span(19, 0, Row::QueryNorm), None);
    assert_eq!(span(20, 0, Row::Embed), None);
    assert!(span(19, 0, Row::Token).is_some());
}

#[test]
fn runs_are_the_leaves_of_consecutive_elements() {
    let layout = Layout::new(&shape(true), &all_settings()[2], 70, 65).unwrap();
    for span in layout.rows(layout.positions() - 1) {
        let elements = span.extent.elements();
        let firsts = [0, 1, 63, 64, 255, 256, elements / 2, elements - 1];
        let counts = [0, 1, 2, 64, 65, 512, elements];
        for (first, count) in firsts
            .into_iter()
            .flat_map(|first| counts.map(|count| (first, count)))
        {
            let runs = layout.runs(span.place, first, count);
            if first + count > elements {
                assert!(runs.is_none());
                continue;
            }
            let cells: Vec<_> = runs
                .unwrap()
                .flat_map(|run| (0..run.elements).map(move |i| (run.leaf, run.inside + i)))
                .collect();
            let wanted: Vec<_> = (first..first + count)
                .map(|element| layout.leaf_of(span.place.cell(element)).unwrap())
                .collect();
            assert_eq!(cells, wanted, "{:?} {first} {count}", span.place);
        }
        assert!(layout.runs(span.place, u64::MAX, 2).is_none());
    }
}
