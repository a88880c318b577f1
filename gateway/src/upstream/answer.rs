//! An answer as it comes from a provider.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use assay_channel::wire::ChunkParts;
use assay_openai::sse::{Event, Parser, DONE};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    body::{Expected, Reply},
    error_of, lost, ErrorFields, Failed,
};

/// A stream that is silent for longer is broken: providers say that they are alive more often.
const SILENCE: Duration = Duration::from_secs(45);
/// How long the first token may take, and each further one, while the provider says that it is alive. A score has none and
/// comes within the first of the two.
const FIRST: Duration = Duration::from_secs(600);
const NEXT: Duration = Duration::from_secs(120);
/// The most bytes of one event: the tokens of a chunk, and a receipt.
const EVENT: usize = 1 << 20;

/// A step of an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Chunk {
    Tokens(Box<ChunkParts>, Vec<Logprob>),
    /// The stream is whole.
    Done,
}

/// A token's log-probability, and those of the likeliest ones in its place.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Logprob {
    pub logprob: f32,
    #[serde(default)]
    pub top: Vec<(u32, f32)>,
}

pub struct Answer {
    response: Response,
    reply: Reply,
    parser: Parser,
    ready: VecDeque<Chunk>,
    done: bool,
    /// Whether log-probabilities were asked for.
    logprobs: bool,
    /// How long the next token may be waited for, and was so far. What passes while nobody reads does not count.
    patience: Duration,
    waited: Duration,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    choices: Vec<Choice<'a>>,
    error: Option<ErrorFields>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    assay: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Logprobs {
    #[serde(default)]
    logprobs: Vec<Logprob>,
}

impl Answer {
    pub(super) fn new(
        response: Response,
        expected: Expected,
        logprobs: bool,
    ) -> Result<Self, Failed> {
        Ok(Self {
            reply: Reply::new(expected, response.headers())?,
            response,
            parser: Parser::new(EVENT),
            ready: VecDeque::new(),
            done: false,
            logprobs,
            patience: FIRST,
            waited: Duration::ZERO,
        })
    }

    /// The next step. Keep-alives pass unseen.
    pub async fn next(&mut self) -> Result<Chunk, Failed> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                if matches!(&chunk, Chunk::Tokens(parts, _) if !parts.tokens.is_empty()) {
                    (self.patience, self.waited) = (NEXT, Duration::ZERO);
                }
                return Ok(chunk);
            }
            if self.waited > self.patience {
                let seconds = self.waited.as_secs();
                return Err(Failed::Lost(format!("no token came for {seconds} s")));
            }
            let silent = || Failed::Lost(format!("nothing came for {} s", SILENCE.as_secs()));
            let start = Instant::now();
            let bytes = tokio::time::timeout(SILENCE, self.response.chunk()).await;
            self.waited = self.waited.saturating_add(start.elapsed());
            match bytes.map_err(|_| silent())?.map_err(lost)? {
                Some(bytes) => self.take(&bytes)?,
                None => return Err(Failed::Lost("the answer breaks off".into())),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let nonsense = |error: &dyn std::fmt::Display| Failed::Nonsense(error.to_string());
        let plain = self.reply.open(bytes)?;
        self.parser.push(&plain).map_err(|error| nonsense(&error))?;
        while let Some(event) = self.parser.next_event() {
            match event {
                Event::Comment(_) => {}
                Event::Data(data) if data == DONE => {
                    self.done = true;
                    self.ready.push_back(Chunk::Done);
                }
                Event::Data(_) if self.done => {
                    return Err(Failed::Nonsense("it goes on after its end".into()));
                }
                Event::Data(data) => {
                    self.ready.extend(chunk(&data, self.logprobs)?);
                }
            }
        }
        Ok(())
    }
}

fn chunk(data: &str, with_logprobs: bool) -> Result<Option<Chunk>, Failed> {
    let nonsense = |error: serde_json::Error| Failed::Nonsense(format!("a chunk: {error}"));
    let body: Body = serde_json::from_str(data).map_err(nonsense)?;
    if let Some(error) = body.error {
        return Err(error_of(StatusCode::BAD_GATEWAY, None, error));
    }
    let mut choices = body.choices.into_iter();
    let assay = choices.next().and_then(|choice| choice.assay);
    if choices.next().is_some() {
        return Err(Failed::Nonsense("it has more than one choice".into()));
    }
    let Some(assay) = assay else {
        return Ok(None);
    };
    let parts: ChunkParts = serde_json::from_str(assay.get()).map_err(nonsense)?;
    // What a client can show and nobody is paid for may be missing.
    let logprobs: Logprobs = match with_logprobs {
        true => serde_json::from_str(assay.get()).unwrap_or_default(),
        false => Logprobs::default(),
    };
    Ok(Some(Chunk::Tokens(Box::new(parts), logprobs.logprobs)))
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;

    fn read(body: Value) -> Result<Option<Chunk>, Failed> {
        chunk(&body.to_string(), true)
    }

    #[test]
    fn tokens_are_taken_from_assay_and_the_text_is_nobodys_business() {
        let body = json!({"choices": [{"text": "a lie", "assay": {"tokens": [7, 8]}}]});
        let Ok(Some(Chunk::Tokens(parts, logprobs))) = read(body) else {
            panic!("no tokens");
        };
        assert_eq!(parts.tokens, [7, 8]);
        assert!(parts.receipt.is_none() && logprobs.is_empty());
        // As the one with the usage.
        assert_eq!(read(json!({"choices": [], "usage": {}})), Ok(None));
        assert_eq!(
            read(json!({"choices": [{"text": "", "index": 0}]})),
            Ok(None)
        );
    }

    #[tokio::test]
    async fn a_provider_that_only_says_that_it_is_alive_is_left() {
        use axum::{body::Body, routing::get, Router};
        let _ = rustls::crypto::ring::default_provider().install_default();
        let alive = get(async || {
            let events = futures::stream::unfold(0u8, |number| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let event = match number % 2 {
                    0 => ": keep-alive\n\n",
                    _ => "data: {\"choices\": [{\"assay\": {\"tokens\": []}}]}\n\n",
                };
                Some((Ok::<_, std::io::Error>(event), number.wrapping_add(1)))
            });
            Body::from_stream(events)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", alive);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let response = reqwest::get(url).await.unwrap();
        let mut answer = Answer::new(response, Expected::Plain, false).unwrap();
        answer.patience = Duration::from_millis(300);
        let ended = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Err(failed) = answer.next().await {
                    return failed;
                }
            }
        });
        let failed = ended.await.expect("it waits for ever").to_string();
        assert!(failed.contains("no token came"), "{failed}");
    }

    #[test]
    fn what_no_server_says_is_nonsense() {
        for body in [
            json!({"choices": [{"assay": {"tokens": ["7"]}}]}),
            json!({"choices": [{"assay": {"tokens": [-1]}}]}),
            json!({"choices": [{"assay": {"receipt": "0x00"}}]}),
            json!({"choices": [{}, {}]}),
        ] {
            let read = read(body);
            assert!(matches!(read, Err(Failed::Nonsense(_))), "{read:?}");
        }
    }

    #[test]
    fn log_probabilities_are_taken_if_they_are_wanted_and_make_sense() {
        let body = |logprobs: Value| {
            json!({"choices": [{"assay": {"tokens": [7], "logprobs": logprobs}}]}).to_string()
        };
        let taken = |logprobs: Value, wanted: bool| match chunk(&body(logprobs), wanted) {
            Ok(Some(Chunk::Tokens(_, logprobs))) => logprobs,
            other => panic!("{other:?}"),
        };
        let good = json!([{"logprob": -0.5, "top": [[7, -0.5]]}]);
        let found = taken(good.clone(), true);
        assert_eq!((found.len(), found[0].logprob), (1, -0.5));
        assert!(taken(good, false).is_empty());
        assert!(taken(json!("none"), true).is_empty());
    }

    #[test]
    fn an_error_in_the_middle_is_an_error() {
        let read = read(json!({"error": {"message": "the engine\nfailed"}}));
        assert_eq!(
            read,
            Err(Failed::Refused {
                status: 502,
                code: String::new(),
                message: "the engine failed".into()
            })
        );
    }
}
