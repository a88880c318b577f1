use super::*;

const ONE: u64 = 1_000_000;

fn spec() -> ModelSpec {
    ModelSpec {
        architecture: Architecture::Llama,
        profile: Profile::Unverified,
        layers: 4,
        hidden: 256,
        intermediate: 768,
        heads: 8,
        kv_heads: 2,
        head_dim: 32,
        vocabulary: 1024,
        context: 512,
        stop_tokens: vec![1, 3].try_into().unwrap(),
        tied_embeddings: true,
    }
}

/// An exact model at every upper bound.
fn exact() -> ModelSpec {
    ModelSpec {
        profile: Profile::Exact {
            fraction_bits: 20,
            eps40: 1 << 30,
            rotary: Rotary {
                base: ONE << 40,
                scaling: Some(RotaryScaling {
                    factor: ONE << 40,
                    low: (ONE << 40) - 1,
                    high: ONE << 40,
                    original_context: u32::MAX,
                }),
            },
        },
        layers: 512,
        hidden: 1 << 14,
        intermediate: 1 << 16,
        heads: 128,
        kv_heads: 32,
        head_dim: 512,
        vocabulary: 1 << 22,
        context: 1 << 20,
        ..spec()
    }
}

fn parts(spec: ModelSpec, tables: H256) -> ModelParts {
    ModelParts {
        spec,
        tokenizer: H256::repeat_byte(1),
        template: H256::repeat_byte(2),
        tables,
        weights_root: H256::repeat_byte(3),
    }
}

#[test]
fn a_sound_shape_is_accepted() {
    assert_eq!(spec().validate(), Ok(()));
    assert_eq!(exact().validate(), Ok(()));
    let smallest = ModelSpec {
        profile: Profile::Exact {
            fraction_bits: 8,
            eps40: 1,
            rotary: Rotary {
                base: ONE,
                scaling: Some(RotaryScaling {
                    factor: 1,
                    low: 1,
                    high: 2,
                    original_context: 1,
                }),
            },
        },
        layers: 1,
        hidden: 1,
        intermediate: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: 2,
        vocabulary: 1,
        context: 1,
        stop_tokens: vec![0].try_into().unwrap(),
        ..spec()
    };
    assert_eq!(smallest.validate(), Ok(()));
    // What floats may have and integers may not.
    let wide = ModelSpec {
        hidden: 1 << 18,
        intermediate: 1 << 18,
        heads: 1024,
        kv_heads: 1024,
        head_dim: 1024,
        context: 1 << 24,
        ..spec()
    };
    assert_eq!(wide.validate(), Ok(()));
}

#[test]
fn every_bound_of_the_exact_format_has_its_error() {
    use SpecError::*;
    let broken = |change: fn(&mut ModelSpec)| {
        let mut spec = exact();
        change(&mut spec);
        spec.validate()
    };
    let dimensions: [fn(&mut ModelSpec); 16] = [
        |s| s.layers += 1,
        |s| s.hidden += 1,
        |s| s.intermediate += 1,
        |s| s.vocabulary += 1,
        |s| s.context += 1,
        |s| (s.head_dim, s.heads) = (514, 32),
        |s| s.heads = 160,
        |s| (s.heads, s.kv_heads, s.head_dim) = (u16::MAX, 1, 2),
        |s| s.layers = 0,
        |s| s.hidden = 0,
        |s| s.intermediate = 0,
        |s| s.heads = 0,
        |s| s.kv_heads = 0,
        |s| s.head_dim = 0,
        |s| s.vocabulary = 0,
        |s| s.context = 0,
    ];
    for (index, change) in dimensions.into_iter().enumerate() {
        assert_eq!(broken(change), Err(Dimension), "change {index}");
    }
    assert_eq!(broken(|s| s.kv_heads = 3), Err(Heads));
    assert_eq!(broken(|s| s.head_dim = 511), Err(Heads));

    let numbers = |change: fn(&mut u8, &mut u32, &mut Rotary)| {
        let mut spec = exact();
        if let Profile::Exact {
            fraction_bits,
            eps40,
            rotary,
        } = &mut spec.profile
        {
            change(fraction_bits, eps40, rotary);
        }
        spec.validate()
    };
    assert_eq!(numbers(|bits, _, _| *bits = 7), Err(FractionBits));
    assert_eq!(numbers(|bits, _, _| *bits = 21), Err(FractionBits));
    assert_eq!(numbers(|_, eps40, _| *eps40 = 0), Err(Epsilon));
    assert_eq!(numbers(|_, eps40, _| *eps40 += 1), Err(Epsilon));
    assert_eq!(numbers(|_, _, r| r.base = ONE - 1), Err(RotaryBase));
    assert_eq!(numbers(|_, _, r| r.base += 1), Err(RotaryBase));
    assert_eq!(numbers(|_, _, r| r.scaling = None), Ok(()));
    let scalings: [fn(&mut super::RotaryScaling); 8] = [
        |s| s.factor = 0,
        |s| s.factor += 1,
        |s| s.low = 0,
        |s| s.low = s.high,
        |s| (s.low, s.high) = (5, 4),
        |s| s.high += 1,
        |s| (s.low, s.high) = (0, 0),
        |s| s.original_context = 0,
    ];
    for (index, change) in scalings.into_iter().enumerate() {
        let mut spec = exact();
        if let Profile::Exact { rotary, .. } = &mut spec.profile {
            change(rotary.scaling.as_mut().unwrap());
        }
        assert_eq!(spec.validate(), Err(RotaryScaling), "change {index}");
    }
}

#[test]
fn a_model_has_tables_if_and_only_if_it_is_exact() {
    let some = H256::repeat_byte(9);
    assert_eq!(parts(spec(), H256::zero()).validate(), Ok(()));
    assert_eq!(parts(exact(), some).validate(), Ok(()));
    assert_eq!(parts(spec(), some).validate(), Err(SpecError::Tables));
    let none = parts(exact(), H256::zero());
    assert_eq!(none.validate(), Err(SpecError::Tables));
    let broken = ModelSpec {
        layers: 0,
        ..exact()
    };
    let error = parts(broken, some).validate();
    assert_eq!(error, Err(SpecError::Dimension));
}

#[test]
fn shapes_that_contradict_themselves_are_refused() {
    let broken = |change: fn(&mut ModelSpec)| {
        let mut spec = spec();
        change(&mut spec);
        spec.validate()
    };
    assert_eq!(broken(|s| s.layers = 0), Err(SpecError::Dimension));
    assert_eq!(
        broken(|s| s.hidden = (1 << 18) + 1),
        Err(SpecError::Dimension)
    );
    assert_eq!(broken(|s| s.kv_heads = 0), Err(SpecError::Dimension));
    assert_eq!(broken(|s| s.kv_heads = 3), Err(SpecError::Heads));
    assert_eq!(broken(|s| s.head_dim = 33), Err(SpecError::Heads));
    assert_eq!(
        broken(|s| s.stop_tokens = vec![1024].try_into().unwrap()),
        Err(SpecError::StopTokens)
    );
    assert_eq!(
        broken(|s| s.stop_tokens = vec![3, 1].try_into().unwrap()),
        Err(SpecError::StopTokens)
    );
}

#[test]
fn the_root_depends_on_every_part() {
    let parts = parts(spec(), H256::zero());
    let changed = [
        ModelParts {
            spec: ModelSpec {
                context: 513,
                ..spec()
            },
            ..parts.clone()
        },
        ModelParts {
            tokenizer: H256::zero(),
            ..parts.clone()
        },
        ModelParts {
            template: H256::zero(),
            ..parts.clone()
        },
        ModelParts {
            tables: H256::repeat_byte(9),
            ..parts.clone()
        },
        ModelParts {
            weights_root: H256::zero(),
            ..parts.clone()
        },
    ];
    for other in changed {
        assert_ne!(parts.root(), other.root());
    }
}

#[test]
fn a_listing_is_its_publishers_own() {
    let parts = parts(spec(), H256::zero());
    let id = parts.listing_id(&1u64, Permill::from_percent(1));
    assert_ne!(id, parts.listing_id(&2u64, Permill::from_percent(1)));
    assert_ne!(id, parts.listing_id(&1u64, Permill::from_percent(2)));
}
