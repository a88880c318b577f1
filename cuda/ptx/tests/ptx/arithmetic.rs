//! Sums, products, quotients, comparisons and conversions of every width.

use crate::machine::{awkward, check, each};

/// A value of so many bits, as a number.
fn number(value: u64, bits: u32, signed: bool) -> i128 {
    let value = i128::from(value) & ((1 << bits) - 1);
    if signed && value >> (bits - 1) == 1 {
        value - (1 << bits)
    } else {
        value
    }
}

const TYPES: [(&str, u32, bool); 6] = [
    ("u16", 16, false),
    ("s16", 16, true),
    ("u32", 32, false),
    ("s32", 32, true),
    ("u64", 64, false),
    ("s64", 64, true),
];

fn registers(bits: u32) -> &'static str {
    match bits {
        16 => "%rs",
        32 => "%r",
        _ => "%rd",
    }
}

/// One instruction of two operands, for all types, against numbers without bounds.
fn two(name: &str, must: impl Fn(i128, i128, u32) -> i128) {
    for (of, bits, signed) in TYPES {
        let r = registers(bits);
        check(
            &format!("{name}.{of} {r}0, {r}1, {r}2;"),
            bits,
            |a, b, _| must(number(a, bits, signed), number(b, bits, signed), bits) as u64,
        );
    }
}

fn one(name: &str, must: impl Fn(i128, u32) -> i128) {
    for (of, bits, signed) in TYPES {
        let r = registers(bits);
        check(&format!("{name}.{of} {r}0, {r}1;"), bits, |a, _, _| {
            must(number(a, bits, signed), bits) as u64
        });
    }
}

#[test]
fn sums_and_products_wrap() {
    two("add", |a, b, _| a + b);
    two("sub", |a, b, _| a - b);
    two("mul.lo", |a, b, _| a.wrapping_mul(b));
    two("min", |a, b, _| a.min(b));
    two("max", |a, b, _| a.max(b));
    one("neg", |a, _| -a);
    one("abs", |a, _| a.abs());
}

#[test]
fn the_high_half_of_a_product_has_its_sign() {
    for (of, bits, signed) in TYPES {
        let r = registers(bits);
        let high = |a: u64, b: u64| {
            if bits == 64 && !signed {
                ((u128::from(a) * u128::from(b)) >> 64) as u64
            } else {
                ((number(a, bits, signed) * number(b, bits, signed)) >> bits) as u64
            }
        };
        check(
            &format!("mul.hi.{of} {r}0, {r}1, {r}2;"),
            bits,
            |a, b, _| high(a, b),
        );
        check(
            &format!("mad.hi.{of} {r}0, {r}1, {r}2, {r}3;"),
            bits,
            |a, b, c| high(a, b).wrapping_add(c),
        );
        check(
            &format!("mad.lo.{of} {r}0, {r}1, {r}2, {r}3;"),
            bits,
            |a, b, c| a.wrapping_mul(b).wrapping_add(c),
        );
    }
}

#[test]
fn wide_products_are_whole() {
    for (of, bits, signed) in &TYPES[..4] {
        let (r, w) = (registers(*bits), registers(2 * bits));
        let product = |a, b| (number(a, *bits, *signed) * number(b, *bits, *signed)) as u64;
        check(
            &format!("mul.wide.{of} {w}0, {r}1, {r}2;"),
            2 * bits,
            |a, b, _| product(a, b),
        );
        check(
            &format!("mad.wide.{of} {w}0, {r}1, {r}2, {w}3;"),
            2 * bits,
            |a, b, c| product(a, b).wrapping_add(c),
        );
    }
}

#[test]
fn products_of_24_bits_ignore_the_rest() {
    for (of, signed) in [("u32", false), ("s32", true)] {
        let product = |a, b| number(a, 24, signed) * number(b, 24, signed);
        check(&format!("mul24.lo.{of} %r0, %r1, %r2;"), 32, |a, b, _| {
            product(a, b) as u64
        });
        check(&format!("mul24.hi.{of} %r0, %r1, %r2;"), 32, |a, b, _| {
            (product(a, b) >> 16) as u64
        });
        check(
            &format!("mad24.lo.{of} %r0, %r1, %r2, %r3;"),
            32,
            |a, b, c| (product(a, b) as u64).wrapping_add(c),
        );
    }
}

#[test]
fn quotients_go_towards_zero() {
    let not_zero = |bits: u32| move |values: &[u64; 3]| values[1] & (u64::MAX >> (64 - bits)) != 0;
    for (of, bits, signed) in TYPES {
        let r = registers(bits);
        let values: Vec<_> = awkward().into_iter().filter(not_zero(bits)).collect();
        let width = u64::MAX >> (64 - bits);
        for (name, quotient) in [("div", true), ("rem", false)] {
            let results = each(&format!("{name}.{of} {r}0, {r}1, {r}2;"), bits, &values);
            for ([a, b, _], result) in values.iter().zip(results) {
                let (a, b) = (number(*a, bits, signed), number(*b, bits, signed));
                let must = if quotient { a / b } else { a % b };
                assert_eq!(result, must as u64 & width, "{name}.{of} of {a}, {b}");
            }
        }
    }
}

#[test]
fn saturated_sums_stop_at_the_ends() {
    let clamp = |value: i128| value.clamp(i32::MIN.into(), i32::MAX.into()) as u64;
    let n = |value| number(value, 32, true);
    check("add.sat.s32 %r0, %r1, %r2;", 32, |a, b, _| {
        clamp(n(a) + n(b))
    });
    check("sub.sat.s32 %r0, %r1, %r2;", 32, |a, b, _| {
        clamp(n(a) - n(b))
    });
    check("mad.hi.sat.s32 %r0, %r1, %r2, %r3;", 32, |a, b, c| {
        clamp(((n(a) * n(b)) >> 32) + n(c))
    });
}

#[test]
fn distances_are_added() {
    for (of, bits, signed) in TYPES {
        let r = registers(bits);
        check(
            &format!("sad.{of} {r}0, {r}1, {r}2, {r}3;"),
            bits,
            |a, b, c| {
                (number(a, bits, signed).abs_diff(number(b, bits, signed)) as u64).wrapping_add(c)
            },
        );
    }
}

#[test]
fn carries_go_from_word_to_word() {
    let wide = |a: u64, b: u64| (u128::from(a) << 64) | u128::from(b);
    // Two words as one number: b:a + c:b, and its high word.
    check(
        "add.cc.u64 %rd4, %rd1, %rd2; addc.u64 %rd0, %rd2, %rd3;",
        64,
        |a, b, c| (wide(b, a).wrapping_add(wide(c, b)) >> 64) as u64,
    );
    check(
        "sub.cc.u64 %rd4, %rd1, %rd2; subc.u64 %rd0, %rd2, %rd3;",
        64,
        |a, b, c| (wide(b, a).wrapping_sub(wide(c, b)) >> 64) as u64,
    );
    // Through three words, so that a carry goes in and out.
    check(
        "add.cc.u32 %r4, %r1, %r2; addc.cc.u32 %r5, %r2, %r3; addc.u32 %r0, 0, 0;",
        32,
        |a, b, c| {
            let (low, high) = (a as u32 as u64 | b << 32, b as u32 as u64 | c << 32);
            ((u128::from(low) + u128::from(high)) >> 64) as u64
        },
    );
    check(
        "mad.lo.cc.u32 %r4, %r1, %r2, %r3; madc.hi.u32 %r5, %r1, %r2, 7; mov.b64 %rd0, {%r4, %r5};",
        64,
        |a, b, c| {
            (a as u32 as u64 * (b as u32 as u64))
                .wrapping_add(c as u32 as u64)
                .wrapping_add(7 << 32)
        },
    );
    check(
        "mad.hi.cc.s32 %r4, %r1, %r2, %r3; addc.u32 %r0, 0, 0;",
        32,
        |a, b, c| {
            let high = ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32;
            (u64::from(high) + u64::from(c as u32)) >> 32
        },
    );
}

#[test]
fn comparisons_respect_signs() {
    for (of, bits, signed) in TYPES {
        let r = registers(bits);
        let n = |value| number(value, bits, signed);
        let compare = |name: &str, must: fn(&i128, &i128) -> bool| {
            let select = "selp.b64 %rd0, 1, 0, %p1;";
            check(
                &format!("setp.{name}.{of} %p1, {r}1, {r}2; {select}"),
                64,
                |a, b, _| must(&n(a), &n(b)).into(),
            );
        };
        compare("eq", i128::eq);
        compare("ne", i128::ne);
        compare("lt", i128::lt);
        compare("le", i128::le);
        compare("gt", i128::gt);
        compare("ge", i128::ge);
    }
    check(
        "setp.lo.u32 %p1, %r1, %r2; selp.b64 %rd0, 1, 0, %p1;",
        64,
        |a, b, _| ((a as u32) < b as u32).into(),
    );
    check(
        "setp.hs.u64 %p1, %rd1, %rd2; selp.b64 %rd0, 1, 0, %p1;",
        64,
        |a, b, _| (a >= b).into(),
    );
}

#[test]
fn comparisons_are_combined_and_have_an_inverse() {
    let both = "selp.b32 %r4, 1, 0, %p2; selp.b32 %r5, 2, 0, %p3; or.b32 %r0, %r4, %r5;";
    let first = "setp.eq.u32 %p1, %r3, 0;";
    check(
        &format!("{first} setp.lt.and.s32 %p2|%p3, %r1, %r2, %p1; {both}"),
        32,
        |a, b, c| {
            let (less, q) = ((a as i32) < b as i32, c as u32 == 0);
            u64::from(less && q) | u64::from(!less && q) << 1
        },
    );
    check(
        &format!("{first} setp.lt.or.s32 %p2|%p3, %r1, %r2, !%p1; {both}"),
        32,
        |a, b, c| {
            let (less, q) = ((a as i32) < b as i32, c as u32 != 0);
            u64::from(less || q) | u64::from(!less || q) << 1
        },
    );
    check(
        &format!("{first} setp.lt.xor.s32 %p2|%p3, %r1, %r2, %p1; {both}"),
        32,
        |a, b, c| {
            let (less, q) = ((a as i32) < b as i32, c as u32 == 0);
            u64::from(less ^ q) | u64::from(!less ^ q) << 1
        },
    );
    check("set.lt.u32.s32 %r0, %r1, %r2;", 32, |a, b, _| {
        if (a as i32) < b as i32 {
            u64::MAX
        } else {
            0
        }
    });
    check("slct.b32.s32 %r0, %r1, %r2, %r3;", 32, |a, b, c| {
        if c as i32 >= 0 {
            a
        } else {
            b
        }
    });
    check("setp.ne.s32 %p1, %r1, 0; setp.ne.s32 %p2, %r2, 0; xor.pred %p3, %p1, %p2; not.pred %p4, %p3; @%p4 mov.u32 %r0, 5; @!%p4 mov.u32 %r0, 9;", 32, |a, b, _| {
        if (a as u32 != 0) == (b as u32 != 0) { 5 } else { 9 }
    });
}

#[test]
fn conversions_extend_cut_and_saturate() {
    let types = [("u8", 8, false), ("s8", 8, true)].into_iter().chain(TYPES);
    for (from, from_bits, from_signed) in types.clone() {
        for (to, to_bits, to_signed) in types.clone() {
            // Narrow values lie in wider registers, where they are extended.
            for width in [16, 32, 64].into_iter().filter(|width| *width >= to_bits) {
                let (r, w) = (registers(from_bits.max(16)), registers(width));
                let extended = |value: i128| number(value as u64, to_bits, to_signed) as u64;
                check(&format!("cvt.{to}.{from} {w}0, {r}1;"), width, |a, _, _| {
                    extended(number(a, from_bits, from_signed))
                });
                check(
                    &format!("cvt.sat.{to}.{from} {w}0, {r}1;"),
                    width,
                    |a, _, _| {
                        let (low, high) = match to_signed {
                            true => (-(1i128 << (to_bits - 1)), (1i128 << (to_bits - 1)) - 1),
                            false => (0, (1i128 << to_bits) - 1),
                        };
                        number(a, from_bits, from_signed).clamp(low, high) as u64
                    },
                );
            }
        }
    }
}
