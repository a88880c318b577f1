//! A page of results: printed as it grows, and kept in the tree when asked.

use std::{fmt::Display, fs, path::Path, process::Command};

use anyhow::{bail, Context, Result};

/// Markdown that is printed while it is made, and the bars that its figures have to meet.
pub struct Page {
    text: String,
    bars: Vec<Bar>,
}

/// One demand on the figures.
pub struct Bar {
    /// What is demanded, such as "demo: top-1 agreement at least 99 %".
    pub demand: String,
    /// What was measured, with its unit.
    pub measured: String,
    pub met: bool,
}

impl Page {
    /// A page of what was measured: its title, and one line that says on which commit and machine.
    pub fn new(title: &str) -> Self {
        Self::headed(title, format!("Commit {}; {}.", commit(), machine()))
    }

    /// A page of what is computed, the same on every machine.
    pub fn of_formulas(title: &str) -> Self {
        Self::headed(title, format!("Commit {}.", commit()))
    }

    fn headed(title: &str, made: String) -> Self {
        let mut page = Self {
            text: String::new(),
            bars: Vec::new(),
        };
        page.add(format!("# {title}\n\n{made}\n"));
        page
    }

    /// A paragraph.
    pub fn add(&mut self, text: impl Display) {
        println!("{text}");
        self.text.push_str(&format!("{text}\n"));
    }

    /// A table; every row has as many cells as `header`.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let mut text = format!(
            "| {} |\n|{}\n",
            header.join(" | "),
            "---|".repeat(header.len())
        );
        for row in rows {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        self.add(text);
    }

    pub fn bar(&mut self, bar: Bar) {
        self.bars.push(bar);
    }

    /// Adds the table of bars, and writes the page to `path` if there is one. An error when a bar is
    /// missed.
    pub fn finish(mut self, path: Option<&Path>) -> Result<()> {
        let verdict = |met| if met { "PASS" } else { "MISS" }.to_string();
        let bars = std::mem::take(&mut self.bars);
        let rows: Vec<_> = bars
            .iter()
            .map(|bar| vec![bar.demand.clone(), bar.measured.clone(), verdict(bar.met)])
            .collect();
        self.add("## Bars\n");
        self.table(&["demanded", "measured", ""], &rows);
        if let Some(path) = path {
            fs::write(path, self.text.trim_end().to_string() + "\n").with_context(|| {
                format!(
                    "cannot write {}; run this in the checkout's root",
                    path.display()
                )
            })?;
            eprintln!("written to {}", path.display());
        }
        let missed: Vec<_> = bars.iter().filter(|bar| !bar.met).collect();
        if !missed.is_empty() {
            let names: Vec<_> = missed.iter().map(|bar| bar.demand.as_str()).collect();
            bail!(
                "{} of {} bars missed: {}",
                missed.len(),
                bars.len(),
                names.join("; ")
            );
        }
        Ok(())
    }
}

/// The commit that is checked out, and whether its files were changed since.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    // The pages themselves change with every run.
    let changes = git(&[
        "status",
        "--porcelain",
        "--",
        ":/",
        ":(top,exclude)docs/results",
    ]);
    match (git(&["rev-parse", "--short", "HEAD"]), changes.as_deref()) {
        (Some(commit), Some("")) => commit,
        (Some(commit), _) => format!("{commit} with changes"),
        (None, _) => "unknown".into(),
    }
}

/// The processor, the cores that this program may use, and the instruction sets that matter here.
fn machine() -> String {
    let model = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        })
        .unwrap_or_else(|| "a processor without a name".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let sets = instruction_sets();
    format!(
        "{model}, {} cores for this program, {}",
        cores,
        sets.join(", ")
    )
}

#[cfg(target_arch = "x86_64")]
fn instruction_sets() -> Vec<&'static str> {
    [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("AVX-512", std::is_x86_feature_detected!("avx512bw")),
        ("VNNI", std::is_x86_feature_detected!("avx512vnni")),
    ]
    .into_iter()
    .filter_map(|(name, here)| here.then_some(name))
    .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn instruction_sets() -> Vec<&'static str> {
    vec![std::env::consts::ARCH]
}
