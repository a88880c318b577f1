//! Memory of this process.

use std::fs;

use anyhow::{Context, Result};

/// Bytes that `work` takes at its peak beside what was there before. Linux only.
pub fn peak<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    // Begins a new peak.
    fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")?;
    let before = bytes("VmRSS:")?;
    let result = work()?;
    Ok((result, bytes("VmHWM:")?.saturating_sub(before)))
}

fn bytes(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(name));
    let line = line.with_context(|| format!("the system does not say {name}"))?;
    let kilobytes = line.split_whitespace().nth(1).unwrap_or_default();
    Ok(kilobytes.parse::<u64>()? * 1024)
}
