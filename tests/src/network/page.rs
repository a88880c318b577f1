//! What became of the faults, as a page.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use super::{percentile, Fault, Outcome};

/// The results of a run, as far as it got.
#[derive(Default)]
pub struct Page {
    /// Lags in blocks when nothing was wrong, in ascending order.
    pub steady: Vec<u32>,
    pub faults: Vec<(Fault, Result<Outcome, String>)>,
}

/// The bars of a network that nothing happens to, in blocks.
const MEDIAN: u32 = 3;
const HIGHEST: u32 = 4;

impl Page {
    /// What a network in a steady state has to keep to.
    pub fn is_steady(&self) -> bool {
        percentile(&self.steady, 50) <= MEDIAN && percentile(&self.steady, 99) <= HIGHEST
    }

    pub fn is_good(&self) -> bool {
        self.is_steady() && self.faults.iter().all(|(_, outcome)| outcome.is_ok())
    }

    /// How far finality was behind when nothing was wrong.
    pub fn lag(&self) -> String {
        if self.steady.is_empty() {
            return "Finality lag with nothing wrong: nothing was seen.".into();
        }
        format!(
            "Finality lag with nothing wrong, of {} samples: median {} blocks, 99th percentile {} (bars: {MEDIAN} and {HIGHEST}).",
            self.steady.len(),
            percentile(&self.steady, 50),
            percentile(&self.steady, 99),
        )
    }

    pub fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.lag());
        text += "| fault | lasted | finality stood still | together again after | jobs over | |\n";
        text += "|---|---|---|---|---|---|\n";
        for (fault, outcome) in &self.faults {
            let name = fault.name();
            let _ = match outcome {
                Ok(outcome) => writeln!(text, "| {name} | {outcome} |"),
                Err(why) => writeln!(
                    text,
                    "| {name} | | | | | **missed**: {} |",
                    why.replace('\n', " ").replace('|', "/")
                ),
            };
        }
        text
    }
}

/// As the columns behind the fault's name.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Duration| format!("{:.0} s", time.as_secs_f64());
        write!(
            f,
            "{} | {} | {} | {} | {}",
            seconds(self.lasted),
            seconds(self.standstill),
            seconds(self.recovered),
            self.jobs,
            self.note
        )
    }
}
