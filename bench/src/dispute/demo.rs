//! The demo model: how long it takes to have what a dispute asks for, and how much memory.

use std::{ops::ControlFlow, path::Path, time::Instant};

use anyhow::{bail, ensure, Result};
use assay_exact::{
    answer::{self, Request},
    folder::Folder,
    import,
    sampling::Settings,
    trace::{check_step, Answered, Case, Cell, Part, Roots, Ruling, Target, Trace},
    Cpu, Engine,
};
use assay_primitives::{blake2_256, token_root};

use super::memory::peak;
use crate::report::{Bar, Page};

const PROMPT: u32 = 64;
const ANSWER: u32 = 256;
/// Seconds that opening any node may take, the trace's making included.
const OPENING: f64 = 2.0;
/// MiB that the same may take beside the model: the hashes and the leaves that are held at most, 32 each.
const MEMORY: f64 = 64.0;

const SETTINGS: Settings = Settings {
    temperature: 900_000,
    top_k: 40,
    top_p: 950_000,
    min_p: 10_000,
    penalty: 1_100_000,
};

pub fn measure(source: &Path, asked: u32, page: &mut Page) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("model");
    import::huggingface(source, &path, |_| ())?;
    let folder = Folder::open(&path)?;
    let cpu = Cpu::detect();
    let engine = Engine::of(&folder, &cpu)?;
    let vocabulary = engine.model().shape.vocabulary;
    let mut numbers = Numbers(1);
    let prompt: Vec<u32> = (0..PROMPT)
        .map(|_| numbers.below(vocabulary.into()) as u32)
        .collect();
    let request = Request {
        prompt: &prompt,
        settings: SETTINGS,
        seed: [7; 32],
        stop_tokens: &[],
        limit: ANSWER,
    };
    let output = answer::generate(&engine, &request, &mut |_| ControlFlow::Continue(()))?.tokens;
    let checking = seconds(|| {
        let wrong = answer::check(&engine, &request, &output, &mut |_| ())?;
        ensure!(wrong.is_none(), "the engine does not repeat its answer");
        Ok(())
    })?;
    let answered = Answered {
        prompt: &prompt,
        output: &output,
        settings: SETTINGS,
        seed: request.seed,
        secret: None,
        scored: false,
        index: ANSWER - 1,
    };
    let start = Instant::now();
    let (mut trace, made_memory) = peak(|| Ok(Trace::new(&engine, &answered)?))?;
    let making = start.elapsed().as_secs_f64();
    let last = trace.leaves(trace.layout().leaves() - 1, 1)?;
    let token = output[ANSWER as usize - 1].to_le_bytes();
    ensure!(
        last == [token.to_vec()],
        "the trace ends with another token"
    );
    let (nodes, node_memory) = peak(|| nodes(&mut trace, asked, &mut numbers))?;
    let parts = folder.parts();
    let roots = Roots {
        trace: trace.root(),
        prompt: token_root(&prompt).0,
        output: token_root(&output).0,
        tables: parts.tables.0,
        weights: parts.weights_root.0,
        salted: false,
        output_len: ANSWER,
    };
    let case = Case {
        layout: trace.layout().clone(),
        seed: request.seed,
    };
    let (steps, step_memory) = peak(|| steps(&mut trace, &case, &roots, asked, &mut numbers))?;
    let levels = trace.layout().height();
    page.add(format!(
        "## The demo model\n\nThe last token of {ANSWER}, prompt {PROMPT} tokens, every setting of the choice in use: {} \
         leaves, {levels} levels. {} threads, {}. Nodes and elements at random; the slowest of {asked} nodes of each \
         level, and of {asked} steps of random rows, each with all proofs to its end, which the referee finds true.\n",
        trace.layout().leaves(),
        cpu.threads(),
        cpu.backend(),
    ));
    let in_mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mebibytes = |bytes: u64| format!("{:.1} MiB", in_mebibytes(bytes));
    let milliseconds = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    let mut table = vec![
        vec![
            "checking the answer, no trace".into(),
            milliseconds(checking),
            String::new(),
        ],
        vec![
            "making the trace".into(),
            milliseconds(making),
            mebibytes(made_memory),
        ],
    ];
    let slowest = nodes.iter().copied().fold(0.0, f64::max);
    let (below, kept) = nodes.split_at(nodes.len().min(6));
    for (level, seconds) in below.iter().enumerate() {
        let name = format!("a node of level {level}");
        table.push(vec![name, milliseconds(*seconds), String::new()]);
    }
    let kept = kept.iter().copied().fold(0.0, f64::max);
    let name = format!("a node of levels 6 to {levels}");
    table.push(vec![name, milliseconds(kept), String::new()]);
    table.push(vec![
        "all of these nodes".into(),
        String::new(),
        mebibytes(node_memory),
    ]);
    table.push(vec![
        "proofs of a step".into(),
        milliseconds(steps.0),
        mebibytes(step_memory),
    ]);
    table.push(vec![
        "its check".into(),
        milliseconds(steps.1),
        String::new(),
    ]);
    page.table(&["", "time", "memory at its peak"], &table);
    let opening = making + slowest;
    page.bar(Bar {
        demand: format!("demo: making a trace and opening any node under {OPENING} s"),
        measured: format!("{opening:.3} s"),
        met: opening < OPENING,
    });
    // What the trace holds, and what is held of it besides to open nodes.
    let memory = in_mebibytes(made_memory + node_memory);
    page.bar(Bar {
        demand: format!("demo: the same in under {MEMORY} MiB beside the model"),
        measured: format!("{memory:.1} MiB"),
        met: memory < MEMORY,
    });
    Ok(())
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The slowest node of each level.
fn nodes(trace: &mut Trace, asked: u32, numbers: &mut Numbers) -> Result<Vec<f64>> {
    let leaves = trace.layout().leaves();
    let mut slowest = Vec::new();
    for level in 0..=trace.layout().height() {
        let mut most = 0f64;
        for _ in 0..asked {
            let index = numbers.below(leaves) >> level;
            let time = seconds(|| {
                trace.node(level, index)?;
                Ok(())
            })?;
            most = most.max(time);
        }
        slowest.push(most);
    }
    Ok(slowest)
}

/// The slowest proofs of a step, and the slowest check of one proof.
fn steps(
    trace: &mut Trace,
    case: &Case,
    roots: &Roots,
    asked: u32,
    numbers: &mut Numbers,
) -> Result<(f64, f64)> {
    let layout = &case.layout;
    let (mut slowest_proofs, mut slowest_check) = (0f64, 0f64);
    for _ in 0..asked {
        let position = numbers.below(layout.positions().into()) as u32;
        let rows: Vec<_> = layout.rows(position).collect();
        let span = rows[numbers.below(rows.len() as u64) as usize];
        let cell = Cell {
            place: span.place,
            element: numbers.below(span.extent.elements()),
        };
        let mut target = Target::element(cell, trace.cell(cell)?);
        let mut proving = 0.0;
        loop {
            let start = Instant::now();
            let proof = trace.prove(&target)?;
            proving += start.elapsed().as_secs_f64();
            let ruling = check_step(case, roots, &target, &proof, blake2_256);
            // The quickest of three, because others run on this machine as well.
            let mut quickest = f64::INFINITY;
            for _ in 0..3 {
                let check = seconds(|| {
                    let again = check_step(case, roots, &target, &proof, blake2_256);
                    ensure!(again == ruling, "the referee changes its mind");
                    Ok(())
                })?;
                quickest = quickest.min(check);
            }
            slowest_check = slowest_check.max(quickest);
            match ruling {
                Ok(Ruling::Holds) => break,
                Ok(Ruling::Parts) => {}
                other => bail!("{target:?} is true, but the referee finds {other:?}"),
            }
            let index = numbers.below(proof.parts.len() as u64);
            target.parts.push(Part {
                index: index as u32,
                value: proof.parts[index as usize],
            });
        }
        slowest_proofs = slowest_proofs.max(proving);
    }
    Ok((slowest_proofs, slowest_check))
}

/// Splitmix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end
    }
}
