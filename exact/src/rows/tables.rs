//! Tables as the loops read them.

use crate::model::Tables;

/// The intervals of a table: where each begins, and how much is added over its length.
#[derive(Clone, Debug)]
pub(crate) struct Intervals {
    /// 2^(-i/256) in Q30.
    pub exp2: Box<[[i32; 2]; 256]>,
    /// x / (1 + e^x) at x = i/128 in Q28.
    pub silu: Box<[[i32; 2]; 2048]>,
}

impl Intervals {
    /// Of tables that passed [`crate::model::Model::check`].
    pub fn new(tables: &Tables) -> Self {
        Self {
            exp2: intervals(tables.exp2),
            silu: intervals(tables.silu),
        }
    }
}

fn intervals<const COUNT: usize>(table: &[i32]) -> Box<[[i32; 2]; COUNT]> {
    let mut intervals = Box::new([[0; 2]; COUNT]);
    let ends = table.iter().zip(table.iter().skip(1));
    for (interval, (from, to)) in intervals.iter_mut().zip(ends) {
        // Entries are at least 0, so their difference fits.
        *interval = [*from, to.wrapping_sub(*from)];
    }
    intervals
}
