//! Against a real server on this machine, which answers as the test says.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
    Json, Router,
};
use serde_json::{json, Value};
use tokenizers::Tokenizer;

use super::{server::read_key, *};
use crate::{
    engine::{Finish, Sampling},
    generate::{Class, Event, Failure, Generated, Generation, Generator},
};

/// What the foreign server says to one request.
#[derive(Clone)]
enum Says {
    /// A stream of these events.
    Stream(Vec<String>),
    Error(StatusCode, &'static str),
    /// The stream breaks off.
    Broken,
    /// One token, and nothing more.
    Hangs,
}

#[derive(Clone, Default)]
struct Foreign {
    /// The next ones, in order; the last one stays.
    says: Arc<Mutex<Vec<Says>>>,
    /// What it was asked.
    asked: Arc<Mutex<Vec<Value>>>,
}

fn event(text: &str, ids: Option<&[u32]>, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "text": text, "token_ids": ids, "finish_reason": finish });
    json!({ "object": "text_completion", "choices": [choice] }).to_string()
}

fn usage(prompt: u32, completion: u32) -> String {
    let usage = json!({ "prompt_tokens": prompt, "completion_tokens": completion });
    json!({ "choices": [], "usage": usage }).to_string()
}

async fn completions(
    State(foreign): State<Foreign>,
    headers: HeaderMap,
    Json(mut body): Json<Value>,
) -> Response {
    body["key"] = json!(headers
        .get("authorization")
        .map(|key| key.to_str().unwrap()));
    foreign.asked.lock().unwrap().push(body);
    let says = {
        let mut says = foreign.says.lock().unwrap_or_else(PoisonError::into_inner);
        match says.len() {
            1 => says[0].clone(),
            _ => says.remove(0),
        }
    };
    let stream = |events: &[String], end: &str| {
        let events = events.iter().map(|event| format!("data: {event}\r\n\r\n"));
        format!(": hello\n\n{}{end}", events.collect::<String>())
    };
    match says {
        Says::Stream(events) => stream(&events, "data: [DONE]\n\n").into_response(),
        Says::Broken => stream(&[event("a", None, None)], "data: {\"cho").into_response(),
        Says::Hangs => {
            use futures::StreamExt;
            let first = stream(&[event("a", None, None)], "");
            let first = futures::stream::iter([Ok::<_, std::io::Error>(first)]);
            let body = first.chain(futures::stream::pending());
            axum::body::Body::from_stream(body).into_response()
        }
        Says::Error(status, message) => {
            (status, Json(json!({ "error": { "message": message } }))).into_response()
        }
    }
}

impl Foreign {
    async fn start(says: Vec<Says>) -> (Self, SocketAddr) {
        let foreign = Self {
            says: Arc::new(Mutex::new(says)),
            ..Self::default()
        };
        let router = Router::new()
            .route("/v1/completions", post(completions))
            .with_state(foreign.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (foreign, address)
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

fn demo() -> PathBuf {
    PathBuf::from("../models/demo/assay-demo")
}

fn engine(address: SocketAddr, change: impl FnOnce(&mut Upstream)) -> UpstreamEngine {
    let mut upstream = Upstream {
        url: format!("http://{address}/v1/"),
        key_file: None,
        model: "there/model".into(),
        requests: 3,
    };
    change(&mut upstream);
    let folder = assay_client::folder::ModelFolder::open(demo()).unwrap();
    UpstreamEngine::load(&demo(), folder.spec(), &upstream).unwrap()
}

fn generator(address: SocketAddr) -> Generator {
    Generator::new(Box::new(engine(address, |_| {})), 8).unwrap()
}

fn request(max_output_tokens: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: vec![9, 8, 7],
        sampling: Sampling::GREEDY,
        max_output_tokens,
        stop_tokens: vec![3, 1],
        logprobs: None,
        scored: None,
    }
}

async fn answer(generator: &Generator, request: GenerateRequest) -> Result<Generated, Failure> {
    let generation = generator.submit(request, Class::Job).unwrap();
    generation.whole(|| {}).await
}

/// The ids of texts, one after the other.
fn ids(pieces: &[&str]) -> Vec<u32> {
    let tokenizer = Tokenizer::from_file(demo().join("tokenizer.json")).unwrap();
    let ids = pieces.iter().flat_map(|piece| {
        let encoded = tokenizer.encode(*piece, false).unwrap();
        encoded.get_ids().to_vec()
    });
    ids.collect()
}

/// They are in none of its completions.
#[tokio::test]
async fn it_gives_no_logprobs_and_says_so() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    assert!(!engine(nobody, |_| {}).gives_logprobs());
}

#[tokio::test(flavor = "multi_thread")]
async fn text_becomes_tokens_and_a_stop_the_stop_token() {
    let pieces = ["Once", " upon", " a", " time"];
    let mut events: Vec<_> = pieces.iter().map(|text| event(text, None, None)).collect();
    events.push(event("", None, Some("stop")));
    events.push(usage(3, 4));
    let (foreign, address) = Foreign::start(vec![Says::Stream(events)]).await;
    let expected: Vec<u32> = ids(&pieces).into_iter().chain([3]).collect();
    let mut asked = request(40);
    asked.sampling = Sampling {
        temperature: 700_000,
        top_k: 50,
        top_p: 900_000,
        min_p: 20_000,
        penalty: 1_100_000,
        seed: [1; 32],
    };
    let generated = answer(&generator(address), asked).await.unwrap();
    assert_eq!(
        (generated.tokens, generated.finish),
        (expected, Finish::Eos)
    );
    let [body] = &foreign.asked()[..] else {
        panic!("one request")
    };
    let expected = json!({
        "model": "there/model", "prompt": [9, 8, 7], "max_tokens": 40, "temperature": 0.7,
        "top_k": 50, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.1, "seed": 0x0080_8080,
        "stream": true, "stream_options": { "include_usage": true }, "return_token_ids": true,
        "key": null,
    });
    assert_eq!(body, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_ids_are_taken_where_it_gives_them() {
    let events = vec![
        event("whatever", Some(&[700, 701]), None),
        event("", Some(&[]), None),
        event("it says", Some(&[702, 3]), Some("stop")),
    ];
    let (_, address) = Foreign::start(vec![Says::Stream(events)]).await;
    let generator = generator(address);
    let generated = answer(&generator, request(40)).await.unwrap();
    assert_eq!(generated.tokens, [700, 701, 702, 3]);
    assert_eq!(generated.finish, Finish::Eos);
    // No more than were asked for are taken.
    let generated = answer(&generator, request(2)).await.unwrap();
    assert_eq!(
        (generated.tokens, generated.finish),
        (vec![700, 701], Finish::Length)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_model_is_an_error() {
    let events = vec![event("x", Some(&[1_000_000]), None)];
    let (_, address) = Foreign::start(vec![Says::Stream(events)]).await;
    let error = answer(&generator(address), request(40)).await.unwrap_err();
    assert!(
        matches!(&error, Failure::Machine(why) if why.contains("token 1000000")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_asked_for_than_is_allowed() {
    let says = |ids: &[u32]| Says::Stream(vec![event("", Some(ids), Some("length"))]);
    let (foreign, address) =
        Foreign::start(vec![says(&[50, 51]), says(&[52]), says(&[53, 54, 55])]).await;
    let generator = generator(address);
    let mut generation = generator.submit(request(6), Class::Stream).unwrap();
    let next = async |generation: &mut Generation, count: usize| {
        let mut tokens = Vec::new();
        while tokens.len() < count {
            match generation.next().await.unwrap() {
                Event::Started => {}
                Event::Token(token) => tokens.push(token.id),
                other => panic!("{other:?}"),
            }
        }
        tokens
    };
    assert_eq!(generation.next().await, Some(Event::Started));
    assert!(foreign.asked().is_empty(), "nothing is allowed");
    generation.allow(2);
    assert_eq!(next(&mut generation, 2).await, [50, 51]);
    generation.allow(3);
    assert_eq!(next(&mut generation, 1).await, [52]);
    generation.allow(u32::MAX);
    assert_eq!(next(&mut generation, 3).await, [53, 54, 55]);
    assert_eq!(generation.next().await, Some(Event::End(Finish::Length)));
    let asked: Vec<_> = foreign
        .asked()
        .iter()
        .map(|body| (body["prompt"].clone(), body["max_tokens"].clone()))
        .collect();
    assert_eq!(
        asked,
        [
            (json!([9, 8, 7]), json!(2)),
            (json!([9, 8, 7, 50, 51]), json!(1)),
            (json!([9, 8, 7, 50, 51, 52]), json!(3)),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_server_is_asked_without_what_it_does_not_know() {
    let unknown = "Unrecognized request argument supplied: return_token_ids";
    let events = vec![event("Once", None, Some("length"))];
    let says = vec![
        Says::Error(StatusCode::BAD_REQUEST, unknown),
        Says::Stream(events),
    ];
    let (foreign, address) = Foreign::start(says).await;
    let expected = ids(&["Once"]);
    let request = request(expected.len() as u32);
    let generated = answer(&generator(address), request).await.unwrap();
    assert_eq!(generated.tokens, expected);
    let told = |body: &Value| body.get("return_token_ids").is_some();
    let asked: Vec<bool> = foreign.asked().iter().map(told).collect();
    assert_eq!(asked, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_says_what_to_do() {
    let stream = |event: &str| Says::Stream(vec![event.into()]);
    let empty = event("", None, Some("length"));
    let reason = event("a", None, Some("content_filter"));
    let cases = [
        (
            Says::Error(StatusCode::UNAUTHORIZED, "bad key"),
            "bad key; give its key with",
        ),
        (
            Says::Error(StatusCode::NOT_FOUND, "no such\nmodel"),
            "no such model; check --upstream",
        ),
        (
            Says::Error(StatusCode::TOO_MANY_REQUESTS, "slow"),
            "--max-batch",
        ),
        (
            Says::Error(StatusCode::INTERNAL_SERVER_ERROR, "oh"),
            "500 Internal Server Error: oh",
        ),
        (Says::Broken, "broke off its answer: the connection ended"),
        (stream("{"), "something else than a completion"),
        (
            stream(r#"{"error": {"message": "out of memory"}}"#),
            "out of memory",
        ),
        (stream(&empty), "without a token"),
        (stream(&reason), "content_filter"),
        (stream(r#"{"choices": []}"#), "without a reason"),
    ];
    for (says, expected) in cases {
        let (_, address) = Foreign::start(vec![says]).await;
        let error = answer(&generator(address), request(40)).await.unwrap_err();
        let Failure::Machine(why) = &error else {
            panic!("{error:?}")
        };
        assert!(
            why.contains(expected) && why.contains(&address.to_string()),
            "{why}"
        );
        assert!(!why.contains('\n'), "{why}");
    }
    let nobody = "127.0.0.1:1".parse().unwrap();
    let error = answer(&generator(nobody), request(4)).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_holds_up_nobody_and_is_left_when_nobody_waits() {
    let whole = Says::Stream(vec![event("a", None, Some("stop"))]);
    let (_, address) = Foreign::start(vec![Says::Hangs, whole]).await;
    let generator = generator(address);
    let mut hanging = generator.submit(request(9), Class::Stream).unwrap();
    hanging.allow(9);
    assert_eq!(hanging.next().await, Some(Event::Started));
    assert!(matches!(hanging.next().await, Some(Event::Token(_))));
    let other = answer(&generator, request(9)).await.unwrap();
    assert_eq!(other.finish, Finish::Eos);
    drop(hanging);
    // The place is free when the thread has heard of it.
    answer(&generator, request(9)).await.unwrap();
    while generator.load().running > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_goes_to_the_server_and_nowhere_else() {
    let events = vec![event("a", None, Some("stop"))];
    let (foreign, address) = Foreign::start(vec![Says::Stream(events)]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, " sk-123\n").unwrap();
    let engine = engine(address, |upstream| upstream.key_file = Some(file.clone()));
    assert!(!engine.describe().contains("sk-123"));
    assert!(engine.describe().contains("unverified"));
    assert!(!engine.describe().contains(&address.to_string()));
    for url in [
        "http://me:sk-1@127.0.0.1/v1",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
    ] {
        let folder = assay_client::folder::ModelFolder::open(demo()).unwrap();
        let upstream = Upstream {
            url: url.into(),
            key_file: None,
            model: "m".into(),
            requests: 1,
        };
        let error = UpstreamEngine::load(&demo(), folder.spec(), &upstream);
        let error = error.err().unwrap().to_string();
        assert!(
            error.contains("--upstream") && !error.contains("sk-1"),
            "{error}"
        );
    }
    let generator = Generator::new(Box::new(engine), 8).unwrap();
    answer(&generator, request(9)).await.unwrap();
    assert_eq!(foreign.asked()[0]["key"], "Bearer sk-123");
    for bad in ["", "two\nlines"] {
        fs::write(&file, bad).unwrap();
        let error = read_key(&file).unwrap_err().to_string();
        assert!(error.contains("--upstream-key-file"), "{error}");
    }
}
