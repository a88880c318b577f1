//! An error or a panic is its request's alone. The operators of a `Cpu` are replaced by ones that fail
//! at the embedding of one token.

use std::sync::OnceLock;

use super::*;
use crate::{
    leaf::{LeafError, Operand},
    model::Gamma,
    number::Scale,
    op::{embed, norm::Width},
    rows::Rows,
};

const BAD: u32 = 96;
static EMBEDDED: OnceLock<Vec<i32>> = OnceLock::new();

fn is_bad(x: &[i32]) -> bool {
    EMBEDDED.get().is_some_and(|bad| bad == x)
}

type Norm = fn(&[i32], Gamma, &Width, &mut [i64], &mut [i16]) -> Result<Scale, LeafError>;

fn fails(
    x: &[i32],
    gamma: Gamma,
    width: &Width,
    z: &mut [i64],
    q: &mut [i16],
) -> Result<Scale, LeafError> {
    match is_bad(x) {
        true => Err(Operand::Sum.into()),
        false => (Rows::of(Backend::Portable).norm)(x, gamma, width, z, q),
    }
}

fn panics(
    x: &[i32],
    gamma: Gamma,
    width: &Width,
    z: &mut [i64],
    q: &mut [i16],
) -> Result<Scale, LeafError> {
    assert!(!is_bad(x), "on purpose");
    (Rows::of(Backend::Portable).norm)(x, gamma, width, z, q)
}

#[test]
fn what_fails_for_one_harms_no_other() {
    let weights = Weights::random(&shape(), 3);
    let model = weights.model();
    EMBEDDED.get_or_init(|| {
        let mut out = vec![0; 24];
        embed::row(&model.embedding, BAD, 16, &mut out).unwrap();
        out
    });
    let clean = |count| {
        let mut tokens = tokens(count);
        tokens.retain(|token| *token != BAD);
        tokens
    };
    let cases: [(Norm, BatchError); 2] = [
        (fails, EngineError::from(Operand::Sum).into()),
        (panics, BatchError::Panic),
    ];
    for (norm, error) in cases {
        // In one chunk of the engine, and in the second of two.
        for (threads, prefill) in [(1, 70), (3, 70), (1, 400), (3, 400)] {
            let mut cpu = Cpu::new(Backend::Portable, threads).unwrap();
            let sound = Cpu::new(Backend::Portable, 1).unwrap();
            let alone = Engine::new(&model, &sound).unwrap();
            cpu.rows.norm = norm;
            let engine = Engine::new(&model, &cpu).unwrap();
            let mut batch = Watched::new(engine, limits(5, prefill, 100));
            // Answers end before the model would read the bad token.
            let good: Vec<_> = (0..3)
                .map(|seed| {
                    let mut asked = Asked::new(&clean(200 - 50 * seed), 20);
                    asked.seed = [seed as u8; 32];
                    asked.stop_tokens = vec![BAD];
                    asked
                })
                .collect();
            let mut bad = Asked::new(&clean(150), 20);
            bad.prompt[100] = BAD;
            let good = [(0, &good[0]), (2, &good[1]), (3, &good[2])];
            for (id, asked) in [good[0], (1, &bad), good[1], good[2]] {
                assert!(batch.admit(id, asked));
                batch.allow(id, u32::MAX);
            }
            batch.finish();
            assert_eq!(batch.told[&1].end, Some(Err(error)));
            assert!(batch.told[&1].tokens.is_empty());
            for (id, asked) in good {
                let (tokens, finish) = asked.alone(&alone);
                let end = Some(Ok(finish));
                assert_eq!(batch.told[&id], Told { tokens, end });
            }
            // Nor does anything of it stay: what was read before it is as good as any.
            let mut after = bad.clone();
            after.prompt[100] = 0;
            after.stop_tokens = vec![BAD];
            assert!(batch.admit(9, &after));
            batch.allow(9, u32::MAX);
            batch.finish();
            assert_eq!(batch.told[&9].tokens, after.alone(&alone).0);
        }
    }
}
