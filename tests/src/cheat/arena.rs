//! One chain for many cases: a model that is listed, and people with money for each of them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use assay_client::{
    answer::ListedModel,
    chain::{
        runtime::{
            self,
            runtime_types::{
                assay_runtime::RuntimeCall, pallet_balances::pallet::Call as Balances,
                pallet_disputes::pallet::Call as Disputes, pallet_jobs::pallet::Call as Jobs,
                pallet_providers::pallet::Call as Providers,
            },
        },
        Listing,
    },
    keys,
    primitives::TokenId,
    subxt::{transactions::Payload, utils::MultiAddress},
    text::Message,
    AccountId32, Chain, Included, Keypair, Text, Wait, H256,
};
use assay_exact::{folder::Folder, Cpu, Shape};

use crate::{demo_source, Scene};

/// How long a transaction may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);
const ASY: u128 = 1_000_000_000_000;
/// Blocks in which an answer can be disputed: dozens are computed again side by side.
pub const WINDOW: u32 = 240;
/// Counted blocks for a move.
pub const REPLY: u32 = 20;
/// Who pays for everything.
const SPONSOR: &str = "//Ferdie";
const SUDO: &str = "//Alice";

/// A chain with one model listed, and its people.
pub struct Arena {
    pub scene: Scene,
    pub listed: Arc<Listed>,
    pub prompt: Vec<TokenId>,
}

/// What is sold, and on which chain.
pub struct Listed {
    pub chain: Chain,
    pub listing: H256,
    pub model: ListedModel,
    /// The model's folder.
    pub folder: PathBuf,
    pub shape: Shape,
    pub cpu: Arc<Cpu>,
}

impl Listed {
    /// The model in this folder.
    pub async fn find(chain: Chain, folder: &Path) -> Result<Self> {
        let best = chain.best().await?;
        let opened = Folder::open(folder)?;
        let listings = best.listings().await?;
        let mut listings = listings.into_iter();
        let is_its = |listed: &(_, Listing)| listed.1.parts.0 == opened.parts();
        let (listing, record) = listings.find(is_its).context("the model is listed")?;
        let manifest = opened.manifest();
        Ok(Self {
            chain,
            listing,
            model: ListedModel {
                root: opened.root(),
                publisher: record.publisher,
                royalty: record.royalty.0,
                profile: "exact".into(),
                stop_tokens: manifest.stop_tokens.clone(),
            },
            folder: folder.into(),
            shape: manifest.shape.clone(),
            cpu: Arc::new(Cpu::detect()),
        })
    }

    /// Sends a call and waits until it is in a block.
    pub async fn send<C: Payload>(&self, call: &C, key: &Keypair) -> Result<Included> {
        send(&self.chain, call, key).await
    }
}

/// Those who have a part in one case.
pub struct People {
    pub stash: Keypair,
    pub operator: Keypair,
    pub user: Keypair,
    pub challenger: Keypair,
    /// Of the provider.
    pub friend: Keypair,
}

impl People {
    /// The keys as they are typed.
    pub fn uri(case: usize, who: &str) -> String {
        format!("//Case//{case}//{who}")
    }

    pub fn of(case: usize) -> Result<Self> {
        let key = |who| keys::load(&Self::uri(case, who));
        Ok(Self {
            stash: key("stash")?,
            operator: key("operator")?,
            user: key("user")?,
            challenger: key("challenger")?,
            friend: key("friend")?,
        })
    }

    /// With what each of them begins, in planck.
    fn funds(&self) -> [(AccountId32, u128); 5] {
        [
            (keys::account(&self.stash), 1_500 * ASY),
            (keys::account(&self.operator), 20 * ASY),
            (keys::account(&self.user), 50 * ASY),
            (keys::account(&self.challenger), 1_000 * ASY),
            (keys::account(&self.friend), 100 * ASY),
        ]
    }
}

impl Arena {
    /// For so many cases, with the shipped model.
    pub async fn new(cases: usize) -> Result<Self> {
        Self::of(cases, &demo_source()?).await
    }

    /// The same with the model of these floats.
    pub async fn of(cases: usize, floats: &Path) -> Result<Self> {
        let scene = Scene::of(floats).await?;
        let text = Text::open(&scene.model)?;
        let arena = Self {
            listed: Arc::new(Listed::find(scene.chain.clone(), &scene.model).await?),
            prompt: text.chat(&[Message::new("user", "What is Assay?")])?,
            scene,
        };
        govern(&arena.scene, WINDOW, REPLY).await?;
        let mut funds = Vec::new();
        for case in 0..cases {
            funds.extend(People::of(case)?.funds());
        }
        fund(&arena.scene, funds).await?;
        Ok(arena)
    }
}

/// Sends a call and waits until it is in a block.
pub async fn send<C: Payload>(chain: &Chain, call: &C, key: &Keypair) -> Result<Included> {
    Ok(chain.submit(call, key, Wait::InBlock, PATIENCE).await?)
}

/// Windows of so many blocks, in which answers are disputed, earnings mature and bonds are unbonded, and so many counted
/// blocks for a move.
pub async fn govern(scene: &Scene, window: u32, reply: u32) -> Result<()> {
    let best = scene.chain.best().await?;
    let mut providers = best.provider_parameters().await?;
    (providers.maturing_blocks, providers.unbonding_blocks) = (window, window);
    let mut jobs = best.job_parameters().await?;
    jobs.challenge_blocks = window;
    let mut disputes = best.dispute_parameters().await?;
    (disputes.challenge_blocks, disputes.reply_blocks) = (window, reply);
    for call in [
        RuntimeCall::Providers(Providers::set_parameters {
            parameters: providers,
        }),
        RuntimeCall::Jobs(Jobs::set_parameters { parameters: jobs }),
        RuntimeCall::Disputes(Disputes::set_parameters {
            parameters: disputes,
        }),
    ] {
        as_root(&scene.chain, call).await?;
    }
    let now = scene.chain.best().await?.dispute_parameters().await?;
    ensure!(now.challenge_blocks == window, "the parameters are refused");
    Ok(())
}

/// What governance may do, done by the development chain's sudo key.
pub async fn as_root(chain: &Chain, call: RuntimeCall) -> Result<()> {
    let sudo = keys::load(SUDO)?;
    send(chain, &runtime::tx().sudo().sudo(call), &sudo).await?;
    Ok(())
}

/// Gives each of these accounts so many planck.
pub async fn fund(scene: &Scene, funds: Vec<(AccountId32, u128)>) -> Result<()> {
    let give = |(account, value)| {
        RuntimeCall::Balances(Balances::transfer_keep_alive {
            dest: MultiAddress::Id(account),
            value,
        })
    };
    let calls = funds.into_iter().map(give).collect();
    let sponsor = keys::load(SPONSOR)?;
    let batch = runtime::tx().utility().batch_all(calls);
    send(&scene.chain, &batch, &sponsor).await?;
    Ok(())
}
