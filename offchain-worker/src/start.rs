//! The start and the end: everything that can be wrong with the command line, the models and the chain is
//! found before the first job is touched, and nobody who paid is left without a receipt.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{bail, Context};
use assay_channel::seal::Binding;
use assay_client::{keys, Chain, Text};
use assay_openai::{listen, Limits, ModelText};
use tokio::{net::TcpListener, sync::watch, time::timeout};

use crate::{
    config::{Config, Device, ServeConfig},
    engine::{Alarm, Gpu},
    http::{self, Health, Metrics, Serving},
    ledger::{Ledger, Owner},
    models::{Models, Opened, Setup},
    serve::{self, Cashier, Listed, Room, Shop, ShopConfig},
    tls::Keys,
    worker::{Sales, State, Worker},
};

/// How long a client may be ahead with what it has seen of the chain.
const CHAIN_WAIT: Duration = Duration::from_secs(3);

/// How long an answer that its client keeps waiting may keep others waiting, between two receipts. Whoever pays and reads
/// is ahead of the engine by a window, and sends the next voucher within a round trip; a top-up that it needs for that
/// is final within a few blocks.
const CROWDED_WAIT: Duration = Duration::from_secs(20);

/// How long the claims of what was earned may take when the worker ends.
const LAST_CLAIM: Duration = Duration::from_secs(60);

/// The server of channels before there are models: its address is taken, and its keys are read.
struct Door {
    listener: TcpListener,
    address: SocketAddr,
    keys: Keys,
}

impl Door {
    async fn open(config: &ServeConfig, ledger: &Path) -> anyhow::Result<Option<Self>> {
        let Some(address) = config.serve else {
            return Ok(None);
        };
        if config.serve_plain && !address.ip().is_loopback() {
            bail!(
                "--serve-plain is for development, and {address} can be reached from elsewhere; take \
                 127.0.0.1, or serve over HTTPS"
            );
        }
        Ledger::check_folder(ledger)?;
        let keys = Keys::open(config, ledger)?;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot serve clients at {address}; name another address with --serve")
        })?;
        Ok(Some(Self {
            address: listener.local_addr().unwrap_or(address),
            listener,
            keys,
        }))
    }
}

pub async fn prepare(
    config: Config,
    alarm: Alarm,
    signals: watch::Receiver<u32>,
) -> anyhow::Result<(Worker, Chain)> {
    let setup = Setup {
        cpu: Arc::new(config.cpu()?),
        gpu: match config.device {
            Device::Cpu => None,
            Device::Cuda(ordinal) => {
                let libraries = config.cuda_lib_dir.clone();
                let open = move || Gpu::open(ordinal, libraries.as_deref(), alarm);
                Some(tokio::task::spawn_blocking(open).await??)
            }
        },
        places: config.places(),
        queue: config.queue.get(),
        upstream: config.upstream(),
    };
    anyhow::ensure!(
        setup.upstream.is_none() || config.model.len() == 1,
        "--upstream is one model at one server: give one --model, its folder"
    );
    let key = keys::load(&config.operator_key).context("--operator-key cannot be used")?;
    let operator = keys::account(&key);
    let listener = http::bind(config.http).await?;
    let door = Door::open(&config.serve, &config.ledger).await?;

    let chain = Chain::connect(&config.chain).await?;
    let genesis = chain.genesis_hash();
    let best = chain.best().await?;
    let provider = best.provider_of(operator).await?.with_context(|| {
        format!(
            "operator {operator} speaks for no provider on this chain; register one with `assay \
             provider register`, or give the key of its operator"
        )
    })?;
    if let (Some(door), Some(record)) = (&door, best.provider(provider).await?) {
        door.keys.announced().check(&record.info)?;
    }
    let owner = Owner {
        genesis,
        provider: provider.0,
    };
    // One that cannot be used is found before the models are read, and a new one is made after, so
    // that a start that fails leaves nothing behind.
    Ledger::check_folder(&config.ledger)?;
    let existing = match Ledger::is_there(&config.ledger)? {
        true => Some(Ledger::open(&config.ledger, &owner)?),
        false => None,
    };

    let metrics = Arc::new(Metrics::new().context("the metrics contradict each other")?);
    let (health, health_seen) = watch::channel(Health {
        provider: provider.to_string(),
        operator: operator.to_string(),
        ..Health::default()
    });
    let (stopper, stop) = watch::channel(false);
    tokio::spawn(http::serve(
        listener,
        metrics.clone(),
        health_seen,
        stop.clone(),
    ));

    let (folders, upstream) = (config.model.clone(), setup.upstream.clone());
    let opened = tokio::task::spawn_blocking(move || {
        folders
            .iter()
            .map(|folder| Opened::open(folder, upstream.as_ref()))
            .collect::<anyhow::Result<Vec<_>>>()
    });
    let opened = opened.await.context("reading a model failed")??;
    // Hashing may have taken minutes; the listings are those of now.
    let models = Models::load(opened, &setup, &chain.best().await?, provider).await?;

    let mut ledger = match existing {
        Some(ledger) => ledger,
        None => Ledger::open(&config.ledger, &owner)?,
    };
    ledger.take_over(&operator.0)?;

    let sales = match door {
        None => {
            tokio::spawn(end(signals, stopper, None));
            None
        }
        Some(door) => {
            let Door {
                listener,
                address,
                keys,
            } = door;
            let announced = keys.announced();
            let shop = Shop::new(ShopConfig {
                listed: listed(&models)?,
                cashier: Cashier::start(ledger.channels(), key.clone())?,
                metrics: metrics.clone(),
                seal_key: keys.seal,
                binding: Binding {
                    genesis,
                    provider: provider.0,
                    channel: Default::default(),
                },
                provider: provider.to_string(),
                voucher_wait: Duration::from_secs(config.serve.voucher_wait),
                crowded_wait: CROWDED_WAIT,
                chain_wait: CHAIN_WAIT,
                limits: Limits::default(),
                room: Room::default(),
            });
            let (ending, is_ending) = watch::channel(false);
            let (claimed, is_claimed) = watch::channel(false);
            let (closing, is_closing) = watch::channel(false);
            let server = tokio::spawn(listen::serve(
                listener,
                keys.tls.map(|tls| tls.acceptor),
                serve::router(shop.clone()),
                listen::Bounds {
                    turned_away: Some(metrics.channels.turned_away.clone()),
                    ..serve::bounds()
                },
                is_closing,
            ));
            let counter = Counter {
                shop: shop.clone(),
                drain: Duration::from_secs(config.serve.drain),
                closing,
                server,
                ending,
                claimed: is_claimed,
            };
            tokio::spawn(end(signals, stopper, Some(counter)));
            tracing::info!(
                target: "assay_worker", %address, tls_key_hash = ?announced.tls_key_hash,
                x25519_key = ?assay_client::H256(announced.x25519_key), "serving channels"
            );
            health.send_modify(|health| {
                health.serve = Some(Serving {
                    address,
                    tls_key_hash: format!("{:?}", announced.tls_key_hash),
                    x25519_key: format!("{:?}", assay_client::H256(announced.x25519_key)),
                    channels: 0,
                    requests: 0,
                });
            });
            Some(Sales {
                shop,
                policy: config.serve.policy(),
                vouchers: config.serve.vouchers.clone(),
                announced,
                ending: is_ending,
                claimed,
            })
        }
    };
    tracing::info!(
        target: "assay_worker", %provider, %operator, http = %config.http,
        ledger = %config.ledger.display(), version = env!("CARGO_PKG_VERSION"), "started"
    );
    let worker = Worker {
        url: config.chain,
        key,
        operator,
        provider,
        genesis,
        ledger,
        models,
        cpu: setup.cpu,
        sales,
        metrics,
        health,
        stop,
        state: State::default(),
    };
    Ok((worker, chain))
}

/// What of the models clients with channels can ask for.
fn listed(models: &Models) -> anyhow::Result<Vec<Listed>> {
    models
        .served()
        .map(|(id, served)| {
            let text = Text::open(&served.folder)?;
            let name = served.folder.file_name().unwrap_or_default();
            Ok(Listed {
                id: *id,
                name: name.to_string_lossy().into_owned(),
                text: Arc::new(ModelText {
                    text: Arc::new(text),
                    stop_tokens: served.stop_tokens.clone(),
                    context: served.spec.context,
                    vocabulary: served.spec.vocabulary,
                }),
                served: served.clone(),
            })
        })
        .collect()
}

/// The server of channels, as its end knows it.
struct Counter {
    shop: Arc<Shop>,
    drain: Duration,
    closing: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    ending: watch::Sender<bool>,
    claimed: watch::Receiver<bool>,
}

/// Ends the worker when it is asked to, or at once when it is asked twice: sells nothing more, lets the
/// answers under way end, claims what was earned.
async fn end(
    mut signals: watch::Receiver<u32>,
    stopper: watch::Sender<bool>,
    counter: Option<Counter>,
) {
    if signals.wait_for(|signals| *signals > 0).await.is_err() {
        return;
    }
    if let Some(mut counter) = counter {
        let orderly = async {
            tracing::info!(target: "assay_worker", "ending: nothing more is sold");
            counter.shop.drain(counter.drain).await;
            counter.closing.send_replace(true);
            let _ = timeout(Duration::from_secs(5), &mut counter.server).await;
            counter.ending.send_replace(true);
            let claimed = counter.claimed.wait_for(|claimed| *claimed);
            if timeout(LAST_CLAIM, claimed).await.is_err() {
                tracing::warn!(
                    target: "assay_worker",
                    "what was earned in channels is not all claimed; the next start goes on"
                );
            }
        };
        tokio::select! {
            () = orderly => {}
            _ = signals.wait_for(|signals| *signals > 1) => {}
        }
    }
    stopper.send_replace(true);
    // Kept, so that nobody mistakes its end for a signal.
    stopper.closed().await;
}
