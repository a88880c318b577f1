//! What a judge answers to numbers that no sound model or trace holds: which of the two is at fault.

use assay_exact::{
    leaf::{LeafError, Operand, Parameter},
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
    sampling::{self, Settings},
    shape::{Rotary, Shape},
};

const ONE: i32 = 1 << 30;

fn row(mantissa: u16, exponent: i16) -> Row {
    Row {
        mantissa,
        exponent,
        bias: 0,
    }
}

fn scale(exponent: i32) -> Scale {
    Scale {
        mantissa: 40_000,
        exponent,
    }
}

fn shape() -> Shape {
    Shape {
        layers: 1,
        hidden: 4,
        intermediate: 4,
        heads: 1,
        kv_heads: 1,
        head_dim: 4,
        vocabulary: 4,
        context: 4,
        tied: true,
        biases: false,
        head_norms: true,
        fraction_bits: 16,
        eps40: 1,
        rotary: Rotary {
            base: 10_000_000_000,
            scaling: None,
        },
    }
}

/// The exp2 table with one entry changed.
fn exp2(index: usize, entry: i32) -> Vec<i32> {
    let mut table = vec![ONE; 257];
    table[index] = entry;
    table
}

#[test]
fn a_parameter_outside_its_range_is_the_models_fault() {
    let fault = |result: Result<(), LeafError>, parameter| {
        assert_eq!(result, Err(LeafError::Parameter(parameter)));
    };
    let embed = |high, row, column| embed::element(high, 0, row, column, 16).map(drop);
    let sound = row(1 << 15, 0);
    fault(embed(-128, sound, 0), Parameter::Weight);
    fault(embed(1, row(7, 0), 0), Parameter::Mantissa);
    fault(embed(1, row(1 << 15, 32), 0), Parameter::RowExponent);
    fault(embed(1, sound, -17), Parameter::ColumnExponent);
    fault(
        linear::partial(&[1, 0], &[1, -128]).map(drop),
        Parameter::Weight,
    );
    let linear = |row| linear::element(&[1], row, scale(0), 16).map(drop);
    fault(linear(row((1 << 15) - 1, 0)), Parameter::Mantissa);
    fault(linear(row(1 << 15, -97)), Parameter::RowExponent);

    let statistics = Statistics {
        maximum: 9,
        squares: 81,
        product: 81,
    };
    fault(
        norm::element(9, 1 << 24, &statistics).map(drop),
        Parameter::Gamma,
    );
    fault(
        norm::partial_product(&[9], &[-1 << 24], 9).map(drop),
        Parameter::Gamma,
    );
    let (hidden, head) = (Width::hidden(&shape()), Width::head(&shape()));
    fault(
        norm::scale(&statistics, 32, &hidden).map(drop),
        Parameter::GammaExponent,
    );
    let head_norm = |gamma, exponent| head_norm::element(9, gamma, exponent, &statistics, &head);
    fault(head_norm(1 << 24, 0).map(drop), Parameter::Gamma);
    fault(head_norm(9, -65).map(drop), Parameter::GammaExponent);

    let angle = |cos, sin| Angle { cos, sin };
    let (inside, outside) = (angle(0, ONE), angle(ONE + 1, 0));
    fault(rotary::angle(inside, outside).map(drop), Parameter::Rotary);
    fault(rotary::angle(outside, inside).map(drop), Parameter::Rotary);

    let maxima = Maxima {
        score: 0,
        shifted: 0,
    };
    for table in [exp2(0, ONE - 1), exp2(1, ONE + 1), exp2(1, ONE / 2 - 1)] {
        let table = table.as_slice();
        let weight = attention::weight(0, scale(0), &maxima, table);
        fault(weight.map(drop), Parameter::Exp2);
        let denominator = attention::partial_denominator(&[0], &maxima, table);
        fault(denominator.map(drop), Parameter::Exp2);
        fault(
            sampling::candidate(5, 5, 1_000_000, table).map(drop),
            Parameter::Exp2,
        );
    }
    for entries in [[-1, 0], [0, 1 << 27]] {
        fault(
            silu::product(5, 5, entries.as_slice()).map(drop),
            Parameter::Silu,
        );
    }
}

#[test]
fn numbers_that_contradict_each_other_are_the_traces_fault() {
    let fault = |result: Result<(), LeafError>, operand| {
        assert_eq!(result, Err(LeafError::Operand(operand)));
    };
    fault(quant::element16(10, 9).map(drop), Operand::Maximum);
    fault(quant::element8(i64::MIN, 9).map(drop), Operand::Maximum);
    fault(quant::scale16(-1, 16).map(drop), Operand::Maximum);
    fault(quant::scale8(1 << 62, 16).map(drop), Operand::Maximum);
    let table = exp2(5, ONE);
    let maxima = Maxima {
        score: 100,
        shifted: 100,
    };
    let weight = |score, value| attention::weight(score, value, &maxima, table.as_slice());
    fault(weight(101, scale(-9)).map(drop), Operand::Maximum);
    fault(weight(100, scale(1)).map(drop), Operand::Maximum);
    let denominator = attention::partial_denominator(&[0, 101], &maxima, table.as_slice());
    fault(denominator.map(drop), Operand::Maximum);
    for denominator in [0, -1, (1 << 30) - 1, (1 << 50) + 1, i64::MAX] {
        let element = attention::element(&[0], denominator, &maxima);
        fault(element.map(drop), Operand::Sum);
    }
    let far = Maxima {
        score: 0,
        shifted: i64::MIN,
    };
    fault(
        attention::element(&[1], 1 << 30, &far).map(drop),
        Operand::Maximum,
    );
    fault(
        attention::element(&[1 << 50], 1 << 30, &maxima).map(drop),
        Operand::Sum,
    );
    fault(
        linear::element(&[i64::MAX, 1], row(0, 0), scale(0), 16).map(drop),
        Operand::Sum,
    );
    fault(
        linear::element(&[1 << 40], row(0, 0), scale(0), 16).map(drop),
        Operand::Sum,
    );
    let angle = Angle {
        cos: i32::MIN,
        sin: 0,
    };
    fault(
        rotary::element_first(1, 1, angle).map(drop),
        Operand::Maximum,
    );
    fault(
        rotary::element_second(1, 1, angle).map(drop),
        Operand::Maximum,
    );
    fault(
        sampling::candidate(6, 5, 1_000_000, table.as_slice()).map(drop),
        Operand::Maximum,
    );
    fault(sampling::target(1, 0).map(drop), Operand::Sum);
    fault(
        sampling::last_bin(&[0; sampling::BINS], 5).map(drop),
        Operand::Sum,
    );
}

#[test]
fn blocks_and_openings_have_their_size() {
    let length = |result: Result<i64, LeafError>| {
        assert_eq!(result, Err(LeafError::Operand(Operand::Length)));
    };
    length(op::sum(&[0; 257]));
    length(op::maximum(&[0; 257]));
    length(op::maximum(&[]));
    length(norm::partial_maximum(&[0; 257]));
    length(norm::partial_squares(&[0; 257], 0));
    length(norm::partial_product(&[0; 257], &[0; 257], 0));
    length(norm::partial_product(&[0; 2], &[0; 1], 0));
    length(quant::partial_maximum(&[0; 257]));
    length(linear::partial(&[0; 1025], &[0; 1025]));
    length(linear::partial(&[0; 2], &[0; 3]));
    length(attention::partial(&[0; 17], &[0; 17]));
    length(attention::partial(&[0; 2], &[0; 1]));
    length(attention::score(&[0; 2], &[0; 3], scale(0), scale(0)).map(i64::from));
    length(silu::partial_maximum(&[0; 2], &[0; 3], [0; 2].as_slice()));
    let opened: &[Option<&[i32]>] = &[Some(&[ONE; 65])];
    let beyond = sampling::candidate(0, 40_000, 1_000_000, opened);
    assert_eq!(beyond, Err(LeafError::Operand(Operand::Entry)));
}

#[test]
fn settings_outside_their_range_are_refused() {
    let sound = Settings {
        temperature: 1_000,
        top_k: 0,
        top_p: 1,
        min_p: 1_000_000,
        penalty: 500_000,
    };
    let choose = |settings| sampling::choose(&[3, 3], &[], &settings, 0, &[ONE; 257]);
    assert_eq!(choose(sound), Ok(0));
    assert_eq!(choose(Settings::GREEDY), Ok(0));
    for broken in [
        Settings {
            temperature: 999,
            ..sound
        },
        Settings {
            temperature: 10_000_001,
            ..sound
        },
        Settings { top_p: 0, ..sound },
        Settings {
            top_p: 1_000_001,
            ..sound
        },
        Settings {
            min_p: 1_000_001,
            ..sound
        },
        Settings {
            penalty: 499_999,
            ..sound
        },
        Settings {
            penalty: 4_000_001,
            ..sound
        },
    ] {
        assert_eq!(choose(broken), Err(Operand::Request.into()));
    }
}
