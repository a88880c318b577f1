use std::{sync::Arc, time::Duration};

use assay_openai::Limits;
use assay_primitives::Finish;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    backend::{end, tokens, Scripted, Step, MODEL},
    client::{finish, until, Client, Response, CHAT, COMPLETIONS},
};

/// A server with room for two answers, which begin with "H" and end when they may.
async fn room_for_two() -> (Arc<Scripted>, Client, Arc<Semaphore>) {
    let go = Arc::new(Semaphore::new(0));
    let steps = vec![
        tokens(&[43]),
        Step::Wait(go.clone()),
        end(Finish::Length, None),
    ];
    let limits = Limits {
        requests: Some(2),
        abandoned_for: Duration::from_secs(60),
        ..Limits::default()
    };
    let (backend, client) = Scripted::serve(limits, move |_| Ok(steps.clone())).await;
    (backend, client, go)
}

/// Asks until there is a place.
async fn served(client: Client) {
    let body = json!({ "model": MODEL, "prompt": "Hi" });
    let asked = async {
        while client.post(COMPLETIONS, &body).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    let guarded = tokio::time::timeout(Duration::from_secs(30), asked).await;
    guarded.expect("no place is free");
}

/// Asks while there is no place. Of the body nothing is ever sent.
async fn refused(client: Client) -> Response {
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n"
    );
    let response = client.send(&head, b"").await;
    assert_eq!(response.status, 429);
    response
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_is_told_to_come_again() {
    let (backend, client, go) = room_for_two().await;
    let stream = json!({ "model": MODEL, "prompt": "Hi", "stream": true });
    let mut first = client.begin(COMPLETIONS, "", &stream).await;
    until(&mut first, r#""text":"H""#).await;
    let whole = json!({ "model": MODEL, "prompt": "Hi" });
    let second = client.begin(COMPLETIONS, "", &whole).await;
    while backend.orders() < 2 {
        tokio::task::yield_now().await;
    }

    let refused = refused(client).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-should-retry"), None);
    let error = refused.json()["error"].clone();
    assert_eq!(error["type"], "rate_limit_error");
    assert_eq!(error["code"], "rate_limit_exceeded");
    assert_eq!(client.get("/v1/models").await.status, 200);
    assert_eq!(backend.orders(), 2);

    // One leaves, one is answered, and both places are free again.
    drop(first);
    go.add_permits(10);
    assert_eq!(finish(second).await.status, 200);
    served(client).await;
    let refusal = json!({ "model": "missing", "prompt": "Hi" });
    for _ in 0..3 {
        assert_eq!(client.post(COMPLETIONS, &refusal).await.status, 404);
    }
    let again = client.post(COMPLETIONS, &stream).await;
    assert_eq!(again.status, 200);
    served(client).await;
}

#[tokio::test]
async fn an_answer_that_goes_on_without_its_client_keeps_its_place() {
    let (backend, client, go) = room_for_two().await;
    let body = json!({ "model": MODEL, "prompt": "Hi", "stream": true });
    for key in ["a", "b"] {
        let header = format!("idempotency-key: {key}\r\n");
        let mut stream = client.begin(COMPLETIONS, &header, &body).await;
        until(&mut stream, r#""text":"H""#).await;
    }
    refused(client).await;
    assert_eq!(backend.cancelled(), 0);
    go.add_permits(10);
    served(client).await;
}
