//! A worker's server over loopback with a real model, and a client that says whatever a test wants it to.
//! The chain is what the test says it is.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use assay_channel::{
    seal::{Binding, SealKey},
    wire::{self, ChunkParts},
    ChannelState, ChannelStatus, Facts, Header, SignedHeader, SignedReceipt, Terms, VoucherPair,
};
use assay_client::{
    folder::{ModelFolder, ModelWeights},
    keys, Text, H256,
};
use assay_exact::{cpu::Cpu, import, kernel::Backend};
use assay_openai::{listen, Limits, ModelText};
use assay_primitives::{
    salted_token_root, Anchor, ChannelId, Claim, Price, Sampling, Side, SignedVoucher, Task,
    TokenId, FORMAT_VERSION,
};
use futures::{Stream, StreamExt};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{json, Value};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    engine::{
        Engine, EngineError, ExactEngine, GenerateRequest, Places, Sampling as Settings, Session,
        Wake,
    },
    generate::{Class, Generator},
    http::Metrics,
    ledger::{Ledger, Owner},
    models::Served,
    serve::{books::Offer, bounds, router, Cashier, Listed, Room, Shop, ShopConfig, View},
};

pub const GENESIS: H256 = H256([0x11; 32]);
pub const PROVIDER: [u8; 32] = [0x33; 32];
pub const LISTING: H256 = H256([0x44; 32]);
pub const SECRET: [u8; 32] = [7; 32];
pub const DEPOSIT: u128 = 1_000_000;
pub const PRICE: Price = Price {
    input: 2,
    output: 10,
};
const SEAL_SECRET: [u8; 32] = [9; 32];

pub fn channel(number: u8) -> ChannelId {
    ChannelId::repeat_byte(number)
}

pub fn pair(channel: ChannelId) -> VoucherPair {
    VoucherPair::ed25519(&channel.0)
}

pub fn seal_key() -> SealKey {
    SealKey::from_bytes(&SEAL_SECRET).unwrap()
}

pub fn binding(channel: ChannelId) -> Binding {
    Binding {
        genesis: GENESIS,
        provider: PROVIDER,
        channel,
    }
}

pub fn operator() -> assay_client::Keypair {
    keys::load("//Bob//operator").unwrap()
}

pub fn open(deposit: u128, settled: u128) -> Facts {
    Facts {
        deposit,
        settled,
        state: ChannelState::Open,
    }
}

pub fn terms(id: ChannelId) -> Terms {
    Terms {
        genesis: GENESIS,
        channel: id,
        provider: PROVIDER,
        listing: LISTING,
        voucher_key: pair(id).public(),
    }
}

/// What the chain says at this block of these channels.
pub fn view(block: u32, channels: &[(ChannelId, Facts)]) -> View {
    let offer = Offer {
        price: PRICE,
        context: 512,
    };
    View {
        block: Anchor {
            number: block,
            hash: H256::repeat_byte(block as u8),
        },
        age: Duration::ZERO,
        slot: Duration::from_secs(6),
        behind: 0,
        channels: channels
            .iter()
            .map(|(id, facts)| (terms(*id), *facts))
            .collect(),
        offers: BTreeMap::from([(LISTING, offer)]),
        dispute_blocks: 100,
        anchor_age: 64,
    }
}

/// The demo model, imported once for all tests of the process.
fn model() -> &'static Path {
    static FOLDER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let demo = Path::new("../models/demo/assay-demo");
        let path = folder.path().join("demo-exact");
        import::huggingface(demo, &path, |_| {}).unwrap();
        (folder, path)
    });
    path
}

/// An engine without log-probabilities.
struct Mute(ExactEngine);

impl Engine for Mute {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn gives_logprobs(&self) -> bool {
        false
    }

    fn start(&mut self, wake: Wake) -> Result<Box<dyn Session + '_>, EngineError> {
        self.0.start(wake)
    }
}

fn generator(queue: usize, gives_logprobs: bool) -> (Generator, assay_primitives::ModelSpec) {
    let folder = match ModelFolder::open(model()).unwrap().into_weights() {
        ModelWeights::Exact(folder) => folder,
        ModelWeights::Float(_) => panic!("an import is exact"),
    };
    let spec = folder.parts().spec;
    let cpu = Arc::new(Cpu::new(Backend::best(), 1).unwrap());
    let places = Places {
        requests: 9,
        cache: 256 << 20,
    };
    let engine = ExactEngine::load(folder, cpu, None, places).unwrap();
    let engine: Box<dyn Engine> = match gives_logprobs {
        true => Box::new(engine),
        false => Box::new(Mute(engine)),
    };
    (Generator::new(engine, queue).unwrap(), spec)
}

/// How a worker is started.
pub struct Setup {
    pub voucher_wait: Duration,
    pub crowded_wait: Duration,
    pub chain_wait: Duration,
    pub queue: usize,
    pub gives_logprobs: bool,
    pub body_timeout: Duration,
    pub body_pause: Duration,
    pub room: Room,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            voucher_wait: Duration::from_secs(60),
            crowded_wait: Duration::from_secs(20),
            chain_wait: Duration::from_millis(50),
            queue: 16,
            gives_logprobs: true,
            body_timeout: Duration::from_secs(30),
            body_pause: Duration::from_secs(30),
            room: Room::default(),
        }
    }
}

/// A server that runs.
pub struct Worker {
    pub address: SocketAddr,
    pub shop: Arc<Shop>,
    pub cashier: Cashier,
    pub generator: Generator,
    pub metrics: Arc<Metrics>,
    _stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

impl Worker {
    pub async fn start(ledger: &Path, setup: Setup) -> Self {
        let owner = Owner {
            genesis: GENESIS,
            provider: PROVIDER,
        };
        // The one that crashed may still be closing its file.
        let ledger = loop {
            match Ledger::open(ledger, &owner) {
                Err(crate::ledger::LedgerError::Locked(_)) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let cashier = Cashier::start(ledger.channels(), operator()).unwrap();
        drop(ledger);
        let (generator, spec) = generator(setup.queue, setup.gives_logprobs);
        let text = ModelText {
            text: Arc::new(Text::open(model()).unwrap()),
            stop_tokens: Vec::new(),
            context: spec.context,
            vocabulary: spec.vocabulary,
        };
        let listed = Listed {
            id: LISTING,
            name: "demo".into(),
            served: Served {
                folder: model().into(),
                generator: generator.clone(),
                engine: "exact".into(),
                spec,
                // Answers are as long as they are allowed to be.
                stop_tokens: Vec::new(),
            },
            text: Arc::new(text),
        };
        let metrics = Arc::new(Metrics::new().unwrap());
        let shop = Shop::new(ShopConfig {
            listed: vec![listed],
            cashier: cashier.clone(),
            metrics: metrics.clone(),
            seal_key: seal_key(),
            binding: binding(ChannelId::zero()),
            provider: "provider".into(),
            voucher_wait: setup.voucher_wait,
            crowded_wait: setup.crowded_wait,
            chain_wait: setup.chain_wait,
            limits: Limits {
                body_timeout: setup.body_timeout,
                body_pause: setup.body_pause,
                ..Limits::default()
            },
            room: setup.room,
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let router = router(shop.clone());
        let bounds = bounds();
        let server = tokio::spawn(listen::serve(listener, None, router, bounds, stopped));
        Self {
            address,
            shop,
            cashier,
            generator,
            metrics,
            _stop: stop,
            server,
        }
    }

    /// Tells the books what the chain says. Whether it is not older than what they know.
    pub async fn observe(&self, view: View) -> bool {
        let told = self.cashier.ask(move |books| books.observe(view));
        told.await.unwrap()
    }

    /// Everything that is only in memory is lost, as by `kill -9`.
    pub async fn crash(self) {
        let die = |_: &mut crate::serve::books::Books| std::panic::resume_unwind(Box::new("crash"));
        self.cashier.tell(die);
        assert!(self.cashier.ask(|_| ()).await.is_err());
        self.server.abort();
    }
}

/// A worker with an open channel, and its folder.
pub async fn begin(setup: Setup) -> (TempDir, Worker, Payer) {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::start(&folder.path().join("ledger.redb"), setup).await;
    let id = channel(1);
    worker.observe(view(5, &[(id, open(DEPOSIT, 0))])).await;
    let payer = Payer::new(worker.address, id);
    (folder, worker, payer)
}

/// A client of one channel.
#[derive(Clone)]
pub struct Payer {
    pub base: String,
    pub id: ChannelId,
    pub client: Client,
}

/// The prompt of request number `seq`, so that no two are alike.
pub fn prompt(seq: u64) -> Vec<TokenId> {
    (0..20)
        .map(|n| 5 + (n * 7 + seq as u32 * 13) % 200)
        .collect()
}

impl Payer {
    pub fn new(address: SocketAddr, id: ChannelId) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            base: format!("http://{address}"),
            id,
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub fn header(&self, seq: u64, limit: u32) -> Header {
        let prompt = prompt(seq);
        Header {
            version: FORMAT_VERSION,
            genesis: GENESIS,
            claim: Claim::Channel { id: self.id, seq },
            provider: PROVIDER,
            listing: LISTING,
            prompt_root: salted_token_root(&SECRET, Side::Prompt, &prompt),
            prompt_len: prompt.len() as u32,
            task: Task::Generate,
            sampling: Sampling::GREEDY,
            token_limit: limit,
            input_price: PRICE.input,
            output_price: PRICE.output,
        }
    }

    pub fn sign(&self, header: Header) -> SignedHeader {
        pair(self.id).sign_header(header)
    }

    pub fn voucher(&self, cumulative: u128) -> SignedVoucher {
        pair(self.id).sign_voucher(GENESIS, self.id, cumulative)
    }

    pub fn body(&self, seq: u64, limit: u32) -> Value {
        json!({
            "model": format!("{LISTING:?}"),
            "prompt": prompt(seq),
            "max_tokens": limit,
            "temperature": 0,
            "stream": true,
            "assay": { "secret": wire::encode_hex(&SECRET) },
        })
    }

    pub fn post(&self, headers: &[SignedHeader], voucher: &SignedVoucher) -> RequestBuilder {
        self.client
            .post(format!("{}/v1/completions", self.base))
            .header(wire::REQUEST_HEADER, wire::encode_headers(headers))
            .header(wire::VOUCHER_HEADER, wire::encode_voucher(voucher))
    }

    /// Asks for an answer of `limit` tokens, with a voucher for `cumulative` planck.
    pub async fn ask(&self, seq: u64, limit: u32, cumulative: u128) -> Response {
        let header = self.sign(self.header(seq, limit));
        let request = self.post(&[header], &self.voucher(cumulative));
        request.json(&self.body(seq, limit)).send().await.unwrap()
    }

    pub async fn pay(&self, cumulative: u128) -> Response {
        self.post_voucher(&self.voucher(cumulative)).await
    }

    /// Sends a voucher.
    pub async fn post_voucher(&self, voucher: &SignedVoucher) -> Response {
        let url = format!("{}/v1/channels/{:?}/voucher", self.base, self.id);
        let voucher = wire::encode_voucher(voucher);
        let request = self.client.post(url).header(wire::VOUCHER_HEADER, voucher);
        request.send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        let url = format!("{}/v1/channels/{:?}{path}", self.base, self.id);
        let voucher = wire::encode_voucher(&self.voucher(0));
        let request = self.client.get(url).header(wire::VOUCHER_HEADER, voucher);
        request.send().await.unwrap()
    }

    pub async fn status(&self) -> ChannelStatus {
        self.get("").await.json().await.unwrap()
    }

    pub async fn stored(&self, seq: u64) -> wire::StoredReceipt {
        self.get(&format!("/receipts/{seq}"))
            .await
            .json()
            .await
            .unwrap()
    }
}

/// The same client on a connection of HTTP/2 that stays, and on which almost nothing of an answer fits that is not read.
pub async fn narrow(worker: &Worker, payer: &Payer) -> Payer {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shop = worker.shop.clone();
    tokio::spawn(async move {
        let (_stop, stopped) = watch::channel(false);
        let (stream, _) = listener.accept().await.unwrap();
        listen::many::serve(stream, router(shop), &bounds(), stopped).await
    });
    let narrow = reqwest::Client::builder().http2_prior_knowledge();
    Payer {
        base: format!("http://{address}"),
        client: narrow
            .http2_initial_stream_window_size(64)
            .no_proxy()
            .build()
            .unwrap(),
        ..payer.clone()
    }
}

/// Planck for a prompt of this file's length and so many tokens.
pub fn fee(output: u32) -> u128 {
    PRICE.fee(20, output).unwrap()
}

/// An answer as a client has read it.
#[derive(Debug, Default)]
pub struct Answer {
    pub tokens: Vec<TokenId>,
    pub receipts: Vec<SignedReceipt>,
    pub finish: Option<String>,
    pub error: Option<Value>,
}

impl Answer {
    pub fn last(&self) -> &SignedReceipt {
        self.receipts.last().unwrap()
    }

    /// Takes one event. Whether another may follow.
    fn take(&mut self, data: &str, choice: u64) -> bool {
        if data == "[DONE]" {
            return false;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        if let Some(error) = chunk.get("error") {
            self.error = Some(error.clone());
            return false;
        }
        for part in chunk["choices"].as_array().into_iter().flatten() {
            if part["index"] != choice {
                continue;
            }
            if let Some(finish) = part["finish_reason"].as_str() {
                self.finish = Some(finish.into());
            }
            if let Some(assay) = part.get("assay").filter(|assay| !assay.is_null()) {
                let parts: ChunkParts = serde_json::from_value(assay.clone()).unwrap();
                self.tokens.extend(parts.tokens);
                self.receipts.extend(parts.receipt);
            }
        }
        true
    }
}

/// The events of a stream.
pub fn events(response: Response) -> impl Stream<Item = String> + Unpin {
    let status = response.status();
    assert!(status.is_success(), "{status}");
    let mut bytes = response.bytes_stream();
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut text = String::new();
        while let Some(Ok(piece)) = bytes.next().await {
            text.push_str(std::str::from_utf8(&piece).unwrap());
            while let Some(end) = text.find("\n\n") {
                let event: String = text.drain(..end + 2).collect();
                if let Some(data) = event.trim_end().strip_prefix("data: ") {
                    if sender.send(data.to_owned()).is_err() {
                        return;
                    }
                }
            }
        }
    });
    Box::pin(futures::stream::unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    }))
}

/// Reads a stream until so many tokens are there, or its end.
pub async fn read(
    events: &mut (impl Stream<Item = String> + Unpin),
    answer: &mut Answer,
    tokens: usize,
) {
    while answer.tokens.len() < tokens {
        match events.next().await {
            Some(data) if answer.take(&data, 0) => {}
            _ => return,
        }
    }
}

/// A whole answer.
pub async fn whole(response: Response) -> Answer {
    whole_choice(response, 0).await
}

pub async fn whole_choice(response: Response, choice: u64) -> Answer {
    let (mut events, mut answer) = (events(response), Answer::default());
    while let Some(data) = events.next().await {
        if !answer.take(&data, choice) {
            break;
        }
    }
    answer
}

/// What the model answers to request number `seq`, by a generator of the test's own.
pub async fn expected(header: &Header, seq: u64) -> Vec<TokenId> {
    let (generator, _) = generator(1, true);
    let sampling = header.sampling;
    let request = GenerateRequest {
        prompt: prompt(seq),
        sampling: Settings {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            penalty: sampling.penalty,
            seed: assay_channel::seed(&header.hash()),
        },
        max_output_tokens: header.token_limit,
        stop_tokens: Vec::new(),
        logprobs: None,
        scored: None,
    };
    let generation = generator.submit(request, Class::Job).unwrap();
    generation.whole(|| {}).await.unwrap().tokens
}

/// The status, code and `assay` object of a refusal.
pub async fn refusal(response: Response) -> (u16, String, Value) {
    let status = response.status().as_u16();
    let retry = response.headers().get("x-should-retry").cloned();
    let body = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status} {body}"));
    let error = &body["error"];
    if status == 402 || status == 410 {
        assert_eq!(retry.unwrap(), "false", "{body}");
    }
    assert!(!error["message"].as_str().unwrap().contains('\n'), "{body}");
    let code = error["code"].as_str().unwrap_or_default().to_owned();
    (status, code, error["assay"].clone())
}
