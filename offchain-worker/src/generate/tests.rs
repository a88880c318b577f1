use std::sync::mpsc::{channel, Receiver, Sender};

use super::*;
use crate::engine::{EngineError, Progress, Sampling, Session, Token, Use, Wake};

/// Answers with the prompt, a token a step for each request that is in, or fails as a token says. Every
/// step needs a permit, so that a test decides what happens when.
struct Echo {
    places: usize,
    permits: Receiver<()>,
    wake: Option<Sender<Wake>>,
}

struct Echoing<'a> {
    engine: &'a mut Echo,
    requests: Vec<(RequestId, GenerateRequest, usize, u32)>,
}

/// Tokens that do something else than to be repeated.
const REFUSED: u32 = 90;
const FAILS: u32 = 91;
const PANICS: u32 = 92;

impl Engine for Echo {
    fn describe(&self) -> String {
        "echo".into()
    }

    fn gives_logprobs(&self) -> bool {
        false
    }

    fn start(&mut self, wake: Wake) -> Result<Box<dyn Session + '_>, EngineError> {
        if let Some(sender) = &self.wake {
            let _ = sender.send(wake);
        }
        Ok(Box::new(Echoing {
            engine: self,
            requests: vec![],
        }))
    }
}

impl Session for Echoing<'_> {
    fn admit(&mut self, id: RequestId, request: &GenerateRequest) -> Result<bool, EngineError> {
        if request.prompt.first() == Some(&REFUSED) {
            return Err(EngineError::EmptyPrompt);
        }
        let fits = self.requests.len() < self.engine.places;
        if fits {
            self.requests.push((id, request.clone(), 0, 0));
        }
        Ok(fits)
    }

    fn allow(&mut self, id: RequestId, tokens: u32) {
        for request in self.requests.iter_mut().filter(|one| one.0 == id) {
            request.3 = request.3.max(tokens);
        }
    }

    fn cancel(&mut self, id: RequestId) {
        self.requests.retain(|one| one.0 != id);
    }

    fn step(&mut self) -> Option<Vec<(RequestId, Progress)>> {
        let can = |one: &(_, GenerateRequest, usize, u32)| one.2 < one.3 as usize;
        if !self.requests.iter().any(can) {
            return None;
        }
        self.engine.permits.recv().ok()?;
        let mut told = Vec::new();
        self.requests.retain_mut(|one| {
            if !can(one) {
                return true;
            }
            let token = one.1.prompt[one.2];
            one.2 += 1;
            let (progress, stays) = match token {
                PANICS => panic!("on purpose"),
                FAILS => {
                    let problem = "broken".into();
                    let failed = EngineError::Compute {
                        position: one.2,
                        problem,
                    };
                    (Progress::Failed(failed), false)
                }
                id => {
                    let token = Token {
                        id,
                        logprob: None,
                        top: vec![],
                    };
                    told.push((one.0, Progress::Token(token)));
                    if one.2 < one.1.prompt.len() {
                        return true;
                    }
                    (Progress::End(Finish::Length), false)
                }
            };
            told.push((one.0, progress));
            stays
        });
        Some(told)
    }

    fn usage(&self) -> Use {
        Use {
            places: self.engine.places,
            ..Use::default()
        }
    }
}

fn start(places: usize, queue: usize) -> (Generator, Sender<()>) {
    let (permits, received) = channel();
    let echo = Echo {
        places,
        permits: received,
        wake: None,
    };
    (Generator::new(Box::new(echo), queue).unwrap(), permits)
}

fn permit(permits: &Sender<()>, steps: usize) {
    for _ in 0..steps {
        permits.send(()).unwrap();
    }
}

fn request(prompt: &[u32]) -> GenerateRequest {
    GenerateRequest {
        prompt: prompt.to_vec(),
        sampling: Sampling::GREEDY,
        max_output_tokens: 4,
        stop_tokens: vec![],
        logprobs: None,
        scored: None,
    }
}

async fn expect_token(generation: &mut Generation, id: u32) {
    match generation.next().await {
        Some(Event::Token(token)) => assert_eq!(token.id, id),
        other => panic!("{other:?} instead of token {id}"),
    }
}

#[tokio::test]
async fn failures_are_told_apart_and_stop_nobody_else() {
    let (generator, permits) = start(1, 16);
    permit(&permits, 100);
    let submit = |prompt: &[u32]| generator.submit(request(prompt), Class::Job).unwrap();
    let generations = [&[REFUSED][..], &[1, FAILS], &[PANICS], &[5, 6]].map(submit);
    let mut results = Vec::new();
    for generation in generations {
        results.push(generation.whole(|| {}).await);
    }
    assert!(
        matches!(&results[0], Err(Failure::Request(_))),
        "{results:?}"
    );
    assert!(matches!(&results[1], Err(Failure::Machine(why)) if why.contains("broken")));
    assert!(matches!(&results[2], Err(Failure::Machine(why)) if why.contains("panicked")));
    let last = results[3].as_ref().unwrap();
    assert_eq!(
        (last.tokens.as_slice(), last.finish),
        (&[5, 6][..], Finish::Length)
    );
}

#[tokio::test]
async fn tokens_come_as_they_are_allowed() {
    let (generator, permits) = start(2, 4);
    permit(&permits, 100);
    let mut slow = generator
        .submit(request(&[1, 2, 3]), Class::Stream)
        .unwrap();
    assert_eq!(slow.next().await, Some(Event::Started));
    // Another one that ends shows that the first had its turn and did not take it.
    let other = generator.submit(request(&[7]), Class::Job).unwrap();
    other.whole(|| {}).await.unwrap();
    assert!(slow.events.try_recv().is_err());
    slow.allow(2);
    slow.allow(1);
    expect_token(&mut slow, 1).await;
    expect_token(&mut slow, 2).await;
    let other = generator.submit(request(&[7]), Class::Job).unwrap();
    other.whole(|| {}).await.unwrap();
    assert!(slow.events.try_recv().is_err());
    slow.allow(u32::MAX);
    expect_token(&mut slow, 3).await;
    assert_eq!(slow.next().await, Some(Event::End(Finish::Length)));
    assert_eq!(slow.next().await, None);
}

#[tokio::test]
async fn jobs_go_before_streams_and_find_one_place_more() {
    let (generator, permits) = start(2, 8);
    let submit = |token, class| {
        let generation = generator.submit(request(&[token]), class).unwrap();
        generation.allow(1);
        generation
    };
    let mut first = submit(1, Class::Stream);
    assert_eq!(first.next().await, Some(Event::Started));
    let mut stream = submit(2, Class::Stream);
    let mut jobs = [submit(3, Class::Job), submit(4, Class::Job)];
    // The first step goes on without them: it was under way.
    permit(&permits, 1);
    expect_token(&mut first, 1).await;
    for job in &mut jobs {
        assert_eq!(job.next().await, Some(Event::Started));
    }
    assert_eq!(generator.load().waiting, 1);
    assert!(stream.events.try_recv().is_err());
    permit(&permits, 2);
    assert_eq!(stream.next().await, Some(Event::Started));
    expect_token(&mut stream, 2).await;
}

#[tokio::test]
async fn the_queue_is_bounded_for_each_class_and_says_when_to_come_back() {
    let (generator, permits) = start(1, 2);
    let submit = |class| generator.submit(request(&[1]), class);
    let mut running = submit(Class::Stream).unwrap();
    assert_eq!(running.next().await, Some(Event::Started));
    let waiting: Vec<_> = (0..2).map(|_| submit(Class::Stream).unwrap()).collect();
    let busy = submit(Class::Stream).err().unwrap();
    assert_eq!(
        (busy.waiting, busy.retry_after),
        (2, Duration::from_secs(1))
    );
    let job = submit(Class::Job).unwrap();
    // The thread shows what it does after a step that had nothing to do.
    while generator.load().running == 0 {
        tokio::task::yield_now().await;
    }
    let load = generator.load();
    assert_eq!((load.running, load.waiting, load.capacity), (1, 3, 1));
    // Who goes away while he waits leaves his place.
    drop(waiting);
    while generator.load().waiting > 1 {
        tokio::task::yield_now().await;
    }
    submit(Class::Stream).unwrap();
    permit(&permits, 9);
    drop(running);
    job.whole(|| {}).await.unwrap();
}

/// To wait costs almost nothing, so whoever waits with all that it may keeps nobody else out.
#[tokio::test]
async fn a_channel_has_no_more_places_of_the_queue_than_it_leaves_free() {
    let (generator, _permits) = start(1, 8);
    let submit = |channel| generator.submit_for(ChannelId::repeat_byte(channel), request(&[1, 2]));
    let take_all =
        |channel: u8| -> Vec<Generation> { std::iter::from_fn(|| submit(channel).ok()).collect() };
    // What is worked at waits no more.
    let mut running = submit(1).unwrap();
    assert_eq!(running.next().await, Some(Event::Started));
    let greedy = take_all(1);
    assert_eq!(greedy.len(), 4);
    let busy = submit(1).err().unwrap();
    assert_eq!(
        (busy.waiting, busy.retry_after),
        (4, Duration::from_secs(1))
    );
    let others = [2, 3, 4, 5].map(take_all);
    assert_eq!(others.each_ref().map(Vec::len), [2, 1, 1, 0]);
    assert_eq!(submit(5).err().unwrap().waiting, 8);
    // Who goes away leaves his share.
    drop(greedy);
    while generator.load().waiting > 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(take_all(1).len(), 2);
}

#[tokio::test]
async fn while_it_is_held_nobody_is_let_in_and_what_is_worked_at_goes_on() {
    let (generator, permits) = start(4, 8);
    let submit = |prompt: &[u32]| {
        let generation = generator.submit(request(prompt), Class::Job).unwrap();
        generation.allow(u32::MAX);
        generation
    };
    let mut first = submit(&[1, 2, 3]);
    assert_eq!(first.next().await, Some(Event::Started));
    generator.hold(true);
    let mut second = submit(&[8]);
    permit(&permits, 3);
    for token in [1, 2, 3] {
        expect_token(&mut first, token).await;
    }
    assert_eq!(first.next().await, Some(Event::End(Finish::Length)));
    assert!(second.events.try_recv().is_err());
    assert_eq!(generator.load().waiting, 1);
    generator.hold(false);
    permit(&permits, 1);
    assert_eq!(second.next().await, Some(Event::Started));
    expect_token(&mut second, 8).await;
}

#[tokio::test]
async fn who_goes_away_makes_room() {
    let (generator, permits) = start(1, 4);
    let mut first = generator
        .submit(request(&[1, 2, 3]), Class::Stream)
        .unwrap();
    first.allow(u32::MAX);
    permit(&permits, 1);
    assert_eq!(first.next().await, Some(Event::Started));
    expect_token(&mut first, 1).await;
    let second = generator.submit(request(&[8]), Class::Stream).unwrap();
    drop(first);
    // One for the step that may be under way, one for the second.
    permit(&permits, 2);
    let answer = second.whole(|| {}).await.unwrap();
    assert_eq!(answer.tokens, [8]);
    assert_eq!(generator.load().waiting, 0);
}

#[tokio::test]
async fn the_thread_ends_with_its_last_generation() {
    let (generator, permits) = start(1, 4);
    let mut generation = generator.submit(request(&[1, 2]), Class::Job).unwrap();
    generation.allow(2);
    drop(generator);
    permit(&permits, 2);
    assert_eq!(generation.next().await, Some(Event::Started));
    expect_token(&mut generation, 1).await;
    expect_token(&mut generation, 2).await;
    assert_eq!(generation.next().await, Some(Event::End(Finish::Length)));
    drop(generation);
    // The engine, and with it the other end of the permits, is dropped.
    while permits.send(()).is_ok() {
        tokio::task::yield_now().await;
    }
}
