use std::{future::Future, sync::Arc};

use assay_openai::{ApiError, Order, Piece};
use assay_primitives::TokenId;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{choice::Need, models::Model, shop::Shop};

/// An answer that is being bought.
pub struct Purchase {
    pub shop: Arc<Shop>,
    pub model: Model,
    pub order: Order,
    /// The most tokens of the answer, and whether fewer will do where nobody can be paid for them.
    pub limit: u32,
    pub at_most: bool,
    /// All tokens so far.
    pub output: Vec<TokenId>,
    pub pieces: mpsc::Sender<Result<Piece, ApiError>>,
    /// Set once the client has all that it is shown.
    pub stopped: watch::Receiver<bool>,
    /// Told once a provider has taken the request, or that none does.
    pub begun: Option<oneshot::Sender<Result<(), ApiError>>>,
}

impl Purchase {
    /// A provider has taken the request.
    pub fn begin(&mut self) {
        if let Some(begun) = self.begun.take() {
            let _ = begun.send(Ok(()));
        }
    }

    /// Until the client has left, or has all that it is shown.
    pub fn enough(&self) -> impl Future<Output = ()> {
        let (mut stopped, pieces) = (self.stopped.clone(), self.pieces.clone());
        async move {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => {}
                () = pieces.closed() => {}
            }
        }
    }

    pub fn need(&self) -> Need {
        let output = self.output.len() as u32;
        Need {
            prompt_len: (self.order.prompt.len() as u32).saturating_add(output),
            token_limit: self.limit.saturating_sub(output),
            max_price: self.shop.terms.max_price,
            sealed: self.shop.terms.seal,
        }
    }
}
