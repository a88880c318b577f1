use std::{sync::Arc, time::Duration};

use assay_openai::{sse::Event, ApiError, Limits};
use assay_primitives::Finish;
use serde_json::{json, Value};
use tokio::sync::Semaphore;

use crate::{
    backend::{end, piece, tokens, Scripted, Step, MODEL},
    client::{finish, until, CHAT, COMPLETIONS},
};

fn chat(extra: Value) -> Value {
    let mut body = json!({
        "model": MODEL,
        "messages": [{ "role": "user", "content": "Hi" }],
        "stream": true,
    });
    let extra = extra.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(extra);
    body
}

/// The choice that a chunk is about.
fn choice(chunk: &Value) -> &Value {
    let choices = chunk["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 1, "{chunk}");
    &choices[0]
}

#[tokio::test]
async fn a_chat_streams_as_clients_expect() {
    let steps = vec![
        tokens(&[43]),
        tokens(&[44, 45]),
        tokens(&[3]),
        end(Finish::Eos, None),
    ];
    let (backend, client) = Scripted::answering(steps).await;
    let body = chat(json!({ "stream_options": { "include_usage": true } }));
    let response = client.post(CHAT, &body).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!(response.header("cache-control"), Some("no-cache"));
    let chunks = response.chunks();
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], MODEL);
        assert_eq!(
            (&chunk["id"], &chunk["created"]),
            (&chunks[0]["id"], &chunks[0]["created"])
        );
    }
    let (usage, chunks) = chunks.split_last().unwrap();
    let deltas: Vec<&Value> = chunks.iter().map(choice).collect();
    let expected = [
        (json!({ "role": "assistant", "content": "" }), json!(null)),
        (json!({ "content": "H" }), json!(null)),
        (json!({ "content": "IJ" }), json!(null)),
        (json!({}), json!("stop")),
    ];
    assert_eq!(deltas.len(), expected.len(), "{deltas:?}");
    for (found, (delta, reason)) in deltas.into_iter().zip(expected) {
        let expected =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason });
        assert_eq!(*found, expected);
    }
    assert_eq!(usage["choices"], json!([]));
    let prompt = backend.orders.lock().unwrap()[0].prompt.len();
    let expected =
        json!({ "prompt_tokens": prompt, "completion_tokens": 4, "total_tokens": prompt + 4 });
    assert_eq!(usage["usage"], expected);
}

#[tokio::test]
async fn a_completion_streams_as_clients_expect() {
    let (_, client) = Scripted::answering(vec![tokens(&[43]), end(Finish::Length, None)]).await;
    let body = json!({ "model": MODEL, "prompt": "Hi", "stream": true });
    let chunks = client.post(COMPLETIONS, &body).await.chunks();
    assert!(chunks
        .iter()
        .all(|chunk| chunk["object"] == "text_completion"));
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
    let choices: Vec<&Value> = chunks.iter().map(choice).collect();
    let expected = [
        json!({ "index": 0, "text": "H", "logprobs": null, "finish_reason": null }),
        json!({ "index": 0, "text": "", "logprobs": null, "finish_reason": "length" }),
    ];
    assert_eq!(choices, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_backend_says_arrives_at_once_even_if_the_text_waits() {
    let more = Arc::new(Semaphore::new(0));
    let steps = vec![
        piece(&[], Some(json!({ "receipt": "0x00" }))),
        piece(&[43], Some(json!({ "tokens": [43] }))),
        tokens(&[44]),
        Step::Wait(more.clone()),
        end(Finish::Length, Some(json!({ "receipt": "0x01" }))),
    ];
    let (_, client) = Scripted::answering(steps).await;
    // The text could be the beginning of the stop string until the end.
    let body = chat(json!({ "stop": "HIJ" }));
    let mut connection = client.begin(CHAT, "", &body).await;
    until(&mut connection, r#""assay":{"tokens":[43]}"#).await;
    drop(connection);
    more.add_permits(2);
    let chunks = client.post(CHAT, &body).await.chunks();
    let found: Vec<_> = chunks[1..]
        .iter()
        .map(|chunk| {
            let choice = choice(chunk);
            let content = choice["delta"]["content"].clone();
            (
                content,
                choice["assay"].clone(),
                choice["finish_reason"].clone(),
            )
        })
        .collect();
    let expected = [
        (json!(""), json!({ "receipt": "0x00" }), json!(null)),
        (json!(""), json!({ "tokens": [43] }), json!(null)),
        (json!("HI"), json!({ "receipt": "0x01" }), json!("length")),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn choices_stream_side_by_side() {
    let gates: Arc<[Arc<Semaphore>; 2]> = Arc::new([(); 2].map(|()| Arc::new(Semaphore::new(0))));
    let script = gates.clone();
    let (_, client) = Scripted::serve(Limits::default(), move |order| {
        let gate = &script[order.choice as usize];
        let token = tokens(&[43 + order.choice]);
        let wait = Step::Wait(gate.clone());
        Ok(vec![
            wait.clone(),
            token.clone(),
            wait,
            token,
            end(Finish::Length, None),
        ])
    })
    .await;
    let mut connection = client.begin(CHAT, "", &chat(json!({ "n": 2 }))).await;
    // The second choice goes first; neither waits for the other.
    for (choice, text) in [(1, "I"), (0, "H"), (1, "I")] {
        gates[choice].add_permits(1);
        until(&mut connection, &format!(r#""content":"{text}""#)).await;
    }
    drop(connection);
    gates.iter().for_each(|gate| gate.add_permits(8));
    let chunks = client.post(CHAT, &chat(json!({ "n": 2 }))).await.chunks();
    for (index, text) in [(0, "HH"), (1, "II")] {
        let own: Vec<&Value> = chunks
            .iter()
            .map(choice)
            .filter(|choice| choice["index"] == index)
            .collect();
        let first = json!({ "role": "assistant", "content": "" });
        assert_eq!(own[0]["delta"], first);
        let content = own
            .iter()
            .filter_map(|choice| choice["delta"]["content"].as_str());
        assert_eq!(content.collect::<String>(), text);
        let reasons = own
            .iter()
            .filter(|choice| choice["finish_reason"] == "length");
        assert_eq!(reasons.count(), 1);
    }
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_stream_without_its_last_word() {
    let error =
        ApiError::unavailable("the worker is gone; ask again").assay(json!({ "owed": "1" }));
    let steps = vec![tokens(&[43]), Step::Error(error.clone())];
    let (_, client) = Scripted::answering(steps).await;
    let response = client.post(CHAT, &chat(json!({}))).await;
    assert_eq!(response.status, 200);
    let events = response.events();
    let Some(Event::Data(last)) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(serde_json::from_str::<Value>(last).unwrap(), error.json());
    assert_eq!(events.len(), 3);
    // Events have no names.
    assert!(!String::from_utf8(response.body).unwrap().contains("event:"));
}

#[tokio::test]
async fn an_error_of_one_choice_cancels_the_others() {
    let (backend, client) = Scripted::serve(Limits::default(), |order| {
        Ok(match order.choice {
            0 => vec![tokens(&[43]), Step::Hang],
            _ => vec![Step::Error(ApiError::internal(
                "out of memory; tell the operator",
            ))],
        })
    })
    .await;
    let response = client.post(CHAT, &chat(json!({ "n": 2 }))).await;
    assert!(
        matches!(response.events().last(), Some(Event::Data(data)) if data.contains("out of memory"))
    );
    backend.idle().await;
    assert_eq!(backend.cancelled(), 1);
}

#[tokio::test]
async fn a_stream_with_nothing_to_say_says_that_it_is_alive() {
    let more = Arc::new(Semaphore::new(0));
    let steps = vec![
        Step::Wait(more.clone()),
        tokens(&[43]),
        end(Finish::Length, None),
    ];
    let limits = Limits {
        keep_alive: Duration::from_millis(20),
        ..Limits::default()
    };
    let (_, client) = Scripted::serve(limits, move |_| Ok(steps.clone())).await;
    let mut connection = client.begin(CHAT, "", &chat(json!({}))).await;
    until(&mut connection, ": keep-alive\n\n").await;
    until(&mut connection, ": keep-alive\n\n").await;
    more.add_permits(1);
    until(&mut connection, "[DONE]").await;
}

#[tokio::test]
async fn log_probabilities_stand_in_the_chunk_of_their_tokens() {
    let token = assay_openai::Token {
        id: 43,
        logprob: Some(-0.5),
        top: vec![],
    };
    let tokens = assay_openai::Piece::Tokens {
        tokens: vec![token],
        assay: None,
    };
    let (_, client) =
        Scripted::answering(vec![Step::Piece(tokens), end(Finish::Length, None)]).await;
    let connection = client
        .begin(CHAT, "", &chat(json!({ "logprobs": true })))
        .await;
    let chunks = finish(connection).await.chunks();
    let logprobs: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &choice(chunk)["logprobs"])
        .collect();
    let entry = json!({ "token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": [] });
    let expected = json!({ "content": [entry], "refusal": null });
    assert_eq!(logprobs, [&json!(null), &expected, &json!(null)]);
}
