use std::{
    cell::RefCell,
    convert::Infallible,
    time::{Duration, Instant},
};

use assay_openai::{read_body, read_body_into, ApiError, Limits};
use assay_primitives::Finish;
use axum::{
    body::Body,
    http::{header::CONTENT_LENGTH, HeaderMap, HeaderValue, StatusCode},
};
use futures::{stream, StreamExt};
use serde_json::{json, Value};

use crate::{
    backend::{end, Scripted, MODEL},
    client::{finish, Client, CHAT, COMPLETIONS},
};

/// A request that would be answered, with this field changed.
fn request(path: &str, field: &str, value: Value) -> Value {
    let mut request = match path {
        CHAT => json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }] }),
        _ => json!({ "model": MODEL, "prompt": "Hi" }),
    };
    request[field] = value;
    request
}

/// That the request with this field is refused with 400 because of `param`; its code.
async fn refused(client: Client, path: &str, field: &str, value: Value, param: &str) -> Value {
    let response = client
        .post(path, &request(path, field, value.clone()))
        .await;
    let context = format!("{path} {field} {value}");
    assert_eq!(response.status, 400, "{context}");
    assert_eq!(response.header("x-should-retry"), Some("false"));
    let error = response.json()["error"].clone();
    assert_eq!(error["param"], param, "{context}: {error}");
    assert_eq!(error["type"], "invalid_request_error");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains(param) && !message.contains('\n'),
        "{context}: {message}"
    );
    error["code"].clone()
}

async fn server() -> (std::sync::Arc<Scripted>, Client) {
    Scripted::answering(vec![end(Finish::Eos, None)]).await
}

#[tokio::test]
async fn what_nobody_here_does_is_refused_by_its_name() {
    let (backend, client) = server().await;
    let tool = json!([{ "type": "function", "function": { "name": "f" } }]);
    let image = json!([{ "role": "user", "content": [
        { "type": "text", "text": "what is this" },
        { "type": "image_url", "image_url": { "url": "data:" } },
    ]}]);
    let called = json!([{ "role": "assistant", "content": null, "tool_calls": [{ "id": "1" }] }]);
    let result = json!([{ "role": "tool", "content": "4", "tool_call_id": "1" }]);
    for (field, value, param) in [
        ("tools", tool.clone(), "tools"),
        ("functions", tool, "functions"),
        ("tool_choice", json!("auto"), "tool_choice"),
        ("function_call", json!("auto"), "function_call"),
        (
            "response_format",
            json!({ "type": "json_object" }),
            "response_format",
        ),
        (
            "response_format",
            json!({ "type": "json_schema" }),
            "response_format",
        ),
        ("modalities", json!(["text", "audio"]), "modalities"),
        ("audio", json!({ "voice": "alloy" }), "audio"),
        ("web_search_options", json!({}), "web_search_options"),
        ("moderation", json!({ "model": "m" }), "moderation"),
        ("messages", image, "messages[0].content[1].type"),
        ("messages", called, "messages[0].tool_calls"),
        ("messages", result, "messages[0].role"),
    ] {
        let code = refused(client, CHAT, field, value, param).await;
        assert_eq!(code, "unsupported_parameter", "{param}");
    }
    for (field, value) in [
        ("echo", json!(true)),
        ("suffix", json!("end")),
        ("best_of", json!(2)),
    ] {
        let code = refused(client, COMPLETIONS, field, value, field).await;
        assert_eq!(code, "unsupported_parameter", "{field}");
    }
    for path in [CHAT, COMPLETIONS] {
        for (field, value) in [
            ("presence_penalty", json!(0.1)),
            ("frequency_penalty", json!(-1)),
            ("logit_bias", json!({ "50256": -100 })),
        ] {
            let code = refused(client, path, field, value, field).await;
            assert_eq!(code, "unsupported_parameter", "{field}");
        }
    }
    assert_eq!(backend.orders(), 0);
}

#[tokio::test]
async fn what_asks_for_nothing_more_is_taken() {
    let (_, client) = server().await;
    for (field, value) in [
        ("tools", json!([])),
        ("tools", json!(null)),
        ("tool_choice", json!("none")),
        ("response_format", json!({ "type": "text" })),
        ("modalities", json!(["text"])),
        ("presence_penalty", json!(0)),
        ("frequency_penalty", json!(0.0)),
        ("logit_bias", json!({})),
        ("user", json!("me")),
        ("metadata", json!({ "a": "b" })),
        ("store", json!(false)),
        ("service_tier", json!("auto")),
        (
            "stream_options",
            json!({ "include_usage": true, "include_obfuscation": false }),
        ),
        ("parallel_tool_calls", json!(true)),
        ("reasoning_effort", json!("low")),
        ("a field of the future", json!([{}])),
        ("stop", json!(null)),
        ("stop", json!([])),
        ("top_k", json!(-1)),
        ("seed", json!(i64::MIN)),
        ("seed", json!(u64::MAX)),
        ("max_completion_tokens", json!(100)),
        ("logprobs", json!(false)),
        ("top_logprobs", json!(0)),
        ("n", json!(1)),
    ] {
        let response = client
            .post(CHAT, &request(CHAT, field, value.clone()))
            .await;
        assert_eq!(response.status, 200, "{field} {value}: {:?}", response);
    }
    for (field, value) in [
        ("echo", json!(false)),
        ("suffix", json!(null)),
        ("best_of", json!(1)),
        ("logprobs", json!(20)),
    ] {
        let response = client
            .post(COMPLETIONS, &request(COMPLETIONS, field, value.clone()))
            .await;
        assert_eq!(response.status, 200, "{field} {value}: {:?}", response);
    }
}

#[tokio::test]
async fn a_field_of_another_type_or_out_of_its_range_is_refused() {
    let (backend, client) = server().await;
    for path in [CHAT, COMPLETIONS] {
        for (field, values) in [
            ("model", vec![json!(null), json!(7)]),
            (
                "max_tokens",
                vec![
                    json!(0),
                    json!(-1),
                    json!(1.5),
                    json!("9"),
                    json!(1u64 << 32),
                ],
            ),
            (
                "temperature",
                vec![
                    json!(-0.1),
                    json!(10.1),
                    json!(0.0001),
                    json!("1"),
                    json!(1e300),
                ],
            ),
            ("top_p", vec![json!(0), json!(1.1), json!(-1), json!(true)]),
            ("min_p", vec![json!(-0.1), json!(1.1)]),
            ("top_k", vec![json!(-2), json!(1.5), json!(1u64 << 32)]),
            ("repetition_penalty", vec![json!(0.4), json!(4.1)]),
            (
                "seed",
                vec![json!(1.5), json!("1"), json!(1e30), json!(-1e30)],
            ),
            ("n", vec![json!(0), json!(9), json!(-1)]),
            ("stream", vec![json!("yes"), json!(1)]),
            ("stream_options", vec![json!(true)]),
            ("assay", vec![json!("x")]),
            (
                "stop",
                vec![
                    json!(""),
                    json!(7),
                    json!(["a", ""]),
                    json!(["a", 7]),
                    json!(["a", "b", "c", "d", "e"]),
                    json!("x".repeat(513)),
                ],
            ),
        ] {
            for value in values {
                assert_eq!(
                    refused(client, path, field, value, field).await,
                    json!(null)
                );
            }
        }
    }
    for (field, value, param) in [
        ("messages", json!([]), "messages"),
        ("messages", json!("Hi"), "messages"),
        ("messages", json!(["Hi"]), "messages[0]"),
        ("messages", json!([{ "content": "Hi" }]), "messages[0].role"),
        (
            "messages",
            json!([{ "role": "king", "content": "Hi" }]),
            "messages[0].role",
        ),
        (
            "messages",
            json!([{ "role": "user", "content": 7 }]),
            "messages[0].content",
        ),
        (
            "messages",
            json!([{ "role": "user", "content": ["Hi"] }]),
            "messages[0].content[0]",
        ),
        (
            "messages",
            json!([{ "role": "user", "content": [{ "type": "text" }] }]),
            "messages[0].content[0].text",
        ),
        ("max_completion_tokens", json!(0), "max_completion_tokens"),
        ("logprobs", json!(3), "logprobs"),
        ("top_logprobs", json!(21), "top_logprobs"),
        ("top_logprobs", json!(2), "top_logprobs"),
    ] {
        assert_eq!(
            refused(client, CHAT, field, value, param).await,
            json!(null)
        );
    }
    for (field, value) in [
        ("prompt", json!(null)),
        ("prompt", json!("")),
        ("prompt", json!([])),
        ("prompt", json!([[]])),
        ("prompt", json!([1, "a"])),
        ("prompt", json!([-1])),
        ("prompt", json!([1.5])),
        ("prompt", json!([1536])),
        ("prompt", json!({})),
        ("prompt", json!(vec!["a"; 9])),
        ("logprobs", json!(21)),
        ("logprobs", json!(true)),
    ] {
        assert_eq!(
            refused(client, COMPLETIONS, field, value, field).await,
            json!(null)
        );
    }
    assert_eq!(backend.orders(), 0);
}

#[tokio::test]
async fn more_than_the_context_holds_is_refused() {
    let (backend, client) = server().await;
    let code = "context_length_exceeded";
    let prompt = json!(vec![5; 500]);
    for (max_tokens, fits) in [(12, true), (13, false)] {
        let mut body = request(COMPLETIONS, "prompt", prompt.clone());
        body["max_tokens"] = max_tokens.into();
        let response = client.post(COMPLETIONS, &body).await;
        assert_eq!(response.status, if fits { 200 } else { 400 });
        assert!(fits || response.json()["error"]["code"] == code);
    }
    assert_eq!(backend.orders(), 1);
    let long = json!([{ "role": "user", "content": "word ".repeat(600) }]);
    assert_eq!(
        refused(client, CHAT, "messages", long, "messages").await,
        code
    );
    // So long that nobody counts.
    let text = "word ".repeat(700_000);
    for (path, field, long) in [
        (
            CHAT,
            "messages",
            json!([{ "role": "user", "content": text }]),
        ),
        (COMPLETIONS, "prompt", json!(text)),
    ] {
        let response = client.post(path, &request(path, field, long)).await;
        let error = &response.json()["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!(code), &json!(field))
        );
        let message = error["message"].as_str().unwrap();
        let begins = format!("more than 512 tokens of {field}");
        assert!(message.starts_with(&begins), "{message}");
    }
    let long = json!(vec![5; 512]);
    assert_eq!(
        refused(client, COMPLETIONS, "prompt", long, "prompt").await,
        code
    );
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    let (_, client) = server().await;
    let head = |kind: &str, length: usize| {
        format!("POST {CHAT} HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n")
    };
    for (body, message) in [
        ("{\"model\":", "not JSON"),
        ("[]", "not a JSON object"),
        ("", "not JSON"),
    ] {
        let head = head("application/json; charset=utf-8", body.len());
        let response = client.send(&head, body.as_bytes()).await;
        assert_eq!(response.status, 400);
        let error = response.json()["error"].clone();
        assert_eq!(error["type"], "invalid_request_error");
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{error}"
        );
    }
    let response = client.send(&head("text/plain", 2), b"{}").await;
    assert_eq!(response.status, 415);
    assert_eq!(response.json()["error"]["code"], "unsupported_media_type");
    let unknown = client
        .post(CHAT, &request(CHAT, "model", json!("missing")))
        .await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");
    assert_eq!(unknown.json()["error"]["param"], "model");
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_and_its_sender_hears_it() {
    let (_, client) = server().await;
    // Nothing of the body is ever sent.
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        10 << 20
    );
    let response = finish(client.connect_to_stay(&head, b"").await).await;
    assert_eq!(response.status, 413);
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.json()["error"]["code"], "request_too_large");

    // Most clients look for the answer when they have sent it all, and then the connection has to be there still.
    let response = client.send(&head, &vec![b' '; 10 << 20]).await;
    assert_eq!(response.status, 413);
    // Who waits for leave to send it gets none, and one that is far too long is not listened to.
    for (length, expect) in [(10 << 20, "expect: 100-continue\r\n"), (1 << 30, "")] {
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{expect}"
        );
        let response = finish(client.connect_to_stay(&head, b"").await).await;
        assert_eq!(response.status, 413);
    }

    // One that does not say how long it is.
    let limits = Limits {
        body_bytes: 1000,
        ..Limits::default()
    };
    let (_, client) = Scripted::serve(limits, |_| Ok(vec![])).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n"
    );
    let chunk = [b"1f5\r\n" as &[u8], &[b' '; 501], b"\r\n"].concat();
    let response = client.send(&head, &chunk.repeat(2)).await;
    assert_eq!(response.status, 413);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits {
        body_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let (_, client) = Scripted::serve(limits, |_| Ok(vec![])).await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n"
    );
    let response = finish(client.connect_to_stay(&head, b"{\"model\":").await).await;
    assert_eq!(response.status, 408);
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.json()["error"]["code"], "request_timeout");
}

/// Whoever does not read an error shall not have much of it kept.
#[tokio::test]
async fn what_a_request_says_is_not_said_again_at_length() {
    let (_, client) = Scripted::serve(Limits::default(), |_| Ok(vec![])).await;
    let long = "x".repeat(1 << 20);
    let response = client
        .post(CHAT, &request(CHAT, "model", json!(long)))
        .await;
    assert_eq!(response.status, 404);
    let json = response.json();
    let message = json["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("there is no model"), "{message}");
    assert!((900..1100).contains(&message.len()), "{message}");
    let unsupported = ApiError::unsupported("ü".repeat(5000), "leave it out").json();
    for text in [
        &unsupported["error"]["message"],
        &unsupported["error"]["param"],
    ] {
        assert!((1900..2100).contains(&text.as_str().unwrap().len()));
    }
    let short = ApiError::unsupported("ü", "leave it out").json();
    assert_eq!(
        short["error"]["message"],
        "ü is not supported; leave it out"
    );
}

/// A map with one field takes a hundred times as much memory as text.
#[tokio::test]
async fn a_body_of_countless_parts_is_not_read() {
    let (_, client) =
        Scripted::serve(Limits::default(), |_| Ok(vec![end(Finish::Eos, None)])).await;
    let parts = |count: usize| {
        let mut body = request(COMPLETIONS, "prompt", json!("Hi"));
        body["metadata"] = json!(vec![json!({ "a": [] }); count]);
        body
    };
    assert_eq!(client.post(COMPLETIONS, &parts(10_000)).await.status, 200);
    let response = client.post(COMPLETIONS, &parts(11_000)).await;
    assert_eq!(response.status, 400);
    let text = response.json().to_string();
    assert!(text.contains("objects, lists and names"), "{text}");
    // What a string is about takes no more than its bytes.
    let text = "{\"[\\]:{".repeat(20_000);
    let response = client
        .post(COMPLETIONS, &request(COMPLETIONS, "prompt", json!(text)))
        .await;
    let error = response.json().to_string();
    assert!(!error.contains("objects, lists and names"), "{error}");
    for assay in [
        json!({ "a": "x".repeat(5000) }),
        json!({ "a": vec![0; 200] }),
    ] {
        let asked = request(COMPLETIONS, "assay", assay);
        let response = client.post(COMPLETIONS, &asked).await;
        assert_eq!(response.status, 400);
        assert_eq!(response.json()["error"]["param"], "assay");
    }
}

/// Nor does a list of numbers take as little as text, and prompts have as many as the context allows.
#[tokio::test]
async fn a_body_has_no_more_values_than_its_prompts_may_have_tokens() {
    let limits = Limits {
        prompt_ids: Some(10_000),
        ..Limits::default()
    };
    let (_, client) = Scripted::serve(limits, |_| Ok(vec![end(Finish::Eos, None)])).await;
    let with = |value: Value| request(COMPLETIONS, "metadata", value);
    // What is in a string is no value.
    for value in [json!(vec![1; 42_000]), json!(",".repeat(50_000))] {
        assert_eq!(client.post(COMPLETIONS, &with(value)).await.status, 200);
    }
    let many = with(json!(vec![1; 43_000]));
    let response = client.post(COMPLETIONS, &many).await;
    assert_eq!(response.status, 400);
    let text = response.json().to_string();
    assert!(text.contains("42768; send a shorter prompt"), "{text}");
    // Whoever names no bound has that of the bytes.
    let (_, client) = server().await;
    assert_eq!(client.post(COMPLETIONS, &many).await.status, 200);
}

/// Bytes count, and nothing else that comes: neither what the head says, nor parts of no bytes.
#[tokio::test]
async fn a_body_that_brings_nothing_for_a_while_is_not_waited_for_and_one_that_is_slow_is() {
    let pause = Duration::from_millis(400);
    let limits = Limits {
        body_pause: pause,
        ..Limits::default()
    };
    let read = |parts: Vec<(u64, &'static str)>| {
        let parts = stream::iter(parts).then(|(after, part)| async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            Ok::<_, Infallible>(part)
        });
        let limits = limits.clone();
        async move { read_body(&HeaderMap::new(), Body::from_stream(parts), &limits).await }
    };
    let slow = read(vec![
        (150, "who "),
        (150, "is "),
        (150, "slow "),
        (150, "comes"),
    ])
    .await;
    assert_eq!(slow.unwrap(), "who is slow comes");
    let stopped = read(vec![(0, "who"), (60_000, "is late")])
        .await
        .unwrap_err();
    assert_eq!(stopped.status, 408);
    assert!(
        stopped.message.starts_with("nothing of the body came"),
        "{stopped}"
    );
    let mut empty = vec![(0, "who")];
    empty.extend([(50, ""); 400]);
    let begun = Instant::now();
    assert_eq!(read(empty).await.unwrap_err().status, 408);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Where there is too little room for a body, no more of it is read than there is room for.
#[tokio::test]
async fn a_body_takes_room_as_it_comes() {
    let parts = stream::iter(["12345", "678", "90"].map(Ok::<_, Infallible>));
    let held = RefCell::new(Vec::new());
    let hold = |bytes| {
        held.borrow_mut().push(bytes);
        match bytes > 8 {
            true => Err(ApiError::busy("full", Duration::from_secs(1))),
            false => Ok(()),
        }
    };
    let body = Body::from_stream(parts);
    let head = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("4000000"))]);
    let refused = read_body_into(&head, body, &Limits::default(), hold).await;
    assert_eq!(refused.unwrap_err().status, 429);
    assert_eq!(*held.borrow(), [5, 8, 10]);
}

#[tokio::test]
async fn the_backends_errors_arrive_whole() {
    let busy = ApiError::busy("the queue is full; come again", Duration::from_millis(1500));
    let unpaid = ApiError::new(
        StatusCode::PAYMENT_REQUIRED,
        "insufficient_funds",
        "the voucher pays too little; sign a larger one",
    )
    .code("underpaid")
    .assay(json!({ "owed": "12" }));
    let gone = ApiError {
        should_retry: Some(false),
        ..ApiError::unavailable("nobody offers this model; ask for another")
    };
    let errors = [busy, unpaid, gone];
    let script = errors.clone();
    let (_, client) = Scripted::serve(Limits::default(), move |order| {
        Err(script[order.max_tokens.unwrap() as usize - 1].clone())
    })
    .await;
    let mut responses = Vec::new();
    for (index, error) in errors.iter().enumerate() {
        for stream in [false, true] {
            let mut body = request(COMPLETIONS, "stream", json!(stream));
            body["max_tokens"] = (index + 1).into();
            let connection = client.begin(COMPLETIONS, "", &body).await;
            let response = finish(connection).await;
            assert_eq!(response.status, error.status.as_u16());
            assert_eq!(response.json(), error.json());
            responses.push(response);
        }
    }
    let headers = |name: &str| -> Vec<Option<String>> {
        let headers = responses.iter().step_by(2);
        headers
            .map(|response| response.header(name).map(str::to_owned))
            .collect()
    };
    assert_eq!(headers("retry-after"), [Some("2".into()), None, None]);
    let refused = Some("false".to_owned());
    assert_eq!(headers("x-should-retry"), [None, refused.clone(), refused]);
    assert_eq!(
        responses[2].json()["error"],
        json!({
            "message": "the voucher pays too little; sign a larger one",
            "type": "insufficient_funds",
            "param": null,
            "code": "underpaid",
            "assay": { "owed": "12" },
        })
    );
}
