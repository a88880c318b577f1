//! Many of the cheats, and a handful of the unjust challenges, of `make cheats`.

use anyhow::{ensure, Result};
use assay_tests::{
    cheat::{self, honest, Cheat, CHEATS},
    endless_source,
};

/// One for each way in which a case can go, and one of each kind of lie: as many at a time as two cores can
/// compute.
const SOME: [&[&str]; 2] = [
    &[
        "one flipped bit in a weight",
        "one wrong entry in a table",
        "a wrong value in an unfinished page",
        "a wrong sum with parts that fit it",
        "a wrong token under a correct trace",
        "an altered prompt",
        "going on behind a stop token",
        "another price",
        "a rotated operator key",
        "leaving and closing its channels when accused",
        "overtaking its accuser",
        "malformed proofs",
        "a wrong token called right in a score",
        "a right token called wrong in a score",
        "a score by a model with layers left out",
        "a token called wrong behind the answer",
    ],
    &[
        "one unit in an activation",
        "a wrong key in a complete page",
        "a wrong rounding",
        "a wrong seed",
        "an answer copied from another provider",
        "stopping early",
        "a fee for more tokens than there are",
        "two answers to one request",
        "an invented anchor",
        "an anchor in the future",
        "a request that nobody signed",
        "silence instead of the answer",
        "silence instead of hashes",
        "silence instead of leaves",
        "silence instead of a proof",
        "silence instead of a part",
        "oversized proofs",
    ],
];
/// A job, which is on a chain of its own, of a model that is on another chain as well.
const IN_JOB: &str = "a wrong key behind its norm";

fn cheats(names: &[&str]) -> Result<Vec<Cheat>> {
    let is_chosen = |cheat: &&Cheat| names.contains(&cheat.name);
    let cheats: Vec<Cheat> = CHEATS.iter().filter(is_chosen).copied().collect();
    ensure!(cheats.len() == names.len(), "a cheat has another name");
    Ok(cheats)
}

#[tokio::test]
async fn cheats_are_found_located_and_slashed() -> Result<()> {
    for names in SOME {
        let lines = cheat::play(&cheats(names)?).await?;
        println!("{}", cheat::table(&lines));
    }
    Ok(())
}

#[tokio::test]
async fn a_cheat_in_a_job_is_found_located_and_slashed() -> Result<()> {
    let mut cheats = cheats(&[IN_JOB])?;
    cheats[0].in_job = true;
    let lines = cheat::play(&cheats).await?;
    println!("{}", cheat::table(&lines));
    Ok(())
}

#[tokio::test]
async fn an_honest_worker_outlives_unjust_challengers_and_its_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut siege = honest::Siege::new(&endless_source(folder.path())?).await?;
    let drawn = [
        "--temperature=0.9",
        "--top-k=40",
        "--top-p=0.95",
        "--max-tokens=16",
    ];
    let answer = siege.buy("What is Assay?", &drawn).await?;
    let position = 12;
    let layout = siege.layout(&answer, position)?;
    let mut aims = honest::any(&layout, 4, 5);
    let mut rows = honest::each_row(&layout, 6);
    let sampled = (0..rows.len()).step_by(5);
    aims.extend(sampled.map(|row| rows[row]));
    // One of them does not play to the end.
    rows[0].stops = true;
    aims.push(rows[0]);
    let restart = async |siege: &mut honest::Siege| {
        tokio::time::sleep(std::time::Duration::from_secs(8)).await;
        siege.scene.node.restart()?;
        siege.scene.chain = siege.scene.node.chain().await?;
        Ok(())
    };
    let lost = siege.endure(&answer, position, &aims, restart).await?;
    println!("{}", honest::table(&lost));
    Ok(())
}
