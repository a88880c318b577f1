//! A device as several models share it: what is uploaded is the caller's again at once, and what does not
//! come to an end is given up.

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use assay_cuda::{
    device::{Buffer, DeviceError, Launch, WINDOW},
    Device,
};
use common::interpreter::Interpreter;

const PATIENCE: Duration = Duration::from_millis(30);

/// A device without kernels.
fn device() -> Arc<Interpreter> {
    Interpreter::new(".version 7.0\n.target sm_75\n.address_size 64\n", 1)
}

/// Bytes none of whose neighbours are as these.
fn bytes(count: usize, seed: usize) -> Vec<u8> {
    (0..count)
        .map(|i| (((i + seed) * 7919) >> 5) as u8)
        .collect()
}

/// The interpreter does not let bytes be put where others may still be read, nor be read before they came.
#[test]
fn what_was_uploaded_arrives_however_much_it_is() {
    let device = device().device();
    for lengths in [
        vec![WINDOW - 1, 1, 1],
        vec![1; 2000],
        vec![3, 2 * WINDOW + 77, WINDOW],
        vec![WINDOW / 3; 7],
    ] {
        let buffers: Vec<_> = lengths
            .iter()
            .enumerate()
            .map(|(index, length)| {
                let mut content = bytes(*length, index);
                let buffer = Buffer::of(&device, &content).unwrap();
                content.fill(0xff);
                buffer
            })
            .collect();
        for (index, (buffer, length)) in buffers.iter().zip(lengths).enumerate() {
            assert!(buffer.read().unwrap() == bytes(length, index), "{length}");
        }
    }
}

#[test]
fn threads_share_the_windows() {
    let device = device().device();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let device = &device;
            scope.spawn(move || {
                for round in 0..6 {
                    let content = bytes(WINDOW / 5 + thread, thread * 100 + round);
                    let buffer = Buffer::of(device, &content).unwrap();
                    assert!(buffer.read().unwrap() == content);
                }
            });
        }
    });
}

/// Whatever waits is told in time, and what comes after is told at once: nobody calls what does not answer,
/// which the interpreter would not let pass.
#[test]
fn a_device_that_comes_to_no_end_is_given_up() {
    type Call = fn(&Device, &Buffer) -> Result<(), DeviceError>;
    let waiting: [(&str, Call); 3] = [
        ("synchronise", |device, _| device.synchronise()),
        ("read", |_, buffer| buffer.read().map(drop)),
        ("upload", |device, buffer| {
            // No room is left in the window, and none will be.
            (0..=WINDOW / 4096).try_for_each(|_| device.upload(buffer.address(), &[1; 4096]))
        }),
    ];
    let all: [(&str, Call); 9] = [
        waiting[0],
        waiting[1],
        waiting[2],
        ("memory", |device, _| device.memory().map(drop)),
        ("allocate", |device, _| Buffer::new(device, 1).map(drop)),
        ("copy", |device, buffer| {
            device.copy(buffer.address(), buffer.address() + 8, 8)
        }),
        ("zero", |device, buffer| device.zero(buffer.address(), 8)),
        ("launch", |device, _| device.launch(&nothing())),
        ("capture", |device, _| device.capture(&[]).map(drop)),
    ];
    for (name, wait) in waiting {
        let interpreter = device();
        let device = interpreter.device_with_patience(PATIENCE);
        let (buffer, other) = (
            Buffer::new(&device, 4096).unwrap(),
            Buffer::new(&device, 4096).unwrap(),
        );
        device.upload(buffer.address(), &[0; 4096]).unwrap();
        device.synchronise().unwrap();
        interpreter.hang();
        let since = Instant::now();
        let silent = wait(&device, &buffer).unwrap_err();
        let waited = since.elapsed();
        assert!(waited >= PATIENCE && waited < 20 * PATIENCE, "{waited:?}");
        assert_eq!(silent, DeviceError::Silent { seconds: 0 }, "{name}");
        assert!(interpreter.is_abandoned());
        let since = Instant::now();
        for (later, call) in all {
            assert_eq!(call(&device, &buffer), Err(silent.clone()), "{later}");
        }
        // Nor is anything given back.
        let used = interpreter.in_use();
        drop((buffer, other));
        assert!(since.elapsed() < PATIENCE, "nobody waits again");
        assert_eq!(interpreter.in_use(), used);
    }
    // One that hangs while nothing but memory is given back.
    let interpreter = device();
    let device = interpreter.device_with_patience(PATIENCE);
    let buffer = Buffer::new(&device, 4096).unwrap();
    interpreter.hang();
    drop(buffer);
    assert!(interpreter.is_abandoned());
}

fn nothing() -> Launch {
    Launch {
        kernel: "nothing",
        grid: [0, 1, 1],
        block: [1, 1, 1],
        shared: 0,
        arguments: Vec::new(),
    }
}

/// One that is slow is waited for.
#[test]
fn what_takes_long_is_not_given_up() {
    let interpreter = device();
    let device = interpreter.device_with_patience(Duration::from_secs(60));
    let buffer = Buffer::of(&device, &[5; 16]).unwrap();
    interpreter.hang_for(Duration::from_millis(60));
    let since = Instant::now();
    assert_eq!(buffer.read().unwrap(), [5; 16]);
    assert!(since.elapsed() >= Duration::from_millis(60));
    assert!(!interpreter.is_abandoned());
}
