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

    /// The judge's work on a proof of a step of this operator. A proof may open what its step does not
    /// read, so there is the hashing of the longest one besides.
    fn judge(operator: assay_exact::trace::Operator) -> Weight {
        use assay_exact::trace::Operator::*;
        let step = match operator {
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
        };
        step.saturating_add(Self::judge_nothing())
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
        Weight::from_parts(62_472_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_angles() -> Weight {
        Weight::from_parts(52_568_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_embed() -> Weight {
        Weight::from_parts(106_258_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_maximum() -> Weight {
        Weight::from_parts(64_586_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_squares() -> Weight {
        Weight::from_parts(72_808_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_product() -> Weight {
        Weight::from_parts(94_070_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_activation() -> Weight {
        Weight::from_parts(86_949_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_scale() -> Weight {
        Weight::from_parts(79_398_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_linear() -> Weight {
        Weight::from_parts(107_680_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_norm() -> Weight {
        Weight::from_parts(84_115_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_maximum() -> Weight {
        Weight::from_parts(108_071_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_activation() -> Weight {
        Weight::from_parts(86_428_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_scale() -> Weight {
        Weight::from_parts(57_666_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_page() -> Weight {
        Weight::from_parts(63_705_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_score() -> Weight {
        Weight::from_parts(114_920_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_score_maximum() -> Weight {
        Weight::from_parts(68_361_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_shifted_maximum() -> Weight {
        Weight::from_parts(89_092_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_denominator() -> Weight {
        Weight::from_parts(96_424_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed() -> Weight {
        Weight::from_parts(122_432_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_maximum() -> Weight {
        Weight::from_parts(65_347_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_activation() -> Weight {
        Weight::from_parts(65_096_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_scale() -> Weight {
        Weight::from_parts(57_085_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_block() -> Weight {
        Weight::from_parts(115_752_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_maximum() -> Weight {
        Weight::from_parts(73_970_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_activation() -> Weight {
        Weight::from_parts(85_257_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_scale() -> Weight {
        Weight::from_parts(54_922_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_penalised() -> Weight {
        Weight::from_parts(68_202_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_largest() -> Weight {
        Weight::from_parts(72_778_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_cut() -> Weight {
        Weight::from_parts(72_598_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_cumulative() -> Weight {
        Weight::from_parts(107_079_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_last_bin() -> Weight {
        Weight::from_parts(58_527_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_kept() -> Weight {
        Weight::from_parts(117_134_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_token() -> Weight {
        Weight::from_parts(123_294_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_nothing() -> Weight {
        Weight::from_parts(193_037_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn commit() -> Weight {
        Weight::from_parts(68_702_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn open() -> Weight {
        Weight::from_parts(241_219_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(14))
            .saturating_add(ParityDbWeight::get().writes(10))
    }
    fn answer() -> Weight {
        Weight::from_parts(193_898_000, 8854)
            .saturating_add(ParityDbWeight::get().reads(11))
            .saturating_add(ParityDbWeight::get().writes(4))
    }
    fn reveal() -> Weight {
        Weight::from_parts(100_909_000, 6275)
            .saturating_add(ParityDbWeight::get().reads(8))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn choose() -> Weight {
        Weight::from_parts(59_698_000, 6275)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn timeout() -> Weight {
        Weight::from_parts(527_564_000, 210910)
            .saturating_add(ParityDbWeight::get().reads(98))
            .saturating_add(ParityDbWeight::get().writes(17))
    }
    fn accuse() -> Weight {
        Weight::from_parts(582_384_000, 208350)
            .saturating_add(ParityDbWeight::get().reads(96))
            .saturating_add(ParityDbWeight::get().writes(12))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(10_065_000, 1577)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn pause() -> Weight {
        Weight::from_parts(11_908_000, 1590)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn expire() -> Weight {
        Weight::from_parts(50_345_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn forget() -> Weight {
        Weight::from_parts(33_019_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_exact::trace::Operator;

    /// A proof may open leaves that its step does not read, up to its length.
    #[test]
    fn a_judgement_pays_for_its_step_and_for_the_longest_proof() {
        let nothing = <()>::judge_nothing();
        for operator in Operator::ALL.iter() {
            let judged = <()>::judge(*operator);
            let step = judged.saturating_sub(nothing);
            assert!(
                judged.all_gte(nothing) && step.ref_time() > 0,
                "{operator:?}"
            );
            assert!(<()>::dearest_judgement().all_gte(judged), "{operator:?}");
        }
    }

    /// All that is charged for a proof: the judge's work and the longest proof's hashing, what the game's state
    /// takes, and the reads and writes of all of it.
    #[test]
    fn no_proof_takes_five_milliseconds() {
        let dearest = <()>::prove(<()>::dearest_judgement());
        assert!(dearest.ref_time() < 5_000_000_000, "{dearest:?}");
    }
}
