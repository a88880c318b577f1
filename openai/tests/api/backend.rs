//! A backend with the demo model's text, whose answers are what a test wants.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Mutex,
    },
};

use assay_client::Text;
use assay_openai::{router, ApiError, Backend, Limits, Model, ModelText, Order, Piece, Pieces};
use assay_primitives::{Finish, TokenId};
use axum::http::{request::Parts, Request};
use futures::{future::BoxFuture, stream, FutureExt, StreamExt};
use serde_json::{json, Value};
use tokio::{
    net::TcpListener,
    sync::{watch, Notify, Semaphore},
};

use crate::client::Client;

pub const MODEL: &str = "demo/assay";
pub const CONTEXT: u32 = 512;

/// A step of an answer.
#[derive(Clone)]
pub enum Step {
    Piece(Piece),
    Error(ApiError),
    /// Goes on with a permit.
    Wait(Arc<Semaphore>),
    /// Goes on once the text is complete.
    UntilEnough,
    /// Never goes on.
    Hang,
}

type Script = dyn Fn(&Order) -> Result<Vec<Step>, ApiError> + Send + Sync;

pub struct Scripted {
    pub model: Arc<ModelText>,
    script: Box<Script>,
    pub orders: Mutex<Vec<Order>>,
    counts: Arc<Counts>,
}

/// Answers that are under way, and those that were cancelled.
#[derive(Default)]
struct Counts {
    running: watch::Sender<usize>,
    cancelled: AtomicUsize,
}

impl Scripted {
    /// The server of such a backend.
    pub async fn serve(
        limits: Limits,
        script: impl Fn(&Order) -> Result<Vec<Step>, ApiError> + Send + Sync + 'static,
    ) -> (Arc<Self>, Client) {
        let folder = Path::new("../models/demo/assay-demo");
        let backend = Arc::new(Self {
            model: Arc::new(ModelText {
                text: Arc::new(Text::open(folder).unwrap()),
                stop_tokens: vec![3],
                context: CONTEXT,
                vocabulary: 1536,
            }),
            script: Box::new(script),
            orders: Mutex::default(),
            counts: Arc::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(backend.clone(), limits);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (backend, Client { address })
    }

    /// The server of a backend that always answers this.
    pub async fn answering(steps: Vec<Step>) -> (Arc<Self>, Client) {
        Self::serve(Limits::default(), move |_| Ok(steps.clone())).await
    }

    pub fn orders(&self) -> usize {
        self.orders.lock().unwrap().len()
    }

    /// Returns when no answer is under way.
    pub async fn idle(&self) {
        let mut running = self.counts.running.subscribe();
        running.wait_for(|running| *running == 0).await.unwrap();
    }

    /// Returns when an answer is under way.
    pub async fn busy(&self) {
        let mut running = self.counts.running.subscribe();
        running.wait_for(|running| *running > 0).await.unwrap();
    }

    pub fn cancelled(&self) -> usize {
        self.counts.cancelled.load(Ordering::SeqCst)
    }
}

/// Counts an answer that is under way, and keeps its request's place.
struct Running {
    counts: Arc<Counts>,
    _parts: Arc<Parts>,
    is_ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_ended {
            self.counts.cancelled.fetch_add(1, Ordering::SeqCst);
        }
        self.counts.running.send_modify(|running| *running -= 1);
    }
}

impl Backend for Scripted {
    fn models(&self) -> BoxFuture<'_, Result<Vec<Model>, ApiError>> {
        let model = |id: &str| Model {
            id: id.into(),
            created: 1_700_000_000,
            owned_by: "tests".into(),
            context_length: CONTEXT,
            verifiable: true,
            assay: Some(json!({ "listing": "0x01" })),
        };
        async move { Ok(vec![model(MODEL), model("other")]) }.boxed()
    }

    fn text<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Arc<ModelText>, ApiError>> {
        async move {
            match model {
                MODEL => Ok(self.model.clone()),
                _ => Err(ApiError::model_not_found(model)),
            }
        }
        .boxed()
    }

    fn generate(&self, mut order: Order) -> BoxFuture<'_, Result<Pieces, ApiError>> {
        let script = (self.script)(&order);
        let enough = order.enough.clone();
        // What is remembered of the order must not keep its place.
        let (mut head, ()) = Request::new(()).into_parts();
        head.headers = order.parts.headers.clone();
        let parts = std::mem::replace(&mut order.parts, Arc::new(head));
        self.orders.lock().unwrap().push(order);
        async move { Ok(play(script?, enough, parts, self.counts.clone())) }.boxed()
    }
}

/// The pieces of a script, with a count of the answer.
fn play(steps: Vec<Step>, enough: Arc<Notify>, parts: Arc<Parts>, counts: Arc<Counts>) -> Pieces {
    counts.running.send_modify(|running| *running += 1);
    let running = Running {
        counts,
        _parts: parts,
        is_ended: false,
    };
    let pieces = stream::unfold(
        (steps.into_iter(), running, enough),
        |(mut steps, mut running, enough)| async move {
            loop {
                let piece = match steps.next()? {
                    Step::Piece(piece) => Ok(piece),
                    Step::Error(error) => Err(error),
                    Step::Wait(semaphore) => {
                        semaphore.acquire().await.unwrap().forget();
                        continue;
                    }
                    Step::UntilEnough => {
                        enough.notified().await;
                        continue;
                    }
                    Step::Hang => std::future::pending().await,
                };
                running.is_ended = matches!(piece, Err(_) | Ok(Piece::End { .. }));
                return Some((piece, (steps, running, enough)));
            }
        },
    );
    pieces.boxed()
}

pub fn tokens(tokens: &[TokenId]) -> Step {
    piece(tokens, None)
}

pub fn piece(tokens: &[TokenId], assay: Option<Value>) -> Step {
    let tokens = tokens.iter().map(|token| (*token).into()).collect();
    Step::Piece(Piece::Tokens { tokens, assay })
}

pub fn end(finish: Finish, assay: Option<Value>) -> Step {
    Step::Piece(Piece::End { finish, assay })
}
