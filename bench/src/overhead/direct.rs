//! A client that pays a worker itself: one channel, one request after the other.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use assay_channel::{
    wire::{encode_headers, encode_voucher, ChunkParts, REQUEST_HEADER, VOUCHER_HEADER},
    AccountId, AnchorView, Ask, ChannelState, Facts, Payer, Terms, VoucherPair,
};
use assay_client::{
    chain::runtime,
    keys,
    primitives::{salted_token_root, ListingId, Price, Sampling, Side, Task, TokenId},
    subxt::utils::Static,
    text::Text,
    Wait, H256,
};
use assay_tests::{Scene, Server};
use serde_json::{json, Value};

const USER: &str = "//Ferdie";
const DEPOSIT: u128 = 50_000_000_000_000;
const INCLUSION: Duration = Duration::from_secs(60);

pub struct Direct {
    client: reqwest::Client,
    url: String,
    payer: Payer,
    operator: AccountId,
    listing: ListingId,
    price: Price,
    prompt: Vec<TokenId>,
}

impl Direct {
    /// Opens a channel to the provider, for asking it always the same.
    pub async fn open(scene: &Scene, server: &Server, prompt: &str) -> Result<Self> {
        let chain = &scene.chain;
        let best = chain.best().await?;
        let (listing, _) = best
            .listings()
            .await?
            .into_iter()
            .next()
            .context("a listing")?;
        let stash = server.provider.stash;
        let offer = best.offer(listing, stash).await?.context("an offer")?;
        let pair = VoucherPair::sr25519(&[7; 32]);
        let call = runtime::tx()
            .channels()
            .open(stash, listing, Static(pair.public()), DEPOSIT);
        let user = keys::load(USER)?;
        let opened = chain
            .submit(&call, &user, Wait::Finalized, INCLUSION)
            .await?;
        let event = opened
            .events
            .find_first::<runtime::channels::events::Opened>();
        let channel = event.context("a channel was opened")??.channel;
        let terms = Terms {
            genesis: chain.genesis_hash(),
            channel,
            provider: stash.0,
            listing,
            voucher_key: pair.public(),
        };
        let mut payer = Payer::restore(terms, pair, DEPOSIT, []);
        let facts = Facts {
            deposit: DEPOSIT,
            settled: 0,
            state: ChannelState::Open,
        };
        payer.observe(facts).persisted()?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The gateway pins the key; what that costs is part of what it adds.
        let client = reqwest::Client::builder()
            .danger_accept_invalid_certs(true)
            .build()?;
        Ok(Self {
            client,
            url: server.worker.url().context("a server")?,
            payer,
            operator: keys::account(&keys::load(&server.provider.operator)?).0,
            listing,
            price: offer.price.0,
            prompt: Text::open(&scene.model)?.raw(prompt)?,
        })
    }

    /// Buys one token, and says after how long it came.
    pub async fn first_token(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let secret: [u8; 32] = rand::random();
        let ask = Ask {
            secret,
            prompt_root: salted_token_root(&secret, Side::Prompt, &self.prompt),
            prompt_len: self.prompt.len() as u32,
            task: Task::Generate,
            sampling: Sampling::GREEDY,
            token_limit: 1,
            price: self.price,
            since: 0,
        };
        let order = self.payer.order(&[ask])?.persisted();
        let body = json!({
            "model": format!("{:?}", self.listing),
            "prompt": self.prompt,
            "max_tokens": 1,
            "temperature": 0,
            "seed": 0,
            "stream": true,
            "assay": { "secret": H256(secret) },
        });
        let request = self
            .client
            .post(format!("{}/v1/completions", self.url))
            .header(REQUEST_HEADER, encode_headers(&order.headers))
            .header(VOUCHER_HEADER, encode_voucher(&order.voucher))
            .json(&body);
        let mut response = request.send().await?;
        ensure!(response.status().is_success(), "{}", response.text().await?);

        let (mut first, mut stream) = (None, String::new());
        while let Some(bytes) = response.chunk().await? {
            stream += std::str::from_utf8(&bytes)?;
            if first.is_none() && stream.contains("\"tokens\":[") {
                first = Some(began.elapsed());
            }
        }
        self.take_receipts(&stream, order.seqs.first().copied().context("a number")?)?;
        first.context("the worker told no token")
    }

    fn take_receipts(&mut self, stream: &str, seq: u64) -> Result<()> {
        let mut tokens = Vec::new();
        for data in stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
        {
            let Ok(chunk) = serde_json::from_str::<Value>(data) else {
                continue;
            };
            for choice in chunk["choices"].as_array().into_iter().flatten() {
                if choice["assay"].is_null() {
                    continue;
                }
                let parts: ChunkParts = serde_json::from_value(choice["assay"].clone())?;
                tokens.extend(parts.tokens);
                if let Some(receipt) = parts.receipt {
                    let anchor = AnchorView::Good {
                        operator: self.operator,
                    };
                    let last = !choice["finish_reason"].is_null();
                    let taken = self.payer.receipt(seq, receipt, anchor, &tokens, last)?;
                    taken.persisted()?;
                }
            }
        }
        Ok(())
    }
}
