//! The whole engine on a device that is the processor: what a GPU's driver is told, and the kernels
//! that the compiler made, give the bits of the portable engine, alone and in batches, also where the
//! device fails.

mod common;

use std::sync::Arc;

use assay_cuda::{
    kernels::layout::slab_bytes,
    selftest::{self, shapes},
    Resident, ResidentError,
};
use assay_exact::{
    accelerator::AcceleratorError,
    answer::{generate, AnswerError, Request},
    batch::{memory, Batch, BatchError, Event, Limits},
    cache::SLAB,
    random::{Numbers, Weights},
    sampling::Settings,
    Backend, Cpu, Engine, EngineError, Logits, Sequence, Shape,
};
use common::interpreter::Interpreter;

const SAMPLED: Settings = Settings {
    temperature: 900_000,
    top_k: 40,
    top_p: 950_000,
    min_p: 10_000,
    penalty: 1_200_000,
};

/// A device for PTX of the oldest architecture, and one for those with asynchronous copies; few and many
/// multiprocessors, for which other tiles and splits are launched.
const TURING: (u32, u32) = (75, 2);
const AMPERE: (u32, u32) = (80, 30);

fn device((arch, multiprocessors): (u32, u32)) -> Option<Arc<Interpreter>> {
    let nvrtc = common::nvrtc()?;
    let ptx = common::ptx(&nvrtc, arch);
    Some(Interpreter::new(&ptx, multiprocessors))
}

fn little() -> Shape {
    let (_, shape) = shapes().remove(0);
    shape
}

/// Tokens of the answer that `engine` gives alone.
fn answer(engine: &Engine, prompt: &[u32], limit: u32) -> Vec<u32> {
    let request = request(prompt, limit);
    let mut go_on = |_| std::ops::ControlFlow::Continue(());
    generate(engine, &request, &mut go_on).unwrap().tokens
}

fn request(prompt: &[u32], limit: u32) -> Request<'_> {
    Request {
        prompt,
        settings: SAMPLED,
        seed: [7; 32],
        stop_tokens: &[],
        limit,
    }
}

#[test]
fn turing_gives_the_processors_bits_on_every_shape() {
    every_shape(TURING);
}

#[test]
fn ampere_gives_the_processors_bits_on_every_shape() {
    every_shape(AMPERE);
}

fn every_shape(kind: (u32, u32)) {
    let Some(device) = device(kind) else { return };
    let used = device.in_use();
    let mut compared = Vec::new();
    selftest::run(&device.device(), 30, kind.0.into(), &mut |shape| {
        println!("{shape:?}");
        compared.push(shape.clone());
    })
    .unwrap();
    // The conformance vectors come first, and the long sequence last.
    assert_eq!(compared.len(), shapes().len() + 2);
    for shape in compared {
        assert!(shape.tokens >= 30 && shape.wrong == 0, "{shape:?}");
    }
    assert_eq!(device.in_use(), used, "memory is given back");
    println!("{}", device.counts());
}

#[test]
fn a_batch_on_a_device_answers_as_the_processor_does_alone() {
    let (shape, cpu) = (little(), Cpu::new(Backend::Portable, 1).unwrap());
    let weights = Weights::random(&shape, 5);
    let model = weights.model();
    let alone = Engine::new(&model, &cpu).unwrap();
    let mut numbers = Numbers::new(1);
    let common = numbers.tokens(SLAB + 3, &shape);
    // Two begin with the same slab; one is short.
    let prompts = [common.clone(), [&common[..], &[3, 4]].concat(), vec![5]];
    let expected: Vec<_> = prompts
        .iter()
        .map(|prompt| answer(&alone, prompt, 6))
        .collect();
    for device in [TURING, AMPERE].into_iter().filter_map(device) {
        let slabs = 6;
        let resident = Resident::new(device.device(), &model, slabs * slab_bytes(&shape)).unwrap();
        let engine = Engine::new(&model, &cpu).unwrap().on(&resident);
        assert_eq!(memory(&engine, 2 * SLAB), 2 * slab_bytes(&shape));
        let limits = Limits {
            requests: 3,
            prefill: 32,
            memory: slabs * slab_bytes(&shape),
        };
        let mut batch = Batch::new(engine, limits);
        let (mut found, mut shown) = (vec![Vec::new(); prompts.len()], Vec::new());
        for (id, prompt) in prompts.iter().enumerate() {
            assert!(batch.admit(id as u64, &request(prompt, 6)).unwrap());
            batch.allow(id as u64, 6);
            if id == 2 {
                batch.show_logits(2);
            }
            if id == 0 {
                // So that the second finds its slab.
                for _ in 0..4 {
                    collect(batch.step(), &mut found, &mut shown);
                }
            }
        }
        while let Some(events) = batch.step() {
            collect(Some(events), &mut found, &mut shown);
        }
        assert_eq!(found, expected);
        // The last one's logits, which the device chose none by.
        let tokens = [&prompts[2], &expected[2][..5]].concat();
        let logits = alone.run(&mut [Sequence {
            cache: &mut alone.cache(),
            tokens: &tokens,
            logits: Logits::All,
        }]);
        assert_eq!(shown, logits.unwrap().concat());
        let usage = batch.usage();
        assert_eq!((usage.requests, usage.reused), (0, SLAB as u64));
        assert_eq!(usage.kept, slab_bytes(&shape), "the beginning is kept");
        // An answer that is read at once, each token's penalty by those ahead of it.
        for wrong in 0..=6 {
            let mut answer = expected[1].clone();
            if let Some(token) = answer.get_mut(wrong) {
                *token = (*token + 1) % shape.vocabulary;
            }
            let scored = request(&prompts[1], 6);
            assert!(batch.admit_score(9, &scored, &answer).unwrap());
            batch.allow(9, 1);
            let mut events = Vec::new();
            while let Some(more) = batch.step() {
                events.extend(more);
            }
            assert_eq!(events, [(9, Event::Scored(wrong))]);
        }
        drop(batch);
        assert_eq!(resident.free_slabs(), slabs);
        let (_, graphs) = device.launches();
        assert!(graphs > 0, "decoding ran as graphs");
    }
}

/// All tokens, and the logits that somebody is shown.
fn collect(events: Option<Vec<(u64, Event)>>, found: &mut [Vec<u32>], shown: &mut Vec<i32>) {
    for (id, event) in events.into_iter().flatten() {
        match event {
            Event::Token { token, logits } => {
                found[id as usize].push(token);
                shown.extend(logits);
            }
            Event::End(_) => {}
            other => panic!("{id}: {other:?}"),
        }
    }
}

/// Of rows whose logits nobody wants to see, what they choose is all that is downloaded.
#[test]
fn a_step_brings_a_token_for_each_request() {
    let Some(device) = device(AMPERE) else {
        return;
    };
    let (shape, cpu) = (little(), Cpu::new(Backend::Portable, 1).unwrap());
    let weights = Weights::random(&shape, 5);
    let model = weights.model();
    let memory = 3 * slab_bytes(&shape);
    let resident = Resident::new(device.device(), &model, memory).unwrap();
    let limits = Limits {
        requests: 3,
        prefill: 32,
        memory,
    };
    let mut batch = Batch::new(Engine::new(&model, &cpu).unwrap().on(&resident), limits);
    for id in 0..3 {
        assert!(batch.admit(id, &request(&[9, 8, id as u32], 9)).unwrap());
        batch.allow(id, 9);
    }
    let mut step = |shown: Option<u64>| {
        if let Some(id) = shown {
            batch.show_logits(id);
        }
        let before = device.downloaded();
        assert_eq!(batch.step().unwrap().len(), 3);
        device.downloaded() - before
    };
    assert_eq!(step(None), 3 * 4);
    assert_eq!(step(None), 3 * 4);
    assert_eq!(step(Some(1)), 2 * 4 + u64::from(shape.vocabulary) * 4);
}

/// Wherever in a pass the device goes, everybody is told, no cache has moved, and nothing panics.
#[test]
fn a_device_that_is_lost_fails_requests_and_leaves_caches_as_they_were() {
    let Some(device) = device(AMPERE) else {
        return;
    };
    let (shape, cpu) = (little(), Cpu::new(Backend::Portable, 1).unwrap());
    let weights = Weights::random(&shape, 5);
    let model = weights.model();
    let slabs = 4;
    let resident = Resident::new(device.device(), &model, slabs * slab_bytes(&shape)).unwrap();
    let engine = || Engine::new(&model, &cpu).unwrap().on(&resident);
    let one = engine();
    let mut cache = one.cache();
    let mut read = |tokens: &[u32]| {
        let before = cache.positions();
        let result = one.run(&mut [Sequence {
            cache: &mut cache,
            tokens,
            logits: Logits::Last,
        }]);
        let expected = before + if result.is_ok() { tokens.len() } else { 0 };
        assert_eq!(cache.positions(), expected);
        result.map(|logits| logits.concat())
    };
    let first = read(&[1, 2, 3]).unwrap();
    for calls in [0, 1, 5, 9, 20] {
        device.lose_after(calls);
        let Err(EngineError::Accelerator(AcceleratorError::Failed { name, code, .. })) = read(&[4])
        else {
            panic!("the device was lost after {calls} calls")
        };
        assert_eq!((name, code), ("CUDA_ERROR_DEVICE_UNAVAILABLE", 46));
    }
    // Nothing of what was begun counts.
    device.lose_after(i64::MAX);
    read(&[4]).unwrap();
    cache.truncate(0);
    let again = one.run(&mut [Sequence {
        cache: &mut cache,
        tokens: &[1, 2, 3],
        logits: Logits::Last,
    }]);
    assert_eq!(again.unwrap().concat(), first);
    drop(cache);

    let limits = Limits {
        requests: 2,
        prefill: 32,
        memory: slabs * slab_bytes(&shape),
    };
    let mut batch = Batch::new(engine(), limits);
    for id in [0, 1] {
        assert!(batch.admit(id, &request(&[9, 8], 5)).unwrap());
        batch.allow(id, 5);
    }
    batch.step().unwrap();
    device.lose_after(3);
    let events = batch.step().unwrap();
    assert_eq!(events.len(), 2);
    for (_, event) in events {
        let Event::Failed(BatchError::Answer(AnswerError::Engine(error))) = event else {
            panic!("{event:?}")
        };
        let told = error.to_string();
        assert!(told.starts_with("the device failed at a pass"), "{told}");
    }
    assert_eq!(batch.step(), None);
    drop(batch);
    assert_eq!(resident.free_slabs(), slabs);
}

/// One wrong bit is one wrong position, in whatever is compared; of a vector, all logits have one hash.
#[test]
fn one_wrong_bit_is_found() {
    let Some(device) = device(AMPERE) else {
        return;
    };
    let mut wrong = Vec::new();
    device.flip_after(0);
    selftest::run(&device.device(), 1, 3, &mut |compared| {
        wrong.push(compared.wrong);
        device.flip_after(1);
    })
    .unwrap();
    assert!(wrong[0] > 0);
    assert_eq!(wrong[1..], vec![1; shapes().len() + 1]);
}

/// Two models on one device, on a thread each: what one does while the other captures would be captured
/// as well.
#[test]
fn models_that_share_a_device_do_not_meet_in_a_capture() {
    let Some(interpreter) = device(AMPERE) else {
        return;
    };
    let (shape, device) = (little(), interpreter.device());
    let decode = |seed| {
        let cpu = Cpu::new(Backend::Portable, 1).unwrap();
        let weights = Weights::random(&shape, seed);
        let model = weights.model();
        let memory = 6 * slab_bytes(&shape);
        let resident = Resident::new(device.clone(), &model, memory).unwrap();
        let engine = Engine::new(&model, &cpu).unwrap().on(&resident);
        let alone = Engine::new(&model, &cpu).unwrap();
        for sequences in 1..=6 {
            let mut caches: Vec<_> = (0..sequences).map(|_| engine.cache()).collect();
            // The second time is captured.
            for token in 1..=3 {
                let tokens = [token];
                let batch = caches.iter_mut().map(|cache| Sequence {
                    cache,
                    tokens: &tokens,
                    logits: Logits::Last,
                });
                let found = engine.run(&mut batch.collect::<Vec<_>>());
                if token == 3 {
                    let expected = alone.run(&mut [Sequence {
                        cache: &mut alone.cache(),
                        tokens: &[1, 2, 3],
                        logits: Logits::Last,
                    }]);
                    assert_eq!(
                        found.unwrap().concat(),
                        expected.unwrap().concat().repeat(sequences)
                    );
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let decode = &decode;
        let threads = [1, 2].map(|seed| scope.spawn(move || decode(seed)));
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let (_, graphs) = interpreter.launches();
    assert_eq!((interpreter.captures(), graphs), (12, 24));
}

/// A device without memory for graphs decodes without, and is not asked again; one that is lost during a
/// capture is in none afterwards.
#[test]
fn a_capture_that_fails_ends_and_costs_nothing_but_the_graph() {
    let Some(interpreter) = device(AMPERE) else {
        return;
    };
    let (shape, cpu) = (little(), Cpu::new(Backend::Portable, 1).unwrap());
    let weights = Weights::random(&shape, 5);
    let model = weights.model();
    let alone = Engine::new(&model, &cpu).unwrap();
    let expected = answer(&alone, &[1], 8);
    let resident = || {
        let memory = 2 * slab_bytes(&shape);
        Resident::new(interpreter.device(), &model, memory).unwrap()
    };
    let refused = resident();
    let engine = Engine::new(&model, &cpu).unwrap().on(&refused);
    for refusing in [true, false] {
        interpreter.refuse_graphs(refusing);
        assert_eq!(answer(&engine, &[1], 8), expected);
        let (_, graphs) = interpreter.launches();
        assert_eq!((interpreter.captures(), graphs), (1, 0));
    }
    // Where in it the device goes does not matter.
    for calls in 0..40 {
        let resident = resident();
        let engine = Engine::new(&model, &cpu).unwrap().on(&resident);
        let mut cache = engine.cache();
        let mut read = |tokens: &[u32]| {
            engine.run(&mut [Sequence {
                cache: &mut cache,
                tokens,
                logits: Logits::Last,
            }])
        };
        read(&[1]).unwrap();
        interpreter.lose_after(calls);
        let lost = read(&[2]);
        assert!(lost.is_err() || calls > 30, "{calls}");
        interpreter.lose_after(i64::MAX);
        read(&[3]).unwrap();
    }
    let (_, graphs) = interpreter.launches();
    assert!(interpreter.captures() > 10 && graphs > 0);
}

/// A clone that shares a slab gets its own before it writes; a cache of elsewhere is refused.
#[test]
fn caches_on_a_device_are_shared_until_written_and_refused_elsewhere() {
    let Some(device) = device(AMPERE) else {
        return;
    };
    let (shape, cpu) = (little(), Cpu::new(Backend::Portable, 1).unwrap());
    let weights = Weights::random(&shape, 8);
    let model = weights.model();
    let resident = Resident::new(device.device(), &model, 2 * slab_bytes(&shape)).unwrap();
    let (here, there) = (
        Engine::new(&model, &cpu).unwrap(),
        Engine::new(&model, &cpu).unwrap().on(&resident),
    );
    let run = |engine: &Engine, cache: &mut assay_exact::Cache, tokens: &[u32]| {
        engine.run(&mut [Sequence {
            cache,
            tokens,
            logits: Logits::Last,
        }])
    };
    let mut cache = there.cache();
    run(&there, &mut cache, &[1, 2, 3]).unwrap();
    let mut other = cache.clone();
    assert_eq!(resident.free_slabs(), 1);
    let four = run(&there, &mut cache, &[4]).unwrap();
    assert_eq!(resident.free_slabs(), 0);
    // It still has what both had, and would want a third.
    let mut third = other.clone();
    assert_eq!(
        run(&there, &mut third, &[5]),
        Err(AcceleratorError::Slabs.into())
    );
    drop(third);
    let five = run(&there, &mut other, &[5]).unwrap();
    for (last, found) in [(4, four), (5, five)] {
        let expected = run(&here, &mut here.cache(), &[1, 2, 3, last]).unwrap();
        assert_eq!(found, expected);
    }
    assert_eq!(run(&here, &mut other, &[1]), Err(EngineError::Cache));
    assert_eq!(
        run(&there, &mut here.cache(), &[1]),
        Err(EngineError::Cache)
    );
    assert_eq!(run(&there, &mut cache, &[97]), Err(EngineError::Token(97)));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_tried_with_what_would() {
    let Some(device) = device(AMPERE) else {
        return;
    };
    let (shape, used) = (little(), device.in_use());
    let weights = Weights::random(&shape, 8);
    let error = Resident::new(device.device(), &weights.model(), 4 << 30).unwrap_err();
    let ResidentError::Memory { fits, cache, .. } = error else {
        panic!("{error}")
    };
    assert!(cache > 4_000_000_000 && fits > 1 << 26 && fits < 1 << 28);
    let told = error.to_string();
    assert!(
        told.contains(&format!("--cache-memory at most {}", fits >> 20)),
        "{told}"
    );
    assert_eq!(device.in_use(), used);
    let resident = Resident::new(device.device(), &weights.model(), fits).unwrap();
    drop(resident);
    assert_eq!(device.in_use(), used);
}
