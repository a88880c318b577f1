//! What each call costs, measured by scripts/weights (50 steps, 20 repetitions) on
//! AMD EPYC, with the reads and writes of ParityDB. `open`, `answer`, `reveal`, `choose`, `timeout`, `accuse`, `pause`
//! and `forget` were raised by hand since, for what they read and write besides.

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
        Weight::from_parts(47_421_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_angles() -> Weight {
        Weight::from_parts(39_709_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_embed() -> Weight {
        Weight::from_parts(81_902_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_maximum() -> Weight {
        Weight::from_parts(46_179_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_squares() -> Weight {
        Weight::from_parts(52_969_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_product() -> Weight {
        Weight::from_parts(69_774_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_activation() -> Weight {
        Weight::from_parts(62_573_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_norm_scale() -> Weight {
        Weight::from_parts(67_310_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_linear() -> Weight {
        Weight::from_parts(77_615_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_norm() -> Weight {
        Weight::from_parts(59_639_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_maximum() -> Weight {
        Weight::from_parts(80_099_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_activation() -> Weight {
        Weight::from_parts(65_157_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_head_scale() -> Weight {
        Weight::from_parts(37_887_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_page() -> Weight {
        Weight::from_parts(46_569_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_score() -> Weight {
        Weight::from_parts(93_460_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_score_maximum() -> Weight {
        Weight::from_parts(48_342_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_shifted_maximum() -> Weight {
        Weight::from_parts(64_707_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_denominator() -> Weight {
        Weight::from_parts(65_828_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed() -> Weight {
        Weight::from_parts(90_595_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_maximum() -> Weight {
        Weight::from_parts(42_373_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_activation() -> Weight {
        Weight::from_parts(43_054_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_mixed_scale() -> Weight {
        Weight::from_parts(37_325_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_block() -> Weight {
        Weight::from_parts(85_658_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_maximum() -> Weight {
        Weight::from_parts(51_957_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_activation() -> Weight {
        Weight::from_parts(59_268_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_product_scale() -> Weight {
        Weight::from_parts(36_814_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_penalised() -> Weight {
        Weight::from_parts(49_774_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_largest() -> Weight {
        Weight::from_parts(51_246_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_cut() -> Weight {
        Weight::from_parts(53_630_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_cumulative() -> Weight {
        Weight::from_parts(81_201_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_last_bin() -> Weight {
        Weight::from_parts(42_313_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_kept() -> Weight {
        Weight::from_parts(89_163_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_token() -> Weight {
        Weight::from_parts(94_901_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn judge_nothing() -> Weight {
        Weight::from_parts(162_402_000, 5636).saturating_add(ParityDbWeight::get().reads(2))
    }
    fn commit() -> Weight {
        Weight::from_parts(47_891_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(6))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn open() -> Weight {
        Weight::from_parts(177_144_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(15))
            .saturating_add(ParityDbWeight::get().writes(10))
    }
    fn answer() -> Weight {
        Weight::from_parts(142_252_000, 8854)
            .saturating_add(ParityDbWeight::get().reads(11))
            .saturating_add(ParityDbWeight::get().writes(5))
    }
    fn reveal() -> Weight {
        Weight::from_parts(75_061_000, 6255)
            .saturating_add(ParityDbWeight::get().reads(9))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn choose() -> Weight {
        Weight::from_parts(36_745_000, 6255)
            .saturating_add(ParityDbWeight::get().reads(7))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn timeout() -> Weight {
        Weight::from_parts(425_416_000, 221520)
            .saturating_add(ParityDbWeight::get().reads(178))
            .saturating_add(ParityDbWeight::get().writes(18))
    }
    fn accuse() -> Weight {
        Weight::from_parts(485_776_000, 218799)
            .saturating_add(ParityDbWeight::get().reads(177))
            .saturating_add(ParityDbWeight::get().writes(12))
    }
    fn set_parameters() -> Weight {
        Weight::from_parts(6_550_000, 1577)
            .saturating_add(ParityDbWeight::get().reads(1))
            .saturating_add(ParityDbWeight::get().writes(1))
    }
    fn pause() -> Weight {
        Weight::from_parts(6_179_000, 1498)
            .saturating_add(ParityDbWeight::get().reads(2))
            .saturating_add(ParityDbWeight::get().writes(2))
    }
    fn expire() -> Weight {
        Weight::from_parts(34_612_000, 3766)
            .saturating_add(ParityDbWeight::get().reads(3))
            .saturating_add(ParityDbWeight::get().writes(3))
    }
    fn forget() -> Weight {
        Weight::from_parts(22_193_000, 5636)
            .saturating_add(ParityDbWeight::get().reads(8))
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
