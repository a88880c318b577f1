//! What is sold, and to whom: the backend of OpenAI's interface.

use std::{sync::Arc, time::Duration};

use assay_channel::{
    check_prompt,
    seal::{Binding, SealKey},
    wire::RequestParts,
};
use assay_client::H256;
use assay_openai::{ApiError, Backend, Limits, Model, ModelText, Order, Pieces};
use assay_primitives::{ListingId, Profile, Task, TokenId};
use futures::{future::BoxFuture, stream, FutureExt, StreamExt};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{timeout, Instant},
};

use super::{
    answer::{again, Answer},
    cashier::Cashier,
    payment::refusal,
    room::Room,
    score::{self, Score},
    ticket::{gone, Busy, Choice, Ticket, Tickets},
};
use crate::{
    engine::{EngineError, GenerateRequest, Sampling},
    generate::{Generation, Load},
    http::Metrics,
    models::Served,
};

/// How long answers may take to end after they were told to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A listing that is sold.
pub struct Listed {
    pub id: ListingId,
    /// For people: the folder's name.
    pub name: String,
    pub served: Served,
    pub text: Arc<ModelText>,
}

impl Listed {
    fn is_exact(&self) -> bool {
        self.served.spec.profile != Profile::Unverified
    }

    /// The name of the model in the interface: for people first, then the listing.
    fn model(&self) -> String {
        let unverified = match self.is_exact() {
            true => "",
            false => "-unverified",
        };
        format!("{}{unverified}:{:?}", self.name, self.id)
    }
}

/// What the server is made of.
pub struct ShopConfig {
    pub listed: Vec<Listed>,
    pub cashier: Cashier,
    pub metrics: Arc<Metrics>,
    pub seal_key: SealKey,
    /// What seals are bound to, but for the channel.
    pub binding: Binding,
    /// SS58 address of the provider's stash.
    pub provider: String,
    /// How long an answer waits for its next voucher.
    pub voucher_wait: Duration,
    /// How long in all between two receipts while others wait for its place.
    pub crowded_wait: Duration,
    /// How long a client may be ahead with what it has seen of the chain.
    pub chain_wait: Duration,
    pub limits: Limits,
    /// For bodies of requests.
    pub room: Room,
}

/// The shop: what is sold, and what is under way.
pub struct Shop {
    listed: Vec<Listed>,
    cashier: Cashier,
    pub(super) metrics: Arc<Metrics>,
    pub(super) seal_key: SealKey,
    pub(super) binding: Binding,
    provider: String,
    created: u64,
    pub(super) voucher_wait: Duration,
    crowded_wait: Duration,
    pub(super) chain_wait: Duration,
    pub(super) limits: Limits,
    pub(super) room: Room,
    /// True when nothing more is sold.
    closed: watch::Sender<bool>,
    /// True when answers have to end.
    hurry: watch::Sender<bool>,
    /// Answers under way.
    busy: Arc<watch::Sender<usize>>,
}

impl Shop {
    pub fn new(config: ShopConfig) -> Arc<Self> {
        let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let ShopConfig {
            listed,
            cashier,
            metrics,
            seal_key,
            binding,
            provider,
            voucher_wait,
            crowded_wait,
            chain_wait,
            limits,
            room,
        } = config;
        // Each choice may have a prompt of its own, as long as the longest context.
        let contexts = listed.iter().map(|listed| listed.text.context as usize);
        let prompts = limits.choices as usize;
        let prompt_ids = contexts.max().unwrap_or_default().saturating_mul(prompts);
        Arc::new(Self {
            listed,
            cashier,
            metrics,
            seal_key,
            binding,
            provider,
            created: since_epoch.as_secs(),
            voucher_wait,
            crowded_wait,
            chain_wait,
            // A request's key is its signed header; a key that anybody can guess would give its answer away.
            limits: Limits {
                kept_answers: 0,
                prompt_ids: Some(prompt_ids),
                ..limits
            },
            room,
            closed: watch::channel(false).0,
            hurry: watch::channel(false).0,
            busy: Arc::new(watch::channel(0).0),
        })
    }

    /// Who has the books.
    pub fn cashier(&self) -> &Cashier {
        &self.cashier
    }

    /// What is sold.
    pub fn listings(&self) -> Vec<ListingId> {
        self.listed.iter().map(|listed| listed.id).collect()
    }

    /// How much is under way.
    pub fn load(&self) -> Load {
        let mut sum = Load::default();
        for listed in &self.listed {
            let load = listed.served.generator.load();
            sum.running += load.running;
            sum.waiting += load.waiting;
        }
        sum
    }

    /// Sells nothing more, lets answers go on for so long, and then ends them with their receipts.
    pub async fn drain(&self, bound: Duration) {
        self.closed.send_replace(true);
        let mut busy = self.busy.subscribe();
        let deadline = Instant::now() + bound;
        if tokio::time::timeout_at(deadline, busy.wait_for(|busy| *busy == 0))
            .await
            .is_ok()
        {
            return;
        }
        self.hurry.send_replace(true);
        let _ = timeout(LAST_WORDS, busy.wait_for(|busy| *busy == 0)).await;
    }

    /// Whether anything is sold now, and how it goes on if not.
    pub(super) fn check_open(&self) -> Result<(), ApiError> {
        match *self.closed.borrow() {
            false => Ok(()),
            true => Err(ApiError::unavailable(
                "this worker is about to end; ask another provider, or again in a minute",
            )
            .code("draining")),
        }
    }

    /// A place among the answers under way.
    pub(super) fn busy(&self) -> Busy {
        Busy::new(&self.busy)
    }

    fn find(&self, model: &str) -> Result<&Listed, ApiError> {
        let id = model.rsplit(':').next().unwrap_or_default();
        let found = self
            .listed
            .iter()
            .find(|listed| format!("{:?}", listed.id) == id);
        found.ok_or_else(|| ApiError::model_not_found(model))
    }

    async fn answer(&self, order: Order) -> Result<Pieces, ApiError> {
        let listed = self.find(&order.model)?;
        let tickets = order.parts.extensions.get::<Tickets>();
        let signed = tickets.map_or(0, Tickets::len);
        // Counted before the first of them begins, since what has begun is charged.
        let choice = tickets
            .filter(|_| signed == order.choices as usize)
            .and_then(|tickets| tickets.take(order.choice));
        let Some(choice) = choice else {
            return Err(ApiError::invalid(format!(
                "{signed} headers are signed for {} choices; send one in assay-request for each",
                order.choices
            ))
            .code("malformed_payment")
            .param("n"));
        };
        let secret = secret(&order)?;
        match choice {
            Choice::New(ticket) => self.serve(listed, order, ticket, secret).await,
            Choice::Answered {
                key,
                header,
                receipt,
            } => {
                let bad = |error| refusal(&error, None);
                check_prompt(&header.header, &secret, &order.prompt).map_err(bad)?;
                // It costs nothing, and its reader may let it wait.
                let mut held = self.room.take(key.channel)?;
                let length = receipt.receipt.output_len as usize;
                held.grow(length.saturating_mul(size_of::<TokenId>()))?;
                let kept = self.cashier.ask(move |books| books.evidence(&key)).await;
                let kept = kept.map_err(gone)?.map_err(|error| {
                    tracing::error!(target: "assay_worker", %error, "an answer cannot be read back");
                    ApiError::internal("the stored answer cannot be read; ask with a new number")
                })?;
                let mut tokens = kept.map(|kept| kept.output).unwrap_or_default();
                tokens.truncate(receipt.receipt.output_len as usize);
                let pieces = stream::iter(again(tokens, receipt)).map(move |piece| {
                    let _held = &held;
                    piece
                });
                Ok(pieces.boxed())
            }
        }
    }

    /// Serves what was signed: of the body only the prompt counts, and that is held against the header.
    async fn serve(
        &self,
        listed: &Listed,
        order: Order,
        ticket: Ticket,
        secret: [u8; 32],
    ) -> Result<Pieces, ApiError> {
        if ticket.header.header.task != Task::Generate {
            return Err(other_task("a score", score::PATH));
        }
        let request = self.request(listed, &ticket, &secret, &order.prompt, order.logprobs)?;
        // Nothing is computed before `allow`, and nothing is charged before there is a place.
        let generation = submit(listed, &ticket, request)?;
        // Choices are asked for together: all have a place before one begins, or all are refused before one is charged.
        tokio::task::yield_now().await;
        let begun = ticket.begin(secret, order.prompt).await?;
        let answer = Answer {
            ticket,
            generation,
            first: begun.receipt,
            paid: begun.paid,
            enough: order.enough,
            logprobs: order.logprobs.is_some(),
            patience: self.voucher_wait,
            crowded: self.crowded_wait,
            hurry: self.hurry.subscribe(),
            metrics: self.metrics.clone(),
        };
        let pieces = stream::unfold(answer.start(), |mut pieces| async {
            Some((pieces.recv().await?, pieces))
        });
        Ok(pieces.boxed())
    }

    /// Scores what was signed; its receipts as they come.
    pub(super) async fn score(
        &self,
        tickets: Option<&Tickets>,
        asked: score::Asked,
    ) -> Result<score::Receipts, ApiError> {
        let listed = self.find(&asked.model)?;
        let choice = tickets
            .filter(|tickets| tickets.len() == 1)
            .and_then(|tickets| tickets.take(0));
        let secret = asked.assay.secret;
        let ticket = match choice {
            Some(Choice::New(ticket)) => ticket,
            Some(Choice::Answered {
                header, receipt, ..
            }) => {
                let fits = check_prompt(&header.header, &secret, &asked.prompt);
                fits.map_err(|error| refusal(&error, None))?;
                return Ok(score::again(receipt));
            }
            None => {
                return Err(ApiError::invalid(
                    "a score is one choice; send one header in assay-request",
                )
                .code("malformed_payment"))
            }
        };
        if ticket.header.header.task == Task::Generate {
            return Err(other_task("to be answered", "/v1/completions"));
        }
        let request = self.request(listed, &ticket, &secret, &asked.prompt, None)?;
        let looked_at = request.max_output_tokens;
        let generation = submit(listed, &ticket, request)?;
        let begun = ticket.begin(secret, asked.prompt).await?;
        let score = Score {
            ticket,
            generation,
            first: begun.receipt,
            looked_at,
            hurry: self.hurry.subscribe(),
            metrics: self.metrics.clone(),
        };
        Ok(score.start())
    }

    /// What is asked of the engine, if it is what was signed.
    fn request(
        &self,
        listed: &Listed,
        ticket: &Ticket,
        secret: &[u8; 32],
        prompt: &[TokenId],
        logprobs: Option<u8>,
    ) -> Result<GenerateRequest, ApiError> {
        let header = &ticket.header.header;
        if header.listing != listed.id {
            return Err(ApiError::invalid(format!(
                "the model is listing {:?}, and what was signed is for {:?}; ask for that one",
                listed.id, header.listing
            ))
            .code("wrong_listing")
            .param("model"));
        }
        if logprobs.is_some() && !listed.served.generator.gives_logprobs() {
            let next = "leave it out, or ask for a model whose engine gives them";
            return Err(ApiError::unsupported("logprobs", next));
        }
        check_prompt(header, secret, prompt).map_err(|error| refusal(&error, None))?;
        let (prompt, scored) = match header.task {
            Task::Generate => (prompt, None),
            Task::Score { answer_at, .. } => {
                let (prompt, answer) = prompt
                    .split_at_checked(answer_at as usize)
                    .unwrap_or_default();
                let looked_at = answer.iter().take(header.token_limit as usize);
                (prompt, Some(looked_at.copied().collect()))
            }
        };
        let sampling = header.sampling;
        let request = GenerateRequest {
            prompt: prompt.to_vec(),
            sampling: Sampling {
                temperature: sampling.temperature,
                top_k: sampling.top_k,
                top_p: sampling.top_p,
                min_p: sampling.min_p,
                penalty: sampling.penalty,
                seed: header.seed(&ticket.hash, &H256::zero()),
            },
            max_output_tokens: header.token_limit,
            stop_tokens: listed.served.stop_tokens.clone(),
            logprobs,
            scored,
        };
        let together = header.positions(header.token_limit).unwrap_or(u32::MAX);
        if together > ticket.context {
            return Err(ApiError::invalid(format!(
                "prompt and answer have up to {together} tokens, and {} are offered together; ask for fewer",
                ticket.context
            ))
            .code("context_length_exceeded"));
        }
        request.admit(&listed.served.spec).map_err(|error| {
            let code = match error {
                EngineError::NotExact => "not_exact",
                _ => "context_length_exceeded",
            };
            ApiError::invalid(error.to_string()).code(code)
        })?;
        self.check_open()?;
        Ok(request)
    }
}

fn submit(
    listed: &Listed,
    ticket: &Ticket,
    request: GenerateRequest,
) -> Result<Generation, ApiError> {
    let generator = &listed.served.generator;
    let generation = generator.submit_for(ticket.channel(), request);
    generation.map_err(|busy| ApiError::busy(busy.to_string(), busy.retry_after))
}

fn other_task(signed: &str, path: &str) -> ApiError {
    ApiError::invalid(format!("what was signed is {signed}; send it to {path}")).code("wrong_task")
}

fn secret(order: &Order) -> Result<[u8; 32], ApiError> {
    let wrong = |why: String| {
        ApiError::invalid(why)
            .code("prompt_mismatch")
            .param("assay.secret")
    };
    let Some(assay) = &order.assay else {
        let next = "send the 32 bytes that the roots are salted with";
        return Err(wrong(format!("the body has no assay.secret; {next}")));
    };
    let parts: RequestParts =
        serde_json::from_value(assay.clone()).map_err(|error| wrong(error.to_string()))?;
    Ok(parts.secret)
}

impl Backend for Shop {
    fn models(&self) -> BoxFuture<'_, Result<Vec<Model>, ApiError>> {
        async {
            let ids: Vec<ListingId> = self.listed.iter().map(|listed| listed.id).collect();
            let offers = self
                .cashier
                .ask(move |books| ids.iter().map(|id| books.offer(id)).collect::<Vec<_>>())
                .await
                .map_err(gone)?;
            let models = self
                .listed
                .iter()
                .zip(offers)
                .filter_map(|(listed, offer)| {
                    let offer = offer?;
                    Some(Model {
                        id: listed.model(),
                        created: self.created,
                        owned_by: self.provider.clone(),
                        context_length: offer.context.min(listed.text.context),
                        verifiable: listed.is_exact(),
                        assay: Some(json!({
                            "listing": format!("{:?}", listed.id),
                        "engine": listed.served.engine,
                            "input_price": offer.price.input.to_string(),
                            "output_price": offer.price.output.to_string(),
                        })),
                    })
                });
            Ok(models.collect())
        }
        .boxed()
    }

    fn text<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Arc<ModelText>, ApiError>> {
        async { Ok(self.find(model)?.text.clone()) }.boxed()
    }

    fn generate(&self, order: Order) -> BoxFuture<'_, Result<Pieces, ApiError>> {
        self.answer(order).boxed()
    }
}
