//! A gateway that buys, over HTTP on both sides, of providers that keep their promises and of some that do
//! not.

mod behind;
mod chain;
mod cheats;
mod crashes;
mod crowds;
mod disputing;
mod faults;
mod forgetting;
mod scores;
mod worker;
mod world;

use std::{sync::atomic::Ordering, time::Duration};

use assay_client::{AccountId32, H256};
use assay_gateway::market::Listed;
use serde_json::{json, Value};

use self::{
    chain::Mishap,
    worker::{Manner, Worker},
    world::{eventually, rule, tokens, World},
};

#[tokio::test]
async fn an_answer_is_bought_paid_to_the_planck_and_written_down() {
    let mut world = World::started(&[1]).await;
    let (status, answer) = world.ask(&world.request(100)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(tokens(&answer), world.right(100));
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    // The text is what the tokens say, whatever the provider says.
    let text = answer["choices"][0]["text"].as_str().unwrap();
    assert!(!text.contains("nonsense") && !text.is_empty(), "{text}");
    assert_eq!(answer["choices"][0]["assay"]["fee"], "103");

    let worker = &world.workers[0];
    assert_eq!(worker.earned(), 103);
    assert!(worker.accepted() >= 103, "the last token was paid for");
    assert_eq!(worker.unsealed.load(Ordering::SeqCst), 0);
    let status = world.status().await;
    assert_eq!(status["channels"][0]["spent"], "103");
    assert_eq!(status["channels"][0]["open_requests"], 0);
    assert_eq!(status["committed"], "1000");
    assert_eq!(status["spending"][0]["fees"], "103");
    assert_eq!(status["spending"][0]["output_tokens"], 100);

    // The second one goes through the same channel.
    let (status, _) = world.ask(&world.request(10)).await;
    assert_eq!(status, 200);
    assert_eq!(world.chain.all().len(), 1);
    assert_eq!(world.workers[0].earned(), 103 + 13);

    world.stop().await;
    let id = world.channels_of(&world.workers[0])[0];
    let receipt = world.store().answer(&id, 0).unwrap().unwrap();
    let receipt = assay_client::answer::Answer::parse(&receipt).unwrap();
    assert_eq!(receipt.check(), Ok(()));
    assert_eq!(receipt.output, world.right(100));
}

#[tokio::test]
async fn streams_choices_and_models_are_as_openai_clients_want_them() {
    let world = World::started(&[1]).await;
    let (_, models) = world.get("/v1/models").await;
    let models: Value = serde_json::from_str(&models).unwrap();
    assert_eq!(models["data"][0]["id"], world.name());
    assert_eq!(models["data"][0]["assay"]["output_price"], "1");

    let stream = world.stream(40).await.text().await.unwrap();
    assert!(stream.trim_end().ends_with("data: [DONE]"), "{stream}");
    assert!(
        !stream.contains("event:") && !stream.contains("error"),
        "{stream}"
    );

    let mut request = world.request(20);
    request["n"] = 3.into();
    let (status, answer) = world.ask(&request).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    // Each choice was a request of its own.
    assert_eq!(world.workers[0].earned(), 43 + 3 * 23);

    let mut request = world.request(5);
    request["model"] = "gpt".into();
    let (status, answer) = world.ask(&request).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    request["model"] = json!(world.listing.id);
    assert_eq!(
        world.ask(&request).await.0,
        200,
        "a listing's id is a name too"
    );
}

/// Listing other weights with a model's public text costs a deposit that comes back, and offering them a bond.
#[tokio::test]
async fn who_lists_other_weights_with_the_same_text_takes_no_name() {
    let mut world = World::started(&[1]).await;
    assert_eq!(world.ask(&world.request(5)).await.0, 200);
    let mut parts = world.listing.parts.clone();
    parts.weights_root = H256::repeat_byte(6);
    let other = Listed {
        id: assay_client::listing_id(&parts.root(), &AccountId32([6; 32]), 0),
        parts,
        publisher: AccountId32([6; 32]),
        royalty: 0,
    };
    let names = async |world: &World| {
        let (_, models) = world.get("/v1/models").await;
        let models: Value = serde_json::from_str(&models).unwrap();
        let models = models["data"].as_array().unwrap().iter();
        let mut names: Vec<_> = models
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let only = vec![world.name()];

    // Nobody sells it: it is no model here.
    world.chain.listings.lock().unwrap().push(other.clone());
    let looked = world.chain.looks();
    eventually("the chain is looked at", async || {
        world.chain.looks() > looked + 1
    })
    .await;
    assert_eq!(names(&world).await, only);
    assert_eq!(world.ask(&world.request(5)).await.0, 200);

    // Somebody does: it has a name of its own, with its root.
    let cheap = Worker::start(&world.chain, 99, other.id, 0, rule()).await;
    let root = hex::encode(other.parts.root());
    let full = format!("{}@{}", world.name(), &root[..16]);
    let both = vec![world.name(), full.clone()];
    eventually("it is seen", async || names(&world).await == both).await;
    assert_eq!(world.ask(&world.request(5)).await.0, 200);
    assert_eq!(cheap.asked.load(Ordering::SeqCst), 0);
    let mut request = world.request(5);
    request["model"] = full.clone().into();
    assert_eq!(world.ask(&request).await.0, 200);
    assert_eq!(cheap.asked.load(Ordering::SeqCst), 1);

    // The name means the same after a start, and where the first model is listed no more: nothing then.
    world.chain.listings.lock().unwrap().remove(0);
    world.stop().await;
    world.start().await;
    eventually("it is seen", async || names(&world).await == [full.clone()]).await;
    let (status, answer) = world.ask(&world.request(5)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    assert_eq!(cheap.asked.load(Ordering::SeqCst), 1);
}

/// Two that were there before the gateway: it does not guess.
#[tokio::test]
async fn a_name_of_two_models_that_are_sold_means_neither() {
    let mut world = World::new(&[1]).await;
    let mut parts = world.listing.parts.clone();
    parts.weights_root = H256::repeat_byte(6);
    let id = assay_client::listing_id(&parts.root(), &AccountId32([6; 32]), 0);
    let other = Listed {
        id,
        parts,
        ..world.listing.clone()
    };
    world.chain.listings.lock().unwrap().push(other);
    Worker::start(&world.chain, 99, id, 1, rule()).await;
    world.start().await;
    assert_eq!(world.ask(&world.request(5)).await.0, 404);
    let root = hex::encode(world.listing.parts.root());
    let mut request = world.request(5);
    request["model"] = format!("{}@{}", world.name(), &root[..16]).into();
    assert_eq!(world.ask(&request).await.0, 200);
}

#[tokio::test]
async fn the_cheapest_is_asked_and_a_busy_one_only_when_it_has_time() {
    let world = World::started(&[3, 1]).await;
    world.ask(&world.request(5)).await;
    assert_eq!(
        (world.workers[0].earned(), world.workers[1].earned()),
        (0, 8)
    );
    world.workers[1].behave(Manner::Busy);
    let (status, answer) = world.ask(&world.request(5)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(5)));
    assert_eq!(world.workers[0].earned(), 24);
    // It was refused before anything was charged, and its channel is as good as before.
    eventually("the refused request is over", async || {
        let status = world.status().await;
        let channels = status["channels"].as_array().unwrap();
        channels.iter().all(|channel| channel["open_requests"] == 0)
    })
    .await;
    world.workers[0].behave(Manner::Busy);
    let (status, answer) = world.ask(&world.request(5)).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (503, &json!("no_provider"))
    );
    world.workers[1].behave(Manner::Honest);
    eventually("the busy one is asked again", async || {
        world.ask(&world.request(5)).await.0 == 200
    })
    .await;
}

#[tokio::test]
async fn a_price_limit_keeps_dear_offers_out() {
    let mut world = World::new(&[5]).await;
    world.terms.max_price = Some(assay_client::Amount(4));
    world.start().await;
    let (status, answer) = world.ask(&world.request(5)).await;
    assert_eq!(status, 503);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("--max-price"), "{message}");
    assert_eq!(world.chain.deposited(), 0);
}

#[tokio::test]
async fn the_budget_is_never_exceeded_whatever_is_asked_at_once() {
    let mut world = World::new(&[1, 1]).await;
    world.terms.policy.budget = 260;
    world.terms.policy.step = 100;
    world.start().await;
    let asked = (0..8).map(|_| async { world.ask(&world.request(50)).await });
    let answers = futures::future::join_all(asked).await;
    let good = answers.iter().filter(|(status, _)| *status == 200).count();
    // Four times 53 fit, and what is left does not.
    assert!((3..=4).contains(&good), "{good} answers");
    for (status, answer) in &answers {
        match status {
            200 => assert_eq!(tokens(answer), world.right(50)),
            402 => {
                assert_eq!(answer["error"]["code"], "insufficient_funds");
                let message = answer["error"]["message"].as_str().unwrap();
                assert!(message.contains("--budget"), "{message}");
            }
            other => panic!("{other}: {answer}"),
        }
    }
    assert!(
        world.chain.deposited() <= 260,
        "{}",
        world.chain.deposited()
    );
    let accepted: u128 = world.workers.iter().map(|worker| worker.accepted()).sum();
    assert!(accepted <= 260);
}

#[tokio::test]
async fn a_request_without_a_limit_gets_what_the_budget_reaches_for() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.budget = 60;
    world.terms.policy.step = 20;
    world.start().await;
    let mut request = json!({
        "model": world.name(), "messages": [{ "role": "user", "content": "Hello" }], "temperature": 0,
    });
    let ask = async |request: &Value| {
        let url = world.url("/v1/chat/completions");
        let response = reqwest::Client::new().post(url).json(request).send();
        let response = response.await.unwrap();
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    let (status, answer) = ask(&request).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["usage"]["total_tokens"], 60);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(world.chain.deposited(), 60);
    request["max_tokens"] = 30.into();
    let (status, answer) = ask(&request).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (402, &json!("insufficient_funds"))
    );
}

#[tokio::test]
async fn a_channel_is_topped_up_when_it_runs_low() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 150;
    world.start().await;
    for _ in 0..4 {
        assert_eq!(world.ask(&world.request(100)).await.0, 200);
    }
    assert_eq!(world.chain.all().len(), 1);
    assert_eq!(world.workers[0].earned(), 412);
    assert!(world.chain.deposited() >= 412 && world.chain.deposited() <= 600);
}

#[tokio::test]
async fn a_voucher_that_is_lost_on_the_way_is_sent_again() {
    let world = World::started(&[1]).await;
    world.workers[0].behave(Manner::LosesAVoucher);
    let (status, answer) = world.ask(&world.request(150)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(150)));
    assert_eq!(world.workers[0].manner(), Manner::Honest, "one was lost");
    let parts = answer["choices"][0]["assay"]["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 1, "in one go");
}

/// Streams beside each other share the vouchers, and all of them end.
#[tokio::test]
async fn many_streams_in_one_channel_are_paid_together() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 5_000;
    world.start().await;
    let asked = (0..16).map(|_| async { world.ask(&world.request(150)).await });
    for (status, answer) in futures::future::join_all(asked).await {
        assert_eq!(status, 200, "{answer}");
        assert_eq!(tokens(&answer), world.right(150));
    }
    assert_eq!(world.workers[0].earned(), 16 * 153);
    assert_eq!(world.chain.all().len(), 1);
}

/// lotus#2640: everything waited for minutes while one waited for the chain.
#[tokio::test]
async fn who_waits_for_the_chain_holds_nobody_up() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 150;
    world.start().await;
    assert_eq!(world.ask(&world.request(100)).await.0, 200);
    // What is left of the deposit is enough for the second one alone.
    let crowd = world.chain.crowd.lock().await;
    let large = world.request(100);
    let mut waits = std::pin::pin!(world.ask(&large));
    assert!(futures::poll!(&mut waits).is_pending());
    eventually("a top-up is on its way", async || {
        futures::poll!(&mut waits).is_pending()
            && world.status().await["channels"][0]["coming"] != "0"
    })
    .await;
    let small = world.request(20);
    let small = tokio::time::timeout(Duration::from_secs(20), world.ask(&small));
    let (status, answer) = small.await.expect("it is held up");
    assert_eq!((status, tokens(&answer)), (200, world.right(20)));
    assert!(futures::poll!(&mut waits).is_pending());
    drop(crowd);
    let (status, answer) = waits.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(100)));
    assert_eq!(world.workers[0].earned(), 103 + 23 + 103);
    assert_eq!(world.chain.all().len(), 1);
}

/// Each node has a block when it has it: what is final here may not be there yet.
#[tokio::test]
async fn a_provider_whose_node_sees_a_top_up_later_is_waited_for() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 60;
    world.start().await;
    assert_eq!(world.ask(&world.request(50)).await.0, 200);
    let worker = &world.workers[0];
    *worker.seen_deposit.lock().unwrap() = Some(60);
    let request = world.request(50);
    let mut asked = std::pin::pin!(world.ask(&request));
    eventually("it is asked, and refuses", async || {
        assert!(futures::poll!(&mut asked).is_pending(), "nobody waits");
        worker.asked.load(Ordering::SeqCst) > 1
    })
    .await;
    *worker.seen_deposit.lock().unwrap() = None;
    let (status, answer) = asked.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(50)));
    assert_eq!(worker.earned(), 2 * 53);
    assert_eq!(world.chain.all().len(), 1);
}

#[tokio::test]
async fn one_top_up_is_for_all_who_wait_for_it() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 60;
    world.start().await;
    assert_eq!(world.ask(&world.request(50)).await.0, 200);
    let crowd = world.chain.crowd.lock().await;
    let request = world.request(50);
    let asked = (0..8).map(|_| world.ask(&request));
    let mut asked = std::pin::pin!(futures::future::join_all(asked));
    eventually("a top-up is on its way", async || {
        futures::poll!(&mut asked).is_pending()
            && world.status().await["channels"][0]["coming"] != "0"
    })
    .await;
    // Until the others wait, too.
    let pause = std::pin::pin!(tokio::time::sleep(Duration::from_secs(1)));
    let waited = futures::future::select(asked, pause).await;
    let futures::future::Either::Right((_, asked)) = waited else {
        panic!("nobody can have been served");
    };
    drop(crowd);
    for (status, answer) in asked.await {
        assert_eq!((status, tokens(&answer)), (200, world.right(50)));
    }
    // One for the first, and one for those who came while it was under way.
    assert_eq!(world.chain.top_ups.load(Ordering::SeqCst), 2);
    assert_eq!(world.chain.deposited(), 9 * 53);
}

#[tokio::test]
async fn a_channel_is_closed_without_holding_up_the_look_at_the_chain() {
    let world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::AsksTwice);
    let _crowd = world.chain.crowd.lock().await;
    assert_eq!(world.ask(&world.request(5)).await.0, 200);
    assert!(world.status().await["channels"]
        .as_array()
        .unwrap()
        .iter()
        .any(|channel| channel["retired"].is_string()));
    let seen = async || {
        let (_, health) = world.get("/health").await;
        serde_json::from_str::<Value>(&health).unwrap()["finalized_block"].clone()
    };
    for _ in 0..2 {
        world.chain.advance(1);
        let now = json!(world.chain.number());
        eventually("the next block is seen", async || seen().await == now).await;
    }
}

#[tokio::test]
async fn a_provider_that_forgets_a_voucher_gets_it_again_and_no_more() {
    let world = World::started(&[1]).await;
    world.ask(&world.request(10)).await;
    world.workers[0].behave(Manner::Forgets);
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(world.workers[0].earned(), 26);
    assert_eq!(world.chain.all().len(), 1);
}

#[tokio::test]
async fn a_stop_string_and_a_client_that_leaves_end_the_answer_where_it_is() {
    let mut world = World::started(&[1]).await;
    let (_, whole) = world.ask(&world.request(100)).await;
    let text = whole["choices"][0]["text"].as_str().unwrap().to_owned();
    let stop: String = text
        .chars()
        .skip(text.chars().count() / 2)
        .take(4)
        .collect();
    let mut request = world.request(100);
    request["stop"] = json!(stop);
    let (status, answer) = world.ask(&request).await;
    assert_eq!(
        (status, &answer["choices"][0]["finish_reason"]),
        (200, &json!("stop"))
    );
    let shorter = answer["choices"][0]["text"].as_str().unwrap();
    assert!(text.starts_with(shorter) && shorter.len() < text.len());

    let mut response = world.stream(400).await;
    response.chunk().await.unwrap();
    drop(response);
    eventually("no answer is under way", async || {
        world.status().await["channels"][0]["open_requests"] == 0
    })
    .await;
    let spent = world.status().await["channels"][0]["spent"].clone();
    assert_eq!(spent, json!(world.workers[0].earned().to_string()));
    let most = 103 * 2 + 3 + 400;
    assert!(world.workers[0].earned() < most, "it went on for nobody");
    eventually("all is written down", async || {
        world.status().await["spending"][0]["requests"] == 3
    })
    .await;
    world.stop().await;
    let id = world.channels_of(&world.workers[0])[0];
    for seq in 0..3 {
        let receipt = world.store().answer(&id, seq).unwrap().unwrap();
        let receipt = assay_client::answer::Answer::parse(&receipt).unwrap();
        assert_eq!(receipt.check(), Ok(()), "{seq}");
    }
}

#[tokio::test]
async fn what_was_made_by_the_time_of_a_stop_is_paid_kept_and_not_shown() {
    let mut world = World::started(&[1]).await;
    let ask = async |tokens: u32| {
        let (status, answer) = world.ask(&world.request(tokens)).await;
        assert_eq!(status, 200, "{answer}");
        answer["choices"][0]["text"].as_str().unwrap().to_owned()
    };
    // A stop string that is complete with one token and not before.
    let mut before = ask(35).await;
    let mut found = None;
    for length in 36..=44 {
        let text = ask(length).await;
        let stop = text.strip_prefix(&before).unwrap_or_default();
        if !stop.is_empty() && !stop.contains('\u{fffd}') && !before.contains(stop) {
            found = Some((length, stop.to_owned()));
            break;
        }
        before = text;
    }
    let (length, stop) = found.expect("a token that ends with new text");

    let sent = length + 5;
    world.workers[0].behave(Manner::RunsAhead(sent));
    let mut request = world.request(100);
    request["stop"] = json!(stop);
    let (status, answer) = world.ask(&request).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["completion_tokens"], length);
    assert_eq!(tokens(&answer), world.right(length));
    let paid = sent + 10;
    let assay = &answer["choices"][0]["assay"];
    let part = &assay["parts"][0];
    assert_eq!(assay["fee"], (3 + paid).to_string());
    assert_eq!(part["tokens"], paid);
    let (id, seq) = (part["channel"].clone(), part["seq"].as_u64().unwrap());

    world.stop().await;
    let id = serde_json::from_value(id).unwrap();
    let receipt = world.store().answer(&id, seq).unwrap().unwrap();
    let receipt = assay_client::answer::Answer::parse(&receipt).expect("kept with its tokens");
    assert_eq!(receipt.check(), Ok(()));
    assert_eq!(receipt.output, world.right(paid));
}

#[tokio::test]
async fn an_api_key_is_asked_for_where_there_is_one() {
    let mut world = World::new(&[1]).await;
    let config = assay_gateway::Config {
        api_key: Some("secret".into()),
        ..world.config()
    };
    world.start_with(config).await;
    assert_eq!(world.get("/v1/models").await.0, 401);
    assert_eq!(world.get("/status").await.0, 401);
    assert_eq!(world.get("/health").await.0, 200);
    let client = reqwest::Client::new();
    let models = client.get(world.url("/v1/models")).bearer_auth("secret");
    assert_eq!(models.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_transaction_that_fails_costs_a_try_and_no_money() {
    let world = World::started(&[1, 2]).await;
    world.chain.suffer(Mishap::Refused);
    let (status, answer) = world.ask(&world.request(5)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(5)));
    // The second offer was taken instead, and nothing is held back for the first.
    assert_eq!(world.workers[1].earned(), 16);
    assert_eq!(world.status().await["committed"], "1000");
}
