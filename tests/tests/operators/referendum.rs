//! A referendum, from the command line.

use std::time::Duration;

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::{
        runtime, runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec, Bounded,
        DispatchTime, GovernanceOrigin, OriginCaller, Wait,
    },
    keys,
    subxt::{
        config::RpcConfigFor,
        rpcs::{client::RpcClient, LegacyRpcMethods},
        PolkadotConfig,
    },
};
use assay_tests::{eventually, Assay, Node};
use serde_json::Value;

use crate::{account, check_issuance, planck, refusal, PATIENCE};

const VOTERS: [&str; 6] = [
    "//Alice",
    "//Bob",
    "//Charlie",
    "//Dave",
    "//Eve",
    "//Ferdie",
];
/// Where the code of the chain's rules lies.
const CODE: &[u8] = b":code";

/// Everybody votes for it. Some may come when it is decided already.
fn vote(assay: &Assay, index: &str) -> Result<()> {
    for voter in VOTERS {
        let words = ["referendum", "vote", index, "aye", "--amount", "900000 ASY"];
        let seen = assay.with_key(voter).json(&words);
        ensure!(seen.is_ok() || voter != VOTERS[0], "{seen:?}");
    }
    Ok(())
}

fn approved(assay: &Assay, index: &str) -> Result<Value> {
    eventually("the referendum is approved", PATIENCE, || {
        let seen = assay.json(&["referendum", "status", index])?;
        Ok((seen["state"] == "Approved").then_some(seen))
    })
}

#[tokio::test]
async fn a_parameter_is_changed_by_referendum_from_the_command_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::development(folder.path())?;
    let alice = Assay::new(&node.url(), "//Alice");

    refusal(
        &alice,
        &["referendum", "status", "7"],
        "there is no referendum 7",
    )?;
    refusal(
        &alice,
        &["referendum", "propose", "--set", "jobs.nothing=1"],
        "there are",
    )?;
    refusal(
        &alice,
        &[
            "referendum",
            "propose",
            "--call",
            "0x0000",
            "--track",
            "root",
        ],
        "call",
    )?;
    let change = ["referendum", "propose", "--set", "jobs.challenge_blocks=7"];
    let proposed = alice.json(&change)?;
    ensure!(proposed["call"] == "Jobs.set_parameters", "{proposed}");
    let index = proposed["referendum"].to_string();
    let open = alice.json(&["referendum", "list"])?;
    ensure!(
        open[0]["track"] == "parameters"
            && open[0]["arguments"]
                .as_str()
                .is_some_and(|text| text.contains("challenge_blocks: 7")),
        "{open}"
    );
    refusal(
        &alice,
        &[
            "referendum",
            "vote",
            &index,
            "aye",
            "--amount",
            "9000000 ASY",
        ],
        "has only",
    )?;
    vote(&alice, &index)?;
    let chain = node.chain().await?;
    let ended = approved(&alice, &index)?;
    ensure!(ended["ended"].is_u64(), "{ended}");
    let start = std::time::Instant::now();
    loop {
        if chain.best().await?.job_parameters().await?.challenge_blocks == 7 {
            break;
        }
        ensure!(start.elapsed() < PATIENCE, "the parameter is as it was");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let back = alice.json(&["referendum", "unvote", &index])?;
    ensure!(back["vote"].is_null(), "{back}");
    ensure!(alice
        .json(&["referendum", "list"])?
        .as_array()
        .is_some_and(Vec::is_empty));
    Ok(())
}

#[tokio::test]
async fn the_treasury_pays_by_referendum_and_what_was_put_down_and_locked_comes_back() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let node = Node::development(folder.path())?;
    let alice = Assay::new(&node.url(), "//Alice");
    let treasury = alice.json(&["balance"])?;
    let treasury = treasury["accounts"].as_array().context("accounts")?;
    let treasury = treasury.iter().find(|line| line["name"] == "treasury");
    let treasury = treasury.and_then(|line| line["account"].as_str());
    let treasury = treasury.context("the treasury has an account")?;
    alice.json(&["transfer", treasury, "50 ASY"])?;

    refusal(&alice, &["referendum", "payout"], "has nothing to pay")?;
    refusal(&alice, &["referendum", "unlock"], "locks anything")?;
    refusal(&alice, &["referendum", "refund", "0"], "no referendum 0")?;
    let spend = [
        "referendum",
        "propose",
        "--spend",
        "40 ASY",
        "--to",
        "//Nobody",
    ];
    // Approved, it would be refused.
    let much = [
        "referendum",
        "propose",
        "--no-deposit",
        "--spend",
        "10001 ASY",
        "--to",
        "//Nobody",
    ];
    let by_spenders = [&much[..], &["--track", "spender"]].concat();
    refusal(&alice, &by_spenders, "it takes root")?;
    let large = alice.json(&much)?["referendum"].to_string();
    let large = alice.json(&["referendum", "status", &large])?;
    ensure!(large["track"] == "root", "{large}");
    let index = alice.json(&spend)?["referendum"].to_string();
    let nobody = keys::account(&keys::load("//Nobody")?).to_string();
    let open = alice.json(&["referendum", "status", &index])?;
    ensure!(
        open["track"] == "spender"
            && open["arguments"]
                .as_str()
                .is_some_and(|text| text.contains(&nobody)),
        "{open}"
    );
    refusal(&alice, &["referendum", "refund", &index], "is not over")?;
    refusal(
        &alice,
        &["referendum", "deposit", &index],
        "has its deposit already",
    )?;
    vote(&alice, &index)?;
    let ended = approved(&alice, &index)?;
    // What was put down comes back to who did, whoever asks.
    ensure!(
        planck(&ended["deposits"])? == 110_000_000_000_000,
        "{ended}"
    );
    let before = planck(&account(&alice, "//Alice")?["free"])?;
    let refunded = alice
        .with_key("//Bob")
        .json(&["referendum", "refund", &index])?;
    ensure!(
        planck(&account(&alice, "//Alice")?["free"])? == before + 110_000_000_000_000,
        "{refunded}"
    );
    refusal(&alice, &["referendum", "refund", &index], "can come back")?;

    let paid = eventually("the treasury pays", PATIENCE, || {
        let paid = alice.run(&["--output", "json", "referendum", "payout"])?;
        Ok((paid.code == 0).then_some(paid))
    })?;
    ensure!(
        paid.json()?[0]["beneficiary"] == nobody.as_str(),
        "{paid:?}"
    );
    let has = planck(&account(&alice, "//Nobody")?["free"])?;
    ensure!(has == 40_000_000_000_000, "{has}");
    refusal(&alice, &["referendum", "payout"], "has nothing to pay")?;

    // What is locked cannot be sent, and may answer for something.
    refusal(&alice, &["transfer", "//Bob", "500000 ASY"], "to send")?;
    let bonded = alice.json(&["validator", "bond", "500000 ASY"])?;
    ensure!(
        planck(&bonded["bond"])? == 500_000_000_000_000_000,
        "{bonded}"
    );

    // A vote that won stays locked for a while after it was taken back, and then no longer.
    let unvoted = alice.json(&["referendum", "unvote", &index])?;
    ensure!(
        planck(&unvoted["frozen"])? == 900_000_000_000_000_000,
        "{unvoted}"
    );
    refusal(
        &alice,
        &["referendum", "unvote", &index],
        "referendum unlock",
    )?;
    let who = keys::account(&keys::load("//Alice")?);
    let chain = node.chain().await?;
    let locks = chain.best().await?.vote_locks(who).await?;
    let until = locks.first().context("something is locked")?.until;
    eventually("the lock is over", PATIENCE * 2, || {
        let block = alice.json(&["balance"])?["block"].as_u64();
        Ok((block >= Some(until.into())).then_some(()))
    })?;
    ensure!(alice.json(&["referendum", "unlock"])?["frozen"] == "0");
    check_issuance(&alice)
}

#[tokio::test]
async fn what_strangers_propose_hides_nothing_and_breaks_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::development(folder.path())?;
    let alice = Assay::new(&node.url(), "//Alice");
    let chain = node.chain().await?;
    let dave = keys::load("//Dave")?;

    // Bytes that are no call.
    let submit = runtime::tx().referenda().submit(
        OriginCaller::Governance(GovernanceOrigin::Parameters),
        Bounded::Inline(BoundedVec(vec![0xde, 0xad, 0xbe, 0xef])),
        DispatchTime::After(1),
    );
    chain
        .submit(&submit, &dave, Wait::InBlock, PATIENCE)
        .await?;
    // Batches of batches of nothing.
    let batches = format!("0x{}000000", "0b0004".repeat(1_200));
    let deep = [
        "referendum",
        "propose",
        "--track=root",
        "--no-deposit",
        "--call",
        &batches,
    ];
    alice.with_key("//Eve").json(&deep)?;
    let open = alice.json(&["referendum", "list"])?;
    ensure!(
        open[0]["call"] == "no call of this runtime" && open[1]["call"] == "Utility.batch",
        "{open}"
    );
    ensure!(open[1]["arguments"] == "(3601 bytes)", "{open}");

    // A call that no referendum is about gives its deposit back; the other stays.
    let eve = alice.with_key("//Eve");
    refusal(
        &eve,
        &["referendum", "forget"],
        "no call on chain that could go",
    )?;
    let note = runtime::tx().preimage().note_preimage(vec![7; 300]);
    chain
        .submit(&note, &keys::load("//Eve")?, Wait::InBlock, PATIENCE)
        .await?;
    let forgotten = eve.json(&["referendum", "forget"])?;
    ensure!(
        planck(&forgotten["refunded"])? == 13_000_000_000,
        "{forgotten}"
    );
    refusal(
        &eve,
        &["referendum", "forget"],
        "no call on chain that could go",
    )?;

    // The rules that the chain has already.
    let rpc = RpcClient::from_insecure_url(node.url()).await?;
    let rpc = LegacyRpcMethods::<RpcConfigFor<PolkadotConfig>>::new(rpc);
    let code = rpc.state_get_storage(CODE, None).await?;
    let path = folder.path().join("same.wasm");
    std::fs::write(&path, code.context("the chain has code")?)?;
    let path = path.display().to_string();
    let again = ["referendum", "propose", "--runtime", &path];
    refusal(&alice, &again, "takes only a higher one")?;
    check_issuance(&alice)
}
