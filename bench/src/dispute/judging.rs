//! How long the referee judges one step, and what it reads for that, by the operator that it computes: as the committed
//! weights say.

use std::{cmp::Reverse, fs};

use anyhow::{Context, Result};
use assay_exact::trace::Operator;

use crate::report::{Bar, Page};

/// Where `make weights` writes them.
const WEIGHTS: &str = "pallets/disputes/src/weights.rs";
/// Milliseconds that judging any step may take.
const MOST: f64 = 5.0;

pub fn read(page: &mut Page) -> Result<()> {
    let text = fs::read_to_string(WEIGHTS)
        .with_context(|| format!("cannot read {WEIGHTS}: start this in the repository"))?;
    let judged = |name: &str| {
        let judged = measured(&text, name);
        judged.with_context(|| format!("{WEIGHTS} has no judge_{name}: run `make weights`"))
    };
    let mut steps = Vec::new();
    for operator in Operator::ALL {
        let operator = format!("{operator:?}");
        let step = judged(&snake(&operator))?;
        steps.push((operator, step));
    }
    steps.sort_by_key(|(_, step)| Reverse(step.time));
    let hashing = judged("nothing")?;
    let about: Vec<_> = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    page.add(format!(
        "## The judge\n\nJudging one step in the runtime's Wasm, its proof decoded and hashed and the element computed: the proof \
         of each operator that opens most, of a model at the format's bounds. A proof may open more than its step reads, so \
         that each pays for the hashing of the longest one besides. The proof size is what a block's proof of the state that is read \
         takes. {}\n",
        about.join(" ")
    ));
    let milliseconds = |time: u64| time as f64 / 1e9;
    let row = |name: &str, judged: &Judged| {
        vec![
            name.into(),
            format!("{:.3} ms", milliseconds(judged.time)),
            format!("{} bytes", judged.proof_size),
        ]
    };
    let rows = steps.iter().map(|(name, step)| row(name, step));
    let longest = row("the longest proof's hashing", &hashing);
    let rows: Vec<_> = rows.chain([longest]).collect();
    page.table(&["operator", "time", "proof size"], &rows);
    let (worst, step) = steps.first().context("there is an operator")?;
    let most = milliseconds(step.time + hashing.time);
    page.bar(Bar {
        demand: format!(
            "judging any step under {MOST} ms of Wasm, the longest proof's hashing included"
        ),
        measured: format!("{most:.3} ms, {worst}"),
        met: most < MOST,
    });
    Ok(())
}

/// What a judgement takes, without the database's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Judged {
    /// Picoseconds.
    time: u64,
    /// Bytes of the state's proof.
    proof_size: u64,
}

/// A weight in the file's measured part.
fn measured(text: &str, name: &str) -> Option<Judged> {
    let (_, measured) = text.split_once("impl WeightInfo for ()")?;
    let (_, function) = measured.split_once(&format!("fn judge_{name}() -> Weight {{"))?;
    let (_, parts) = function.split_once("Weight::from_parts(")?;
    let (parts, _) = parts.split_once(')')?;
    let (time, proof_size) = parts.split_once(',')?;
    let number = |text: &str| text.replace('_', "").trim().parse().ok();
    Some(Judged {
        time: number(time)?,
        proof_size: number(proof_size)?,
    })
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (place, letter) in name.char_indices() {
        if place > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_read_by_its_operators_name() {
        let text = "trait WeightInfo { fn judge_last_bin() -> Weight; }
            impl WeightInfo for () {
                fn judge_kept() -> Weight {
                    Weight::from_parts(7, 8)
                }
                fn judge_last_bin() -> Weight {
                    Weight::from_parts(1_234_567, 5636)
                }
            }";
        let of = |time, proof_size| Some(Judged { time, proof_size });
        assert_eq!(measured(text, &snake("LastBin")), of(1_234_567, 5_636));
        assert_eq!(measured(text, &snake("Kept")), of(7, 8));
        assert_eq!(measured(text, "cut"), None);
    }

    #[test]
    fn the_committed_weights_have_every_operator() {
        let text = fs::read_to_string(std::path::Path::new("..").join(WEIGHTS)).unwrap();
        for operator in Operator::ALL {
            let judged = measured(&text, &snake(&format!("{operator:?}")));
            assert!(judged.is_some_and(|judged| judged.time > 0), "{operator:?}");
        }
    }
}
