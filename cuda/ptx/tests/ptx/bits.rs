//! Shifts, fields, permutations, logic and products of bytes.

use crate::machine::{awkward, check, each};

#[test]
fn shifts_beyond_the_width_leave_nothing_but_signs() {
    check("shl.b32 %r0, %r1, %r2;", 32, |a, b, _| {
        if b as u32 >= 32 {
            0
        } else {
            a << b as u32
        }
    });
    check("shl.b16 %rs0, %rs1, %r2;", 16, |a, b, _| {
        if b as u32 >= 16 {
            0
        } else {
            a << b as u32
        }
    });
    check("shl.b64 %rd0, %rd1, %r2;", 64, |a, b, _| {
        if b as u32 >= 64 {
            0
        } else {
            a << b as u32
        }
    });
    check("shr.u32 %r0, %r1, %r2;", 32, |a, b, _| {
        if b as u32 >= 32 {
            0
        } else {
            u64::from(a as u32 >> b as u32)
        }
    });
    check("shr.s32 %r0, %r1, %r2;", 32, |a, b, _| {
        (a as i32 >> (b as u32).min(31)) as u64
    });
    check("shr.s16 %rs0, %rs1, %r2;", 16, |a, b, _| {
        (a as i16 >> (b as u32).min(15)) as u64
    });
    check("shr.u64 %rd0, %rd1, %r2;", 64, |a, b, _| {
        if b as u32 >= 64 {
            0
        } else {
            a >> b as u32
        }
    });
    check("shr.s64 %rd0, %rd1, %r2;", 64, |a, b, _| {
        (a as i64 >> (b as u32).min(63)) as u64
    });
}

#[test]
fn funnels_wrap_or_clamp() {
    let joined = |a: u64, b: u64| u64::from(a as u32) | b << 32;
    check("shf.l.wrap.b32 %r0, %r1, %r2, %r3;", 32, |a, b, c| {
        joined(a, b) << (c as u32 % 32) >> 32
    });
    check("shf.r.wrap.b32 %r0, %r1, %r2, %r3;", 32, |a, b, c| {
        joined(a, b) >> (c as u32 % 32)
    });
    check(
        "shf.l.clamp.b32 %r0, %r1, %r2, %r3;",
        32,
        |a, b, c| match c as u32 {
            amount @ 0..32 => joined(a, b) << amount >> 32,
            _ => a,
        },
    );
    check(
        "shf.r.clamp.b32 %r0, %r1, %r2, %r3;",
        32,
        |a, b, c| match c as u32 {
            amount @ 0..32 => joined(a, b) >> amount,
            _ => b,
        },
    );
}

#[test]
fn bits_are_counted_and_found() {
    check("clz.b32 %r0, %r1;", 32, |a, _, _| {
        (a as u32).leading_zeros().into()
    });
    check("clz.b64 %r0, %rd1;", 32, |a, _, _| a.leading_zeros().into());
    check("popc.b32 %r0, %r1;", 32, |a, _, _| {
        (a as u32).count_ones().into()
    });
    check("popc.b64 %r0, %rd1;", 32, |a, _, _| a.count_ones().into());
    check("brev.b32 %r0, %r1;", 32, |a, _, _| {
        (a as u32).reverse_bits().into()
    });
    check("brev.b64 %rd0, %rd1;", 64, |a, _, _| a.reverse_bits());
    check("not.b16 %rs0, %rs1;", 16, |a, _, _| !a);
    check("cnot.b32 %r0, %r1;", 32, |a, _, _| (a as u32 == 0).into());
    let found = |digits: u64| {
        if digits == 0 {
            u64::MAX
        } else {
            63 - u64::from(digits.leading_zeros())
        }
    };
    check("bfind.u32 %r0, %r1;", 32, |a, _, _| found(a as u32 as u64));
    check("bfind.s32 %r0, %r1;", 32, |a, _, _| {
        found(
            if (a as i32) < 0 {
                !(a as u32)
            } else {
                a as u32
            }
            .into(),
        )
    });
    check("bfind.s64 %r0, %rd1;", 32, |a, _, _| {
        found(if (a as i64) < 0 { !a } else { a })
    });
    check("bfind.shiftamt.u32 %r0, %r1;", 32, |a, _, _| {
        match a as u32 {
            0 => u64::MAX,
            a => a.leading_zeros().into(),
        }
    });
}

/// A field, bit by bit.
fn extracted(a: u64, bits: u64, signed: bool, position: u64, length: u64) -> u64 {
    let bit = |index: u64| a >> index & 1;
    let (position, length) = (position & 0xff, length & 0xff);
    let sign = if !signed || length == 0 {
        0
    } else {
        bit((position + length - 1).min(bits - 1))
    };
    (0..bits)
        .map(|index| {
            let inside = index < length && position + index < bits;
            (if inside { bit(position + index) } else { sign }) << index
        })
        .sum()
}

#[test]
fn fields_are_extracted_with_their_sign() {
    check("bfe.u32 %r0, %r1, %r2, %r3;", 32, |a, b, c| {
        extracted(a, 32, false, b, c)
    });
    check("bfe.s32 %r0, %r1, %r2, %r3;", 32, |a, b, c| {
        extracted(a, 32, true, b, c)
    });
    check("bfe.u64 %rd0, %rd1, %r2, %r3;", 64, |a, b, c| {
        extracted(a, 64, false, b, c)
    });
    check("bfe.s64 %rd0, %rd1, %r2, %r3;", 64, |a, b, c| {
        extracted(a, 64, true, b, c)
    });
    for (position, length) in [(0, 8), (4, 12), (24, 8), (28, 8), (31, 1), (0, 32), (40, 3)] {
        check(
            &format!("bfe.s32 %r0, %r1, {position}, {length};"),
            32,
            |a, _, _| extracted(a, 32, true, position, length),
        );
    }
}

#[test]
fn fields_are_inserted() {
    for (position, length) in [
        (0, 8),
        (4, 12),
        (24, 8),
        (28, 8),
        (0, 32),
        (0, 0),
        (31, 1),
        (32, 4),
        (60, 8),
        (64, 4),
        (200, 9),
        (0, 64),
    ] {
        let must = |a: u64, b: u64, bits: u64| -> u64 {
            (0..bits)
                .map(|index| {
                    let inside = index >= position && index < position + length;
                    (if inside {
                        a >> (index - position) & 1
                    } else {
                        b >> index & 1
                    }) << index
                })
                .sum()
        };
        check(
            &format!("bfi.b32 %r0, %r1, %r2, {position}, {length};"),
            32,
            |a, b, _| must(a, b, 32),
        );
        check(
            &format!("bfi.b64 %rd0, %rd1, %rd2, {position}, {length};"),
            64,
            |a, b, _| must(a, b, 64),
        );
    }
}

#[test]
fn logic_of_three_follows_its_table() {
    for table in [0x00u64, 0x80, 0xfe, 0x96, 0xca, 0xe8, 0x1b, 0xff] {
        check(
            &format!("lop3.b32 %r0, %r1, %r2, %r3, {table};"),
            32,
            |a, b, c| {
                (0..32)
                    .map(|bit| {
                        (table >> ((a >> bit & 1) << 2 | (b >> bit & 1) << 1 | c >> bit & 1) & 1)
                            << bit
                    })
                    .sum()
            },
        );
    }
    check("and.b64 %rd0, %rd1, %rd2;", 64, |a, b, _| a & b);
    check("or.b16 %rs0, %rs1, %rs2;", 16, |a, b, _| a | b);
    check("xor.b32 %r0, %r1, -1;", 32, |a, _, _| !a);
}

#[test]
fn bytes_are_permuted() {
    let bytes = |a: u64, b: u64| (u64::from(a as u32) | b << 32).to_le_bytes();
    let general = |a: u64, b: u64, c: u64| -> u64 {
        let chosen = |place: u64| {
            let selector = c >> (4 * place) & 15;
            let byte = bytes(a, b)[selector as usize % 8];
            u64::from(if selector < 8 {
                byte
            } else if byte >= 128 {
                255
            } else {
                0
            }) << (8 * place)
        };
        (0..4).map(chosen).sum()
    };
    check("prmt.b32 %r0, %r1, %r2, %r3;", 32, general);
    for selectors in [0x3210u64, 0x7654, 0x5140, 0x6420, 0xba98, 0xfedc, 0x0e0c] {
        check(
            &format!("prmt.b32 %r0, %r1, %r2, {selectors};"),
            32,
            |a, b, _| general(a, b, selectors),
        );
    }
    // The other modes by what each byte of the result is, for c = 0, 1, 2, 3.
    let modes: [(&str, [[usize; 4]; 4]); 6] = [
        (
            "f4e",
            [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]],
        ),
        (
            "b4e",
            [[0, 7, 6, 5], [1, 0, 7, 6], [2, 1, 0, 7], [3, 2, 1, 0]],
        ),
        ("rc8", [[0; 4], [1; 4], [2; 4], [3; 4]]),
        (
            "ecl",
            [[0, 1, 2, 3], [1, 1, 2, 3], [2, 2, 2, 3], [3, 3, 3, 3]],
        ),
        (
            "ecr",
            [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 2, 2], [0, 1, 2, 3]],
        ),
        (
            "rc16",
            [[0, 1, 0, 1], [2, 3, 2, 3], [0, 1, 0, 1], [2, 3, 2, 3]],
        ),
    ];
    for (mode, table) in modes {
        check(
            &format!("prmt.b32.{mode} %r0, %r1, %r2, %r3;"),
            32,
            |a, b, c| {
                let chosen = table[c as usize % 4].map(|index| bytes(a, b)[index]);
                u32::from_le_bytes(chosen).into()
            },
        );
    }
}

#[test]
fn dots_multiply_bytes_with_their_signs() {
    let byte = |word: u64, index: u32, signed: bool| {
        let byte = (word >> (8 * index)) as u8;
        if signed {
            i64::from(byte as i8)
        } else {
            i64::from(byte)
        }
    };
    let half = |word: u64, index: u32, signed: bool| {
        let half = (word >> (16 * index)) as u16;
        if signed {
            i64::from(half as i16)
        } else {
            i64::from(half)
        }
    };
    let mut values = awkward();
    values.extend([
        [0x80ff_7f01, 0xff80_017f, 5],
        [0x8080_8080, 0x8080_8080, u64::MAX],
        [0x7f7f_7f7f, 0xffff_ffff, 1],
    ]);
    for (a_type, a_signed) in [("u32", false), ("s32", true)] {
        for (b_type, b_signed) in [("u32", false), ("s32", true)] {
            let results = each(
                &format!("dp4a.{a_type}.{b_type} %r0, %r1, %r2, %r3;"),
                32,
                &values,
            );
            for ([a, b, c], result) in values.iter().zip(results) {
                let dot: i64 = (0..4)
                    .map(|index| byte(*a, index, a_signed) * byte(*b, index, b_signed))
                    .sum();
                assert_eq!(
                    result as u32,
                    (dot as u32).wrapping_add(*c as u32),
                    "dp4a of {a:#x}, {b:#x}"
                );
            }
            for (part, first) in [("lo", 0), ("hi", 2)] {
                let results = each(
                    &format!("dp2a.{part}.{a_type}.{b_type} %r0, %r1, %r2, %r3;"),
                    32,
                    &values,
                );
                for ([a, b, c], result) in values.iter().zip(results) {
                    let dot: i64 = (0..2)
                        .map(|index| half(*a, index, a_signed) * byte(*b, first + index, b_signed))
                        .sum();
                    assert_eq!(
                        result as u32,
                        (dot as u32).wrapping_add(*c as u32),
                        "dp2a.{part} of {a:#x}, {b:#x}"
                    );
                }
            }
        }
    }
}
