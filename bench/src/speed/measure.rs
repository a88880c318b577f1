//! A process of this program at its one measurement.

use anyhow::{Context, Result};

use super::{
    candle, exact,
    job::{Engine, Job},
};

/// Does the job, and prints its outcome as JSON.
pub fn run(job: &str) -> Result<()> {
    let job: Job = serde_json::from_str(job).context("--job is not a job")?;
    let outcome = match &job.engine {
        Engine::Exact(backend) => exact::measure(&job, backend)?,
        Engine::Candle(family) => candle::measure(&job, *family)?,
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
