//! How far the predictions of two engines are from those of f32, position by position.

use super::text::{Part, Row};

/// Sums over positions, of one engine.
#[derive(Clone, Copy, Default, Debug)]
struct Sums {
    /// Negative logarithms of the probabilities that the text's tokens had, in nats.
    surprise: f64,
    /// KL divergences from f32 to this engine, in nats.
    divergence: f64,
    /// Positions whose likeliest token is not f32's.
    flips: usize,
}

/// The engines that are compared with f32 here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Candidate {
    Exact,
    Q8,
}

/// Sums over positions, of f32 and of both engines beside it.
#[derive(Clone, Default, Debug)]
pub struct Score {
    pub positions: usize,
    /// f32's own, as [`Sums::surprise`].
    surprise: f64,
    exact: Sums,
    q8: Sums,
    /// Positions at which only one of the two engines flips.
    pub only_exact: usize,
    pub only_q8: usize,
}

impl Score {
    fn sums(&self, candidate: Candidate) -> &Sums {
        match candidate {
            Candidate::Exact => &self.exact,
            Candidate::Q8 => &self.q8,
        }
    }

    fn mean(&self, sum: f64) -> f64 {
        sum / self.positions as f64
    }

    /// Perplexity of f32.
    pub fn float_perplexity(&self) -> f64 {
        self.mean(self.surprise).exp()
    }

    pub fn perplexity(&self, candidate: Candidate) -> f64 {
        self.mean(self.sums(candidate).surprise).exp()
    }

    /// How much larger the engine's perplexity is than f32's, in percent.
    pub fn change(&self, candidate: Candidate) -> f64 {
        100.0
            * self
                .mean(self.sums(candidate).surprise - self.surprise)
                .exp_m1()
    }

    /// Mean KL divergence from f32, in nats.
    pub fn divergence(&self, candidate: Candidate) -> f64 {
        self.mean(self.sums(candidate).divergence)
    }

    /// Share of the positions whose likeliest token is f32's, in percent.
    pub fn agreement(&self, candidate: Candidate) -> f64 {
        100.0 * (1.0 - self.mean(self.sums(candidate).flips as f64))
    }

    /// By how many standard errors exact arithmetic flips more often than Q8_0. Only positions at which
    /// one of the two flips tell; if both are equally good, each of these is a fair coin (McNemar 1947).
    pub fn worse_by(&self) -> f64 {
        let differ = self.only_exact + self.only_q8;
        (self.only_exact as f64 - self.only_q8 as f64) / (differ.max(1) as f64).sqrt()
    }

    fn add(&mut self, token: usize, float: &Prediction, exact: &Prediction, q8: &Prediction) {
        self.positions += 1;
        self.surprise -= float.logarithms[token];
        for (sums, prediction) in [(&mut self.exact, exact), (&mut self.q8, q8)] {
            sums.surprise -= prediction.logarithms[token];
            sums.divergence += float.divergence(prediction);
            sums.flips += usize::from(prediction.best != float.best);
        }
        match (exact.best != float.best, q8.best != float.best) {
            (true, false) => self.only_exact += 1,
            (false, true) => self.only_q8 += 1,
            _ => {}
        }
    }
}

/// The scores of a model: over all predicted tokens, and over those of answers.
#[derive(Clone, Default, Debug)]
pub struct Scores {
    pub all: Score,
    pub answers: Score,
}

impl Scores {
    /// Adds a row of text. The logits are of f32, exact and Q8_0 after each token, row by row, each
    /// row as long as the vocabulary.
    pub fn add(&mut self, row: &Row, vocabulary: usize, [float, exact, q8]: [&[f64]; 3]) {
        let before = float
            .chunks_exact(vocabulary)
            .zip(exact.chunks_exact(vocabulary))
            .zip(q8.chunks_exact(vocabulary));
        let predicted = row.tokens.iter().zip(&row.parts).skip(1);
        for ((token, part), ((float, exact), q8)) in predicted.zip(before) {
            if *part == Part::Passed {
                continue;
            }
            let [float, exact, q8] = [float, exact, q8].map(Prediction::of);
            self.all.add(*token as usize, &float, &exact, &q8);
            if *part == Part::Answer {
                self.answers.add(*token as usize, &float, &exact, &q8);
            }
        }
    }
}

/// What an engine says about the next token.
struct Prediction {
    /// Natural logarithms of the tokens' probabilities.
    logarithms: Vec<f64>,
    /// The likeliest token, the lowest id among equals.
    best: usize,
}

impl Prediction {
    fn of(logits: &[f64]) -> Self {
        let (best, most) =
            logits
                .iter()
                .enumerate()
                .fold((0, f64::NEG_INFINITY), |best, (token, logit)| {
                    if *logit > best.1 {
                        (token, *logit)
                    } else {
                        best
                    }
                });
        let total: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
        let logarithm = most + total.ln();
        Self {
            logarithms: logits.iter().map(|logit| logit - logarithm).collect(),
            best,
        }
    }

    /// KL divergence from this to the other, in nats.
    fn divergence(&self, other: &Self) -> f64 {
        self.logarithms
            .iter()
            .zip(&other.logarithms)
            .map(|(own, other)| own.exp() * (own - other))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits whose probabilities are these.
    fn logits(probabilities: &[[f64; 3]]) -> Vec<f64> {
        // An offset that the softmax takes away.
        probabilities
            .iter()
            .flatten()
            .map(|p| p.ln() + 7.0)
            .collect()
    }

    #[test]
    fn scores_are_those_worked_out_by_hand() {
        let row = Row {
            tokens: vec![2, 0, 1, 1],
            parts: vec![Part::Passed, Part::Prompt, Part::Answer, Part::Passed],
        };
        let ignored = [0.2, 0.2, 0.6];
        let float = logits(&[[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], ignored, ignored]);
        let exact = logits(&[
            [0.25, 0.5, 0.25],
            [0.25, 0.5, 0.25],
            [0.9, 0.05, 0.05],
            ignored,
        ]);
        let q8 = logits(&[[0.5, 0.25, 0.25], [0.125, 0.375, 0.5], ignored, ignored]);
        let mut scores = Scores::default();
        scores.add(&row, 3, [&float, &exact, &q8]);
        let near = |found: f64, expected: f64| {
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        };
        let (all, answers) = (&scores.all, &scores.answers);
        assert_eq!((all.positions, answers.positions), (2, 1));
        assert_eq!((all.only_exact, all.only_q8), (1, 1));
        assert_eq!((answers.only_exact, answers.only_q8), (0, 1));
        // f32 gave the tokens a half each.
        near(all.float_perplexity(), 2.0);
        near(all.perplexity(Candidate::Exact), 8f64.sqrt());
        near(all.change(Candidate::Exact), 100.0 * (2f64.sqrt() - 1.0));
        near(answers.perplexity(Candidate::Q8), 1.0 / 0.375);
        near(answers.change(Candidate::Exact), 0.0);
        // Half a bit less a quarter: ½ ln 2 - ¼ ln 2, over two positions.
        near(all.divergence(Candidate::Exact), 0.125 * 2f64.ln());
        near(
            answers.divergence(Candidate::Q8),
            0.25 * 2f64.ln() + 0.5 * (4.0f64 / 3.0).ln() - 0.25 * 2f64.ln(),
        );
        near(all.agreement(Candidate::Exact), 50.0);
        near(answers.agreement(Candidate::Exact), 100.0);
        near(all.worse_by(), 0.0);
        near(answers.worse_by(), -1.0);
    }

    #[test]
    fn the_first_of_equal_tokens_is_the_likeliest() {
        assert_eq!(Prediction::of(&[1.0, 3.0, 3.0]).best, 1);
    }
}
