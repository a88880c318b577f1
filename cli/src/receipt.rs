//! Receipt files: taken from the chain, read and saved (docs/jobs.md §7).

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use assay_client::{
    answer::{Answer, ListedModel, Origin},
    chain::{job_header, Job},
    Chain,
};
use assay_primitives::{seed, TokenId};

use crate::{failure::Failure, records, watch::lost};

mod source;
#[cfg(test)]
pub mod tests;

pub use self::source::{held_against_chain, Source};

/// The answer to a job that was delivered; none for a job without one. What the chain's storage does not have,
/// the signature, comes from the block of the delivery.
pub async fn of_job(
    chain: &Chain,
    id: u64,
    job: &Job,
    output: Option<&[TokenId]>,
) -> Result<Option<Answer>, Failure> {
    let state = records::state(job);
    let (Some(assignment), Some(delivery), Some(output)) =
        (state.assignment, state.delivery, output)
    else {
        return Ok(None);
    };
    let lost = |error| lost(id, error);
    let best = chain.best().await.map_err(lost)?;
    let gone = |what: &str| {
        Failure::Request(format!(
            "{what} of job {id} is gone from this node, so there is no whole receipt; ask an \
             archive node with --chain, or save receipts early with --receipt"
        ))
    };
    let provider = assignment.provider;
    let signed = chain
        .signed_receipt(id, provider, delivery)
        .await
        .map_err(lost)?;
    let signed = signed.ok_or_else(|| gone("the block with the delivery"))?;
    let prompt = best
        .prompt(id)
        .await
        .map_err(lost)?
        .ok_or_else(|| gone("the prompt"))?;
    let listing = best.listing(job.listing).await.map_err(lost)?;
    let listing = listing.ok_or_else(|| gone("the listing"))?;
    let parts = &listing.parts.0;
    let header = job_header(chain.genesis_hash(), id, job, assignment);
    Ok(Some(Answer {
        seed: seed(&header.hash(), &assignment.randomness),
        header,
        origin: Origin::Job {
            randomness: assignment.randomness,
        },
        model: ListedModel {
            root: parts.root(),
            publisher: listing.publisher,
            royalty: listing.royalty.0,
            profile: records::profile(&parts.spec.profile).into(),
            stop_tokens: parts.spec.stop_tokens.to_vec(),
        },
        prompt,
        output: output.to_vec(),
        signed,
    }))
}

/// Reads what was saved with `--receipt`, or what `assay run` and `assay job` print as JSON.
pub fn read(path: &Path) -> Result<Answer, Failure> {
    read_where(path, "give ")
}

/// The same where a job's number does as well.
pub fn read_unless_job(path: &Path) -> Result<Answer, Failure> {
    read_where(path, "give a job's number, ")
}

fn read_where(path: &Path, give: &str) -> Result<Answer, Failure> {
    let shown = path.display();
    let refuse = |problem: String| {
        Failure::Usage(format!(
            "{shown}: {problem}; {give}a file that --receipt saved, or the JSON of `assay run` or `assay job status`"
        ))
    };
    let number = path.to_str().and_then(|path| path.parse::<u64>().ok());
    if let (Some(job), false) = (number, path.exists()) {
        return Err(Failure::Usage(format!(
            "{job} is no file: `assay job watch {job} --receipt job-{job}.json` saves the answer of job {job} in one, which \
             can be given here"
        )));
    }
    let bytes = fs::read(path).map_err(|error| refuse(error.to_string()))?;
    Answer::parse(&bytes).map_err(refuse)
}

/// Where a receipt is to be saved: a file that does not exist yet. It is looked at before anything is paid for.
pub struct Target(PathBuf);

impl Target {
    pub fn new(path: PathBuf) -> Result<Self, Failure> {
        let refuse = |problem| {
            let path = path.display();
            Failure::Usage(format!("--receipt {path}: {problem}; name another file"))
        };
        if path.symlink_metadata().is_ok() {
            return Err(refuse("exists already"));
        }
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        if path.file_name().is_none() || folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(refuse("is in no folder that exists"));
        }
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn save(&self, answer: &Answer) -> Result<(), Failure> {
        let text = format!("{:#}\n", answer.to_json());
        let written =
            fs::File::create_new(&self.0).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            Failure::Usage(format!(
                "{}: the receipt cannot be saved: {error}; `assay job watch` with another --receipt \
                 saves it, as long as the chain keeps the job",
                self.0.display()
            ))
        })
    }
}
