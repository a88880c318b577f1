//! Meeting a node: by its address, and with a runtime that is not the one that a program was built for.

use codec::{Compact, Decode, Encode};
use serde_json::{json, Value};
use subxt::{
    ext::frame_metadata::{
        v16::{RuntimeMetadataV16, StorageEntryType},
        RuntimeMetadata, RuntimeMetadataPrefixed,
    },
    rpcs::client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
};

use super::*;

#[test]
fn a_mistyped_address_is_told_from_a_node_that_is_down() {
    for url in [
        "ws://127.0.0.1:9944",
        "wss://node.example/path",
        "ws://[::1]:9944/",
        "ws://localhost",
    ] {
        assert!(check_url(url).is_ok(), "{url}");
    }
    for url in [
        "",
        "127.0.0.1:9944",
        "http://127.0.0.1:9944",
        "ws://",
        "ws://:9944",
        "ws://host:port",
        "ws://host:99999",
        "ws://host:",
        "ws://a host",
    ] {
        let message = check_url(url).unwrap_err().to_string();
        assert!(message.contains("is not a node's address"), "{message}");
    }
}

/// A node with nothing but its metadata.
struct Node {
    metadata: Vec<u8>,
}

impl Node {
    fn answer(&self, method: &str, params: &Value) -> Value {
        let block = format!("0x{}", "11".repeat(32));
        let hex = |bytes: Vec<u8>| json!(format!("0x{}", hex::encode(bytes)));
        match method {
            "state_getRuntimeVersion" => {
                json!({ "specName": SPEC_NAME, "specVersion": 9, "transactionVersion": 9 })
            }
            "chain_getBlockHash" => json!(block),
            "chain_getHeader" => json!({
                "parentHash": block, "number": "0x1", "stateRoot": block, "extrinsicsRoot": block,
                "digest": { "logs": [] },
            }),
            "state_call" => match params[0].as_str() {
                Some("Core_version") => {
                    let apis: Vec<([u8; 8], u32)> = Vec::new();
                    hex((SPEC_NAME, "assay", 1_u32, 9_u32, 1_u32, apis, 9_u32).encode())
                }
                Some("Metadata_metadata_versions") => hex(vec![16_u32].encode()),
                Some("Metadata_metadata_at_version") => {
                    let length = Compact(self.metadata.len() as u32).encode();
                    hex([&[1][..], &length, &self.metadata].concat())
                }
                other => panic!("called {other:?}"),
            },
            other => panic!("asked for {other}"),
        }
    }
}

impl RpcClientT for Node {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        let params = params.map_or(Value::Null, |params| {
            serde_json::from_str(params.get()).unwrap()
        });
        let answer = self.answer(method, &params).to_string();
        Box::pin(async move { Ok(RawValue::from_string(answer).unwrap()) })
    }

    fn subscribe_raw<'a>(
        &'a self,
        method: &'a str,
        _: Option<Box<RawValue>>,
        _: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        panic!("subscribed to {method}")
    }
}

/// Connects to a node whose runtime differs from ours by this.
async fn meet(change: impl FnOnce(&mut RuntimeMetadataV16)) -> Result<Chain, Error> {
    let ours = include_bytes!("../../metadata.scale");
    let mut prefixed = RuntimeMetadataPrefixed::decode(&mut &ours[..]).unwrap();
    let RuntimeMetadata::V16(metadata) = &mut prefixed.1 else {
        panic!("the metadata has another version");
    };
    change(metadata);
    let metadata = prefixed.encode();
    Chain::over("ws://node", RpcClient::new(Node { metadata })).await
}

/// Makes the values of a storage map bytes, or drops the map.
fn change_map(metadata: &mut RuntimeMetadataV16, pallet: &str, map: &str, drop: bool) {
    let pallets = &mut metadata.pallets;
    let pallet = pallets.iter_mut().find(|one| one.name == pallet).unwrap();
    let entries = &mut pallet.storage.as_mut().unwrap().entries;
    let place = entries.iter().position(|entry| entry.name == map).unwrap();
    if drop {
        entries.remove(place);
        return;
    }
    match &mut entries[place].ty {
        StorageEntryType::Map { key, value, .. } => *value = *key,
        StorageEntryType::Plain(_) => panic!("{map} is no map"),
    }
}

#[tokio::test]
async fn a_runtime_that_a_program_was_built_for_is_taken() {
    let chain = meet(|_| {}).await.unwrap();
    let best = chain.best().await.unwrap();
    assert!(best.metadata_matches());
    assert_eq!((best.number(), best.spec_version()), (1, 9));
}

#[tokio::test]
async fn a_runtime_without_what_everything_begins_with_is_refused_with_what_to_install() {
    for drop in [false, true] {
        for (pallet, map) in [
            ("Models", "Listings"),
            ("Providers", "Providers"),
            ("Providers", "Offers"),
            ("Jobs", "Jobs"),
            ("Channels", "Channels"),
        ] {
            let met = meet(|metadata| change_map(metadata, pallet, map, drop)).await;
            let Err(error) = met else {
                panic!("{pallet}.{map}, drop {drop}: taken");
            };
            assert_eq!(
                error.to_string(),
                "the chain's runtime differs from the one that this program was built for; install the \
                 version that was released with it"
            );
        }
    }
}

#[tokio::test]
async fn what_a_program_does_not_use_may_differ_until_it_does() {
    let chain = meet(|metadata| {
        change_map(metadata, "Jobs", "Prompts", true);
        metadata.pallets.retain(|pallet| pallet.name != "Referenda");
    });
    let best = chain.await.unwrap().best().await.unwrap();
    assert!(!best.metadata_matches());
    let incompatible = |error| matches!(error, Error::Incompatible);
    assert!(best.tracks().is_err_and(incompatible));
    assert!(best.referendum(0).await.is_err_and(incompatible));
    assert!(best.prompt(0).await.is_err_and(incompatible));
    let call = runtime::tx().referenda().place_decision_deposit(0);
    assert!(best.encode_call(&call).is_err_and(incompatible));
}
