//! Wrong answers that were found here, which only go to the chain where that was said.

use std::{path::PathBuf, time::Duration};

use assay_client::{
    dispute::Plan,
    keys,
    subxt::rpcs::{
        client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
        Error, RpcClient, UserError,
    },
    Chain,
};
use assay_gateway::{ChainMarket, Market};
use codec::{Compact, Encode};
use serde_json::{json, Value};

use crate::{
    worker::Manner,
    world::{eventually, World},
};

/// A node that knows its runtime and says nothing else.
struct Node;

impl Node {
    fn answer(method: &str, params: &Value) -> Option<Value> {
        let block = format!("0x{}", "11".repeat(32));
        let hex = |bytes: Vec<u8>| json!(format!("0x{}", hex::encode(bytes)));
        Some(match method {
            "state_getRuntimeVersion" => {
                json!({ "specName": "assay", "specVersion": 9, "transactionVersion": 9 })
            }
            "chain_getBlockHash" | "chain_getFinalizedHead" => json!(block),
            "chain_getHeader" => json!({
                "parentHash": block, "number": "0x1", "stateRoot": block, "extrinsicsRoot": block,
                "digest": { "logs": [] },
            }),
            "state_call" => match params[0].as_str()? {
                "Core_version" => {
                    let apis: Vec<([u8; 8], u32)> = Vec::new();
                    hex(("assay", "assay", 1_u32, 9_u32, 1_u32, apis, 9_u32).encode())
                }
                "Metadata_metadata_versions" => hex(vec![16_u32].encode()),
                "Metadata_metadata_at_version" => {
                    let metadata = include_bytes!("../../../client/metadata.scale");
                    let length = Compact(metadata.len() as u32).encode();
                    hex([&[1][..], &length, metadata].concat())
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

fn silence() -> Error {
    Error::User(UserError {
        code: 1,
        message: "it says no more".into(),
        data: None,
    })
}

impl RpcClientT for Node {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        Box::pin(async move {
            let params = params.map_or(Value::Null, |params| {
                serde_json::from_str(params.get()).unwrap()
            });
            let answer = Self::answer(method, &params).ok_or_else(silence)?;
            Ok(RawValue::from_string(answer.to_string()).unwrap())
        })
    }

    fn subscribe_raw<'a>(
        &'a self,
        _: &'a str,
        _: Option<Box<RawValue>>,
        _: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        Box::pin(async { Err(silence()) })
    }
}

/// A gateway that computes all answers again, and finds a wrong one; and the file that it wrote of it.
async fn found(disputes: bool) -> (World, PathBuf) {
    let chain = Chain::over("ws://node", RpcClient::new(Node)).await;
    let market = ChainMarket::new(chain.unwrap(), keys::load("//Dave").unwrap());
    let mut world = World::exact(&[1]).await;
    *world.chain.challenger.lock().unwrap() = market.disputing(disputes).challenger();
    world.workers[0].behave(Manner::Lies);
    world.start().await;
    assert_eq!(world.ask(&world.request(12)).await.0, 200);
    eventually("the lie is found", async || {
        let health = world.get("/health").await.1;
        health.contains("a wrong answer was found")
    })
    .await;
    let files = std::fs::read_dir(world.folder().join("evidence")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|end| end == "json"));
    (world, file.expect("the evidence is kept"))
}

#[tokio::test]
async fn a_gateway_that_is_to_dispute_begins_one_with_what_it_found() {
    let (_world, file) = found(true).await;
    eventually("it has a plan", async || {
        Plan::read(&file).unwrap().is_some()
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_is_not_to_dispute_keeps_the_evidence_and_begins_nothing() {
    let (mut world, file) = found(false).await;
    // Nor does the next process.
    world.kill().await;
    world.start().await;
    // One that is begun has its plan at once.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(Plan::read(&file).unwrap(), None);
    let [evidence] = &world.evidence()[..] else {
        panic!("{:?}", world.evidence());
    };
    assert_eq!(evidence["position"], 2);
    assert!(evidence["receipt"].is_object(), "{evidence}");
    // Whoever wants to, disputes it later.
    let bytes = serde_json::to_vec(evidence).unwrap();
    let answer = assay_client::answer::Answer::parse(&bytes).unwrap();
    assert_eq!(answer.check(), Ok(()));
}
