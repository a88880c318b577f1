//! The GPU that exact models are computed on.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use anyhow::{bail, Context};
use assay_cuda::{
    selftest,
    store::{Origin, Store},
    Device,
};
use tokio::sync::watch;

/// Positions of each shape that a start compares.
const SHORT: usize = 300;

/// A GPU, and who is told when it is gone.
#[derive(Clone)]
pub struct Gpu {
    pub device: Device,
    pub alarm: Alarm,
}

impl Gpu {
    /// GPU number `ordinal`, with kernels that have given the processor's bits. Takes a minute where the
    /// kernels are compiled for the first time.
    pub fn open(ordinal: usize, libraries: Option<&Path>, alarm: Alarm) -> anyhow::Result<Self> {
        let opened = assay_cuda::open(ordinal, libraries, Store::of_user().as_ref())?;
        let device = opened.device;
        if let Origin::Compiler(Some(error)) = opened.origin {
            tracing::warn!(
                target: "assay_worker", %error,
                "the compiled kernels are not kept, and are compiled anew at each start"
            );
        }
        tracing::info!(
            target: "assay_worker", device = device.name(), nvrtc = %opened.compiler,
            compiling = ?opened.compiling, loading = ?opened.loading,
            "comparing the GPU with the processor"
        );
        Self::compared(ordinal, device, SHORT, alarm)
    }

    /// A device that has given the processor's bits at `positions` positions of each shape.
    pub(super) fn compared(
        ordinal: usize,
        device: Device,
        positions: usize,
        alarm: Alarm,
    ) -> anyhow::Result<Self> {
        let mut wrong = Vec::new();
        let mut tokens = 0usize;
        selftest::run(&device, positions, rand::random(), &mut |compared| {
            tokens = tokens.saturating_add(compared.tokens);
            if compared.wrong > 0 {
                wrong.push(format!("{} ({} positions)", compared.shape, compared.wrong));
            }
        })
        .with_context(|| format!("cuda:{ordinal} cannot be compared with the processor"))?;
        if !wrong.is_empty() {
            bail!(
                "cuda:{ordinal} does not give the processor's bits: {}; serve with --device cpu, and report \
                 this with what `assay-worker selftest --device cuda:{ordinal}` prints",
                wrong.join(", ")
            );
        }
        tracing::info!(target: "assay_worker", tokens, "the GPU gives the processor's bits");
        Ok(Self { device, alarm })
    }
}

/// Ends the worker when what it computes on is gone: what was promised is claimed, nothing more is sold,
/// and whoever watches the worker may start it again.
#[derive(Clone)]
pub struct Alarm {
    cause: Arc<OnceLock<String>>,
    /// Counts how often the process was asked to end.
    signals: watch::Sender<u32>,
}

impl Alarm {
    pub fn new(signals: watch::Sender<u32>) -> Self {
        Self {
            cause: Arc::default(),
            signals,
        }
    }

    /// The first cause counts.
    pub fn ring(&self, cause: &str) {
        if self.cause.set(cause.into()).is_ok() {
            tracing::error!(target: "assay_worker", cause, "ending");
            self.signals
                .send_modify(|signals| *signals = signals.saturating_add(1));
        }
    }

    /// Why it rang, if it did.
    pub fn cause(&self) -> Option<&str> {
        self.cause.get().map(String::as_str)
    }
}
