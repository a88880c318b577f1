//! Answers and their check, as a worker and a verifier use them.

use std::ops::ControlFlow;

use assay_exact::{
    answer::{check, generate, Answer, AnswerError, Finish, Request, Wrong},
    folder::root::blake2_256,
    random::{Numbers, Weights},
    sampling::{self, Settings},
    shape::{Rotary, Shape, PPM},
    Backend, Cpu, Engine, Logits, Sequence,
};

const SAMPLED: Settings = Settings {
    temperature: 900_000,
    top_k: 40,
    top_p: 950_000,
    min_p: 10_000,
    penalty: 1_100_000,
};

fn shape() -> Shape {
    Shape {
        layers: 2,
        hidden: 40,
        intermediate: 64,
        heads: 4,
        kv_heads: 2,
        head_dim: 10,
        vocabulary: 97,
        context: 400,
        tied: true,
        biases: true,
        head_norms: false,
        fraction_bits: 16,
        eps40: 1_099_512,
        rotary: Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    }
}

/// An engine, and a prompt for it.
fn with_engine(test: impl Fn(&Engine, &[u32])) {
    let weights = Weights::random(&shape(), 3);
    let model = weights.model();
    for backend in Backend::ALL.into_iter().filter(|one| one.is_available()) {
        let cpu = Cpu::new(backend, 2).unwrap();
        let engine = Engine::new(&model, &cpu).unwrap();
        test(&engine, &Numbers::new(1).tokens(20, &shape()));
    }
}

fn request(prompt: &[u32], settings: Settings, limit: u32) -> Request<'_> {
    Request {
        prompt,
        settings,
        seed: [7; 32],
        stop_tokens: &[],
        limit,
    }
}

fn answer(engine: &Engine, request: &Request) -> Answer {
    generate(engine, request, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn wrong(engine: &Engine, request: &Request, tokens: &[u32]) -> Option<Wrong> {
    check(engine, request, tokens, &mut |_| {}).unwrap()
}

#[test]
fn a_generated_answer_is_right_and_every_changed_token_is_found() {
    with_engine(|engine, prompt| {
        for settings in [Settings::GREEDY, SAMPLED] {
            let request = request(prompt, settings, 150);
            let Answer { tokens, finish } = answer(engine, &request);
            assert_eq!((tokens.len(), finish), (150, Finish::Length));
            assert_eq!(wrong(engine, &request, &tokens), None);
            for index in [0, 1, 31, 32, 33, 63, 64, 127, 128, 149] {
                let mut changed = tokens.clone();
                changed[index] = (changed[index] + 1) % 97;
                let expected = Wrong {
                    index,
                    found: Some(changed[index]),
                    expected: Some(tokens[index]),
                };
                assert_eq!(wrong(engine, &request, &changed), Some(expected));
                // A token that the model does not have.
                changed[index] = u32::MAX;
                let found = wrong(engine, &request, &changed).unwrap();
                assert_eq!((found.index, found.found), (index, Some(u32::MAX)));
                assert_eq!(found.expected, Some(tokens[index]));
            }
        }
    });
}

/// Token by token, from the logits and the format page's §5.
#[test]
fn tokens_are_drawn_with_the_seed_and_their_position() {
    with_engine(|engine, prompt| {
        let request = request(prompt, SAMPLED, 12);
        let mut seen = prompt.to_vec();
        for _ in 0..12 {
            let alone = Sequence {
                cache: &mut engine.cache(),
                tokens: &seen,
                logits: Logits::Last,
            };
            let logits = engine.run(&mut [alone]).unwrap().remove(0);
            let message = sampling::draw_message(&request.seed, seen.len() as u32);
            let random = sampling::random(&blake2_256(&message).0);
            let exp2 = engine.model().tables.exp2;
            seen.push(sampling::choose(&logits, &seen, &SAMPLED, random, exp2).unwrap());
        }
        assert_eq!(answer(engine, &request).tokens, seen[prompt.len()..]);
    });
}

#[test]
fn an_answer_is_the_seeds_and_the_prompts() {
    with_engine(|engine, prompt| {
        let request = request(prompt, SAMPLED, 40);
        let tokens = answer(engine, &request).tokens;
        let other = Request {
            seed: [8; 32],
            ..request
        };
        assert_ne!(answer(engine, &other).tokens, tokens);
        assert!(wrong(engine, &other, &tokens).is_some());
        let shorter = Request {
            prompt: &prompt[1..],
            ..request
        };
        assert!(wrong(engine, &shorter, &tokens).is_some());
    });
}

#[test]
fn an_answer_ends_at_a_stop_token_or_at_the_limit_and_nowhere_else() {
    with_engine(|engine, prompt| {
        let all = request(prompt, SAMPLED, 30);
        let tokens = answer(engine, &all).tokens;
        let place = (5..30).find(|place| !tokens[..*place].contains(&tokens[*place]));
        let place = place.unwrap();
        let stops = [96, tokens[place]];
        let stopping = Request {
            stop_tokens: &stops,
            ..all
        };
        let ended = answer(engine, &stopping);
        assert_eq!(ended.finish, Finish::Eos);
        assert_eq!(ended.tokens, tokens[..=place]);
        assert_eq!(wrong(engine, &stopping, &ended.tokens), None);
        // At the limit the stop token is still what ends it.
        let at_limit = Request {
            limit: place as u32 + 1,
            ..stopping
        };
        assert_eq!(answer(engine, &at_limit), ended);

        let early = Wrong {
            index: place,
            found: None,
            expected: Some(tokens[place]),
        };
        assert_eq!(wrong(engine, &stopping, &tokens[..place]), Some(early));
        let late = Wrong {
            index: place + 1,
            found: Some(tokens[place + 1]),
            expected: None,
        };
        assert_eq!(wrong(engine, &stopping, &tokens), Some(late));
        let shorter = Request { limit: 12, ..all };
        let long = Wrong {
            index: 12,
            found: Some(tokens[12]),
            expected: None,
        };
        assert_eq!(wrong(engine, &shorter, &tokens), Some(long));
        let nothing = Wrong {
            index: 0,
            found: None,
            expected: Some(tokens[0]),
        };
        assert_eq!(wrong(engine, &all, &[]), Some(nothing));
    });
}

#[test]
fn the_caller_can_end_an_answer() {
    with_engine(|engine, prompt| {
        let request = request(prompt, Settings::GREEDY, 30);
        let mut seen = Vec::new();
        let answer = generate(engine, &request, &mut |token| {
            seen.push(token);
            match seen.len() {
                4 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })
        .unwrap();
        assert_eq!((answer.tokens.len(), answer.finish), (4, Finish::Caller));
        assert_eq!(answer.tokens, seen);
    });
}

#[test]
fn an_answer_of_no_tokens_is_right_where_none_may_be_given() {
    with_engine(|engine, prompt| {
        let request = request(prompt, Settings::GREEDY, 0);
        let none = answer(engine, &request);
        assert_eq!((none.tokens.len(), none.finish), (0, Finish::Length));
        assert_eq!(wrong(engine, &request, &[]), None);
        let more = wrong(engine, &request, &[5]).unwrap();
        assert_eq!((more.index, more.expected), (0, None));
    });
}

#[test]
fn progress_counts_the_tokens_that_are_read() {
    with_engine(|engine, _| {
        let prompt = Numbers::new(2).tokens(300, &shape());
        let request = request(&prompt, Settings::GREEDY, 90);
        let tokens = answer(engine, &request).tokens;
        let mut steps = Vec::new();
        check(engine, &request, &tokens, &mut |step| steps.push(step)).unwrap();
        assert_eq!(steps, [256, 299, 331, 363, 389]);
    });
}

#[test]
fn what_cannot_be_answered_is_refused() {
    with_engine(|engine, prompt| {
        let good = request(prompt, Settings::GREEDY, 380);
        let error = |request: &Request| {
            let one = generate(engine, request, &mut |_| ControlFlow::Continue(())).unwrap_err();
            assert_eq!(check(engine, request, &[1], &mut |_| {}), Err(one));
            one
        };
        let empty = Request {
            prompt: &[],
            ..good
        };
        assert_eq!(error(&empty), AnswerError::EmptyPrompt);
        let long = Request { limit: 381, ..good };
        let context = AnswerError::Context {
            prompt: 20,
            limit: 381,
            context: 400,
        };
        assert_eq!(error(&long), context);
        let unknown = Request {
            prompt: &[1, 97],
            ..good
        };
        let named = error(&unknown).to_string();
        assert_eq!(named, "token 97 is outside the vocabulary");
        let settings = Settings {
            top_p: 0,
            ..Settings::GREEDY
        };
        let unsound = Request { settings, ..good };
        assert!(matches!(error(&unsound), AnswerError::Settings(_)));
    });
}
