use assay_client::text::Message;
use assay_openai::{Limits, Piece, Token};
use assay_primitives::{Finish, Sampling};
use serde_json::{json, Value};

use crate::{
    backend::{end, piece, tokens, Scripted, Step, MODEL},
    client::{CHAT, COMPLETIONS},
};

fn chat(extra: Value) -> Value {
    with(
        json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Hi" }] }),
        extra,
    )
}

fn completion(extra: Value) -> Value {
    with(json!({ "model": MODEL, "prompt": "Hi" }), extra)
}

fn with(mut body: Value, extra: Value) -> Value {
    let extra = extra.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(extra);
    body
}

#[tokio::test]
async fn a_chat_is_answered_in_one_piece() {
    let (backend, client) = Scripted::serve(Limits::default(), |_| {
        let text = [tokens(&[5]), tokens(&[6, 7]), tokens(&[3])];
        Ok([&text[..], &[end(Finish::Eos, None)]].concat())
    })
    .await;
    let response = client.post(CHAT, &chat(json!({}))).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let mut answer = response.json();
    let id = answer["id"].take();
    assert!(id.as_str().unwrap().starts_with("chatcmpl-"));
    assert!(answer["created"].take().as_u64().unwrap() > 1_700_000_000);
    let prompt = backend.model.text.chat(&[Message::new("user", "Hi")]);
    let prompt = prompt.unwrap();
    assert_eq!(backend.orders.lock().unwrap()[0].prompt, prompt);
    let expected = json!({
        "id": null,
        "object": "chat.completion",
        "created": null,
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": "\"#$", "refusal": null },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": prompt.len(),
            "completion_tokens": 4,
            "total_tokens": prompt.len() + 4,
        },
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_completion_is_answered_in_one_piece() {
    let (_, client) = Scripted::answering(vec![tokens(&[5, 6]), end(Finish::Length, None)]).await;
    let mut answer = client
        .post(COMPLETIONS, &completion(json!({})))
        .await
        .json();
    assert!(answer["id"].take().as_str().unwrap().starts_with("cmpl-"));
    answer["created"].take();
    let prompt_tokens = answer["usage"]["prompt_tokens"].as_u64().unwrap();
    let expected = json!({
        "id": null,
        "object": "text_completion",
        "created": null,
        "model": MODEL,
        "choices": [{ "index": 0, "text": "\"#", "logprobs": null, "finish_reason": "length" }],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": 2,
            "total_tokens": prompt_tokens + 2,
        },
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn who_wants_tokens_alone_gets_no_text() {
    let assay = json!({ "tokens": [5, 6] });
    let steps = vec![
        piece(&[5, 6], Some(assay.clone())),
        end(Finish::Length, None),
    ];
    let (_, client) = Scripted::answering(steps).await;
    let plain = json!({ "detokenize": false });
    let answer = client.post(COMPLETIONS, &completion(plain)).await.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], "");
    assert_eq!(choice["assay"], assay);
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 2);

    let stops = json!({ "detokenize": false, "stop": "x" });
    let refused = client.post(COMPLETIONS, &completion(stops)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["error"]["param"], "stop");
}

#[tokio::test]
async fn the_order_says_what_the_request_says() {
    let (backend, client) = Scripted::answering(vec![end(Finish::Eos, None)]).await;
    let every = json!({
        "temperature": 0.7, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repetition_penalty": 1.1,
        "seed": -1, "max_tokens": 7, "max_completion_tokens": 9, "logprobs": true, "top_logprobs": 3,
        "assay": { "secret": "0x00" },
    });
    let headers = "x-more: 1\r\n";
    client.post_with(CHAT, headers, &chat(every)).await;
    client.post(CHAT, &chat(json!({ "temperature": 0 }))).await;
    client.post(CHAT, &chat(json!({}))).await;
    let completions = json!({ "logprobs": 2, "seed": u64::MAX });
    client.post(COMPLETIONS, &completion(completions)).await;
    let orders = backend.orders.lock().unwrap();
    let [every, greedy, plain, completion] = &orders[..] else {
        panic!("four orders");
    };
    assert_eq!(
        every.sampling,
        Sampling {
            temperature: 700_000,
            top_k: 40,
            top_p: 950_000,
            min_p: 50_000,
            penalty: 1_100_000,
            nonce: u64::MAX,
        }
    );
    assert_eq!((every.max_tokens, every.logprobs), (Some(9), Some(3)));
    assert_eq!(every.assay, Some(json!({ "secret": "0x00" })));
    assert_eq!(every.parts.headers["x-more"], "1");
    assert_eq!(every.model, MODEL);
    let nonce = greedy.sampling.nonce;
    assert_eq!(
        greedy.sampling,
        Sampling {
            nonce,
            ..Sampling::GREEDY
        }
    );
    // Without a seed, each answer is another.
    assert_ne!(plain.sampling.nonce, nonce);
    assert_eq!(plain.sampling.temperature, 1_000_000);
    assert_eq!((plain.max_tokens, plain.logprobs), (None, None));
    assert_eq!(completion.sampling.nonce, u64::MAX);
    assert_eq!(
        (completion.max_tokens, completion.logprobs),
        (Some(16), Some(2))
    );
}

#[tokio::test]
async fn messages_of_every_role_and_form_reach_the_template() {
    let (backend, client) = Scripted::answering(vec![end(Finish::Eos, None)]).await;
    let messages = json!([
        { "role": "developer", "content": "Be brief." },
        { "role": "system", "content": "Be kind." },
        { "role": "user", "content": [{ "type": "text", "text": "one" }, { "type": "text", "text": "two" }] },
        { "role": "assistant", "content": null, "tool_calls": [] },
        { "role": "user", "content": "three", "name": "me" },
    ]);
    client
        .post(CHAT, &chat(json!({ "messages": messages })))
        .await;
    let expected = [
        Message::new("system", "Be brief."),
        Message::new("system", "Be kind."),
        Message::new("user", "one\ntwo"),
        Message::new("assistant", ""),
        Message::new("user", "three"),
    ];
    let expected = backend.model.text.chat(&expected).unwrap();
    assert_eq!(backend.orders.lock().unwrap()[0].prompt, expected);
}

#[tokio::test]
async fn each_choice_has_its_own_order_and_place() {
    let (backend, client) = Scripted::serve(Limits::default(), |order| {
        let text = tokens(&[5 + order.choice, 6]);
        Ok(vec![text, end(Finish::Length, None)])
    })
    .await;
    let body = json!({ "n": 3, "seed": u64::MAX });
    let answer = client.post(CHAT, &chat(body)).await.json();
    let choices = answer["choices"].as_array().unwrap();
    for (index, text) in ["\"#", "##", "$#"].iter().enumerate() {
        assert_eq!(choices[index]["index"], index);
        assert_eq!(choices[index]["message"]["content"], *text);
    }
    let orders = backend.orders.lock().unwrap();
    let nonces: Vec<u64> = orders.iter().map(|order| order.sampling.nonce).collect();
    assert_eq!(nonces, [u64::MAX, 0, 1]);
    // The prompt is counted once, the answers all.
    let usage = &answer["usage"];
    assert_eq!(usage["completion_tokens"], 6);
    let prompt = orders[0].prompt.len();
    assert_eq!(usage["prompt_tokens"], prompt);
    assert_eq!(usage["total_tokens"], prompt + 6);
}

#[tokio::test]
async fn several_prompts_have_their_choices_in_a_row() {
    let (backend, client) =
        Scripted::answering(vec![tokens(&[5]), end(Finish::Length, None)]).await;
    for (prompt, n, expected) in [
        (json!([5, 6, 7]), 1, vec![vec![5, 6, 7]]),
        (
            json!([[5], [6, 7]]),
            2,
            vec![vec![5], vec![5], vec![6, 7], vec![6, 7]],
        ),
        (json!(["!", [6]]), 1, vec![vec![4], vec![6]]),
    ] {
        backend.orders.lock().unwrap().clear();
        let body = completion(json!({ "prompt": prompt, "n": n }));
        let answer = client.post(COMPLETIONS, &body).await.json();
        let mut orders: Vec<_> = backend.orders.lock().unwrap().drain(..).collect();
        orders.sort_by_key(|order| order.choice);
        let prompts: Vec<_> = orders.into_iter().map(|order| order.prompt).collect();
        assert_eq!(prompts, expected);
        let choices = answer["choices"].as_array().unwrap();
        assert_eq!(choices.len(), expected.len());
        let tokens: usize = expected.iter().step_by(n).map(Vec::len).sum();
        assert_eq!(answer["usage"]["prompt_tokens"], tokens);
    }
}

#[tokio::test]
async fn a_stop_string_ends_the_answer_and_the_backend_has_the_last_word() {
    let steps = vec![
        piece(&[43], Some(json!({ "tokens": [43], "receipt": "0x01" }))),
        piece(&[44, 45], Some(json!({ "tokens": [44, 45] }))),
        Step::UntilEnough,
        piece(&[46], Some(json!({ "tokens": [46] }))),
        end(
            Finish::Caller,
            Some(json!({ "receipt": "0x02", "paid": 4 })),
        ),
    ];
    let (backend, client) = Scripted::answering(steps).await;
    let text = backend.model.text.decode(&[43, 44, 45, 46]).unwrap();
    assert_eq!(text, "HIJK");
    for stop in [json!("J"), json!(["x", "IJ"])] {
        let answer = client
            .post(CHAT, &chat(json!({ "stop": stop })))
            .await
            .json();
        let choice = &answer["choices"][0];
        assert_eq!(
            choice["message"]["content"],
            if stop == "J" { "HI" } else { "H" }
        );
        assert_eq!(choice["finish_reason"], "stop");
        // Nothing that the backend said is lost, shown or not.
        let assay = json!({ "tokens": [43, 44, 45, 46], "receipt": "0x02", "paid": 4 });
        assert_eq!(choice["assay"], assay);
        assert_eq!(answer["usage"]["completion_tokens"], 4);
    }
    assert_eq!(backend.cancelled(), 0);
}

#[tokio::test]
async fn a_backend_that_does_not_leave_is_left() {
    let limits = Limits {
        farewell: std::time::Duration::from_millis(50),
        ..Limits::default()
    };
    let (backend, client) =
        Scripted::serve(limits, |_| Ok(vec![tokens(&[43, 44]), Step::Hang])).await;
    let answer = client
        .post(CHAT, &chat(json!({ "stop": "I" })))
        .await
        .json();
    assert_eq!(answer["choices"][0]["message"]["content"], "H");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    backend.idle().await;
    assert_eq!(backend.cancelled(), 1);
}

/// Tokens with log-probabilities; the second is a part of a character.
fn with_logprobs() -> Vec<Step> {
    let token = |id, logprob, top: &[(u32, f32)]| Token {
        id,
        logprob: Some(logprob),
        top: top.to_vec(),
    };
    let tokens = vec![
        token(43, -0.5, &[(43, -0.5), (44, f32::NEG_INFINITY)]),
        token(176, -1.5, &[(176, -1.5), (177, -1.75), (5, -2.0)]),
        token(44, -0.25, &[]),
        token(3, -0.125, &[]),
    ];
    let tokens = Piece::Tokens {
        tokens,
        assay: None,
    };
    vec![Step::Piece(tokens), end(Finish::Eos, None)]
}

#[tokio::test]
async fn log_probabilities_have_the_shape_of_their_endpoint() {
    let (backend, client) = Scripted::answering(with_logprobs()).await;
    let part = backend.model.text.token(176);
    assert!(part.contains('\u{fffd}'), "{part}");
    let body = chat(json!({ "logprobs": true, "top_logprobs": 2 }));
    let answer = client.post(CHAT, &body).await.json();
    let expected = json!({ "refusal": null, "content": [
        { "token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": [
            { "token": "H", "logprob": -0.5, "bytes": [72] },
            { "token": "I", "logprob": -9999.0, "bytes": [73] },
        ]},
        { "token": part, "logprob": -1.5, "bytes": null, "top_logprobs": [
            { "token": part, "logprob": -1.5, "bytes": null },
            { "token": part, "logprob": -1.75, "bytes": null },
            { "token": "\"", "logprob": -2.0, "bytes": [34] },
        ]},
        { "token": "I", "logprob": -0.25, "bytes": [73], "top_logprobs": [] },
    ]});
    assert_eq!(answer["choices"][0]["logprobs"], expected);

    let body = completion(json!({ "logprobs": 2 }));
    let answer = client.post(COMPLETIONS, &body).await.json();
    let expected = json!({
        "tokens": ["H", part, "I"],
        "token_logprobs": [-0.5, -1.5, -0.25],
        "top_logprobs": [{ "H": -0.5, "I": -9999.0 }, { part: -1.5, "\"": -2.0 }, {}],
        "text_offset": [0, 1, 1],
    });
    assert_eq!(answer["choices"][0]["logprobs"], expected);
    // Not asked for.
    let answer = client.post(CHAT, &chat(json!({}))).await.json();
    assert_eq!(answer["choices"][0]["logprobs"], json!(null));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let error = assay_openai::ApiError::unavailable("the worker is gone; ask again");
    for (steps, status) in [
        (vec![tokens(&[43]), Step::Error(error)], 503),
        (vec![tokens(&[43])], 500),
    ] {
        let (_, client) = Scripted::answering(steps).await;
        let response = client.post(CHAT, &chat(json!({}))).await;
        assert_eq!(response.status, status);
        assert_eq!(response.json()["error"]["type"], "server_error");
    }
}
