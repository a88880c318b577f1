//! The kernels that ceilings are measured with do the work that they are counted for, all of it.

mod common;

use assay_cuda::{
    ceilings::{blocks, kernels, MultiplyAll, ReadAll},
    device::{bytes_of, numbers_of, Buffer},
};
use common::interpreter::Interpreter;

const MULTIPROCESSORS: u32 = 2;

fn each(test: impl Fn(&Interpreter, &assay_cuda::Device)) {
    let Some(nvrtc) = common::nvrtc() else { return };
    for arch in [75, 80] {
        let ptx = common::ptx_of(&nvrtc, arch, &kernels().source);
        let interpreter = Interpreter::new(&ptx, MULTIPROCESSORS);
        test(&interpreter, &interpreter.device());
    }
}

#[test]
fn every_word_is_read_once() {
    each(|interpreter, device| {
        // A thread's words one by one, several at once, and both; and fewer than there are threads.
        let threads = blocks(MULTIPROCESSORS) as usize * 256;
        for words in [
            0,
            1,
            255,
            threads - 1,
            threads,
            8 * threads,
            19 * threads + 5,
        ] {
            let numbers: Vec<u32> = (0..4 * words as u32)
                .map(|i| i.wrapping_mul(0x9e37_79b9) ^ i >> 7)
                .collect();
            let (from, sums) = (
                Buffer::of(device, &bytes_of(&numbers)).unwrap(),
                Buffer::new(device, 4 * blocks(MULTIPROCESSORS) as usize).unwrap(),
            );
            let read = ReadAll {
                from: from.address(),
                bytes: 16 * words as u64,
                sums: sums.address(),
            };
            let before = interpreter.counts().global_loaded;
            device.launch(&read.launch(MULTIPROCESSORS)).unwrap();
            let loaded = interpreter.counts().global_loaded - before;
            assert_eq!(loaded, read.bytes);
            let found: Vec<u32> = numbers_of(&sums.read().unwrap());
            let sum = |numbers: &[u32]| numbers.iter().fold(0, |a: u32, b| a.wrapping_add(*b));
            assert_eq!(sum(&found), sum(&numbers), "{words} words");
        }
    });
}

#[test]
fn products_are_as_many_as_are_counted() {
    each(|_, device| {
        let sums = Buffer::new(device, 4 * blocks(MULTIPROCESSORS) as usize).unwrap();
        for (rounds, a, b) in [
            (0, 1, 1),
            (1, 1, 1),
            (3, -7, 11),
            (2, -128, -128),
            (2, 127, -128),
        ] {
            let multiply = MultiplyAll {
                rounds,
                a,
                b,
                sums: sums.address(),
            };
            device.launch(&multiply.launch(MULTIPROCESSORS)).unwrap();
            let found: Vec<u32> = numbers_of(&sums.read().unwrap());
            assert!(found.iter().all(|sum| *sum == multiply.sum()), "{rounds}");
            // With ones, the sum is the number of products itself.
            if (a, b) == (1, 1) {
                let all: u64 = found.iter().map(|sum| u64::from(*sum)).sum();
                assert_eq!(2 * all, multiply.operations(MULTIPROCESSORS));
            }
        }
    });
}
