use std::time::Duration;

/// What one client may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes of a request's body.
    pub body_bytes: usize,
    /// The most token ids in the prompts of a body, each of which takes far more memory than text. A body has no more values
    /// than these and some thousands for the rest. None: as many as its bytes have.
    pub prompt_ids: Option<usize>,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long nothing of a body may come.
    pub body_pause: Duration,
    /// The most requests for answers at once, each from before its body is read until its answer is whole, also where
    /// nobody waits for it any more. None: whoever calls has bounds of its own.
    pub requests: Option<usize>,
    /// The most choices of one request.
    pub choices: u32,
    /// A stream that says nothing for this long says that it is alive.
    pub keep_alive: Duration,
    /// How long a backend may take to end an answer whose text is complete.
    pub farewell: Duration,
    /// The most answers that are kept for requests with an `Idempotency-Key`; zero ignores such keys.
    pub kept_answers: usize,
    /// The most bytes of all kept answers.
    pub kept_bytes: usize,
    /// How long an answer is kept.
    pub kept_for: Duration,
    /// How long an answer with an `Idempotency-Key` goes on when nobody reads it any more.
    pub abandoned_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            prompt_ids: None,
            body_timeout: Duration::from_secs(30),
            body_pause: Duration::from_secs(5),
            requests: None,
            choices: 8,
            keep_alive: Duration::from_secs(10),
            farewell: Duration::from_secs(10),
            kept_answers: 1024,
            kept_bytes: 64 << 20,
            kept_for: Duration::from_secs(600),
            abandoned_for: Duration::from_secs(30),
        }
    }
}
