//! What registers begin with when their function is entered.

/// What a register begins with when its function is entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Value(u64),
    Special(Special),
    /// The address of a variable of the module, and an offset in it.
    Variable {
        index: usize,
        offset: i64,
    },
    /// An address in the local memory of the function's frame.
    Local(u64),
    /// An address behind the kernel's own shared memory.
    DynamicShared(i64),
}

/// Registers that the machine fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Thread(usize),
    Threads(usize),
    Block(usize),
    Blocks(usize),
    Lane,
    Warp,
    Warps,
    LanesEqual,
    LanesBelow,
    LanesBelowOrEqual,
    LanesAbove,
    LanesAboveOrEqual,
    DynamicShared,
    TotalShared,
    /// What a machine of one multiprocessor, with one grid, has 0 of.
    Zero,
    One,
}

impl Special {
    pub fn named(name: &str) -> Option<Self> {
        let axis = || match name.as_bytes().last() {
            Some(b'x') => 0,
            Some(b'y') => 1,
            _ => 2,
        };
        Some(match name {
            "%tid.x" | "%tid.y" | "%tid.z" => Self::Thread(axis()),
            "%ntid.x" | "%ntid.y" | "%ntid.z" => Self::Threads(axis()),
            "%ctaid.x" | "%ctaid.y" | "%ctaid.z" => Self::Block(axis()),
            "%nctaid.x" | "%nctaid.y" | "%nctaid.z" => Self::Blocks(axis()),
            "%laneid" => Self::Lane,
            "%warpid" => Self::Warp,
            "%nwarpid" => Self::Warps,
            "%lanemask_eq" => Self::LanesEqual,
            "%lanemask_lt" => Self::LanesBelow,
            "%lanemask_le" => Self::LanesBelowOrEqual,
            "%lanemask_gt" => Self::LanesAbove,
            "%lanemask_ge" => Self::LanesAboveOrEqual,
            "%dynamic_smem_size" => Self::DynamicShared,
            "%total_smem_size" => Self::TotalShared,
            "%smid" | "%gridid" => Self::Zero,
            "%nsmid" => Self::One,
            _ => return None,
        })
    }
}
