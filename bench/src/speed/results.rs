//! Medians, tables and bars.

use anyhow::{Context, Result};
use assay_exact::Backend;

use super::{
    job::{Memory, Outcome, Task},
    llama::Llama,
    rounds::{Engine, Measured, Work, BATCHES},
    shape::Shape,
};
use crate::report::{Bar, Page};

/// Least speed beside llama.cpp's.
const DECODE_RATIO: f64 = 1.3;
const PREFILL_RATIO: f64 = 1.0;
/// Least share of the memory's ceiling, in percent.
const MEMORY_SHARE: f64 = 80.0;
/// Least speed of batch 8 beside batch 1.
const BATCH_RATIOS: [(Backend, f64); 2] = [(Backend::Avx512, 4.0), (Backend::Avx2, 3.0)];
/// Most time of checking beside generating.
const CHECKING_RATIO: f64 = 0.4;
/// Most memory beyond weights and keys and values, in percent.
const EXTRA_MEMORY: f64 = 10.0;

/// Bytes of 32 weights in Q8_0: a scale in f16 and 32 int8.
const Q8_0_BLOCK: f64 = 34.0;

/// One shape's figures.
pub struct Results<'a> {
    shape: &'a Shape,
    work: &'a Work,
    measured: &'a Measured,
    best: Backend,
}

/// The middle of several figures, and how far they lie apart.
#[derive(Clone, Copy)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

/// Says what the page shows.
pub fn introduce(page: &mut Page, threads: usize, rounds: u16, work: &Work, llama: Option<&Llama>) {
    let Work {
        prompt,
        tokens,
        prefill,
        ..
    } = work;
    let peers = match llama {
        Some(llama) => format!(
            "llama.cpp {}, and candle 0.11.1, both in Q8_0",
            llama.version
        ),
        None => "candle 0.11.1 in Q8_0".into(),
    };
    page.add(format!(
        "Random weights, tied embeddings, {threads} threads for each engine; medians of {rounds} rounds, each of \
         which measures each thing once and in a process of its own (lowest and highest in brackets). Peers: {peers}. \
         Decode: {tokens} tokens after a prompt of {prompt}. Prefill: {prefill} tokens, the last one's logits. The \
         portable backend does a sixteenth of that, once.\n\n\
         Memory: 8 streams a thread over {} MiB, between the measurements. Products: a backend's multiply-add \
         instruction (16 bits by 16) in registers alone; what Q8_0 multiplies (8 bits by 8) has a peak twice as \
         high where there is VNNI.\n",
        work.arena_bytes >> 20
    ));
}

impl<'a> Results<'a> {
    pub fn new(shape: &'a Shape, work: &'a Work, measured: &'a Measured) -> Self {
        Self {
            shape,
            work,
            measured,
            best: Backend::best(),
        }
    }

    /// Adds the shape's tables, and its bars if the figures are to be judged.
    pub fn show(&self, page: &mut Page, judged: bool) -> Result<()> {
        let memory = Spread::of(self.measured.memory.iter().copied())?;
        let mapped = Spread::of(self.measured.mapped.iter().copied())?;
        page.add(format!("## {}\n", self.shape.name));
        page.add(format!(
            "{:.1} million weights. Memory: {} GB/s; the mapped weights, read alike: {} GB/s.\n",
            self.weights() / 1e6,
            memory.text(1),
            mapped.text(1),
        ));
        self.decode(page, memory)?;
        self.prefill(page)?;
        self.peers(page)?;
        self.checking(page)?;
        self.memory(page)?;
        if judged {
            self.judge(page, memory)?;
        }
        Ok(())
    }

    fn decode(&self, page: &mut Page, memory: Spread) -> Result<()> {
        let mut rows = Vec::new();
        for (engine, task, outcomes) in &self.measured.rows {
            let Task::Decode {
                prompt,
                tokens,
                batch,
            } = *task
            else {
                continue;
            };
            let rate = rate(task, outcomes)?;
            let single = Task::Decode {
                prompt,
                tokens,
                batch: 1,
            };
            let times = rate.median / self.rate(*engine, single)?.median;
            let bytes = self.bytes_per_second(*engine, rate.median / batch as f64);
            rows.push(vec![
                engine.to_string(),
                batch.to_string(),
                rate.text(1),
                format!("{times:.2}"),
                format!("{bytes:.1}"),
                format!("{:.0} %", 100.0 * bytes / memory.median),
            ]);
        }
        let header = [
            "decode",
            "batch",
            "tokens/s",
            "times batch 1",
            "weights, GB/s",
            "of memory",
        ];
        page.table(&header, &rows);
        Ok(())
    }

    fn prefill(&self, page: &mut Page) -> Result<()> {
        let mut rows = Vec::new();
        for (engine, task, outcomes) in &self.measured.rows {
            let Task::Prefill { tokens } = *task else {
                continue;
            };
            let rate = rate(task, outcomes)?;
            let layers = (self.shape.layer_weights() * tokens) as f64;
            let products = layers + self.shape.head_weights() as f64;
            let products = products * rate.median / tokens as f64 / 1e9;
            // A peer may use whatever the machine has.
            let backend = match engine {
                Engine::Exact(backend) => *backend,
                Engine::Candle | Engine::Llama => self.best,
            };
            let mut peaks = self.measured.products.iter();
            let share = match peaks.find(|(of, _)| *of == backend) {
                Some((_, rates)) => {
                    let peak = Spread::of(rates.iter().copied())?.median;
                    format!("{:.0} % of {peak:.0}", 100.0 * products / peak)
                }
                None => "".into(),
            };
            rows.push(vec![
                engine.to_string(),
                tokens.to_string(),
                rate.text(0),
                format!("{products:.0}"),
                share,
            ]);
        }
        let header = [
            "prefill",
            "tokens",
            "tokens/s",
            "products, 10^9/s",
            "of the peak",
        ];
        page.table(&header, &rows);
        Ok(())
    }

    fn peers(&self, page: &mut Page) -> Result<()> {
        let mut rows = Vec::new();
        for peer in [Engine::Llama, Engine::Candle] {
            if self.has(peer) {
                let ratio = |task| {
                    self.ratio(peer, task)
                        .map(|ratio| format!("{ratio:.2} times"))
                };
                rows.push(vec![
                    peer.to_string(),
                    ratio(self.work.decode(1))?,
                    ratio(self.work.prefill())?,
                ]);
            }
        }
        page.table(&["exact beside", "decode, batch 1", "prefill"], &rows);
        Ok(())
    }

    fn checking(&self, page: &mut Page) -> Result<()> {
        let mut rows = Vec::new();
        for batch in BATCHES {
            let (generating, checking) = self.answer(batch)?;
            rows.push(vec![
                batch.to_string(),
                format!("{generating:.2}"),
                format!("{checking:.2}"),
                format!("{:.3}", checking / generating),
            ]);
        }
        let Work { prompt, tokens, .. } = self.work;
        let header = [
            &format!("{prompt} + {tokens} tokens: generated in a batch of"),
            "seconds of one answer",
            "seconds of checking it",
            "checking / generating",
        ];
        page.table(&header, &rows);
        Ok(())
    }

    fn memory(&self, page: &mut Page) -> Result<()> {
        let mebibytes = |bytes: f64| format!("{:.1}", bytes / f64::from(1 << 20));
        let rows: Vec<_> = self
            .peaks()
            .map(|(task, peak)| {
                let beside_files = peak.peak_bytes.saturating_sub(peak.mapped_bytes);
                vec![
                    task.to_string(),
                    mebibytes(peak.peak_bytes as f64),
                    mebibytes(beside_files as f64),
                    mebibytes(self.weights()),
                    mebibytes(self.shape.kv_bytes(task.positions()) as f64),
                    format!("{:+.1} %", self.extra(task, peak)),
                ]
            })
            .collect();
        let header = [
            "peak of memory",
            "MiB",
            "of it not mapped files",
            "a byte for each weight, MiB",
            "int8 keys and values, MiB",
            "beside both",
        ];
        page.table(&header, &rows);
        page.add(
            "Mapped files count as far as the kernel maps them. Of the embedding's low limb, which is not mapped, each \
             token's row alone is read.\n",
        );
        Ok(())
    }

    fn judge(&self, page: &mut Page, memory: Spread) -> Result<()> {
        let name = self.shape.name;
        let mut bar = |demand: String, measured: String, met| {
            page.bar(Bar {
                demand: format!("{name}: {demand}"),
                measured,
                met,
            });
        };
        let times = |ratio: f64| format!("{ratio:.2} times");
        if self.has(Engine::Llama) {
            for (task, least, what) in [
                (self.work.decode(1), DECODE_RATIO, "decode"),
                (self.work.prefill(), PREFILL_RATIO, "prefill"),
            ] {
                let ratio = self.ratio(Engine::Llama, task)?;
                bar(
                    format!("{what} at least {least} times llama.cpp"),
                    times(ratio),
                    ratio >= least,
                );
            }
        }
        let single = self.rate(Engine::Exact(self.best), self.work.decode(1))?;
        let bytes = self.bytes_per_second(Engine::Exact(self.best), single.median);
        let share = 100.0 * bytes / memory.median;
        bar(
            format!("decode at least {MEMORY_SHARE} % of the memory's ceiling"),
            format!("{share:.0} %"),
            share >= MEMORY_SHARE,
        );
        for (backend, least) in BATCH_RATIOS {
            let engine = Engine::Exact(backend);
            if self.has(engine) {
                let of = |batch| self.rate(engine, self.work.decode(batch));
                let ratio = of(8)?.median / of(1)?.median;
                bar(
                    format!("batch 8 at least {least} times batch 1 ({backend})"),
                    times(ratio),
                    ratio >= least,
                );
            }
        }
        if self.shape.checking {
            let (generating, checking) = self.answer(1)?;
            let ratio = checking / generating;
            bar(
                format!("checking at most {CHECKING_RATIO} of generating"),
                format!("{ratio:.3}"),
                ratio <= CHECKING_RATIO,
            );
        }
        let extras = self.peaks().map(|(task, peak)| self.extra(task, peak));
        if let Some(extra) = extras.reduce(f64::max) {
            bar(
                format!("memory at most int8 weights, keys and values + {EXTRA_MEMORY} %"),
                format!("{extra:+.1} %"),
                extra <= EXTRA_MEMORY,
            );
        }
        Ok(())
    }

    /// Weights that every decoded token is multiplied with.
    fn weights(&self) -> f64 {
        (self.shape.layer_weights() + self.shape.head_weights()) as f64
    }

    /// 10^9 bytes of weights that are read in a second of so many steps.
    fn bytes_per_second(&self, engine: Engine, steps: f64) -> f64 {
        let bytes = match engine {
            Engine::Exact(_) => 1.0,
            Engine::Candle | Engine::Llama => Q8_0_BLOCK / 32.0,
        };
        self.weights() * bytes * steps / 1e9
    }

    fn outcomes(&self, engine: Engine, task: Task) -> Result<&[Outcome]> {
        let mut rows = self.measured.rows.iter();
        let (_, _, outcomes) = rows
            .find(|row| (row.0, row.1) == (engine, task))
            .with_context(|| format!("{engine}: {task} was not measured"))?;
        Ok(outcomes)
    }

    fn has(&self, engine: Engine) -> bool {
        self.measured.rows.iter().any(|row| row.0 == engine)
    }

    fn rate(&self, engine: Engine, task: Task) -> Result<Spread> {
        rate(&task, self.outcomes(engine, task)?)
    }

    /// The best backend's speed beside a peer's.
    fn ratio(&self, peer: Engine, task: Task) -> Result<f64> {
        let exact = self.rate(Engine::Exact(self.best), task)?;
        Ok(exact.median / self.rate(peer, task)?.median)
    }

    /// Seconds that one answer takes when so many are generated together, and seconds of its checking.
    fn answer(&self, batch: usize) -> Result<(f64, f64)> {
        let best = Engine::Exact(self.best);
        let outcomes = self.outcomes(best, self.work.answer())?;
        let checking = Spread::of(outcomes.iter().filter_map(|one| one.checking_seconds))?;
        let generating = match batch {
            1 => Spread::of(outcomes.iter().map(|one| one.seconds))?.median,
            _ => {
                let prompt = self.outcomes(best, self.work.prompt())?;
                let prompt = Spread::of(prompt.iter().map(|one| one.seconds))?;
                let rate = self.rate(best, self.work.decode(batch))?;
                prompt.median + self.work.tokens as f64 / rate.median
            }
        };
        Ok((generating, checking.median))
    }

    /// The best backend's tasks with the process that took most memory.
    fn peaks(&self) -> impl Iterator<Item = (Task, Memory)> + '_ {
        let best = Engine::Exact(self.best);
        let rows = self.measured.rows.iter().filter(move |row| row.0 == best);
        rows.filter_map(|(_, task, outcomes)| {
            let memories = outcomes.iter().filter_map(|one| one.memory);
            Some((*task, memories.max_by_key(|one| one.peak_bytes)?))
        })
    }

    /// Memory beyond a byte for each weight, keys and values, in percent.
    fn extra(&self, task: Task, peak: Memory) -> f64 {
        let needed = self.weights() + self.shape.kv_bytes(task.positions()) as f64;
        100.0 * (peak.peak_bytes as f64 / needed - 1.0)
    }
}

/// Tokens a second.
fn rate(task: &Task, outcomes: &[Outcome]) -> Result<Spread> {
    Spread::of(
        outcomes
            .iter()
            .map(|one| task.tokens() as f64 / one.seconds),
    )
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Result<Self> {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied();
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            1 => at(middle),
            _ => at(middle.wrapping_sub(1))
                .zip(at(middle))
                .map(|(a, b)| (a + b) / 2.0),
        };
        let all = (figures.first(), median, figures.last());
        let (Some(low), Some(median), Some(high)) = all else {
            anyhow::bail!("there is no figure to take the median of");
        };
        Ok(Self {
            low: *low,
            median,
            high: *high,
        })
    }

    fn text(&self, places: usize) -> String {
        let Self { low, median, high } = self;
        format!("{median:.places$} ({low:.places$} to {high:.places$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let median = |figures: &[f64]| Spread::of(figures.iter().copied()).map(|one| one.median);
        assert_eq!(median(&[9.0, 1.0, 2.0]).unwrap(), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]).unwrap(), 3.0);
        assert_eq!(median(&[5.0]).unwrap(), 5.0);
        assert!(median(&[]).is_err());
    }
}
