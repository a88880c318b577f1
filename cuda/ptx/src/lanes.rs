//! The values of one register in all lanes of a warp.

/// Lanes of a warp.
pub(crate) const WARP: usize = 32;

/// A register: a value of at most 64 bits in each lane, with zeros above its width.
pub(crate) type Lanes = [u64; WARP];

pub(crate) type Unary = fn(&Lanes) -> Lanes;
pub(crate) type Binary = fn(&Lanes, &Lanes) -> Lanes;
pub(crate) type Ternary = fn(&Lanes, &Lanes, &Lanes) -> Lanes;
/// One bit for each lane.
pub(crate) type Comparison = fn(&Lanes, &Lanes) -> u32;

/// An expression of one lane as a function of a whole register.
macro_rules! lanes {
    (|$a:ident| $of:expr) => {
        |a: &Lanes| -> Lanes {
            core::array::from_fn(|lane| {
                let $a = a[lane];
                $of
            })
        }
    };
    (|$a:ident, $b:ident| $of:expr) => {
        |a: &Lanes, b: &Lanes| -> Lanes {
            core::array::from_fn(|lane| {
                let ($a, $b) = (a[lane], b[lane]);
                $of
            })
        }
    };
    (|$a:ident, $b:ident, $c:ident| $of:expr) => {
        |a: &Lanes, b: &Lanes, c: &Lanes| -> Lanes {
            core::array::from_fn(|lane| {
                let ($a, $b, $c) = (a[lane], b[lane], c[lane]);
                $of
            })
        }
    };
}

/// A condition of one lane as a function that gives one bit for each lane.
macro_rules! lanes_where {
    (|$a:ident, $b:ident| $of:expr) => {
        |a: &Lanes, b: &Lanes| -> u32 {
            let mut mask = 0;
            for lane in 0..WARP {
                let ($a, $b) = (a[lane], b[lane]);
                mask |= u32::from($of) << lane;
            }
            mask
        }
    };
}

pub(crate) use {lanes, lanes_where};

/// The lanes of a mask, from the lowest.
pub(crate) fn in_mask(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let lane = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (lane < WARP as u32).then_some(lane as usize)
    })
}

/// The low bits of a word.
pub(crate) fn low_bits(bits: u32) -> u64 {
    if bits >= 64 {
        u64::MAX
    } else {
        (1 << bits) - 1
    }
}
