//! Every function that a judge runs, exported from a Wasm module: numbers come from outside, so that
//! nothing is folded away. A panic anywhere would show as the import `panicked`.

#![no_std]

use core::{
    alloc::{GlobalAlloc, Layout},
    slice::from_raw_parts,
};

use assay_exact::{
    leaf::LeafError,
    model::Row,
    number::Scale,
    op::{
        self,
        attention::{self, Maxima},
        embed, head_norm, linear,
        norm::{self, Statistics, Width},
        quant,
        rotary::{self, Angle},
        silu,
    },
    sampling::{self, Cut},
    shape::Shape,
};

struct NoMemory;

unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static MEMORY: NoMemory = NoMemory;

extern "C" {
    fn panicked() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe { panicked() }
}

/// What a function gives, as a number.
trait Given {
    fn number(self) -> i64;
}

macro_rules! given {
    ($($type:ty),*) => {
        $(impl Given for $type {
            fn number(self) -> i64 {
                self as i64
            }
        })*
    };
}

given!(i8, i16, i32, i64, u8, u32, usize, u64, bool);

impl Given for Scale {
    fn number(self) -> i64 {
        i64::from(self.mantissa) << 32 | i64::from(self.exponent as u32)
    }
}

impl Given for Angle {
    fn number(self) -> i64 {
        i64::from(self.cos) << 32 | i64::from(self.sin as u32)
    }
}

impl Given for Maxima {
    fn number(self) -> i64 {
        self.shifted ^ i64::from(self.score)
    }
}

impl Given for sampling::Candidate {
    fn number(self) -> i64 {
        self.weight ^ self.distance
    }
}

impl<A: Given, B: Given> Given for (A, B) {
    fn number(self) -> i64 {
        self.0.number() ^ self.1.number()
    }
}

impl<T: Given> Given for Option<T> {
    fn number(self) -> i64 {
        self.map_or(i64::MIN, Given::number)
    }
}

impl<T: Given> Given for Result<T, LeafError> {
    fn number(self) -> i64 {
        match self {
            Ok(value) => value.number(),
            Err(LeafError::Parameter(parameter)) => -1 - parameter as i64,
            Err(LeafError::Operand(operand)) => -100 - operand as i64,
        }
    }
}

/// A slice from outside.
macro_rules! list {
    ($pointer:ident, $count:ident) => {
        unsafe { from_raw_parts($pointer, $count) }
    };
}

macro_rules! export {
    ($($name:ident($($argument:ident: $type:ty),*) $body:expr;)*) => {
        $(#[no_mangle]
        pub extern "C" fn $name($($argument: $type),*) -> i64 {
            Given::number($body)
        })*
    };
}

fn row(mantissa: u16, exponent: i16, bias: i32) -> Row {
    Row {
        mantissa,
        exponent,
        bias,
    }
}

fn scale(mantissa: u16, exponent: i32) -> Scale {
    Scale { mantissa, exponent }
}

fn angle(cos: i32, sin: i32) -> Angle {
    Angle { cos, sin }
}

export! {
    sum(p: *const i64, n: usize) op::sum(list!(p, n));
    maximum(p: *const i64, n: usize) op::maximum(list!(p, n));

    embed_element(high: i8, low: i8, m: u16, e: i16, column: i8, bits: u8)
        embed::element(high, low, row(m, e, 0), column, bits);

    norm_maximum(x: *const i32, n: usize) norm::partial_maximum(list!(x, n));
    norm_squares(x: *const i32, n: usize, most: i64) norm::partial_squares(list!(x, n), most);
    norm_product(x: *const i32, n: usize, gamma: *const i32, k: usize, most: i64)
        norm::partial_product(list!(x, n), list!(gamma, k), most);
    norm_element(x: i32, gamma: i32, row: &Statistics) norm::element(x, gamma, row);
    norm_scale(row: &Statistics, exponent: i32, shape: &Shape)
        norm::scale(row, exponent, &Width::hidden(shape));
    head_norm_element(x: i32, gamma: i32, exponent: i32, row: &Statistics, shape: &Shape)
        head_norm::element(x, gamma, exponent, row, &Width::head(shape));

    quant_maximum(z: *const i64, n: usize) quant::partial_maximum(list!(z, n));
    quant_element16(z: i64, most: i64) quant::element16(z, most);
    quant_element8(z: i64, most: i64) quant::element8(z, most);
    quant_scale16(most: i64, unit: i32) quant::scale16(most, unit);
    quant_scale8(most: i64, unit: i32) quant::scale8(most, unit);

    linear_partial(q: *const i16, n: usize, w: *const i8, k: usize)
        linear::partial(list!(q, n), list!(w, k));
    linear_element(p: *const i64, n: usize, m: u16, e: i16, bias: i32, tm: u16, te: i32, bits: u8)
        linear::element(list!(p, n), row(m, e, bias), scale(tm, te), bits);
    linear_add(x: i32, y: i32) linear::add(x, y);

    rotary_angle(cl: i32, sl: i32, ch: i32, sh: i32) rotary::angle(angle(cl, sl), angle(ch, sh));
    rotary_first(x: i32, other: i32, cos: i32, sin: i32)
        rotary::element_first(x, other, angle(cos, sin));
    rotary_second(x: i32, other: i32, cos: i32, sin: i32)
        rotary::element_second(x, other, angle(cos, sin));
    rotary_rows(position: u32) rotary::table_rows(position);

    attention_query_scale(m: u16, e: i32, width: u16)
        attention::query_scale(scale(m, e), width);
    attention_score(q: *const i16, n: usize, k: *const i8, d: usize, query: &Scale, key: &Scale)
        attention::score(list!(q, n), list!(k, d), *query, *key);
    attention_maxima(s: *const i32, n: usize, v: *const Scale, k: usize)
        attention::partial_maxima(list!(s, n), list!(v, k));
    attention_denominator(s: *const i32, n: usize, maxima: &Maxima, exp2: *const i32, k: usize)
        attention::partial_denominator(list!(s, n), maxima, list!(exp2, k));
    attention_weight(score: i32, value: &Scale, maxima: &Maxima, exp2: *const Option<&[i32]>, k: usize)
        attention::weight(score, *value, maxima, list!(exp2, k));
    attention_partial(w: *const i16, n: usize, v: *const i8, k: usize)
        attention::partial(list!(w, n), list!(v, k));
    attention_element(p: *const i64, n: usize, denominator: i64, maxima: &Maxima)
        attention::element(list!(p, n), denominator, maxima);

    silu_product(gate: i32, up: i32, table: *const Option<&[i32]>, n: usize)
        silu::product(gate, up, list!(table, n));
    silu_maximum(g: *const i32, n: usize, u: *const i32, k: usize, t: *const i32, l: usize)
        silu::partial_maximum(list!(g, n), list!(u, k), list!(t, l));
    silu_element(gate: i32, up: i32, table: *const i32, n: usize, most: i64)
        silu::element(gate, up, list!(table, n), most);
    silu_scale(most: i64) silu::scale(most);

    sampling_penalised(logit: i32, penalty: u32) sampling::penalised(logit, penalty);
    sampling_greedy(l: *const i32, n: usize, first: u32) sampling::greedy(list!(l, n), first);
    sampling_candidate(logit: i32, most: i32, temperature: u32, exp2: *const i32, n: usize)
        sampling::candidate(logit, most, temperature, list!(exp2, n));
    sampling_min_p(weight: i64, min_p: u32) sampling::passes_min_p(weight, min_p);
    sampling_cut(cut: &Cut, logit: i32, token: u32) cut.keeps(logit, token);
    sampling_count(l: *const i32, n: usize, prefix: i32, pass: u32, byte: u8)
        sampling::counts(list!(l, n), prefix, pass).get(usize::from(byte)).copied();
    sampling_bin(distance: i64) sampling::bin(distance);
    sampling_last_bin(bins: *const i64, n: usize, top_p: u32)
        sampling::last_bin(list!(bins, n), top_p);
    sampling_random(seed: &[u8; 32], position: u32, hash: &[u8; 32])
        (sampling::random(hash), u32::from(sampling::draw_message(seed, position)[48]));
    sampling_target(random: u64, total: i64) sampling::target(random, total);
    sampling_passing(w: *const i64, n: usize, before: i64, first: u32, target: i64)
        sampling::passing(list!(w, n), before, first, target);
}
