//! `mma` against plain products of matrices, and `ldmatrix` against its definition.

use crate::machine::{kernel, random, Run};

/// Registers of A, B, C and D in words of 64 bits, and the layout of the instruction set's manual.
struct Shape {
    name: &'static str,
    rows: usize,
    depth: usize,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "m8n8k16",
        rows: 8,
        depth: 16,
    },
    Shape {
        name: "m16n8k16",
        rows: 16,
        depth: 16,
    },
    Shape {
        name: "m16n8k32",
        rows: 16,
        depth: 32,
    },
];

impl Shape {
    /// Row and column of byte `i` of a lane's part of A.
    fn a(&self, lane: usize, i: usize) -> (usize, usize) {
        let (group, in_group) = (lane >> 2, lane % 4);
        if self.rows == 8 {
            return (group, in_group * 4 + i);
        }
        let row = if (i < 4) || (8..12).contains(&i) {
            group
        } else {
            group + 8
        };
        (row, in_group * 4 + (i & 3) + if i < 8 { 0 } else { 16 })
    }

    fn b(&self, lane: usize, i: usize) -> (usize, usize) {
        (
            (lane % 4) * 4 + (i & 3) + if i < 4 { 0 } else { 16 },
            lane >> 2,
        )
    }

    fn c(&self, lane: usize, i: usize) -> (usize, usize) {
        (
            if i < 2 { lane >> 2 } else { (lane >> 2) + 8 },
            (lane % 4) * 2 + (i & 1),
        )
    }
}

fn list(first: usize, count: usize) -> String {
    let registers: Vec<String> = (first..first + count)
        .map(|register| format!("%r{register}"))
        .collect();
    format!("{{{}}}", registers.join(", "))
}

#[test]
fn products_of_matrices_are_right_in_every_shape_and_sign() {
    let mut random = random(1);
    for shape in SHAPES {
        let (a_count, b_count, c_count) = (
            shape.rows * shape.depth / 128,
            shape.depth / 16,
            shape.rows / 4,
        );
        for (a_type, b_type) in [("s8", "s8"), ("u8", "s8"), ("s8", "u8"), ("u8", "u8")] {
            for saturates in [false, true] {
                // Sixteen words of 64 bits for each lane: A, B, C in, D out.
                let loads: String = (0..a_count + b_count + c_count)
                    .map(|index| format!("ld.global.u32 %r{}, [%rd1+{}];\n", index + 1, 8 * index))
                    .collect();
                let first = a_count + b_count + c_count + 1;
                let stores: String = (0..c_count)
                    .map(|index| {
                        format!("st.global.u32 [%rd1+{}], %r{};\n", 8 * index, first + index)
                    })
                    .collect();
                let finite = if saturates { ".satfinite" } else { "" };
                let body = format!(
                    "mad.wide.u32 %rd1, %r20, 128, %rd21;\n{loads}
                    mma.sync.aligned.{}.row.col{finite}.s32.{a_type}.{b_type}.s32 {}, {}, {}, {};\n{stores}",
                    shape.name,
                    list(first, c_count),
                    list(1, a_count),
                    list(1 + a_count, b_count),
                    list(1 + a_count + b_count, c_count),
                );
                let mut words: Vec<u64> = (0..512).map(|_| random() & 0xffff_ffff).collect();
                // Extremes: all of the largest bytes, and sums near the ends.
                if saturates {
                    for lane in 0..32 {
                        words[16 * lane..16 * lane + a_count + b_count].fill(0x7f7f_7f7f);
                        words[16 * lane + a_count + b_count] = 0x7fff_fff0;
                    }
                }
                let value =
                    |words: &[u64], lane: usize, register: usize, i: usize, signed: bool| {
                        let byte = (words[16 * lane + register + i / 4] >> (8 * (i % 4))) as u8;
                        if signed {
                            i64::from(byte as i8)
                        } else {
                            i64::from(byte)
                        }
                    };
                let mut a = [[0i64; 32]; 16];
                let mut b = [[0i64; 8]; 32];
                for lane in 0..32 {
                    for i in 0..4 * a_count {
                        let (row, column) = shape.a(lane, i);
                        a[row][column] = value(&words, lane, 0, i, a_type == "s8");
                    }
                    for i in 0..4 * b_count {
                        let (row, column) = shape.b(lane, i);
                        b[row][column] = value(&words, lane, a_count, i, b_type == "s8");
                    }
                }
                let (results, _) = Run::of(32).counted(&kernel(&body), &words).unwrap();
                for lane in 0..32 {
                    for i in 0..c_count {
                        let (row, column) = shape.c(lane, i);
                        let c = i64::from(words[16 * lane + a_count + b_count + i] as i32);
                        let sum = c
                            + (0..shape.depth)
                                .map(|k| a[row][k] * b[k][column])
                                .sum::<i64>();
                        let must = if saturates {
                            sum.clamp(i32::MIN.into(), i32::MAX.into()) as u32
                        } else {
                            sum as u32
                        };
                        let name = format!("{} {a_type} {b_type} lane {lane} sum {i}", shape.name);
                        assert_eq!(results[16 * lane + i] as u32, must, "{name}");
                    }
                }
            }
        }
    }
}

/// A block of shared memory that is filled with 16-bit numbers, 0, 1, 2 and so on.
const FILLED: &str = "
    .shared .align 16 .b8 matrix[1024];
    mov.u32 %r1, matrix; shl.b32 %r2, %r20, 5; add.s32 %r3, %r1, %r2;
    shl.b32 %r4, %r20, 4; mov.u32 %r5, 0;
fill:
    add.s32 %r6, %r4, %r5; cvt.u16.u32 %rs1, %r6;
    shl.b32 %r7, %r5, 1; add.s32 %r7, %r3, %r7; st.shared.u16 [%r7], %rs1;
    add.s32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 16; @%p1 bra fill;
    bar.warp.sync -1;
";

#[test]
fn matrices_are_loaded_row_by_row() {
    // Matrix i has the rows that lanes 8i and on give; here the row of lane l is the 16 bytes 5·l modulo 64.
    for (count, transposed) in [
        (1, false),
        (2, false),
        (4, false),
        (1, true),
        (2, true),
        (4, true),
    ] {
        let trans = if transposed { ".trans" } else { "" };
        let body = format!(
            "{FILLED}
            mul.lo.s32 %r8, %r20, 5; and.b32 %r8, %r8, 63; shl.b32 %r8, %r8, 4; add.s32 %r8, %r1, %r8;
            mov.u32 %r10, 0; mov.u32 %r11, 0; mov.u32 %r12, 0; mov.u32 %r13, 0;
            ldmatrix.sync.aligned.m8n8.x{count}{trans}.shared.b16 {}, [%r8];
            mad.wide.u32 %rd1, %r20, 16, %rd21;
            st.global.v4.u32 [%rd1], {{%r10, %r11, %r12, %r13}};",
            list(10, count)
        );
        let (words, _) = Run::of(32).counted(&kernel(&body), &[0; 64]).unwrap();
        for lane in 0..32 {
            for matrix in 0..count {
                let element = |row: usize, column: usize| 5 * (8 * matrix + row) % 64 * 8 + column;
                let halves = [0, 1].map(|half| {
                    let (row, column) = (lane / 4, 2 * (lane % 4) + half);
                    if transposed {
                        element(column, row)
                    } else {
                        element(row, column)
                    }
                });
                let must = (halves[0] | halves[1] << 16) as u32;
                assert_eq!(
                    (words[2 * lane + matrix / 2] >> (32 * (matrix % 2))) as u32,
                    must,
                    "x{count}{trans} lane {lane}"
                );
            }
        }
    }
}

#[test]
fn a_matrix_is_transposed_between_lanes() {
    let body = "
        shl.b32 %r1, %r20, 1; add.s32 %r2, %r1, 1; shl.b32 %r2, %r2, 16; or.b32 %r1, %r1, %r2;
        movmatrix.sync.aligned.m8n8.trans.b16 %r3, %r1;
        cvt.u64.u32 %rd0, %r3;";
    let words = crate::machine::results(32, body);
    for lane in 0..32 {
        let element = |row: u64, column: u64| 8 * row + column;
        let (row, column) = (lane / 4, 2 * (lane % 4));
        assert_eq!(
            words[lane as usize],
            element(column, row) | element(column + 1, row) << 16
        );
    }
}

#[test]
fn a_part_of_a_warp_has_no_matrices() {
    let product =
        "mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%r1, %r2}, {%r3}, {%r4}, {%r5, %r6};";
    assert!(matches!(
        Run::of(16).cause(product),
        assay_ptx::Cause::MissingLanes { .. }
    ));
    let guarded = format!("setp.lt.u32 %p1, %r20, 16; @%p1 {product}");
    assert!(matches!(
        Run::of(32).cause(&guarded),
        assay_ptx::Cause::MissingLanes { .. }
    ));
}
