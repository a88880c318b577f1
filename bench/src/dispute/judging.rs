//! How long the referee judges one step, by the operator that it computes: as the committed weights say.

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
    let mut times = Vec::new();
    for operator in Operator::ALL {
        let name = snake(&format!("{operator:?}"));
        let time = picoseconds(&text, &name)
            .with_context(|| format!("{WEIGHTS} has no judge_{name}: run `make weights`"))?;
        times.push((format!("{operator:?}"), time));
    }
    times.sort_by_key(|(_, time)| Reverse(*time));
    let measured: Vec<_> = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    page.add(format!(
        "## The judge\n\nJudging one step in the runtime's Wasm, its proof decoded and hashed and the element computed: the proof \
         of each operator that opens most, of a model at the format's bounds. {}\n",
        measured.join(" ")
    ));
    let milliseconds = |time: u64| time as f64 / 1e9;
    let rows: Vec<_> = times
        .iter()
        .map(|(name, time)| vec![name.clone(), format!("{:.3} ms", milliseconds(*time))])
        .collect();
    page.table(&["operator", "time"], &rows);
    let (worst, time) = times.first().context("there is an operator")?;
    page.bar(Bar {
        demand: format!("judging any step under {MOST} ms of Wasm"),
        measured: format!("{:.3} ms, {worst}", milliseconds(*time)),
        met: milliseconds(*time) < MOST,
    });
    Ok(())
}

/// The time of a weight in the file's measured part, without reads.
fn picoseconds(text: &str, name: &str) -> Option<u64> {
    let (_, measured) = text.split_once("impl WeightInfo for ()")?;
    let (_, function) = measured.split_once(&format!("fn judge_{name}() -> Weight {{"))?;
    let (_, parts) = function.split_once("Weight::from_parts(")?;
    let (time, _) = parts.split_once(',')?;
    time.replace('_', "").trim().parse().ok()
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
    fn a_time_is_read_by_its_operators_name() {
        let text = "trait WeightInfo { fn judge_last_bin() -> Weight; }
            impl WeightInfo for () {
                fn judge_kept() -> Weight {
                    Weight::from_parts(7, 8)
                }
                fn judge_last_bin() -> Weight {
                    Weight::from_parts(1_234_567, 5636)
                }
            }";
        assert_eq!(picoseconds(text, &snake("LastBin")), Some(1_234_567));
        assert_eq!(picoseconds(text, &snake("Kept")), Some(7));
        assert_eq!(picoseconds(text, "cut"), None);
    }

    #[test]
    fn the_committed_weights_have_every_operator() {
        let text = fs::read_to_string(std::path::Path::new("..").join(WEIGHTS)).unwrap();
        for operator in Operator::ALL {
            let time = picoseconds(&text, &snake(&format!("{operator:?}")));
            assert!(time.is_some_and(|time| time > 0), "{operator:?}");
        }
    }
}
