use assay_client::subxt::rpcs::{
    client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
    Error as RpcError, RpcClient, UserError,
};
use codec::{Compact, Encode};
use serde_json::{json, Value};

use super::*;

/// A node of our runtime. All that its chain keeps, once it says so, is one number.
struct Node(Option<u64>);

impl Node {
    fn answer(&self, method: &str, params: &Value) -> Option<Value> {
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
            "state_getStorage" => hex(self.0?.encode()),
            "state_call" => match params[0].as_str()? {
                "Core_version" => {
                    let apis: Vec<([u8; 8], u32)> = Vec::new();
                    hex(("assay", "assay", 1_u32, 9_u32, 1_u32, apis, 9_u32).encode())
                }
                "Metadata_metadata_versions" => hex(vec![16_u32].encode()),
                "Metadata_metadata_at_version" => {
                    let metadata = include_bytes!("../../../../client/metadata.scale");
                    let length = Compact(metadata.len() as u32).encode();
                    hex([&[1][..], &length, metadata].concat())
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

fn silence() -> RpcError {
    RpcError::User(UserError {
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
        let params = params.map_or(Value::Null, |params| {
            serde_json::from_str(params.get()).unwrap()
        });
        let answer = self.answer(method, &params).ok_or_else(silence);
        Box::pin(async { Ok(RawValue::from_string(answer?.to_string()).unwrap()) })
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

async fn market(slot_millis: Option<u64>) -> ChainMarket {
    let client = RpcClient::new(Node(slot_millis));
    let chain = Chain::over("ws://node", client).await.unwrap();
    ChainMarket::new(chain, keys::load("//Dave").unwrap())
}

#[tokio::test]
async fn a_transaction_is_waited_for_as_many_slots_where_they_are_longer() {
    for (slot_millis, seconds) in [(500, 180), (6_000, 180), (30_000, 900)] {
        let patience = market(Some(slot_millis)).await.patience().await.unwrap();
        assert_eq!(patience.as_secs(), seconds, "{slot_millis}");
    }
}

/// A transaction whose end was not known would hold up its channel for 128 blocks.
#[tokio::test]
async fn where_the_slot_cannot_be_read_nothing_was_sent() {
    let sent = market(None).await.request_close(H256::zero()).await;
    let error = sent.unwrap_err();
    assert!(error.is_final(), "{error}");
    let begins = "Channels.request_close was not sent";
    assert!(error.to_string().starts_with(begins), "{error}");
}
