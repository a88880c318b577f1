//! What a GPU is asked for, next to what it did.

use std::{fmt, time::Duration};

use super::{ceilings::Ceilings, pytorch::PyTorch};

/// All that was measured.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Of the kernels, from their source.
    pub compiling: Duration,
    /// Until kernels that were kept are there again; none where they cannot be kept.
    pub loading: Option<Duration>,
    pub ceilings: Ceilings,
    /// Or why there is none.
    pub pytorch: Result<PyTorch, String>,
    pub memory: Memory,
    pub decode: Vec<Decode>,
    pub prefill: Vec<Prefill>,
    /// Whether it is the whole model.
    pub whole: bool,
}

/// Bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub weights: usize,
    /// Keys and values.
    pub cache: usize,
    /// All that was taken in the end.
    pub used: usize,
}

/// Steps of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Decode {
    pub batch: usize,
    /// Of a step.
    pub seconds: f64,
    /// That a step has to read.
    pub bytes: f64,
}

impl Decode {
    pub fn tokens(&self) -> f64 {
        self.batch as f64 / self.seconds
    }

    pub fn bandwidth(&self) -> f64 {
        self.bytes / self.seconds
    }
}

/// The reading of a prompt, up to the first token's logits.
#[derive(Clone, Copy, Debug)]
pub struct Prefill {
    pub tokens: usize,
    pub seconds: f64,
    /// Multiplications and additions of the layers' linear maps, each weight counted once.
    pub operations: f64,
}

impl Prefill {
    /// Of the model, a second.
    pub fn speed(&self) -> f64 {
        self.operations / self.seconds
    }

    /// On the tensor cores, a second: activations have two limbs.
    pub fn multiplied(&self) -> f64 {
        2.0 * self.speed()
    }
}

/// What is asked for, and what was found.
#[derive(Clone, PartialEq, Debug)]
pub struct Bar {
    pub what: &'static str,
    pub asked: &'static str,
    /// The figure, and whether it is good enough; or why there is none.
    pub found: Result<(String, bool), String>,
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:<58} {:>16}  ", self.what, self.asked)?;
        match &self.found {
            Ok((figure, true)) => write!(f, "{figure:>10}  met"),
            Ok((figure, false)) => write!(f, "{figure:>10}  missed"),
            Err(why) => write!(f, "not measured: {why}"),
        }
    }
}

impl Figures {
    fn decode(&self, batch: usize) -> Result<&Decode, String> {
        let found = self.decode.iter().find(|one| one.batch == batch);
        found.ok_or_else(|| format!("--batch is without {batch}"))
    }

    fn prefill(&self, tokens: usize) -> Result<&Prefill, String> {
        let found = self.prefill.iter().find(|one| one.tokens == tokens);
        found.ok_or_else(|| format!("--prefill is without {tokens}"))
    }

    fn pytorch(&self) -> Result<&PyTorch, String> {
        self.pytorch.as_ref().map_err(Clone::clone)
    }

    /// How many times PyTorch's speed a batch of one decodes.
    fn faster(&self) -> Result<f64, String> {
        let own = self.decode(1)?;
        let other = self.pytorch()?.decode(1);
        other
            .map(|seconds| seconds / own.seconds)
            .ok_or_else(|| "PyTorch did not measure it".into())
    }

    /// Every bar, in the order in which they were set.
    pub fn bars(&self) -> Vec<Bar> {
        let whole = || match self.whole {
            true => Ok(()),
            false => Err("the bar is for all 32 layers".to_string()),
        };
        let least = |bar: f64, found: f64| (found >= bar, found);
        let share = |bar, found| {
            let (met, found) = least(bar, found);
            (format!("{:.1} %", 100.0 * found), met)
        };
        let times = |bar, found| {
            let (met, found) = least(bar, found);
            (format!("{found:.2} x"), met)
        };
        let Memory {
            weights,
            cache,
            used,
        } = self.memory;
        let needed = weights + cache;
        let beside = 100.0 * (used as f64 / needed as f64 - 1.0);
        let is_little = used <= needed + needed / 20;
        let loading = self
            .loading
            .ok_or_else(|| "compiled kernels cannot be kept here".to_string());
        let compiling = self.compiling;
        vec![
            Bar {
                what: "decode of 1: share of the bytes/s of reading alone",
                asked: "at least 75 %",
                found: self
                    .decode(1)
                    .map(|one| share(0.75, one.bandwidth() / self.ceilings.read)),
            },
            Bar {
                what: "decode of 1: times PyTorch in bf16",
                asked: "at least 1.5",
                found: self.faster().map(|found| times(1.5, found)),
            },
            Bar {
                what: "decode of 64: times the tokens/s of 1",
                asked: "at least 20",
                found: self.decode(64).and_then(|many| {
                    let one = self.decode(1)?;
                    Ok(times(20.0, many.tokens() / one.tokens()))
                }),
            },
            Bar {
                what: "prefill of 4,096: share of PyTorch's peak in bf16",
                asked: "at least 40 %",
                found: self.prefill(4096).and_then(|prefill| {
                    let peak = self.pytorch()?.product;
                    Ok(share(0.4, prefill.speed() / peak))
                }),
            },
            Bar {
                what: "first token of a prompt of 512",
                asked: "under 30 ms",
                found: whole().and_then(|()| {
                    let seconds = self.prefill(512)?.seconds;
                    Ok((format!("{:.1} ms", 1e3 * seconds), seconds < 0.030))
                }),
            },
            Bar {
                what: "kernels compiled",
                asked: "under 60 s",
                found: Ok((
                    format!("{compiling:.1?}"),
                    compiling < Duration::from_secs(60),
                )),
            },
            Bar {
                what: "kernels found again and loaded",
                asked: "under 2 s",
                found: loading.map(|loading| {
                    let met = loading < Duration::from_secs(2);
                    (format!("{loading:.2?}"), met)
                }),
            },
            Bar {
                what: "memory beside weights, keys and values",
                asked: "at most 5 %",
                found: whole().map(|()| (format!("{beside:.1} %"), is_little)),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All bars exactly met, or as nearly as an upper one can be.
    fn figures() -> Figures {
        let said = r#"{"torch": "2", "product": 1e14, "decode": [[1, 0.006]], "prefill": []}"#;
        let decode = |batch, seconds| Decode {
            batch,
            seconds,
            bytes: 3e9,
        };
        let prefill = |tokens, seconds| Prefill {
            tokens,
            seconds,
            operations: 8e12,
        };
        Figures {
            compiling: Duration::from_millis(59_999),
            loading: Some(Duration::from_millis(1999)),
            ceilings: Ceilings {
                read: 1e12,
                copied: 1e12,
                multiplied: 1e15,
            },
            pytorch: Ok(serde_json::from_str(said).unwrap()),
            memory: Memory {
                weights: 80,
                cache: 20,
                used: 105,
            },
            decode: vec![decode(1, 0.004), decode(64, 0.0128)],
            prefill: vec![prefill(512, 0.0299), prefill(4096, 0.2)],
            whole: true,
        }
    }

    fn met(figures: &Figures) -> Vec<Option<bool>> {
        let bars = figures.bars();
        bars.iter()
            .map(|bar| bar.found.as_ref().ok().map(|(_, met)| *met))
            .collect()
    }

    #[test]
    fn every_bar_is_met_at_its_figure_and_missed_below() {
        let good = figures();
        assert_eq!(met(&good), vec![Some(true); 8]);
        type Worse = fn(&mut Figures);
        // Which bars are missed for what is a little worse.
        let worse: [(&[usize], Worse); 9] = [
            (&[0], |figures| figures.ceilings.read *= 1.001),
            (&[0, 1], |figures| {
                figures.decode[0].seconds *= 1.001;
                figures.decode[1].seconds /= 1.1;
            }),
            (&[2], |figures| figures.decode[1].seconds *= 1.001),
            (&[3], |figures| figures.prefill[1].seconds *= 1.001),
            (&[3], |figures| {
                figures.pytorch.as_mut().unwrap().product *= 1.001
            }),
            (&[4], |figures| figures.prefill[0].seconds = 0.03),
            (&[5], |figures| figures.compiling = Duration::from_secs(60)),
            (&[6], |figures| {
                figures.loading = Some(Duration::from_secs(2))
            }),
            (&[7], |figures| figures.memory.used += 1),
        ];
        for (missed, make_worse) in worse {
            let mut figures = figures();
            make_worse(&mut figures);
            let expected: Vec<_> = (0..8).map(|bar| Some(!missed.contains(&bar))).collect();
            assert_eq!(met(&figures), expected, "{missed:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let mut figures = figures();
        figures.pytorch = Err("python3: No module named 'torch'".into());
        figures.decode.pop();
        figures.prefill.remove(0);
        figures.loading = None;
        let none: Vec<_> = met(&figures).iter().map(Option::is_none).collect();
        assert_eq!(none, [false, true, true, true, true, false, true, false]);
        let told = figures.bars()[1].to_string();
        assert!(
            told.ends_with("not measured: python3: No module named 'torch'"),
            "{told}"
        );
        assert!(figures.bars()[2]
            .to_string()
            .contains("--batch is without 64"));
        figures.whole = false;
        assert!(met(&figures)[7].is_none());
    }
}
