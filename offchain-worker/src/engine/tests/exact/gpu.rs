//! The exact engine on a device, which is the processor here.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::*;
use crate::{
    common::{self, interpreter::Interpreter},
    engine::{Alarm, Gpu, Session},
};

const ROOMY: Places = Places {
    requests: 3,
    cache: 8 << 20,
};

fn folder(path: &Path) -> Box<Folder> {
    match ModelFolder::open(path).unwrap().into_weights() {
        ModelWeights::Exact(folder) => folder,
        ModelWeights::Float(_) => panic!("an import is exact"),
    }
}

#[test]
fn a_device_answers_as_the_processor_and_ends_the_worker_when_it_is_lost() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let device = Interpreter::new(&common::ptx(&nvrtc, 80), 4);
    let signals = watch::Sender::new(0u32);
    let gpu = Gpu {
        device: device.device(),
        alarm: Alarm::new(signals.clone()),
    };
    let (_source, path) = imported(Architecture::Llama);
    let engine = ExactEngine::load(folder(&path), portable(), Some(&gpu), ROOMY);
    let mut engine = engine.unwrap();
    let told = engine.describe();
    assert!(
        told.starts_with("exact, on the processor as a GPU"),
        "{told}"
    );
    let asked = request(Sampling::GREEDY, 12);
    let expected = answer_of(&mut load(&path, portable()), &asked);
    assert_eq!(answer_of(&mut engine, &asked), expected);
    assert!(device.launches().0 > 0);

    let mut session = engine.start(Box::new(|| {})).unwrap();
    for id in [1, 2] {
        assert!(session.admit(id, &asked).unwrap());
        session.allow(id, 12);
    }
    session.step().unwrap();
    assert_eq!((*signals.borrow(), gpu.alarm.cause()), (0, None));
    device.lose_after(2);
    let told = session.step().unwrap();
    assert_eq!(told.len(), 2);
    for (_, progress) in told {
        let Progress::Failed(error) = progress else {
            panic!("{progress:?}")
        };
        assert!(error.to_string().contains("the device failed"), "{error}");
        assert!(!error.is_request());
    }
    // The worker is asked to end, once, and nobody is let in meanwhile.
    let cause = gpu.alarm.cause().unwrap();
    assert!(cause.contains("CUDA_ERROR_DEVICE_UNAVAILABLE"), "{cause}");
    assert_eq!(*signals.borrow(), 1);
    let refused = |session: &mut dyn Session| match session.admit(3, &asked) {
        Err(error @ EngineError::Device(_)) => !error.is_request(),
        _ => false,
    };
    assert!(refused(&mut *session));
    drop(session);
    assert!(refused(&mut *engine.start(Box::new(|| {})).unwrap()));
    gpu.alarm.ring("again");
    assert_eq!((*signals.borrow(), gpu.alarm.cause()), (1, Some(cause)));
}

/// Nothing is waited for longer than once: everybody is told, the worker is asked to end, and the engine can be
/// dropped although the device gives nothing back.
#[test]
fn a_device_that_hangs_fails_its_requests_and_ends_the_worker() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let device = Interpreter::new(&common::ptx(&nvrtc, 80), 4);
    let signals = watch::Sender::new(0u32);
    let patience = Duration::from_millis(200);
    let gpu = Gpu {
        device: device.device_with_patience(patience),
        alarm: Alarm::new(signals.clone()),
    };
    let (_source, path) = imported(Architecture::Llama);
    let engine = ExactEngine::load(folder(&path), portable(), Some(&gpu), ROOMY);
    let mut engine = engine.unwrap();
    let asked = request(Sampling::GREEDY, 12);
    let mut session = engine.start(Box::new(|| {})).unwrap();
    for id in [1, 2] {
        assert!(session.admit(id, &asked).unwrap());
        session.allow(id, 12);
    }
    session.step().unwrap();
    device.hang();
    let since = Instant::now();
    let told = session.step().unwrap();
    assert_eq!(told.len(), 2);
    for (_, progress) in told {
        let Progress::Failed(error) = progress else {
            panic!("{progress:?}")
        };
        let told = error.to_string();
        assert!(told.contains("it does not come to an end"), "{told}");
        assert!(!error.is_request());
    }
    assert_eq!(*signals.borrow(), 1);
    assert!(gpu.alarm.cause().is_some() && device.is_abandoned());
    assert!(session.admit(3, &asked).is_err());
    assert!(session.step().is_none());
    drop(session);
    drop(engine);
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "nobody waits again"
    );
}

#[test]
fn a_model_that_does_not_fit_a_device_is_refused_with_what_would() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let gpu = Gpu {
        device: Interpreter::new(&common::ptx(&nvrtc, 80), 4).device(),
        alarm: Alarm::new(watch::Sender::new(0)),
    };
    let (_source, path) = imported(Architecture::Llama);
    let error = |cache| {
        let places = Places { cache, ..ROOMY };
        let loaded = ExactEngine::load(folder(&path), portable(), Some(&gpu), places);
        loaded.err().unwrap()
    };
    assert!(matches!(
        error(1000),
        EngineError::CacheMemory { given: 1000, .. }
    ));
    let told = error(1 << 40).to_string();
    assert!(told.contains("give --cache-memory at most"), "{told}");
}

#[test]
fn a_device_with_one_wrong_bit_is_not_served_on() {
    let Some(nvrtc) = common::nvrtc() else { return };
    let device = Interpreter::new(&common::ptx(&nvrtc, 80), 4);
    let alarm = Alarm::new(watch::Sender::new(0));
    device.flip_after(0);
    let refused = Gpu::compared(3, device.device(), 1, alarm.clone());
    let told = refused.err().unwrap().to_string();
    assert!(
        told.starts_with("cuda:3 does not give the processor's bits: conformance vectors ("),
        "{told}"
    );
    assert!(
        told.contains("--device cpu") && !told.contains('\n'),
        "{told}"
    );
    // The same device, when it is right.
    Gpu::compared(3, device.device(), 1, alarm)
        .map(drop)
        .unwrap();
    device.lose_after(100);
    let alarm = Alarm::new(watch::Sender::new(0));
    let lost = Gpu::compared(3, device.device(), 1, alarm).err().unwrap();
    let told = lost.to_string();
    assert_eq!(told, "cuda:3 cannot be compared with the processor");
}
