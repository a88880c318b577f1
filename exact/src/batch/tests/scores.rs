//! Scores beside answers: what [`answer::check`] finds, alone.

use super::*;

/// A true answer to the first tokens, sampled or not.
fn answered(engine: &Engine, settings: Settings, prompt: usize, length: u32) -> (Asked, Vec<u32>) {
    let mut asked = Asked::new(&tokens(prompt), length);
    asked.settings = settings;
    let (answer, _) = asked.alone(engine);
    (asked, answer)
}

fn scored(batch: &mut Batch, id: u64) -> Option<usize> {
    let mut found = None;
    while let Some(events) = batch.step() {
        for (other, event) in events {
            if other == id {
                assert_eq!(found, None, "it has left");
                match event {
                    Event::Scored(right) => found = Some(right),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    found
}

#[test]
fn a_score_is_what_a_check_finds() {
    with_engine(|engine, alone| {
        let mut batch = Batch::new(engine, limits(4, 50, 100));
        let mut id = 0;
        for settings in [Settings::GREEDY, SAMPLED] {
            for (prompt, length) in [(1, 1), (1, 40), (70, 33), (130, 100)] {
                let (asked, answer) = answered(alone, settings, prompt, length);
                let last = answer.len() - 1;
                let mut cases = vec![answer.clone()];
                for wrong in [0, last / 2, last] {
                    for token in [(answer[wrong] + 1) % 97, 97, u32::MAX] {
                        let mut false_one = answer.clone();
                        false_one[wrong] = token;
                        cases.push(false_one);
                    }
                }
                for case in cases {
                    let request = Request {
                        stop_tokens: &[],
                        ..asked.request()
                    };
                    let wrong = answer::check(alone, &request, &case, &mut |_| {}).unwrap();
                    let right = wrong.map_or(case.len(), |wrong| wrong.index);
                    assert_eq!(batch.admit_score(id, &request, &case), Ok(true));
                    assert_eq!(batch.step(), None, "it has no credit");
                    batch.allow(id, 1);
                    assert_eq!(scored(&mut batch, id), Some(right), "{prompt} + {case:?}");
                    assert_eq!(batch.usage().requests, 0);
                    id += 1;
                }
            }
        }
        // Prompts that were read before are not read again.
        assert!(batch.usage().reused > 0);
    });
}

/// What was read of a false answer is kept, and says nothing of whether it is right.
#[test]
fn a_false_answer_is_as_false_the_second_time() {
    with_engine(|engine, alone| {
        let (asked, answer) = answered(alone, SAMPLED, 30, 60);
        let mut batch = Batch::new(engine, limits(1, 50, 100));
        for wrong in 0..60 {
            let mut false_one = answer.clone();
            false_one[wrong] = (answer[wrong] + 1) % 97;
            for id in 0..2 {
                let admitted = batch.admit_score(id, &asked.request(), &false_one);
                assert_eq!(admitted, Ok(true));
                batch.allow(id, 1);
                assert_eq!(scored(&mut batch, id), Some(wrong), "time {id}");
            }
        }
    });
}

/// A stop token ends answers, and scores are of tokens alone.
#[test]
fn stop_tokens_end_no_score() {
    with_engine(|engine, alone| {
        let (mut asked, answer) = answered(alone, SAMPLED, 20, 30);
        asked.stop_tokens = vec![answer[3]];
        let mut batch = Batch::new(engine, limits(1, 50, 100));
        assert_eq!(batch.admit_score(0, &asked.request(), &answer), Ok(true));
        batch.allow(0, 1);
        assert_eq!(scored(&mut batch, 0), Some(30));
    });
}

#[test]
fn a_long_score_stops_nobody_and_changes_nothing() {
    with_engine(|engine, alone| {
        let (asked, answer) = answered(alone, SAMPLED, 60, 250);
        let (beside, expected) = answered(alone, SAMPLED, 7, 40);
        let mut batch = Batch::new(engine, limits(2, 50, 100));
        assert_eq!(batch.admit(0, &beside.request()), Ok(true));
        assert_eq!(batch.admit_score(1, &asked.request(), &answer), Ok(true));
        batch.allow(0, 40);
        batch.allow(1, 1);
        let (mut tokens, mut right) = (Vec::new(), None);
        let mut steps = 0;
        while let Some(events) = batch.step() {
            steps += 1;
            for (id, event) in events {
                match (id, event) {
                    (1, Event::Scored(count)) => right = Some((steps, count)),
                    (0, Event::Token { token, .. }) => tokens.push(token),
                    (0, Event::End(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
            if right.is_none() {
                assert_eq!(tokens.len(), steps, "the other has a token in each step");
            }
        }
        assert_eq!(tokens, expected);
        // The prompt in pieces of the step's size, the answer in smaller ones.
        assert_eq!(right, Some((2 + 8, 250)));
    });
}

#[test]
fn a_score_that_cannot_be_is_refused() {
    with_engine(|engine, _| {
        let mut batch = Batch::new(engine, limits(1, 50, 100));
        let asked = Asked::new(&tokens(300), 1);
        let long = batch.admit_score(0, &asked.request(), &tokens(101));
        assert!(matches!(
            long,
            Err(BatchError::Answer(AnswerError::Context { .. }))
        ));
        let unknown = Asked::new(&[97], 1);
        let refused = batch.admit_score(0, &unknown.request(), &[1]);
        assert!(matches!(refused, Err(BatchError::Answer(_))), "{refused:?}");
        let none = Asked::new(&[], 1);
        assert!(batch.admit_score(0, &none.request(), &[1]).is_err());
    });
}
