//! What each call costs, measured by scripts/weights (2 steps, 1 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB.
//!
//! Not measured yet: five more hashes of an opening, for each of which 2 µs were added.

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
    fn judge_seen() -> Weight {
        Weight::from_parts(69_884_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_angles() -> Weight {
        Weight::from_parts(63_876_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_embed() -> Weight {
        Weight::from_parts(105_978_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_maximum() -> Weight {
        Weight::from_parts(64_857_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_squares() -> Weight {
        Weight::from_parts(73_029_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_product() -> Weight {
        Weight::from_parts(95_232_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_activation() -> Weight {
        Weight::from_parts(83_425_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_scale() -> Weight {
        Weight::from_parts(79_348_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_linear() -> Weight {
        Weight::from_parts(106_529_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_norm() -> Weight {
        Weight::from_parts(83_635_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_maximum() -> Weight {
        Weight::from_parts(102_362_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_activation() -> Weight {
        Weight::from_parts(85_618_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_scale() -> Weight {
        Weight::from_parts(58_017_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_page() -> Weight {
        Weight::from_parts(67_230_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_score() -> Weight {
        Weight::from_parts(113_559_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_score_maximum() -> Weight {
        Weight::from_parts(70_425_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_shifted_maximum() -> Weight {
        Weight::from_parts(86_479_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_denominator() -> Weight {
        Weight::from_parts(93_669_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed() -> Weight {
        Weight::from_parts(123_865_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_maximum() -> Weight {
        Weight::from_parts(63_966_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_activation() -> Weight {
        Weight::from_parts(66_028_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_scale() -> Weight {
        Weight::from_parts(57_396_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_block() -> Weight {
        Weight::from_parts(119_939_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_maximum() -> Weight {
        Weight::from_parts(74_931_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_activation() -> Weight {
        Weight::from_parts(85_217_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_scale() -> Weight {
        Weight::from_parts(57_896_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_penalised() -> Weight {
        Weight::from_parts(71_457_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_largest() -> Weight {
        Weight::from_parts(73_159_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_cut() -> Weight {
        Weight::from_parts(74_321_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_cumulative() -> Weight {
        Weight::from_parts(106_539_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_last_bin() -> Weight {
        Weight::from_parts(63_044_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_kept() -> Weight {
        Weight::from_parts(117_335_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_token() -> Weight {
        Weight::from_parts(121_041_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_nothing() -> Weight {
        Weight::from_parts(183_744_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn commit() -> Weight {
        Weight::from_parts(58_857_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn open() -> Weight {
        Weight::from_parts(226_558_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(14))
            .saturating_add(ParityDbWeight::get().writes(10))
    }
    fn answer() -> Weight {
        Weight::from_parts(194_925_000, 8854)
            .saturating_add(ParityDbWeight::get().reads(10))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn reveal() -> Weight {
        Weight::from_parts(97_595_000, 6222)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn choose() -> Weight {
        Weight::from_parts(52_949_000, 6222)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn timeout() -> Weight {
        Weight::from_parts(267_849_000, 11454)
            .saturating_add(ParityDbWeight::get().reads(16))
            .saturating_add(ParityDbWeight::get().writes(15))
    }
    fn accuse() -> Weight {
        Weight::from_parts(385_986_000, 8799)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(11))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(14_321_000, 1577)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn pause() -> Weight {
        Weight::from_parts(13_470_000, 1498)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn expire() -> Weight {
        Weight::from_parts(40_710_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn forget() -> Weight {
        Weight::from_parts(37_466_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
}
