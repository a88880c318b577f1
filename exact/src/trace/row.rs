//! The rows of a trace in the order of their leaves, and how their elements are written.

/// Most bytes of a leaf.
pub const LEAF_BYTES: usize = 256;

/// Type of a row's elements, which are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    I8,
    U8,
    I16,
    I32,
    U32,
    /// A scale: its exponent times 2^16 plus its mantissa, as i32.
    Scale,
    I64,
    /// Two numbers of 32 bits: the first plus 2^32 times the second, as i64.
    Pair,
}

impl Element {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::U32 | Self::Scale => 4,
            Self::I64 | Self::Pair => 8,
        }
    }

    /// Elements of a full leaf.
    pub const fn per_leaf(self) -> u32 {
        match self {
            Self::I8 | Self::U8 => 256,
            Self::I16 => 128,
            Self::I32 | Self::U32 | Self::Scale => 64,
            Self::I64 | Self::Pair => 32,
        }
    }

    /// One element from exactly its bytes.
    pub fn read(self, bytes: &[u8]) -> Option<i64> {
        Some(match self {
            Self::I8 => i8::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::U8 => u8::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::I16 => i16::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::I32 | Self::Scale => i32::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::U32 => u32::from_le_bytes(bytes.try_into().ok()?).into(),
            Self::I64 | Self::Pair => i64::from_le_bytes(bytes.try_into().ok()?),
        })
    }

    /// Element number `index` of a leaf's bytes.
    pub fn at(self, leaf: &[u8], index: usize) -> Option<i64> {
        let start = index.checked_mul(self.bytes())?;
        self.read(leaf.get(start..start.checked_add(self.bytes())?)?)
    }

    /// Puts one element behind a leaf's bytes. The value is one of the type.
    pub fn write(self, value: i64, leaf: &mut alloc::vec::Vec<u8>) {
        let bytes = value.to_le_bytes();
        leaf.extend_from_slice(bytes.get(..self.bytes()).unwrap_or(&bytes));
    }
}

/// Two numbers of 32 bits as a [`Element::Pair`].
pub const fn pair(first: i32, second: u32) -> i64 {
    (second as i64) << 32 | first as u32 as i64
}

/// The two numbers of a [`Element::Pair`].
pub const fn unpair(pair: i64) -> (i32, u32) {
    (pair as i32, (pair >> 32) as u32)
}

/// One kind of row. The order is that of the leaves: first those before the layers, then those of
/// each layer, then those behind the layers, which the last position alone has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Row {
    /// Which tokens stand at this position or before it, a bit each.
    Seen,
    Angles,
    Embed,

    InputMaximum,
    InputSquares,
    InputProduct,
    InputActivation,
    InputScale,
    Query,
    Key,
    Value,
    QueryNormMaximum,
    QueryNormSquares,
    QueryNormProduct,
    QueryNorm,
    KeyNormMaximum,
    KeyNormSquares,
    KeyNormProduct,
    KeyNorm,
    QueryMaximum,
    QueryActivation,
    QueryScale,
    KeyMaximum,
    KeyCached,
    KeyScale,
    ValueMaximum,
    ValueCached,
    ValueScale,
    /// The values of 16 positions once more, dimension by dimension.
    ValuePage,
    ValuePageScale,
    Score,
    /// S.
    ScoreMaximum,
    /// U.
    ShiftedMaximum,
    /// D.
    Denominator,
    /// The heads' outputs.
    Mixed,
    MixedMaximum,
    MixedActivation,
    MixedScale,
    /// The residual after attention.
    Output,
    PostMaximum,
    PostSquares,
    PostProduct,
    PostActivation,
    PostScale,
    Gate,
    Up,
    /// max |silu(gate) · up| of 16 elements.
    ProductBlock,
    ProductMaximum,
    ProductActivation,
    ProductScale,
    /// The residual after the feed-forward layer.
    Down,

    FinalMaximum,
    FinalSquares,
    FinalProduct,
    FinalActivation,
    FinalScale,
    Logits,
    Penalised,
    /// The largest logit and its token.
    Largest,
    /// The last logit and token that top-k keeps.
    Cut,
    /// Sum of the weights up to each bin of top-p.
    Cumulative,
    /// The last bin that top-p keeps.
    LastBin,
    /// Running sums of the weights that the draw is from.
    Kept,
    /// The chosen token: the last leaf.
    Token,
}

impl Row {
    /// Rows ahead of the layers.
    pub(super) const BEFORE: &[Self] = &[Self::Seen, Self::Angles, Self::Embed];

    /// Rows of a layer.
    pub(super) const LAYER: &[Self] = &[
        Self::InputMaximum,
        Self::InputSquares,
        Self::InputProduct,
        Self::InputActivation,
        Self::InputScale,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::QueryNormMaximum,
        Self::QueryNormSquares,
        Self::QueryNormProduct,
        Self::QueryNorm,
        Self::KeyNormMaximum,
        Self::KeyNormSquares,
        Self::KeyNormProduct,
        Self::KeyNorm,
        Self::QueryMaximum,
        Self::QueryActivation,
        Self::QueryScale,
        Self::KeyMaximum,
        Self::KeyCached,
        Self::KeyScale,
        Self::ValueMaximum,
        Self::ValueCached,
        Self::ValueScale,
        Self::ValuePage,
        Self::ValuePageScale,
        Self::Score,
        Self::ScoreMaximum,
        Self::ShiftedMaximum,
        Self::Denominator,
        Self::Mixed,
        Self::MixedMaximum,
        Self::MixedActivation,
        Self::MixedScale,
        Self::Output,
        Self::PostMaximum,
        Self::PostSquares,
        Self::PostProduct,
        Self::PostActivation,
        Self::PostScale,
        Self::Gate,
        Self::Up,
        Self::ProductBlock,
        Self::ProductMaximum,
        Self::ProductActivation,
        Self::ProductScale,
        Self::Down,
    ];

    /// Rows behind the layers, of the last position.
    pub(super) const AFTER: &[Self] = &[
        Self::FinalMaximum,
        Self::FinalSquares,
        Self::FinalProduct,
        Self::FinalActivation,
        Self::FinalScale,
        Self::Logits,
        Self::Penalised,
        Self::Largest,
        Self::Cut,
        Self::Cumulative,
        Self::LastBin,
        Self::Kept,
        Self::Token,
    ];

    /// Type of its elements.
    pub const fn element(self) -> Element {
        use Row::*;
        match self {
            Seen => Element::U8,
            KeyCached | ValueCached | ValuePage => Element::I8,
            InputActivation | QueryActivation | MixedActivation | PostActivation
            | ProductActivation | FinalActivation => Element::I16,
            Embed | Query | Key | Value | QueryNorm | KeyNorm | Score | ScoreMaximum | Mixed
            | Output | Gate | Up | Down | Logits | Penalised => Element::I32,
            LastBin | Token => Element::U32,
            InputScale | QueryScale | KeyScale | ValueScale | ValuePageScale | MixedScale
            | PostScale | ProductScale | FinalScale => Element::Scale,
            Angles | Largest | Cut => Element::Pair,
            InputMaximum | InputSquares | InputProduct | QueryNormMaximum | QueryNormSquares
            | QueryNormProduct | KeyNormMaximum | KeyNormSquares | KeyNormProduct
            | QueryMaximum | KeyMaximum | ValueMaximum | ShiftedMaximum | Denominator
            | MixedMaximum | PostMaximum | PostSquares | PostProduct | ProductBlock
            | ProductMaximum | FinalMaximum | FinalSquares | FinalProduct | Cumulative | Kept => {
                Element::I64
            }
        }
    }
}

/// How many elements a row has, and how they are cut into leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pub element: Element,
    /// Each begins a new leaf.
    pub groups: u64,
    /// Elements of a group; at least 1.
    pub width: u64,
}

impl Extent {
    /// Elements in all; number i is element `i % width` of group `i / width`.
    pub fn elements(&self) -> u64 {
        self.groups.saturating_mul(self.width)
    }

    /// Leaves of one group.
    pub(super) fn group_leaves(&self) -> u64 {
        self.width.div_ceil(self.element.per_leaf().into())
    }

    /// Leaves in all.
    pub fn leaves(&self) -> u64 {
        self.groups.saturating_mul(self.group_leaves())
    }

    /// Bytes in all.
    pub fn bytes(&self) -> u64 {
        self.elements().saturating_mul(self.element.bytes() as u64)
    }
}
