//! Random requests that come, wait, go on and go at random steps.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

#[derive(Clone, Debug)]
enum Op {
    /// The next request comes.
    Join,
    Allow(Index, u32),
    Cancel(Index),
    Steps(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Join),
        4 => (any::<Index>(), prop_oneof![1u32..40, Just(u32::MAX)]).prop_map(|(of, tokens)| Op::Allow(of, tokens)),
        1 => any::<Index>().prop_map(Op::Cancel),
        4 => (1usize..12).prop_map(Op::Steps),
    ]
}

/// Prompts that begin alike, up to some token.
fn asked() -> impl Strategy<Value = Asked> {
    let changed = prop_oneof![Just(None), (0usize..210).prop_map(Some)];
    let settings = prop_oneof![Just(Settings::GREEDY), Just(SAMPLED)];
    let limit = prop_oneof![1 => Just(0u32), 6 => 1u32..50, 3 => 60u32..140];
    (
        1usize..210,
        changed,
        settings,
        0u8..3,
        vec(0u32..97, 0..3),
        limit,
    )
        .prop_map(|(length, changed, settings, seed, stop_tokens, limit)| {
            let mut prompt = tokens(length);
            if let Some(token) = changed.and_then(|changed| prompt.get_mut(changed)) {
                *token = (*token + 1) % 97;
            }
            Asked {
                prompt,
                settings,
                seed: [seed; 32],
                stop_tokens,
                limit,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn everyone_gets_what_he_gets_alone(
        all in vec(asked(), 1..9),
        ops in vec(op(), 0..40),
        requests in 1usize..6,
        prefill in prop_oneof![1usize..10, 10usize..200],
        slabs in 6usize..24,
        threads in 1usize..3,
    ) {
        let weights = Weights::random(&shape(), 3);
        let cpu = Cpu::new(Backend::best(), threads).unwrap();
        let engine = Engine::new(&weights.model(), &cpu).unwrap();
        let alone = Engine::new(&weights.model(), &cpu).unwrap();
        let mut batch = Watched::new(engine, limits(requests, prefill, slabs));
        let mut cancelled = HashSet::new();
        let mut next = 0;
        for op in ops {
            match op {
                Op::Join => {
                    if next < all.len() && batch.admit(next as u64, &all[next]) {
                        next += 1;
                    }
                }
                Op::Allow(of, tokens) => batch.allow(of.index(next.max(1)) as u64, tokens),
                Op::Cancel(of) => {
                    let id = of.index(next.max(1)) as u64;
                    batch.batch.cancel(id);
                    cancelled.insert(id);
                }
                Op::Steps(steps) => {
                    for _ in 0..steps {
                        batch.step();
                    }
                }
            }
        }
        // Then everything is allowed, and whoever is not in yet comes as soon as there is room.
        loop {
            while next < all.len() && batch.admit(next as u64, &all[next]) {
                next += 1;
            }
            for id in 0..next {
                batch.allow(id as u64, u32::MAX);
            }
            if !batch.step() {
                break;
            }
        }
        prop_assert_eq!(next, all.len(), "a request never found room");
        for (id, asked) in (0..).zip(&all) {
            let (tokens, finish) = asked.alone(&alone);
            let told = &batch.told[&id];
            if cancelled.contains(&id) && told.end.is_none() {
                prop_assert!(tokens.starts_with(&told.tokens));
            } else {
                prop_assert_eq!(&told.tokens, &tokens, "request {}", id);
                prop_assert_eq!(told.end, Some(Ok(finish)));
            }
        }
        prop_assert_eq!(batch.batch.usage().reserved, 0);
    }
}
