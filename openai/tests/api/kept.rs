use std::{sync::Arc, time::Duration};

use assay_openai::{ApiError, Limits};
use assay_primitives::Finish;
use serde_json::{json, Value};
use tokio::sync::Semaphore;

use crate::{
    backend::{end, tokens, Scripted, Step, MODEL},
    client::{finish, until, CHAT, COMPLETIONS},
};

const KEY: &str = "idempotency-key: one\r\n";

fn request(stream: bool) -> Value {
    json!({ "model": MODEL, "prompt": "Hi", "stream": stream })
}

fn answer() -> Vec<Step> {
    vec![tokens(&[43]), tokens(&[44]), end(Finish::Length, None)]
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_answer() {
    for stream in [false, true] {
        let (backend, client) = Scripted::answering(answer()).await;
        let body = request(stream);
        let first = client.post_with(COMPLETIONS, KEY, &body).await;
        let again = client.post_with(COMPLETIONS, KEY, &body).await;
        assert_eq!(first.status, 200);
        assert_eq!(again.status, 200);
        assert_eq!(again.header("content-type"), first.header("content-type"));
        // With the same id, which is random.
        assert_eq!(again.body, first.body);
        assert_eq!(backend.orders(), 1);
        // Another key, another client, and no key.
        for headers in [
            "idempotency-key: two\r\n",
            "idempotency-key: one\r\nauthorization: Bearer other\r\n",
            "",
        ] {
            let other = client.post_with(COMPLETIONS, headers, &body).await;
            assert_ne!(other.body, first.body);
        }
        assert_eq!(backend.orders(), 4);
    }
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let (backend, client) = Scripted::answering(answer()).await;
    client.post_with(COMPLETIONS, KEY, &request(false)).await;
    let other = client.post_with(COMPLETIONS, KEY, &request(true)).await;
    // The same bytes, asked elsewhere.
    let elsewhere = client.post_with(CHAT, KEY, &request(false)).await;
    for response in [other, elsewhere] {
        assert_eq!(response.status, 422);
        assert_eq!(response.header("x-should-retry"), Some("false"));
        assert_eq!(response.json()["error"]["type"], "idempotency_error");
    }
    let key = format!("idempotency-key: {}\r\n", "x".repeat(256));
    for key in [key.as_str(), "idempotency-key:\r\n"] {
        let response = client.post_with(COMPLETIONS, key, &request(false)).await;
        assert_eq!(response.status, 400);
    }
    assert_eq!(backend.orders(), 1);
}

#[tokio::test]
async fn an_answer_that_is_being_made_is_read_along() {
    for stream in [false, true] {
        let more = Arc::new(Semaphore::new(0));
        let steps = [&[Step::Wait(more.clone())], &answer()[..]].concat();
        let (backend, client) = Scripted::answering(steps).await;
        let first = client.begin(COMPLETIONS, KEY, &request(stream)).await;
        backend.busy().await;
        let second = client.begin(COMPLETIONS, KEY, &request(stream)).await;
        more.add_permits(1);
        let [first, second] = [finish(first).await, finish(second).await];
        assert_eq!(first.status, 200);
        assert_eq!(first.body, second.body);
        assert_eq!(backend.orders(), 1);
    }
}

#[tokio::test]
async fn whoever_loses_its_connection_may_ask_again() {
    for stream in [false, true] {
        let more = Arc::new(Semaphore::new(0));
        let steps = [&[tokens(&[45]), Step::Wait(more.clone())], &answer()[..]].concat();
        let (backend, client) = Scripted::answering(steps).await;
        let mut lost = client.begin(COMPLETIONS, KEY, &request(stream)).await;
        backend.busy().await;
        if stream {
            until(&mut lost, r#""text":"J""#).await;
        }
        drop(lost);
        // So that the server knows that it is gone.
        tokio::time::sleep(Duration::from_millis(50)).await;
        more.add_permits(1);
        backend.idle().await;
        let again = client.post_with(COMPLETIONS, KEY, &request(stream)).await;
        let text: String = if stream {
            let chunks = again.chunks();
            let texts = chunks
                .iter()
                .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap());
            texts.collect()
        } else {
            again.json()["choices"][0]["text"].as_str().unwrap().into()
        };
        assert_eq!(text, "JHI");
        assert_eq!((backend.orders(), backend.cancelled()), (1, 0));
    }
}

#[tokio::test]
async fn an_answer_that_nobody_asks_for_again_is_cancelled() {
    let limits = Limits {
        abandoned_for: Duration::from_millis(20),
        ..Limits::default()
    };
    let (backend, client) = Scripted::serve(limits, |_| Ok(vec![Step::Hang])).await;
    let lost = client.begin(COMPLETIONS, KEY, &request(false)).await;
    backend.busy().await;
    drop(lost);
    backend.idle().await;
    assert_eq!(backend.cancelled(), 1);
    // It is forgotten: the request begins anew.
    let again = client.begin(COMPLETIONS, KEY, &request(false)).await;
    backend.busy().await;
    drop(again);
    assert_eq!(backend.orders(), 2);
}

#[tokio::test]
async fn errors_are_not_kept() {
    for (stream, steps) in [
        (
            false,
            vec![Step::Error(ApiError::unavailable("gone; ask again"))],
        ),
        (
            true,
            vec![
                tokens(&[43]),
                Step::Error(ApiError::unavailable("gone; ask again")),
            ],
        ),
    ] {
        let (backend, client) = Scripted::answering(steps).await;
        for asked in 1..=2 {
            let response = client.post_with(COMPLETIONS, KEY, &request(stream)).await;
            assert_eq!(response.status, if stream { 200 } else { 503 });
            backend.idle().await;
            assert_eq!(backend.orders(), asked);
        }
    }
    let refused = |_: &_| Err(ApiError::busy("full; come again", Duration::from_secs(1)));
    let (backend, client) = Scripted::serve(Limits::default(), refused).await;
    for asked in 1..=2 {
        let response = client.post_with(COMPLETIONS, KEY, &request(true)).await;
        assert_eq!(
            (response.status, response.header("retry-after")),
            (429, Some("1"))
        );
        assert_eq!(backend.orders(), asked);
    }
}

#[tokio::test]
async fn answers_are_kept_within_limits() {
    let whole = Limits::default();
    for limits in [
        Limits {
            kept_for: Duration::ZERO,
            ..whole.clone()
        },
        Limits {
            kept_bytes: 10,
            ..whole.clone()
        },
        // Keys are ignored.
        Limits {
            kept_answers: 0,
            ..whole.clone()
        },
    ] {
        let (backend, client) = Scripted::serve(limits, |_| Ok(answer())).await;
        for asked in 1..=2 {
            let response = client.post_with(COMPLETIONS, KEY, &request(false)).await;
            assert_eq!(response.status, 200);
            assert_eq!(backend.orders(), asked);
        }
    }
    // The oldest goes first.
    let limits = Limits {
        kept_answers: 2,
        ..whole
    };
    let (backend, client) = Scripted::serve(limits, |_| Ok(answer())).await;
    for (key, asked) in [(1, 1), (2, 2), (2, 2), (3, 3), (3, 3), (2, 3), (1, 4)] {
        let key = format!("idempotency-key: {key}\r\n");
        client.post_with(COMPLETIONS, &key, &request(false)).await;
        assert_eq!(backend.orders(), asked, "{key}");
    }
}

#[tokio::test]
async fn not_more_answers_are_made_than_could_be_kept() {
    let limits = Limits {
        kept_answers: 1,
        ..Limits::default()
    };
    let (backend, client) = Scripted::serve(limits, |_| Ok(vec![Step::Hang])).await;
    let first = client.begin(COMPLETIONS, KEY, &request(false)).await;
    backend.busy().await;
    let key = "idempotency-key: two\r\n";
    let second = client.post_with(COMPLETIONS, key, &request(false)).await;
    assert_eq!(second.status, 429);
    assert!(second.header("retry-after").is_some());
    drop(first);
}
