//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.

use frame_support::weights::{constants::ParityDbWeight, Weight};

pub trait WeightInfo {
    fn commit() -> Weight;
    fn open() -> Weight;
    fn answer() -> Weight;
    fn reveal() -> Weight;
    fn choose() -> Weight;
    /// The judge's work on a proof, by the operator of its step: on the one that opens most, of a model at
    /// the format's bounds.
    fn judge_seen() -> Weight;
    fn judge_angles() -> Weight;
    fn judge_embed() -> Weight;
    fn judge_norm_maximum() -> Weight;
    fn judge_norm_squares() -> Weight;
    fn judge_norm_product() -> Weight;
    fn judge_norm_activation() -> Weight;
    fn judge_norm_scale() -> Weight;
    fn judge_linear() -> Weight;
    fn judge_head_norm() -> Weight;
    fn judge_head_maximum() -> Weight;
    fn judge_head_activation() -> Weight;
    fn judge_head_scale() -> Weight;
    fn judge_page() -> Weight;
    fn judge_score() -> Weight;
    fn judge_score_maximum() -> Weight;
    fn judge_shifted_maximum() -> Weight;
    fn judge_denominator() -> Weight;
    fn judge_mixed() -> Weight;
    fn judge_mixed_maximum() -> Weight;
    fn judge_mixed_activation() -> Weight;
    fn judge_mixed_scale() -> Weight;
    fn judge_product_block() -> Weight;
    fn judge_product_maximum() -> Weight;
    fn judge_product_activation() -> Weight;
    fn judge_product_scale() -> Weight;
    fn judge_penalised() -> Weight;
    fn judge_largest() -> Weight;
    fn judge_cut() -> Weight;
    fn judge_cumulative() -> Weight;
    fn judge_last_bin() -> Weight;
    fn judge_kept() -> Weight;
    fn judge_token() -> Weight;
    /// On hashes that lead nowhere, as many as a proof can have.
    fn judge_nothing() -> Weight;
    fn timeout() -> Weight;
    fn accuse() -> Weight;
    fn set_parameters() -> Weight;
    fn pause() -> Weight;
    /// A commitment that was not used is dropped.
    fn expire() -> Weight;
    /// A trace or the note of a conviction is dropped.
    fn forget() -> Weight;

    /// The judge's work on a proof of a step of this operator.
    fn judge(operator: assay_exact::trace::Operator) -> Weight {
        use assay_exact::trace::Operator::*;
        match operator {
            Seen => Self::judge_seen(),
            Angles => Self::judge_angles(),
            Embed => Self::judge_embed(),
            NormMaximum => Self::judge_norm_maximum(),
            NormSquares => Self::judge_norm_squares(),
            NormProduct => Self::judge_norm_product(),
            NormActivation => Self::judge_norm_activation(),
            NormScale => Self::judge_norm_scale(),
            Linear => Self::judge_linear(),
            HeadNorm => Self::judge_head_norm(),
            HeadMaximum => Self::judge_head_maximum(),
            HeadActivation => Self::judge_head_activation(),
            HeadScale => Self::judge_head_scale(),
            Page => Self::judge_page(),
            Score => Self::judge_score(),
            ScoreMaximum => Self::judge_score_maximum(),
            ShiftedMaximum => Self::judge_shifted_maximum(),
            Denominator => Self::judge_denominator(),
            Mixed => Self::judge_mixed(),
            MixedMaximum => Self::judge_mixed_maximum(),
            MixedActivation => Self::judge_mixed_activation(),
            MixedScale => Self::judge_mixed_scale(),
            ProductBlock => Self::judge_product_block(),
            ProductMaximum => Self::judge_product_maximum(),
            ProductActivation => Self::judge_product_activation(),
            ProductScale => Self::judge_product_scale(),
            Penalised => Self::judge_penalised(),
            Largest => Self::judge_largest(),
            Cut => Self::judge_cut(),
            Cumulative => Self::judge_cumulative(),
            LastBin => Self::judge_last_bin(),
            Kept => Self::judge_kept(),
            Token => Self::judge_token(),
        }
    }

    /// The judge's work on the dearest proof of all.
    fn dearest_judgement() -> Weight {
        let operators = assay_exact::trace::Operator::ALL.iter();
        let judgements = operators.map(|operator| Self::judge(*operator));
        judgements.fold(Self::judge_nothing(), |most, next| most.max(next))
    }

    /// A proof that takes so much to judge: the game goes on as after a revelation, or ends as when
    /// somebody is late.
    fn prove(judgement: Weight) -> Weight {
        judgement
            .saturating_add(Self::reveal())
            .saturating_add(Self::timeout())
    }

    /// The heaviest that the chain does by itself for one entry of the agenda.
    fn heaviest_duty() -> Weight {
        Self::timeout().max(Self::expire()).max(Self::forget())
    }
}

impl WeightInfo for () {
    fn commit() -> Weight {
        Weight::from_parts(47_450_000, 3730)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn open() -> Weight {
        Weight::from_parts(174_249_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(14))
            .saturating_add(ParityDbWeight::get().writes(10))
    }
    fn answer() -> Weight {
        Weight::from_parts(137_675_000, 8814)
            .saturating_add(ParityDbWeight::get().reads(10))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn reveal() -> Weight {
        Weight::from_parts(77_205_000, 6185)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn choose() -> Weight {
        Weight::from_parts(43_495_000, 6185)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn judge_seen() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_angles() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_embed() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_norm_maximum() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_norm_squares() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_norm_product() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_norm_activation() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_norm_scale() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_linear() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_head_norm() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_head_maximum() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_head_activation() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_head_scale() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_page() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_score() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_score_maximum() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_shifted_maximum() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_denominator() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_mixed() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_mixed_maximum() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_mixed_activation() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_mixed_scale() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_product_block() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_product_maximum() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_product_activation() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_product_scale() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_penalised() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_largest() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_cut() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_cumulative() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_last_bin() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_kept() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_token() -> Weight {
        Weight::from_parts(150_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn judge_nothing() -> Weight {
        Weight::from_parts(250_000_000, 5636).saturating_add(ParityDbWeight::get().reads(3))
    }
    fn timeout() -> Weight {
        Weight::from_parts(213_929_000, 11380)
            .saturating_add(ParityDbWeight::get().reads(16))
            .saturating_add(ParityDbWeight::get().writes(15))
    }
    fn accuse() -> Weight {
        Weight::from_parts(306_286_000, 8799)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(11))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(6_299_000, 1545)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn pause() -> Weight {
        Weight::from_parts(6_569_000, 1498)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn expire() -> Weight {
        Weight::from_parts(36_695_000, 3730)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn forget() -> Weight {
        Weight::from_parts(30_555_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
}
