use serde_json::json;

use crate::{
    backend::{tokens, Scripted, Step, MODEL},
    client::{until, CHAT, COMPLETIONS},
};

#[tokio::test]
async fn a_client_that_leaves_a_stream_cancels_all_its_choices() {
    let (backend, client) = Scripted::answering(vec![tokens(&[43]), Step::Hang]).await;
    let body = json!({ "model": MODEL, "prompt": "Hi", "stream": true, "n": 3 });
    let mut connection = client.begin(COMPLETIONS, "", &body).await;
    until(&mut connection, r#""text":"H""#).await;
    drop(connection);
    backend.idle().await;
    assert_eq!(backend.cancelled(), 3);
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_its_answer_cancels_it() {
    let (backend, client) = Scripted::answering(vec![tokens(&[43]), Step::Hang]).await;
    let body = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }] });
    let connection = client.begin(CHAT, "", &body).await;
    backend.busy().await;
    drop(connection);
    backend.idle().await;
    assert_eq!(backend.cancelled(), 1);
}
