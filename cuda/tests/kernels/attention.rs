//! `attention_*` against `op::attention`.

use assay_cuda::kernels::{
    layout::{padded_line, SLAB},
    Attention, AttentionMaxima, AttentionMix, AttentionOut, Splits, Tiles,
};
use assay_exact::{
    op::attention::{self, query_scale},
    tables, Scale, Shape,
};

use crate::{
    cache::{shape, Cached, Kind, Place, Slabs},
    cases::Numbers,
    judge::files::{self, read as vectors, scale},
    machine::{each, limbs, read, Machine},
};

/// Rows of a pass, and the caches that they see.
struct Case {
    shape: Shape,
    layer: usize,
    /// For each sequence the position of its first row, and its rows.
    sequences: Vec<(usize, Vec<Row>)>,
    slabs: Slabs,
}

/// A row's heads: int16 queries, and their quantisation's scales.
type Row = Vec<(Vec<i16>, Scale)>;

/// What the device made.
struct Found {
    /// S, U and D of each row and head.
    sums: Vec<(i64, i64, i64)>,
    out: Vec<i32>,
}

impl Case {
    /// With rows of the same kinds as the conformance vectors': 0 ordinary, 1 far apart in size, 2 with
    /// a sink, 3 saturated.
    fn random(
        numbers: &mut Numbers,
        shape: Shape,
        sequences: &[(usize, usize)],
        kind: usize,
    ) -> Self {
        let d = usize::from(shape.head_dim);
        let mut free: Vec<u32> = Vec::new();
        let ends = sequences.iter().map(|(first, rows)| first + rows);
        let mut tables: Vec<Vec<u32>> = ends
            .map(|end| vec![0; end.div_ceil(SLAB as usize)])
            .collect();
        let all: usize = tables.iter().map(Vec::len).sum();
        free.extend(0..all as u32);
        for slot in tables.iter_mut().flatten() {
            *slot = free.swap_remove(numbers.draw() as usize % free.len());
        }
        let mut slabs = Slabs::new(&shape, tables);
        let layer = usize::from(shape.layers) - 1;
        let exponents: &[i32] = match kind {
            0 => &[-24, -23, -22],
            1 => &[-128, -60, -40, -24, -10, 20],
            2 => &[-24],
            _ => &[-9, 0],
        };
        let numbers_kind = 1 + kind % 2;
        let cached = |n: &mut Numbers| Cached {
            scale: match (n.mantissa(), n.of(exponents)) {
                (0, _) => Scale::ZERO,
                sound => scale(sound),
            },
            numbers: n.weights(d, numbers_kind),
        };
        for (sequence, (first, rows)) in sequences.iter().enumerate() {
            for position in 0..first + rows {
                for kv_head in 0..usize::from(shape.kv_heads) {
                    let place = Place {
                        sequence,
                        layer,
                        kv_head,
                        position,
                    };
                    slabs.put(Kind::Key, place, &cached(numbers));
                    let mut value = cached(numbers);
                    if kind == 2 && position == 3 {
                        value.scale = scale((40_000, -60));
                    }
                    slabs.put(Kind::Value, place, &value);
                }
            }
        }
        let head = |n: &mut Numbers| {
            let scale = Scale {
                mantissa: n.mantissa().max(1 << 15),
                exponent: n.of(&[-31, -28, -24]),
            };
            (n.activations(d, numbers_kind), scale)
        };
        let row = |n: &mut Numbers| n.list(usize::from(shape.heads), head);
        let sequences = sequences.iter();
        Self {
            sequences: sequences
                .map(|(first, rows)| (*first, numbers.list(*rows, row)))
                .collect(),
            layer,
            slabs,
            shape,
        }
    }

    fn run(&self, machine: &Machine, splits: Splits) -> Found {
        let shape = &self.shape;
        let stride = padded_line(shape.head_dim.into());
        let rows = self.sequences.iter().flat_map(|(_, rows)| rows);
        let count = rows.clone().count();
        let heads: Vec<_> = rows.flatten().collect();
        let queries = heads.iter().flat_map(|(q, _)| limbs(q, stride));
        let scales = heads
            .iter()
            .map(|(_, scale)| query_scale(*scale, shape.head_dim));
        let places = self.sequences.iter().enumerate();
        let places = places.flat_map(|(sequence, (first, rows))| {
            (*first..first + rows.len()).map(move |position| [position as u32, sequence as u32])
        });
        let places: Vec<[u32; 2]> = places.collect();
        let list = |index: usize| places.iter().map(|place| place[index]).collect::<Vec<_>>();
        let tiles = Tiles::new(
            shape,
            self.sequences.iter().map(|(_, rows)| rows.len() as u32),
        );

        let queries = machine.of(&queries.collect::<Vec<_>>());
        let query_scales = machine.scales(&scales.collect::<Vec<_>>());
        let (positions, sequences) = (machine.of(&list(0)), machine.of(&list(1)));
        let uploaded = self.slabs.upload(machine);
        let tile_list = machine.of(&tiles.list.concat());
        let exp2 = machine.of(&tables::exp2());
        let [maxima, denominators, parts] = splits
            .scratch_bytes(shape, count)
            .map(|bytes| machine.room::<u8>(bytes));
        let out = machine.room::<i32>(count * shape.query_width() as usize);
        let attention = Attention {
            shape,
            layer: self.layer as u32,
            queries: queries.address(),
            query_scales: query_scales.address(),
            positions: positions.address(),
            sequences: sequences.address(),
            cache: uploaded.cache(),
            tiles: tile_list.address(),
            tile_count: tiles.list.len() as u32,
            many: tiles.many,
            splits,
            maxima: maxima.address(),
        };
        machine.run(AttentionMaxima(attention).launch());
        let mix = AttentionMix {
            attention,
            exp2: exp2.address(),
            denominators: denominators.address(),
            parts: parts.address(),
        };
        machine.run(mix.launch());
        let last = AttentionOut {
            shape,
            rows: count as u32,
            positions: positions.address(),
            splits,
            maxima: maxima.address(),
            denominators: denominators.address(),
            parts: parts.address(),
            out: out.address(),
        };
        machine.run(last.launch());
        // Splits that a row does not see are not written: only the others are read.
        let heads = usize::from(shape.heads);
        let mut sums = Vec::new();
        for (row, [position, _]) in places.iter().enumerate() {
            let seen = position / (SLAB * splits.slabs) + 1;
            for place in row * heads..(row + 1) * heads {
                let first = place as u64 * u64::from(splits.count);
                let mut all = (i64::MIN, i64::MIN, 0);
                for split in first..first + u64::from(seen) {
                    let word = |address: u64| machine.word(address);
                    let (shifted, score) = (
                        word(maxima.address() + 16 * split),
                        word(maxima.address() + 16 * split + 8) as i32,
                    );
                    all.0 = all.0.max(score.into());
                    all.1 = all.1.max(shifted);
                    all.2 += word(denominators.address() + 8 * split);
                }
                sums.push(all);
            }
        }
        Found {
            sums,
            out: read(&out),
        }
    }

    /// What the format gives.
    fn expected(&self) -> Found {
        let (d, group) = (
            usize::from(self.shape.head_dim),
            usize::from(self.shape.group()),
        );
        let exp2 = tables::exp2();
        let mut expected = Found {
            sums: Vec::new(),
            out: Vec::new(),
        };
        for (sequence, (first, rows)) in self.sequences.iter().enumerate() {
            let cached = |kind, kv_head| {
                let places = (0..first + rows.len()).map(move |position| Place {
                    sequence,
                    layer: self.layer,
                    kv_head,
                    position,
                });
                let all: Vec<Cached> = places.map(|place| self.slabs.get(kind, place)).collect();
                let numbers: Vec<i8> = all.iter().flat_map(|one| one.numbers.clone()).collect();
                let scales: Vec<Scale> = all.iter().map(|one| one.scale).collect();
                (numbers, scales)
            };
            let heads = 0..usize::from(self.shape.kv_heads);
            let all: Vec<_> = heads
                .map(|head| [cached(Kind::Key, head), cached(Kind::Value, head)])
                .collect();
            for (index, row) in rows.iter().enumerate() {
                for (head, (q, quantised)) in row.iter().enumerate() {
                    let [keys, values] =
                        all[head / group]
                            .each_ref()
                            .map(|(numbers, scales)| attention::Rows {
                                numbers,
                                stride: d,
                                offset: 0,
                                scales,
                                scale_stride: 1,
                                scale_offset: 0,
                            });
                    let positions = first + index + 1;
                    let weights =
                        attention::weights(q, *quantised, keys, values, positions, &exp2).unwrap();
                    let mut out = vec![0; d];
                    attention::row(q, *quantised, keys, values, positions, &exp2, &mut out)
                        .unwrap();
                    let maxima = weights.maxima;
                    expected
                        .sums
                        .push((maxima.score.into(), maxima.shifted, weights.denominator));
                    expected.out.extend(out);
                }
            }
        }
        expected
    }

    fn check(&self, machine: &Machine, splits: Splits) {
        let (found, expected) = (self.run(machine, splits), self.expected());
        let lengths: Vec<_> = self
            .sequences
            .iter()
            .map(|(first, rows)| (first, rows.len()))
            .collect();
        let (heads, d) = (self.shape.heads, self.shape.head_dim);
        let name = format!("{heads} heads of {d}, {lengths:?}, {splits:?}");
        assert_eq!(found.sums, expected.sums, "{name}");
        assert!(found.out == expected.out, "{name}");
    }
}

fn whole(positions: usize) -> Splits {
    Splits {
        slabs: positions.div_ceil(SLAB as usize) as u32,
        count: 1,
    }
}

#[test]
fn attention_gives_the_conformance_vectors() {
    each(|machine| {
        for (number, case) in vectors::<files::Attention>().iter().enumerate() {
            let positions = case.keys.len();
            let shape = shape(1, 1, 1, case.q.len() as u16);
            let table = (0..positions.div_ceil(SLAB as usize) as u32)
                .rev()
                .collect();
            let mut slabs = Slabs::new(&shape, vec![table]);
            for position in 0..positions {
                let place = Place {
                    sequence: 0,
                    layer: 0,
                    kv_head: 0,
                    position,
                };
                let key = Cached {
                    numbers: case.keys[position].clone(),
                    scale: scale(case.key_scales[position]),
                };
                let value = Cached {
                    numbers: case.values[position].clone(),
                    scale: scale(case.value_scales[position]),
                };
                slabs.put(Kind::Key, place, &key);
                slabs.put(Kind::Value, place, &value);
            }
            let own = Case {
                shape,
                layer: 0,
                sequences: vec![(
                    positions - 1,
                    vec![vec![(case.q.clone(), scale(case.scale))]],
                )],
                slabs,
            };
            let splits = [
                whole(positions),
                Splits {
                    slabs: 2,
                    count: positions.div_ceil(128) as u32,
                },
            ];
            for splits in splits {
                let found = own.run(machine, splits);
                let (score, shifted) = case.maxima;
                let sums = vec![(score.into(), shifted, case.denominator)];
                assert_eq!(found.sums, sums, "case {number}");
                assert_eq!(found.out, case.out, "case {number}");
            }
        }
    });
}

#[test]
fn one_row_of_each_sequence_sees_its_own_cache() {
    each(|machine| {
        let mut numbers = Numbers::new(7);
        let sequences = [(0, 1), (15, 1), (63, 1), (64, 1), (200, 1)];
        for (kind, (heads, kv_heads, d)) in [
            (2, 2, 2),
            (4, 1, 64),
            (14, 2, 64),
            (5, 1, 130),
            (9, 1, 128),
            (2, 1, 300),
        ]
        .into_iter()
        .enumerate()
        {
            let shape = shape(1 + kind as u16 % 2, heads, kv_heads, d);
            let case = Case::random(&mut numbers, shape, &sequences, kind % 4);
            for slabs in [1, 3, 4] {
                let count = 4u32.div_ceil(slabs);
                case.check(machine, Splits { slabs, count });
            }
        }
    });
}

#[test]
fn rows_of_a_prompt_see_what_stands_before_them() {
    each(|machine| {
        let mut numbers = Numbers::new(8);
        for (kind, (heads, kv_heads, d, sequences)) in [
            (2, 2, 32, vec![(0, 40)]),
            (4, 1, 64, vec![(60, 9), (0, 1), (130, 5)]),
            (6, 2, 130, vec![(0, 1), (1, 70)]),
            (3, 1, 20, vec![(62, 17)]),
        ]
        .into_iter()
        .enumerate()
        {
            let shape = shape(2, heads, kv_heads, d);
            let case = Case::random(&mut numbers, shape, &sequences, kind);
            for slabs in [1, 3] {
                let count = 3u32.div_ceil(slabs);
                case.check(machine, Splits { slabs, count });
            }
        }
    });
}

#[test]
fn denominators_have_all_their_digits() {
    each(|machine| {
        let shape = shape(1, 1, 1, 2);
        let quantised = scale((50_000, -29));
        // A second position beside one whose score is 0, and what D becomes. 31 units less: 2^-31 is
        // half of the last digit, and rounded up. And a D whose inverse is another one with a digit
        // less of D.
        for (q, number, key_scale, denominator) in [
            (32_508, -127, (41_436, -19), (1 << 30) + 1),
            (32_508, -98, (39_061, -23), 1_477_977_887),
        ] {
            let key = Cached {
                numbers: vec![number, 0],
                scale: scale(key_scale),
            };
            let zeros = Cached {
                numbers: vec![0, 0],
                scale: Scale::ZERO,
            };
            let mut slabs = Slabs::new(&shape, vec![vec![0]]);
            for (position, key) in [zeros, key].iter().enumerate() {
                let place = Place {
                    sequence: 0,
                    layer: 0,
                    kv_head: 0,
                    position,
                };
                let value = Cached {
                    numbers: vec![127, -127],
                    scale: scale((40_000, -12)),
                };
                slabs.put(Kind::Key, place, key);
                slabs.put(Kind::Value, place, &value);
            }
            let case = Case {
                shape: shape.clone(),
                layer: 0,
                sequences: vec![(1, vec![vec![(vec![q, 0], quantised)]])],
                slabs,
            };
            assert_eq!(case.expected().sums[0].2, denominator);
            case.check(machine, whole(2));
        }
    });
}

#[test]
fn the_longest_split_does_not_overflow() {
    each(|machine| {
        // All weights are the largest, and so are all values: 65,536 positions fill the sums of low limbs.
        let shape = shape(1, 1, 1, 2);
        let positions = 1 << 16;
        let table = (0..positions as u32 / SLAB).rev().collect();
        let mut slabs = Slabs::new(&shape, vec![table]);
        for position in 0..positions {
            let place = Place {
                sequence: 0,
                layer: 0,
                kv_head: 0,
                position,
            };
            let value = Cached {
                numbers: vec![127, -127],
                scale: scale((u16::MAX, -24)),
            };
            slabs.put(Kind::Value, place, &value);
        }
        let quantised = scale((1 << 15, -24));
        let case = Case {
            shape,
            layer: 0,
            sequences: vec![(positions - 1, vec![vec![(vec![0, 0], quantised)]])],
            slabs,
        };
        case.check(machine, whole(positions));
    });
}

#[test]
fn more_splits_than_threads_are_added_up() {
    each(|machine| {
        let shape = shape(1, 1, 1, 2);
        let case = Case::random(&mut Numbers::new(11), shape, &[(64 * 130, 1)], 0);
        let splits = Splits {
            slabs: 1,
            count: 131,
        };
        case.check(machine, splits);
    });
}

#[test]
fn scores_and_weights_meet_in_no_bank() {
    each(|machine| {
        let conflicts = |positions| {
            let shape = shape(1, 4, 1, 128);
            let sequences = [(positions - 16, 16)];
            let mut case = Case::random(&mut Numbers::new(9), shape, &sequences, 0);
            // All scores are 0, so that all weights read one entry of the table.
            for (q, _) in case
                .sequences
                .iter_mut()
                .flat_map(|(_, rows)| rows)
                .flatten()
            {
                q.fill(0);
            }
            let before = machine.counts().bank_conflicts;
            case.run(machine, whole(positions));
            machine.counts().bank_conflicts - before
        };
        // What there is comes once for a block, and not for each slab.
        assert_eq!(conflicts(64), conflicts(256));
    });
}
