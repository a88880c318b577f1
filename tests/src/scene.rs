//! A chain with a publisher, providers and a user, each with money and its own keys.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use assay_client::{
    chain::{runtime, Assignment, Job, JobState},
    keys, AccountId32, Chain, Snapshot,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{demo_source, free_port, Assay, Node, Worker};

const PUBLISHER: &str = "//Charlie";
const USER: &str = "//Dave";
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Scene {
    pub node: Node,
    pub chain: Chain,
    pub publisher: Assay,
    pub user: Assay,
    /// Folder of the demo model, made exact and listed.
    pub model: PathBuf,
    folder: TempDir,
}

/// A provider that is registered, bonded, and has its operator paid for.
pub struct Provider {
    pub assay: Assay,
    pub operator: String,
    pub stash: AccountId32,
}

impl Scene {
    /// A development chain with the demo model, made exact, listed.
    pub async fn new() -> Result<Self> {
        Self::of(&demo_source()?).await
    }

    /// The same with the model of these floats.
    pub async fn of(floats: &Path) -> Result<Self> {
        let mut folder = tempfile::tempdir()?;
        if std::env::var_os("ASSAY_KEEP").is_some() {
            folder.disable_cleanup(true);
            eprintln!("logs and stores stay in {}", folder.path().display());
        }
        let node = Node::development(folder.path())?;
        Self::on(node, folder, floats).await
    }

    /// The same on the chain of this node, which lies in `folder`.
    pub async fn on(node: Node, folder: TempDir, floats: &Path) -> Result<Self> {
        let chain = node.chain().await?;
        let publisher = Assay::new(&node.url(), PUBLISHER);
        let user = publisher.with_key(USER);
        let mut scene = Self {
            node,
            chain,
            publisher,
            user,
            model: PathBuf::new(),
            folder,
        };
        scene.model = scene.import(floats, "model")?;
        let model = scene.model_dir();
        let arguments = ["model", "register", &model, "--royalty", "2"];
        scene.publisher.json(&arguments)?;
        Ok(scene)
    }

    /// Make an exact model of the floats in `source`, in a folder of this scene.
    pub fn import(&self, source: &Path, name: &str) -> Result<PathBuf> {
        let target = self.folder().join(name);
        let (from, to) = (source.display().to_string(), target.display().to_string());
        self.publisher.json(&["model", "import", &from, &to])?;
        Ok(target)
    }

    /// The folder of the listed model, as an argument.
    pub fn model_dir(&self) -> String {
        self.model.display().to_string()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Register `key` as a provider of the listed model at these prices, in thousandths of an ASY.
    pub fn provider(&self, key: &str, input: u32, output: u32) -> Result<Provider> {
        let assay = self.publisher.with_key(key);
        let operator = format!("{key}//operator");
        let account = keys::account(&keys::load(&operator)?).to_string();
        assay.json(&[
            "provider",
            "register",
            "--bond",
            "1000 ASY",
            "--operator",
            &account,
        ])?;
        let provider = Provider {
            stash: keys::account(&keys::load(key)?),
            assay,
            operator,
        };
        provider.offer(input, output)?;
        provider.assay.json(&["transfer", &account, "10 ASY"])?;
        Ok(provider)
    }

    pub fn worker(&self, provider: &Provider, name: &str) -> Result<Worker> {
        self.worker_of(provider, name, &[&self.model])
    }

    /// A worker of these model folders.
    pub fn worker_of(&self, provider: &Provider, name: &str, models: &[&Path]) -> Result<Worker> {
        let (folder, chain) = (self.folder(), self.node.url());
        Worker::start(folder, name, &chain, &provider.operator, models, &[])
    }

    /// Where the server of this name writes its last vouchers, for a watchtower.
    pub fn vouchers(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.vouchers"))
    }

    /// A worker that serves the listed model over HTTPS to clients with channels, with these arguments
    /// besides; the chain knows its address and keys.
    pub fn server(&self, provider: &Provider, name: &str, extra: &[&str]) -> Result<Worker> {
        let port = free_port()?;
        let (folder, chain) = (self.folder(), self.node.url());
        let vouchers = self.vouchers(name);
        let own = [
            format!("--serve=127.0.0.1:{port}"),
            format!("--vouchers={}", vouchers.display()),
        ];
        let extra = extra.iter().map(|text| (*text).to_owned());
        let extra: Vec<String> = own.into_iter().chain(extra).collect();
        let (operator, models) = (&provider.operator, [self.model.as_path()]);
        let [tls, seal] = Worker::keys(folder, name, &chain, operator, &models, &extra)?;
        let endpoint = format!("--endpoint=https://127.0.0.1:{port}");
        let info = ["provider", "set-info", &endpoint, &tls, &seal];
        provider.assay.json(&info)?;
        Worker::start(folder, name, &chain, operator, &models, &extra)
    }

    /// Submit a job and return its number.
    pub fn submit(&self, question: &str, extra: &[&str]) -> Result<u64> {
        let model = self.model_dir();
        let mut arguments = vec!["job", "submit", question, "--model-dir", &model];
        arguments.extend(["--max-tokens", "32"]);
        arguments.extend(extra);
        let json = self.user.json(&arguments)?;
        json["job"]
            .as_u64()
            .with_context(|| format!("no job in {json}"))
    }

    /// Submits a job, waits for the answer, and saves its receipt in a file. The job's number.
    pub async fn buy(&self, question: &str, file: &str) -> Result<u64> {
        let job = self.submit(question, &[])?;
        let delivered =
            |record: &Job| matches!(record.state, JobState::Delivered { .. }).then_some(());
        self.wait_for(job, "delivered", delivered).await?;
        let record = self.user.json(&["job", "status", &job.to_string()])?;
        std::fs::write(file, record["receipt"].to_string())?;
        Ok(job)
    }

    /// `assay run`, as JSON.
    pub fn run(&self, question: &str, extra: &[&str]) -> Result<Value> {
        let model = self.model_dir();
        let mut arguments = vec!["run", question, "--model-dir", &model, "--max-tokens", "32"];
        arguments.extend(extra);
        self.user.json(&arguments)
    }

    /// Wait until the job's state is as asked for.
    pub async fn wait_for<T>(
        &self,
        job: u64,
        what: &str,
        mut reached: impl FnMut(&Job) -> Option<T>,
    ) -> Result<T> {
        let wait = async {
            loop {
                if let Some(record) = self.chain.best().await?.job(job).await? {
                    if let Some(found) = reached(&record) {
                        return Ok(found);
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("job {job} is not {what} yet")))
    }

    pub async fn wait_assignment(&self, job: u64) -> Result<Assignment> {
        self.wait_for(job, "assigned", |record| match &record.state {
            JobState::Assigned(assignment) => Some(assignment.clone()),
            _ => None,
        })
        .await
    }

    /// The provider, once there is one.
    pub async fn wait_assigned(&self, job: u64) -> Result<AccountId32> {
        Ok(self.wait_assignment(job).await?.provider)
    }

    /// The fee, once it is settled.
    pub async fn wait_settled(&self, job: u64) -> Result<u128> {
        self.wait_for(job, "settled", |record| match &record.state {
            JobState::Settled { settlement, .. } => Some(settlement.fee),
            _ => None,
        })
        .await
    }

    pub async fn wait_refunded(&self, job: u64) -> Result<()> {
        self.wait_for(job, "refunded", |record| {
            matches!(record.state, JobState::Refunded { .. }).then_some(())
        })
        .await
    }

    /// Wait until the provider is online, or offline.
    pub async fn wait_online(&self, provider: &Provider, online: bool) -> Result<()> {
        let wait = async {
            loop {
                let record = self.chain.best().await?.provider(provider.stash).await?;
                if record.context("the provider is registered")?.online == online {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("online is not {online} yet")))
    }

    /// Every planck is in an account, and no job of the user holds any that is over.
    pub async fn check_money(&self) -> Result<()> {
        let snapshot = self.chain.best().await?;
        let mut sum = 0;
        for account in snapshot.accounts().await? {
            let balances = snapshot.balances(account).await?;
            let held: u128 = balances.holds.iter().map(|(_, amount)| amount).sum();
            ensure!(
                held == balances.reserved,
                "{account}: holds differ from what is reserved"
            );
            sum += balances.free + balances.reserved;
        }
        ensure!(
            sum == snapshot.total_issuance().await?,
            "accounts differ from the issuance"
        );
        Ok(())
    }

    /// How many transactions an account has sent.
    pub async fn nonce(&self, key: &str) -> Result<u32> {
        let account = keys::account(&keys::load(key)?);
        let snapshot = self.chain.best().await?;
        let storage = snapshot.client().storage();
        let entry = storage
            .fetch(runtime::storage().system().account(), (account,))
            .await?;
        Ok(entry.decode()?.nonce)
    }
}

impl Provider {
    /// Set the prices, in thousandths of an ASY.
    pub fn offer(&self, input: u32, output: u32) -> Result<()> {
        let (input, output) = (format!("{input} mASY"), format!("{output} mASY"));
        let prices = ["--input-price", &input, "--output-price", &output];
        self.assay
            .json(&[&["provider", "offer"][..], &prices[..]].concat())?;
        Ok(())
    }

    /// What the chain remembers of its work.
    pub async fn record(&self, snapshot: &Snapshot) -> Result<(u32, u32, u32, u128)> {
        let provider = snapshot
            .provider(self.stash)
            .await?
            .context("the provider is registered")?;
        let record = provider.record;
        Ok((
            record.delivered,
            record.declined,
            record.missed,
            provider.bond,
        ))
    }
}
