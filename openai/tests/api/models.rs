use serde_json::json;

use crate::{
    backend::{Scripted, CONTEXT, MODEL},
    client::CHAT,
};

#[tokio::test]
async fn the_models_are_listed_and_shown_by_their_names() {
    let (_, client) = Scripted::answering(vec![]).await;
    let list = client.get("/v1/models").await;
    assert_eq!(list.status, 200);
    let list = list.json();
    assert_eq!(list["object"], "list");
    let model = json!({
        "id": MODEL,
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "tests",
        "context_length": CONTEXT,
        "verifiable": true,
        "assay": { "listing": "0x01" },
    });
    assert_eq!(list["data"][0], model);
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    // The name has a slash in it.
    assert_eq!(client.get("/v1/models/demo/assay").await.json(), model);
    let encoded = client.get("/v1/models/demo%2Fassay").await;
    assert_eq!(encoded.json(), model);
    let missing = client.get("/v1/models/missing").await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn what_is_not_there_is_an_error_of_the_same_shape() {
    let (_, client) = Scripted::answering(vec![]).await;
    let wrong_path = client.post("/v1/embeddings", &json!({})).await;
    assert_eq!(wrong_path.status, 404);
    let wrong_method = client.get(CHAT).await;
    assert_eq!(wrong_method.status, 405);
    for (method, path, next, allowed) in [
        ("GET", CHAT, "use POST", "POST"),
        ("POST", "/v1/models", "use GET", "GET,HEAD"),
        ("PUT", CHAT, "the header `allow`", "POST"),
        ("DELETE", "/v1/models", "the header `allow`", "GET,HEAD"),
    ] {
        let refused = client
            .send(&format!("{method} {path} HTTP/1.1\r\n"), b"")
            .await;
        assert_eq!(refused.status, 405);
        assert_eq!(refused.header("allow"), Some(allowed));
        let message = refused.json()["error"]["message"].to_string();
        assert!(message.contains(next), "{message}");
    }
    for response in [wrong_path, wrong_method] {
        assert_eq!(response.header("x-should-retry"), Some("false"));
        let error = &response.json()["error"];
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].is_string() && error["param"].is_null());
    }
}
