//! Meeting a node: by its address, and with a runtime that is not the one that a program was built for.

use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Mutex,
    },
    time::UNIX_EPOCH,
};

use codec::{Compact, Decode, Encode};
use serde_json::{json, Value};
use subxt::{
    ext::{
        frame_metadata::{
            v16::{RuntimeMetadataV16, StorageEntryType},
            RuntimeMetadata, RuntimeMetadataPrefixed,
        },
        futures::stream,
    },
    rpcs::{
        client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
        UserError,
    },
};

use super::*;

#[test]
fn a_mistyped_address_is_told_from_a_node_that_is_down() {
    for url in [
        "ws://127.0.0.1:9944",
        "wss://node.example/path",
        "ws://[::1]:9944/",
        "ws://localhost",
        "wss://me:word@node.example/?key=a|b",
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
        "ws://host:0",
        "ws:///host",
        "ws://::1:9944",
        "ws://host:9944\n",
    ] {
        let message = check_url(url).unwrap_err().to_string();
        assert!(message.contains("is not a node's address"), "{message}");
    }
}

/// Where the chain keeps the events of a block.
const EVENTS: &str = "0x26aa394eea5630e07c48ae0c9558cef780d41e5e16056765bc8461851072c9d7";

/// A node with nothing but its metadata, and a pool that takes transactions and soon drops them.
#[derive(Default)]
struct Node {
    metadata: Vec<u8>,
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Pool {
    /// Whether the node is away: it keeps what is asked.
    is_away: AtomicBool,
    /// The nonces that it gave for the next transaction.
    given: Mutex<Vec<usize>>,
    /// What it has of the account.
    transactions: AtomicUsize,
    /// What it says to the next ones, in the place of which it has others by then.
    refusals: Mutex<Vec<&'static str>>,
    /// Whether it says to each that it has it already, which is in block 2 then, and whether it failed there.
    is_known: AtomicBool,
    has_failed: AtomicBool,
    known: Mutex<Option<Value>>,
    /// What the chain keeps beside events.
    storage: Mutex<HashMap<String, Vec<u8>>>,
}

impl Pool {
    fn height(&self) -> &'static str {
        match *self.known.lock().unwrap() {
            Some(_) => "0x2",
            None => "0x1",
        }
    }

    /// The events of two extrinsics, of which the first failed.
    fn events(&self) -> Vec<u8> {
        let (bad_origin, weight, normal_and_paid) = (2_u8, [Compact(0_u64); 2], [0_u8; 2]);
        let info = (weight[0], weight[1], normal_and_paid).encode();
        let event = |extrinsic: u32, failed: bool| {
            let phase = (0_u8, extrinsic).encode();
            let (system, topics) = (0_u8, Vec::<[u8; 32]>::new().encode());
            let event = match failed {
                true => (system, 1_u8, bad_origin).encode(),
                false => (system, 0_u8).encode(),
            };
            [phase, event, info.clone(), topics].concat()
        };
        let has_failed = self.has_failed.load(Ordering::SeqCst);
        let count = Compact(2_u32).encode();
        [count, event(0, true), event(1, has_failed)].concat()
    }
}

impl Node {
    fn answer(&self, method: &str, params: &Value) -> Value {
        let block = format!("0x{}", "11".repeat(32));
        let hex = |bytes: Vec<u8>| json!(format!("0x{}", hex::encode(bytes)));
        match method {
            "state_getRuntimeVersion" => {
                json!({ "specName": SPEC_NAME, "specVersion": 9, "transactionVersion": 9 })
            }
            "chain_getBlockHash" | "chain_getFinalizedHead" => json!(block),
            "system_accountNextIndex" => {
                let next = self.pool.transactions.load(Ordering::SeqCst);
                self.pool.given.lock().unwrap().push(next);
                json!(next)
            }
            "chain_getHeader" => json!({
                "parentHash": block, "number": self.pool.height(), "stateRoot": block,
                "extrinsicsRoot": block, "digest": { "logs": [] },
            }),
            "chain_getBlock" => json!({ "block": {
                "header": self.answer("chain_getHeader", params),
                // The first is not for this runtime.
                "extrinsics": ["0x040a", self.pool.known.lock().unwrap().clone()],
            }}),
            "state_getStorage" if params[0] == EVENTS => hex(self.pool.events()),
            "state_getStorage" => {
                let storage = self.pool.storage.lock().unwrap();
                let kept = storage.get(params[0].as_str().unwrap());
                kept.map_or(Value::Null, |bytes| hex(bytes.clone()))
            }
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
                // Of the last block, while the pool has more.
                Some("AccountNonceApi_account_nonce") => hex(0_u32.encode()),
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
        Box::pin(async move {
            // Whoever asks beside this one asks meanwhile.
            tokio::task::yield_now().await;
            if self.pool.is_away.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let answer = self.answer(method, &params).to_string();
            Ok(RawValue::from_string(answer).unwrap())
        })
    }

    fn subscribe_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
        _: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        assert_eq!(method, "author_submitAndWatchExtrinsic");
        let refused = |code, message: &str| {
            Err(subxt::rpcs::Error::User(UserError {
                code,
                message: message.into(),
                data: None,
            }))
        };
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.pool.transactions.fetch_add(1, Ordering::SeqCst);
            if self.pool.is_known.load(Ordering::SeqCst) {
                let params: Value = serde_json::from_str(params.unwrap().get()).unwrap();
                *self.pool.known.lock().unwrap() = Some(params[0].clone());
                return refused(1013, "Transaction Already Imported");
            }
            if let Some(message) = self.pool.refusals.lock().unwrap().pop() {
                return refused(1014, message);
            }
            let dropped = RawValue::from_string(json!("dropped").to_string()).unwrap();
            Ok(RawRpcSubscription {
                stream: Box::pin(stream::iter([Ok(dropped)])),
                id: None,
            })
        })
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
    let node = Node {
        metadata,
        ..Node::default()
    };
    Chain::over("ws://node", RpcClient::new(node)).await
}

/// Connects to a node of our runtime, of which the pool can be seen.
async fn meet_pool() -> (Chain, Arc<Pool>) {
    let pool = Arc::new(Pool::default());
    let node = Node {
        metadata: include_bytes!("../../metadata.scale").to_vec(),
        pool: pool.clone(),
    };
    let patience = Duration::from_secs(1);
    let client = RpcClient::new(Patient {
        client: node,
        patience,
    });
    let chain = Chain::over("ws://node", client).await;
    (chain.unwrap(), pool)
}

async fn send(chain: &Chain) -> Error {
    let sent = submit(chain).await;
    sent.err().expect("it is in no block, or fails there")
}

async fn submit(chain: &Chain) -> Result<Included, Error> {
    let call = runtime::tx().referenda().place_decision_deposit(0);
    let key = subxt_signer::sr25519::dev::alice();
    let sent = chain.submit(&call, &key, Wait::InBlock, Duration::from_secs(60));
    sent.await
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

#[tokio::test]
async fn transactions_that_are_sent_at_once_have_a_nonce_each() {
    let (chain, pool) = meet_pool().await;
    let (one, other) = (chain.clone(), chain.clone());
    let errors = tokio::join!(send(&chain), send(&one), send(&other));
    assert_eq!(*pool.given.lock().unwrap(), [0, 1, 2]);
    // The pool had them, so each may be in a block that this node does not know of.
    for error in [errors.0, errors.1, errors.2] {
        assert!(matches!(error, Error::Lost { .. }), "{error}");
        assert!(error.to_string().contains("look before sending"), "{error}");
    }
}

#[tokio::test]
async fn a_transaction_that_is_overtaken_is_sent_once_more() {
    let (chain, pool) = meet_pool().await;
    let low = "Priority is too low: (20 vs 20)";
    *pool.refusals.lock().unwrap() = vec![low];
    assert!(matches!(send(&chain).await, Error::Lost { .. }));
    assert_eq!(*pool.given.lock().unwrap(), [0, 1]);
    *pool.refusals.lock().unwrap() = vec![low, "Transaction is outdated"];
    let error = send(&chain).await;
    assert!(error.is_overtaken(), "{error}");
    assert_eq!(*pool.given.lock().unwrap(), [0, 1, 2, 3]);
    // Nothing is sent again for any other reason.
    *pool.refusals.lock().unwrap() = vec!["Transaction has a bad signature"];
    assert!(matches!(send(&chain).await, Error::NotAccepted { .. }));
    assert_eq!(pool.given.lock().unwrap().len(), 5);
}

/// A refusal would be final, and whoever waits for the transaction would send another one like it.
#[tokio::test]
async fn a_transaction_that_the_pool_has_already_is_followed_to_its_block() {
    let (chain, pool) = meet_pool().await;
    pool.is_known.store(true, Ordering::SeqCst);
    let included = submit(&chain).await.unwrap();
    assert_eq!(included.block.number(), 2);
    assert_eq!(included.events.extrinsic_index(), 1);
    assert_eq!(included.events.iter().count(), 1);

    *pool.known.lock().unwrap() = None;
    pool.has_failed.store(true, Ordering::SeqCst);
    let error = send(&chain).await;
    assert_eq!(error.dispatch_error(), Some("BadOrigin"), "{error}");
    assert_eq!(pool.transactions.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_node_that_is_away_is_said_to_be_and_nothing_was_sent() {
    let (chain, pool) = meet_pool().await;
    pool.is_away.store(true, Ordering::SeqCst);
    let asked = tokio::time::timeout(Duration::from_secs(20), chain.health());
    let asked = asked.await.expect("it waits for ever");
    let error = asked.expect_err("nobody answers");
    assert!(error.to_string().contains("no answer for 1 s"), "{error}");
    let error = send(&chain).await;
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    assert!(error.is_final() && error.is_chain());
    assert_eq!(pool.transactions.load(Ordering::SeqCst), 0);
    pool.is_away.store(false, Ordering::SeqCst);
    let error = send(&chain).await;
    assert!(matches!(error, Error::Lost { .. }) && !error.is_final());
}

#[tokio::test]
async fn a_block_is_as_old_as_its_time_says_and_a_slot_as_long_as_genesis_said() {
    let (chain, pool) = meet_pool().await;
    let best = chain.best().await.unwrap();
    let storage = best.client().storage();
    let put = |key: Vec<u8>, millis: u64| {
        let key = format!("0x{}", hex::encode(key));
        pool.storage.lock().unwrap().insert(key, millis.encode());
    };
    assert_eq!(best.slot().await.unwrap(), Duration::from_secs(6));
    let slot = storage.entry(runtime::storage().timing().slot_millis());
    put(slot.unwrap().fetch_key(()).unwrap(), 30_000);
    assert_eq!(best.slot().await.unwrap(), Duration::from_secs(30));

    let now = UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let made = storage.entry(runtime::storage().timestamp().now());
    let made = made.unwrap().fetch_key(()).unwrap();
    put(made.clone(), now - 45_000);
    let age = best.age().await.unwrap();
    assert!((45..60).contains(&age.as_secs()), "{age:?}");
    put(made, now + 60_000);
    assert_eq!(best.age().await.unwrap(), Duration::ZERO);
}
