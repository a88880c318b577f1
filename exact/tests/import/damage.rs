//! How files are damaged, and what must not happen then.

use std::{env, fs, path::Path};

use proptest::prelude::*;
use serde_json::{json, Value as Json};

/// A damage to any file.
#[derive(Clone, Debug)]
pub enum Damage {
    Flip(Vec<(usize, u8)>),
    Truncate(usize),
    Extend(Vec<u8>),
    /// A number at a place, of four bytes or of eight.
    Number(usize, u64, bool),
    /// Bytes of another place, instead of what is there or between.
    Splice {
        from: usize,
        to: usize,
        length: usize,
        over: bool,
    },
}

impl Damage {
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len().max(1);
        match self {
            Self::Flip(flips) => {
                for (place, mask) in flips {
                    bytes[place % length] ^= mask;
                }
            }
            Self::Truncate(place) => bytes.truncate(place % length),
            Self::Extend(more) => bytes.extend(more),
            Self::Number(place, number, wide) => {
                let place = place % length;
                let end = length.min(place + if *wide { 8 } else { 4 });
                bytes[place..end].copy_from_slice(&number.to_le_bytes()[..end - place]);
            }
            Self::Splice {
                from,
                to,
                length: count,
                over,
            } => {
                let from = from % length;
                let piece = bytes[from..length.min(from + count)].to_vec();
                let to = to % length;
                let end = if *over { to + piece.len() } else { to };
                bytes.splice(to..end.min(length), piece);
            }
        }
    }
}

/// Half of the damage is in the first `front` bytes, where the headers are.
pub fn damage(front: usize) -> impl Strategy<Value = Damage> {
    let place = move || prop_oneof![0..front, any::<usize>()];
    prop_oneof![
        proptest::collection::vec((place(), 1..=255u8), 1..4).prop_map(Damage::Flip),
        place().prop_map(Damage::Truncate),
        proptest::collection::vec(any::<u8>(), 1..70).prop_map(Damage::Extend),
        (place(), hostile_number(), any::<bool>())
            .prop_map(|(place, number, wide)| Damage::Number(place, number, wide)),
        (place(), place(), 1..300usize, any::<bool>()).prop_map(|(from, to, length, over)| {
            Damage::Splice {
                from,
                to,
                length,
                over,
            }
        }),
    ]
}

/// Numbers at which counts, lengths and offsets break.
pub fn hostile_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..400u64,
        (0..64u32, 0..3u64).prop_map(|(bit, around)| (1u64 << bit).wrapping_add(around) - 1),
        Just(u64::MAX),
    ]
}

/// A value in place of the one at the end of a path through a JSON document.
#[derive(Clone, Debug)]
pub struct JsonDamage {
    pub path: Vec<usize>,
    pub value: Json,
}

pub fn json_damage() -> impl Strategy<Value = JsonDamage> {
    let value = prop_oneof![
        hostile_number().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        Just(json!(null)),
        Just(json!(true)),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[], {}, -1, "x"])),
        Just(json!("\u{0}\n\u{1b}[31m")),
        Just(json!("../../etc/passwd")),
        Just(json!("x".repeat(10_000))),
        Just((0..100).fold(json!(0), |inner, _| json!([inner]))),
    ];
    (proptest::collection::vec(any::<usize>(), 1..6), value)
        .prop_map(|(path, value)| JsonDamage { path, value })
}

impl JsonDamage {
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut document: Json = serde_json::from_slice(text).unwrap();
        let mut at = &mut document;
        for step in &self.path {
            let count = match at {
                Json::Array(items) => items.len(),
                Json::Object(members) => members.len(),
                _ => 0,
            };
            if count == 0 {
                break;
            }
            at = match at {
                Json::Array(items) => &mut items[step % count],
                Json::Object(members) => members.values_mut().nth(step % count).unwrap(),
                _ => unreachable!(),
            };
        }
        *at = self.value.clone();
        document.to_string().into_bytes()
    }
}

/// Cases of a property test: `default`, or as many as PROPTEST_CASES says for a long run.
pub fn cases(default: u32) -> ProptestConfig {
    let asked = env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub fn assert_one_line(error: &str) {
    assert!(
        !error.is_empty() && error.len() < 2000 && !error.contains(char::is_control),
        "{error:?}"
    );
}

pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
