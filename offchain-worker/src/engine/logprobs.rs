//! Log-probabilities for display.

use super::Token;

/// A token with what was asked about its place: nothing, or its log-probability and those of the `top`
/// likeliest. `logits` are those of all tokens as the model gave them.
pub(super) fn token(id: u32, logits: impl Iterator<Item = f32>, top: Option<u8>) -> Token {
    let Some(top) = top else {
        return Token {
            id,
            logprob: None,
            top: Vec::new(),
        };
    };
    let mut ranked: Vec<(u32, f32)> = (0..).zip(logits).collect();
    let largest = ranked
        .iter()
        .map(|(_, logit)| *logit)
        .fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = ranked
        .iter()
        .map(|(_, logit)| f64::from(logit - largest).exp())
        .sum();
    // What is subtracted from every logit: the logarithm of the sum of all exponentials.
    let common = f64::from(largest) + sum.ln();
    let logprob = |logit: f32| (f64::from(logit) - common) as f32;
    let own = ranked.get(id as usize).map(|(_, logit)| logprob(*logit));
    let top = usize::from(top).min(ranked.len());
    if top > 0 && top < ranked.len() {
        ranked.select_nth_unstable_by(top, likelier);
    }
    ranked.truncate(top);
    ranked.sort_unstable_by(likelier);
    Token {
        id,
        logprob: own,
        top: ranked
            .into_iter()
            .map(|(id, logit)| (id, logprob(logit)))
            .collect(),
    }
}

/// The likelier of two tokens first, of equal ones that with the lower id.
fn likelier(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_and_the_likeliest_come_first() {
        let logits = [1.0f32, -3.5, 4.0, 4.0, f32::NEG_INFINITY, 0.25];
        let all = token(1, logits.into_iter(), Some(6));
        assert_eq!(
            all.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            [2, 3, 0, 5, 1, 4]
        );
        let sum: f64 = all.top.iter().map(|(_, one)| f64::from(*one).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert_eq!(all.logprob, Some(all.top[4].1));
        // Differences of logits are those of log-probabilities.
        assert!((all.top[2].1 - all.top[4].1 - 4.5).abs() < 1e-5);
        let two = token(1, logits.into_iter(), Some(2));
        assert_eq!(two.top, all.top[..2]);
        assert_eq!(two.logprob, all.logprob);
    }

    #[test]
    fn nothing_is_computed_that_nobody_asked_for() {
        let none = token(7, std::iter::once_with(|| panic!("read")), None);
        assert_eq!((none.id, none.logprob, none.top.len()), (7, None, 0));
        let own = token(0, [2.0f32, 2.0].into_iter(), Some(0));
        assert!((own.logprob.unwrap() + std::f32::consts::LN_2).abs() < 1e-6);
        assert!(own.top.is_empty());
    }
}
