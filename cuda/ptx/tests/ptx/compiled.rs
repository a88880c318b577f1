//! What NVRTC made of `compiled/kernels.cu`, against the same in Rust.

use crate::machine::random;
use assay_ptx::{launch, Launch, Memory, Module, Options};

const PTX: &str = include_str!("compiled/kernels.ptx");

fn bytes_of<const N: usize, T: Copy>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}

/// An allocation with these bytes.
fn upload(memory: &mut Memory, bytes: &[u8]) -> u64 {
    let address = memory.alloc(bytes.len() as u64).unwrap();
    memory.write(address, bytes).unwrap();
    address
}

fn download(memory: &Memory, address: u64, words: usize) -> Vec<u64> {
    let mut bytes = vec![0; 8 * words];
    memory.read(address, &mut bytes).unwrap();
    bytes
        .chunks(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

const VALUES: usize = 100;
const FACTORS: [i16; 6] = [3, -1, 4, 1, -5, 9];

/// The kernel `mixed`.
fn mixed(values: &[i32], threads: usize, scale: u64) -> Vec<i64> {
    let bonus = [1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let reversed = |thread: usize| values[(threads - 1 - thread) % VALUES];
    let result = |thread: usize| -> i64 {
        let warp = thread / 32 * 32;
        let value = (warp..warp + 32).fold(0i32, |sum, lane| sum.wrapping_add(reversed(lane)));
        let wide = i64::from(value);
        match thread % 8 {
            0 => wide + 3,
            1 => wide.wrapping_mul(7),
            2 => wide ^ 9,
            3 => {
                let others = (thread as u32 * 0x0102_0304).to_le_bytes();
                let dot = value.to_le_bytes().into_iter().zip(others);
                1 + dot
                    .map(|(a, b)| i64::from(a as i8) * i64::from(b as i8))
                    .sum::<i64>()
            }
            4 => wide - thread as i64,
            5 => wide / 3,
            6 => i64::from(value % 1000),
            _ => (0..thread % 13).fold(0i64, |sum, i| {
                let term = i64::from(FACTORS[i % 6])
                    .wrapping_mul(i64::from(values[i % VALUES]))
                    .wrapping_mul(wide);
                sum.wrapping_add(term)
            }),
        }
    };
    let scaled = |thread| (i128::from(result(thread)).wrapping_mul(i128::from(scale)) >> 40) as i64;
    (0..threads)
        .map(|thread| scaled(thread).wrapping_add(bonus[thread % 16]))
        .collect()
}

#[test]
fn what_a_compiler_makes_of_arithmetic_and_calls_is_right() {
    let module = Module::parse(PTX).unwrap();
    let mut random = random(3);
    for (threads, seed) in [(32, 0), (256, 0), (96, 1), (256, 2)] {
        let values: Vec<i32> = (0..VALUES).map(|_| random() as i32).collect();
        let scale = random();
        let mut memory = Memory::new(1 << 20);
        let input = upload(&mut memory, &bytes_of(&values, i32::to_le_bytes));
        let out = memory.alloc(8 * threads as u64).unwrap();
        let mut numbers = input.to_le_bytes().to_vec();
        numbers.extend((VALUES as i32).to_le_bytes());
        numbers.extend(bytes_of(&FACTORS, i16::to_le_bytes));
        let what = Launch {
            kernel: "mixed",
            grid: [1; 3],
            block: [threads as u32, 1, 1],
            dynamic_shared: 4 * threads as u32,
            arguments: &[&numbers, &out.to_le_bytes(), &scale.to_le_bytes()],
        };
        launch(
            &module,
            &what,
            &mut memory,
            &Options {
                seed,
                ..Options::default()
            },
        )
        .unwrap();
        let results: Vec<i64> = download(&memory, out, threads)
            .into_iter()
            .map(|word| word as i64)
            .collect();
        assert_eq!(results, mixed(&values, threads, scale));
    }
}

#[test]
fn local_arrays_hold_what_is_put_there() {
    let module = Module::parse(PTX).unwrap();
    let numbers: Vec<u64> = [
        0,
        7,
        10,
        1234,
        9_876_543_210,
        1_000_000_007,
        17_171_717_171_717_171,
    ]
    .into_iter()
    .cycle()
    .take(40)
    .enumerate()
    .map(|(index, number)| number + index as u64)
    .collect();
    let mut memory = Memory::new(1 << 16);
    let address = upload(&mut memory, &bytes_of(&numbers, u64::to_le_bytes));
    let what = Launch {
        kernel: "digits",
        grid: [1; 3],
        block: [40, 1, 1],
        dynamic_shared: 0,
        arguments: &[&address.to_le_bytes()],
    };
    launch(&module, &what, &mut memory, &Options::default()).unwrap();
    let must = numbers.iter().map(|number| {
        number
            .to_string()
            .chars()
            .rev()
            .collect::<String>()
            .parse()
            .unwrap()
    });
    assert_eq!(download(&memory, address, 40), must.collect::<Vec<u64>>());
}

#[test]
fn blocks_add_to_one_histogram() {
    let module = Module::parse(PTX).unwrap();
    let mut random = random(8);
    let bytes: Vec<u8> = (0..5000)
        .map(|_| (random() as u8) & (random() as u8))
        .collect();
    let mut must = [0u32; 256];
    bytes.iter().for_each(|byte| must[*byte as usize] += 1);
    for seed in 0..4 {
        let mut memory = Memory::new(1 << 16);
        let input = upload(&mut memory, &bytes);
        let totals = upload(&mut memory, &[0; 1024]);
        let what = Launch {
            kernel: "histogram",
            grid: [5, 1, 1],
            block: [96, 1, 1],
            dynamic_shared: 0,
            arguments: &[
                &input.to_le_bytes(),
                &(bytes.len() as i32).to_le_bytes(),
                &totals.to_le_bytes(),
            ],
        };
        launch(
            &module,
            &what,
            &mut memory,
            &Options {
                seed,
                ..Options::default()
            },
        )
        .unwrap();
        let mut results = vec![0; 1024];
        memory.read(totals, &mut results).unwrap();
        assert_eq!(results, bytes_of(&must, u32::to_le_bytes));
    }
}
