//! A gateway with its data folder, a chain, and providers.

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use assay_client::{folder::ModelFolder, AccountId32, H256};
use assay_exact::{answer, cpu::Cpu, folder::Folder, import, Engine};
use assay_gateway::{market::Listed, Config, Policy, Room, Store, Terms};
use assay_primitives::{Profile, Sampling, TokenId};
use reqwest::Response;
use serde_json::{json, Value};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

use crate::{
    chain::Chain,
    worker::{Rule, Worker},
};

pub fn demo() -> PathBuf {
    PathBuf::from("../models/demo/assay-demo")
}

/// Any token follows from all before it, so that an answer that is continued elsewhere shows whether it
/// was continued right.
pub fn rule() -> Rule {
    Arc::new(|seen| {
        let mix = |sum: u32, token: &TokenId| sum.wrapping_mul(31).wrapping_add(*token);
        100 + seen.iter().fold(7, mix) % 900
    })
}

/// The demo model as an exact one, in a folder below this one.
pub fn exact_model(folder: &Path) -> PathBuf {
    let model = folder.join("exact");
    import::model(&demo(), &model, import::FRACTION_BITS, |_| {}).unwrap();
    model
}

/// What the exact model in `folder` says next, greedily.
fn computed(folder: &Path) -> Rule {
    let folder = Folder::open(folder).unwrap();
    Arc::new(move |seen| {
        let cpu = Cpu::detect();
        let engine = Engine::of(&folder, &cpu).unwrap();
        let request = answer::Request {
            prompt: seen,
            settings: Sampling::GREEDY.into(),
            seed: [0; 32],
            // The rule has no end; the gateway would take a stop token for one.
            stop_tokens: &[],
            limit: 1,
        };
        let next = answer::generate(&engine, &request, &mut |_| ControlFlow::Continue(()));
        next.unwrap().tokens[0]
    })
}

pub struct World {
    pub chain: Arc<Chain>,
    pub workers: Vec<Arc<Worker>>,
    pub data: TempDir,
    pub terms: Terms,
    pub room: Room,
    pub model: PathBuf,
    pub listing: Listed,
    /// Where the model is, if it was imported for this world.
    imported: Option<TempDir>,
    gateway: Option<Gateway>,
}

/// On a runtime of its own, so that it can die with all its tasks.
struct Gateway {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
    runtime: Runtime,
}

impl World {
    /// With a provider for each price.
    pub async fn new(prices: &[u128]) -> Self {
        Self::of(demo(), rule(), prices).await
    }

    /// The same, where the gateway runs.
    pub async fn started(prices: &[u128]) -> Self {
        let mut world = Self::new(prices).await;
        world.start().await;
        world
    }

    /// With providers that compute an exact model, and a gateway that has its weights and checks every answer.
    pub async fn exact(prices: &[u128]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = exact_model(folder.path());
        let mut world = Self::of(model.clone(), computed(&model), prices).await;
        world.terms.check = 1_000_000;
        world.imported = Some(folder);
        world
    }

    pub async fn of(model: PathBuf, rule: Rule, prices: &[u128]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain = Arc::new(Chain::new());
        let parts = ModelFolder::open(&model).unwrap().parts().unwrap();
        let publisher = AccountId32([8; 32]);
        let listing = Listed {
            id: assay_client::listing_id(&parts.root(), &publisher, 0),
            parts,
            publisher,
            royalty: 0,
        };
        chain.listings.lock().unwrap().push(listing.clone());
        let mut workers = Vec::new();
        for (number, price) in prices.iter().enumerate() {
            let number = 10 + number as u8;
            workers.push(Worker::start(&chain, number, listing.id, *price, rule.clone()).await);
        }
        Self {
            chain,
            workers,
            data: tempfile::tempdir().unwrap(),
            terms: Terms {
                policy: Policy {
                    budget: 10_000,
                    step: 1_000,
                    ..Policy::default()
                },
                max_price: None,
                seal: true,
                max_tokens: 100,
                check: 0,
                score: false,
            },
            room: Room::of(128u16.try_into().unwrap()),
            model,
            listing,
            imported: None,
            gateway: None,
        }
    }

    pub fn folder(&self) -> PathBuf {
        self.data.path().join("gateway")
    }

    pub fn config(&self) -> Config {
        Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            api_key: None,
            data: self.folder(),
            model_dirs: vec![self.model.clone()],
            terms: self.terms.clone(),
            room: self.room.clone(),
        }
    }

    pub async fn start(&mut self) {
        self.start_with(self.config()).await;
    }

    pub async fn start_with(&mut self, config: Config) {
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let market = self.chain.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let task = runtime.spawn(async move {
            let said = |address| ready.send(address).unwrap();
            assay_gateway::run(market, config, stopped, said).await
        });
        let address = is_ready.await.expect("the gateway starts");
        self.gateway = Some(Gateway {
            address,
            stop,
            task,
            runtime,
        });
    }

    /// As `kill -9`: nothing is tidied up.
    pub async fn kill(&mut self) {
        self.gateway.take().unwrap().runtime.shutdown_background();
        self.wait_for_the_store().await;
    }

    pub async fn stop(&mut self) {
        let gateway = self.gateway.take().unwrap();
        gateway.stop.send_replace(true);
        gateway.task.await.unwrap().unwrap();
        gateway.runtime.shutdown_background();
        self.wait_for_the_store().await;
    }

    /// Why the gateway ends, which it does by itself.
    pub async fn ended(&mut self) -> String {
        let gateway = self.gateway.take().unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), gateway.task);
        let ended = ended.await.expect("it ends").unwrap();
        gateway.runtime.shutdown_background();
        format!("{:#}", ended.unwrap_err())
    }

    pub async fn wait_for_the_store(&self) {
        for _ in 0..200 {
            if assay_gateway::open_store(&self.folder(), &*self.chain).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the store stays locked");
    }

    /// The store of a gateway that does not run.
    pub fn store(&self) -> Store {
        assay_gateway::open_store(&self.folder(), &*self.chain).unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        let address = self.gateway.as_ref().unwrap().address;
        format!("http://{address}{path}")
    }

    /// The model's name.
    pub fn name(&self) -> String {
        let folder = self.model.file_name().unwrap().to_str().unwrap();
        match self.listing.parts.spec.profile {
            Profile::Unverified => format!("{folder}-unverified"),
            Profile::Exact { .. } => folder.into(),
        }
    }

    pub fn request(&self, tokens: u32) -> Value {
        json!({
            "model": self.name(),
            "prompt": [5, 6, 7],
            "max_tokens": tokens,
            "temperature": 0,
        })
    }

    /// What the gateway answers, with its status.
    pub async fn ask(&self, body: &Value) -> (u16, Value) {
        let response = self.send(body).await;
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// A refusal's status, error code and message, and after how many seconds the client may come again.
    pub async fn refused(&self, tokens: u32) -> (u16, Value, String, Option<u64>) {
        let response = self.send(&self.request(tokens)).await;
        let status = response.status().as_u16();
        let pause = response.headers().get("retry-after");
        let pause = pause.map(|value| value.to_str().unwrap().parse().unwrap());
        let answer: Value = response.json().await.unwrap();
        let error = &answer["error"];
        let message = error["message"].as_str().unwrap_or_default().to_owned();
        (status, error["code"].clone(), message, pause)
    }

    /// An answer as it comes.
    pub async fn stream(&self, tokens: u32) -> Response {
        let mut request = self.request(tokens);
        request["stream"] = true.into();
        self.send(&request).await
    }

    async fn send(&self, body: &Value) -> Response {
        let url = self.url("/v1/completions");
        let sent = reqwest::Client::new().post(url).json(body).send();
        sent.await.unwrap()
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(self.url(path)).await.unwrap();
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    }

    pub async fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").await.1).unwrap()
    }

    /// What the gateway says of its first channel with the worker of this number.
    pub async fn channel(&self, worker: usize) -> Value {
        let stash = self.workers[worker].stash.to_string();
        let status = self.status().await;
        let mut channels = status["channels"].as_array().unwrap().iter();
        channels
            .find(|one| one["provider"] == stash)
            .unwrap()
            .clone()
    }

    /// The tokens that the rule gives for the request.
    pub fn right(&self, tokens: u32) -> Vec<TokenId> {
        let rule = rule();
        let mut seen = vec![5, 6, 7];
        for _ in 0..tokens {
            let token = rule(&seen);
            seen.push(token);
        }
        seen.split_off(3)
    }

    /// The one piece of evidence, as it lies on disk.
    pub fn evidence(&self) -> Vec<Value> {
        let Ok(files) = std::fs::read_dir(self.folder().join("evidence")) else {
            return Vec::new();
        };
        files
            .map(|file| {
                serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap()
            })
            .collect()
    }

    pub fn channels_of(&self, worker: &Worker) -> Vec<H256> {
        let all = self.chain.all();
        let theirs = all
            .iter()
            .filter(|(_, channel)| channel.provider == worker.stash);
        theirs.map(|(id, _)| *id).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.runtime.shutdown_background();
        }
    }
}

/// The tokens of an answer.
pub fn tokens(answer: &Value) -> Vec<TokenId> {
    serde_json::from_value(answer["choices"][0]["assay"]["tokens"].clone()).unwrap_or_default()
}

/// Waits until something is so.
pub async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not so after a while: {what}");
}
