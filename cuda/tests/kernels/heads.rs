//! `heads` against `op::head_norm`, `op::rotary` and `op::quant`.

use assay_cuda::kernels::{layout::padded_line, Gamma, Heads};
use assay_exact::{
    model,
    op::{
        attention::query_scale,
        head_norm, norm, quant,
        rotary::{self, Angle},
    },
    Scale, Shape,
};

use crate::{
    cache::{shape, Cached, Kind, Place, Slabs},
    cases::{Numbers, KINDS},
    judge::files::{angle, read as vectors, HeadNorm, Rope},
    machine::{each, limbs, read, read_scales, Machine},
};

const ONE: i32 = 1 << 30;

/// Rows of q, k, v, and what goes with them.
struct Case {
    shape: Shape,
    layer: usize,
    /// Exponent and entries of the queries' norm, and of the keys'.
    norms: Option<[(i32, Vec<i32>); 2]>,
    rows: Vec<Row>,
    tables: Vec<Vec<u32>>,
}

struct Row {
    sequence: u32,
    position: u32,
    angles: Vec<Angle>,
    /// H + 2 KV heads.
    heads: Vec<Vec<i32>>,
}

impl Case {
    fn run(&self, machine: &Machine) {
        let shape = &self.shape;
        let (heads, kv_heads) = (usize::from(shape.heads), usize::from(shape.kv_heads));
        let stride = padded_line(shape.head_dim.into());
        let angles = self.rows.iter().flat_map(|row| {
            let cos = row.angles.iter().map(|angle| angle.cos);
            cos.chain(row.angles.iter().map(|angle| angle.sin))
        });
        let numbers = self.rows.iter().flat_map(|row| row.heads.concat());
        let linear = machine.of(&numbers.collect::<Vec<_>>());
        let angles = machine.of(&angles.collect::<Vec<_>>());
        let positions: Vec<u32> = self.rows.iter().map(|row| row.position).collect();
        let sequences: Vec<u32> = self.rows.iter().map(|row| row.sequence).collect();
        let [positions, sequences] = [positions, sequences].map(|list| machine.of(&list));
        let mut slabs = Slabs::new(shape, self.tables.clone());
        let uploaded = slabs.upload(machine);
        let gammas = self.norms.as_ref().map(|norms| {
            norms
                .each_ref()
                .map(|(exponent, entries)| (*exponent, machine.of(entries)))
        });
        let gamma = |index: usize| match &gammas {
            Some(gammas) => Gamma {
                exponent: gammas[index].0,
                entries: gammas[index].1.address(),
            },
            None => Gamma::default(),
        };
        let count = self.rows.len() * heads;
        let queries = machine.room::<i8>(count * 2 * stride as usize);
        let query_scales = machine.room::<i32>(count * 2);
        let launch = Heads {
            shape,
            layer: self.layer as u32,
            rows: self.rows.len() as u32,
            linear: linear.address(),
            angles: angles.address(),
            query_norm: gamma(0),
            key_norm: gamma(1),
            positions: positions.address(),
            sequences: sequences.address(),
            cache: uploaded.cache(),
            queries: queries.address(),
            query_scales: query_scales.address(),
        };
        machine.run(launch.launch());

        let mut expected = (Vec::new(), Vec::new());
        let mut filled = Slabs::new(shape, self.tables.clone());
        for row in &self.rows {
            for (head, x) in row.heads.iter().enumerate() {
                let (mut q16, mut q8) = (vec![0; x.len()], vec![0; x.len()]);
                if head < heads {
                    let scale = quant::row16(&self.turned(row, 0, x), &mut q16).unwrap();
                    expected.0.extend(limbs(&q16, stride));
                    expected.1.push(query_scale(scale, shape.head_dim));
                    continue;
                }
                let kv = head - heads;
                let (kind, scale) = if kv < kv_heads {
                    let turned = self.turned(row, 1, x);
                    (Kind::Key, quant::row8(&turned, &mut q8).unwrap())
                } else {
                    (Kind::Value, quant::row8(x, &mut q8).unwrap())
                };
                let place = Place {
                    sequence: row.sequence as usize,
                    layer: self.layer,
                    kv_head: kv % kv_heads,
                    position: row.position as usize,
                };
                filled.put(kind, place, &Cached { numbers: q8, scale });
            }
        }
        let name = format!("{} heads of {}", shape.heads, shape.head_dim);
        assert!(read::<i8>(&queries) == expected.0, "queries, {name}");
        assert_eq!(read_scales(&query_scales), expected.1, "{name}");
        slabs.read(&uploaded);
        for row in &self.rows {
            for kv_head in 0..kv_heads {
                let place = Place {
                    sequence: row.sequence as usize,
                    layer: self.layer,
                    kv_head,
                    position: row.position as usize,
                };
                for kind in [Kind::Key, Kind::Value] {
                    let found = slabs.get(kind, place);
                    assert_eq!(found, filled.get(kind, place), "{kind:?}, {name}");
                }
            }
        }
        assert_eq!(slabs.written(), filled.written(), "{name}");
    }

    /// A query or a key as it is quantised.
    fn turned(&self, row: &Row, norm: usize, x: &[i32]) -> Vec<i32> {
        let mut x = x.to_vec();
        if let Some(norms) = &self.norms {
            let (exponent, entries) = &norms[norm];
            let gamma = model::Gamma {
                exponent: *exponent,
                entries,
            };
            head_norm::row(&mut x, gamma, &norm::Width::head(&self.shape)).unwrap();
        }
        rotary::row(&mut x, &row.angles).unwrap();
        x
    }
}

/// That turns nothing.
fn straight(head_dim: usize) -> Vec<Angle> {
    vec![Angle { cos: ONE, sin: 0 }; head_dim / 2]
}

#[test]
fn norms_of_heads_give_the_conformance_vectors() {
    each(|machine| {
        for case in vectors::<HeadNorm>() {
            let d = case.x.len();
            let mut shape = shape(1, 1, 1, d as u16);
            (shape.eps40, shape.head_norms) = (case.eps40, true);
            let norm = (case.gamma_exponent, case.gamma.clone());
            let own = Case {
                shape,
                layer: 0,
                norms: Some([norm.clone(), norm]),
                rows: vec![Row {
                    sequence: 0,
                    position: 0,
                    angles: straight(d),
                    heads: vec![case.x.clone(); 3],
                }],
                tables: vec![vec![0]],
            };
            assert_eq!(own.turned(&own.rows[0], 0, &case.x), case.y);
            own.run(machine);
        }
    });
}

#[test]
fn rotations_give_the_conformance_vectors() {
    each(|machine| {
        for case in vectors::<Rope>() {
            let d = case.x.len();
            let own = Case {
                shape: shape(1, 1, 1, d as u16),
                layer: 0,
                norms: None,
                rows: vec![Row {
                    sequence: 0,
                    position: 63,
                    angles: case.angles.iter().copied().map(angle).collect(),
                    heads: vec![case.x.clone(); 3],
                }],
                tables: vec![vec![0]],
            };
            assert_eq!(own.turned(&own.rows[0], 0, &case.x), case.y);
            own.run(machine);
        }
    });
}

#[test]
fn heads_of_every_width_go_to_their_places() {
    each(|machine| {
        let mut numbers = Numbers::new(6);
        for (index, (heads, kv_heads, d)) in [
            (1, 1, 2),
            (4, 2, 30),
            (6, 2, 64),
            (7, 1, 66),
            (8, 8, 80),
            (4, 1, 128),
            (2, 1, 130),
            (2, 2, 256),
            (3, 1, 512),
        ]
        .into_iter()
        .enumerate()
        {
            let mut shape = shape(3, heads, kv_heads, d);
            shape.head_norms = index % 2 == 0;
            let d = usize::from(d);
            let norm = |n: &mut Numbers| {
                let kind = n.draw() as usize % 3;
                (n.of(&[-64, -22, -10, 31]), n.gamma(d, kind))
            };
            let norms = shape
                .head_norms
                .then(|| [norm(&mut numbers), norm(&mut numbers)]);
            let places = [
                (0u32, 0u32),
                (0, 63),
                (0, 64),
                (2, 1),
                (1, 190),
                (1, 191),
                (2, 0),
            ];
            let rows = places.map(|(sequence, position)| Row {
                sequence,
                position,
                angles: numbers.list(d / 2, |n| Angle {
                    cos: n.within((-ONE).into(), ONE.into()) as i32,
                    sin: n.of(&[ONE, -ONE, 0, 12_345_678]),
                }),
                heads: numbers.list(usize::from(heads + 2 * kv_heads), |n| {
                    let kind = n.draw() as usize % KINDS;
                    n.row32(d, kind)
                }),
            });
            let case = Case {
                shape,
                layer: index % 3,
                norms,
                rows: rows.into(),
                tables: vec![vec![4, 1], vec![0, 2, 5], vec![3]],
            };
            case.run(machine);
        }
    });
}

#[test]
fn scales_of_zeros_are_those_of_the_format() {
    each(|machine| {
        let shape = shape(1, 2, 1, 6);
        let row = Row {
            sequence: 0,
            position: 5,
            angles: straight(6),
            heads: vec![vec![0; 6]; 4],
        };
        let case = Case {
            shape,
            layer: 0,
            norms: Some([(0, vec![0; 6]), (0, vec![1; 6])]),
            rows: vec![row],
            tables: vec![vec![0]],
        };
        assert_eq!(
            quant::row16(&case.turned(&case.rows[0], 0, &[0; 6]), &mut [0; 6]),
            Ok(Scale::ZERO)
        );
        case.run(machine);
    });
}
