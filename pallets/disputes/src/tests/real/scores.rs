//! Scores of answers: what they say is judged as answers are.

use assay_primitives::{Finish, Task};

use super::*;

/// An answer of 12 tokens, the one at `wrong` false, as the provider of the score is shown it.
fn answered(engine: &Engine, sampling: Sampling, wrong: Option<usize>) -> Given {
    let mut given = true_answer(engine, 0, sampling, 12);
    if let Some(wrong) = wrong {
        given.output[wrong] = (given.output[wrong] + 1) % 1_100;
    }
    given
}

/// Carl disputes what a score says of the token at `position`, whose provider tells the truth about all but
/// that one, of which it states `token` where it cannot state the truth.
fn judged(engine: &Engine, score: &Given, position: u32, token: Option<TokenId>) -> Verdict {
    let number = score.dispute(CARL, position);
    let mut player = Player::honest(trace_of(engine, score, position));
    if let Some(token) = token {
        player.lie_about_token(token);
    }
    let mut right = trace_of(engine, score, position);
    play(number, score, position, &mut player, |stage| {
        first_wrong(&mut right, stage)
    });
    verdict()
}

#[test]
fn a_true_score_holds_wherever_it_is_disputed() {
    for sampling in [GREEDY, EVERYTHING] {
        with_model(|engine| {
            let cases = [(None, 12, Finish::Length), (Some(9), 9, Finish::Mismatch)];
            for (seq, (wrong, right, finish)) in (1..).zip(cases) {
                let score = answered(engine, sampling, wrong).scored(seq, right, finish);
                let last = right - u32::from(wrong.is_none());
                for position in [0, 5, last] {
                    let verdict = judged(engine, &score, position, None);
                    assert_eq!(verdict, Verdict::Acquitted, "{finish:?} at {position}");
                }
            }
            assert_eq!(provider(PETRA).bond, BOND);
        });
    }
}

#[test]
fn a_score_that_calls_a_wrong_token_right_is_convicted() {
    for sampling in [GREEDY, EVERYTHING] {
        with_model(|engine| {
            let answer = answered(engine, sampling, Some(9));
            let false_token = answer.output[9];
            let score = answer.scored(1, 12, Finish::Length);
            let verdict = judged(engine, &score, 9, Some(false_token));
            assert_eq!(verdict, Verdict::Convicted);
            assert!(Convictions::<Test>::contains_key(score.claim));
        });
    }
}

#[test]
fn a_score_that_calls_a_right_token_wrong_is_convicted() {
    for sampling in [GREEDY, EVERYTHING] {
        with_model(|engine| {
            let answer = answered(engine, sampling, None);
            let another = (answer.output[4] + 1) % 1_100;
            let score = answer.scored(1, 4, Finish::Mismatch);
            let verdict = judged(engine, &score, 4, Some(another));
            assert_eq!(verdict, Verdict::Convicted);
            assert!(Convictions::<Test>::contains_key(score.claim));
        });
    }
}

/// The answer's seed decides, and not the hash of the score's own header.
#[test]
fn a_score_is_judged_with_the_seed_that_the_user_states() {
    with_model(|engine| {
        let answer = answered(engine, EVERYTHING, None);
        let score = answer.scored(1, 12, Finish::Length);
        let other = score.clone().with_header(|header| {
            if let Task::Score { seed, .. } = &mut header.task {
                seed.0[0] ^= 1;
            }
        });
        let place = (0..12).find(|place| {
            let token = truth(&mut trace_of(engine, &other, *place));
            token != other.output[*place as usize]
        });
        let place = place.expect("another seed gives another token");
        let token = other.output[place as usize];
        let verdict = judged(engine, &other, place, Some(token));
        assert_eq!(verdict, Verdict::Convicted);
    });
}
