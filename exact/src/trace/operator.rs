//! What a row's elements are computed by.

use super::row::Row;

/// One operator for each function that a judge has, in the order of the rows.
macro_rules! operators {
    ($($(#[$about:meta])* $operator:ident: $($row:ident)|+,)*) => {
        /// The judge's function for the elements of a row. Rows that have it in common differ in where they and
        /// their operands lie, so that judging one takes as long as judging another.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Operator {
            $($(#[$about])* $operator,)*
        }

        impl Operator {
            pub const ALL: &'static [Self] = &[$(Self::$operator),*];
        }

        impl Row {
            /// What computes its elements.
            pub const fn operator(self) -> Operator {
                match self {
                    $($(Row::$row)|+ => Operator::$operator,)*
                }
            }
        }
    };
}

operators! {
    Seen: Seen,
    Angles: Angles,
    Embed: Embed,
    NormMaximum: InputMaximum | QueryNormMaximum | KeyNormMaximum | PostMaximum | FinalMaximum,
    NormSquares: InputSquares | QueryNormSquares | KeyNormSquares | PostSquares | FinalSquares,
    NormProduct: InputProduct | QueryNormProduct | KeyNormProduct | PostProduct | FinalProduct,
    NormActivation: InputActivation | PostActivation | FinalActivation,
    NormScale: InputScale | PostScale | FinalScale,
    /// An output of a linear map, or of one that is added to the residual.
    Linear: Query | Key | Value | Output | Gate | Up | Down | Logits,
    HeadNorm: QueryNorm | KeyNorm,
    HeadMaximum: QueryMaximum | KeyMaximum | ValueMaximum,
    HeadActivation: QueryActivation | KeyCached | ValueCached,
    HeadScale: QueryScale | KeyScale | ValueScale,
    Page: ValuePage | ValuePageScale,
    Score: Score,
    ScoreMaximum: ScoreMaximum,
    ShiftedMaximum: ShiftedMaximum,
    Denominator: Denominator,
    Mixed: Mixed,
    MixedMaximum: MixedMaximum,
    MixedActivation: MixedActivation,
    MixedScale: MixedScale,
    ProductBlock: ProductBlock,
    ProductMaximum: ProductMaximum,
    ProductActivation: ProductActivation,
    ProductScale: ProductScale,
    Penalised: Penalised,
    Largest: Largest,
    Cut: Cut,
    Cumulative: Cumulative,
    LastBin: LastBin,
    Kept: Kept,
    Token: Token,
}
