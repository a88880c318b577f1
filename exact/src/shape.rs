//! The shape of a model and the bounds that keep every reduction inside its integer type.

#[cfg(feature = "chain")]
mod chain;

#[cfg(feature = "chain")]
pub use self::chain::NoShape;

/// One, in the parts per million of the rotary parameters.
pub const PPM: u64 = 1_000_000;

pub const MAX_LAYERS: u16 = 512;
pub const MAX_HIDDEN: u32 = 1 << 14;
pub const MAX_WIDTH: u32 = 1 << 16;
pub const MAX_HEAD_DIM: u16 = 512;
pub const MAX_CONTEXT: u32 = 1 << 20;
pub const MAX_VOCABULARY: u32 = 1 << 22;
pub const FRACTION_BITS: core::ops::RangeInclusive<u8> = 8..=20;
pub const MAX_EPS40: u32 = 1 << 30;

/// Everything that an operator needs to know of a model besides its numbers (format page §2).
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Shape {
    /// Decoder layers.
    pub layers: u16,
    /// Width of the residual, n.
    pub hidden: u32,
    /// Width of the feed-forward layer, ff.
    pub intermediate: u32,
    /// Query heads, H.
    pub heads: u16,
    /// Key and value heads, KV; query head h reads number `h / (heads / kv_heads)`.
    pub kv_heads: u16,
    /// Width of one head, d.
    pub head_dim: u16,
    /// Number of token ids, V.
    pub vocabulary: u32,
    /// The most positions, C.
    pub context: u32,
    /// Whether the output projection is the embedding table's high limb.
    pub tied: bool,
    /// Whether the query, key and value projections have biases (Qwen2).
    pub biases: bool,
    /// Whether queries and keys are normed, head by head (Qwen3).
    pub head_norms: bool,
    /// Fraction bits of the residual, F.
    pub fraction_bits: u8,
    /// The norms' epsilon in Q40.
    pub eps40: u32,
    pub rotary: Rotary,
}

/// The angles' parameters, in parts per million.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Rotary {
    /// `rope_theta`.
    pub base: u64,
    /// The `llama3` scaling; none for the default kind.
    pub scaling: Option<Scaling>,
}

/// `llama3` scaling of the rotary frequencies (format page §7).
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Scaling {
    /// Parts per million.
    pub factor: u64,
    /// `low_freq_factor`, parts per million.
    pub low: u64,
    /// `high_freq_factor`, parts per million.
    pub high: u64,
    /// `original_max_position_embeddings`, in positions.
    pub original_context: u32,
}

/// Which bound of the format page's §2 a shape breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShapeError {
    /// `layers` is 0 or above 512.
    Layers,
    /// `hidden` is 0 or above 2^14.
    Hidden,
    /// `intermediate` is 0 or above 2^16.
    Intermediate,
    /// No head, or heads · head_dim is above 2^16.
    Heads,
    /// `kv_heads` does not divide `heads`.
    KvHeads,
    /// `head_dim` is 0, odd or above 512.
    HeadDim,
    /// `vocabulary` is 0 or above 2^22.
    Vocabulary,
    /// `context` is 0 or above 2^20.
    Context,
    /// `fraction_bits` is outside 8 to 20.
    FractionBits,
    /// `eps40` is 0 or above 2^30.
    Epsilon,
    /// The rotary base is below 1 or above 2^40.
    RotaryBase,
    /// A factor of the rotary scaling is 0 or above 2^40, `high` is not above `low`, or there is no
    /// original context.
    RotaryScaling,
}

impl Shape {
    /// Whether every bound of the format page's §2 holds. All other functions of this crate assume
    /// a shape that passed.
    pub fn validate(&self) -> Result<(), ShapeError> {
        let holds = |condition: bool, error| if condition { Ok(()) } else { Err(error) };
        let within = |value: u32, bound: u32| value > 0 && value <= bound;
        holds(
            within(self.layers.into(), MAX_LAYERS.into()),
            ShapeError::Layers,
        )?;
        holds(within(self.hidden, MAX_HIDDEN), ShapeError::Hidden)?;
        holds(
            within(self.intermediate, MAX_WIDTH),
            ShapeError::Intermediate,
        )?;
        holds(
            within(self.head_dim.into(), MAX_HEAD_DIM.into()) && self.head_dim & 1 == 0,
            ShapeError::HeadDim,
        )?;
        holds(within(self.query_width(), MAX_WIDTH), ShapeError::Heads)?;
        holds(
            self.heads.checked_rem(self.kv_heads) == Some(0),
            ShapeError::KvHeads,
        )?;
        holds(
            within(self.vocabulary, MAX_VOCABULARY),
            ShapeError::Vocabulary,
        )?;
        holds(within(self.context, MAX_CONTEXT), ShapeError::Context)?;
        holds(
            FRACTION_BITS.contains(&self.fraction_bits),
            ShapeError::FractionBits,
        )?;
        holds(within(self.eps40, MAX_EPS40), ShapeError::Epsilon)?;
        self.rotary.validate()
    }

    /// Width of a query row and of the heads' joint output, H · d.
    pub fn query_width(&self) -> u32 {
        u32::from(self.heads).saturating_mul(self.head_dim.into())
    }

    /// Width of a key or value row, KV · d.
    pub fn kv_width(&self) -> u32 {
        u32::from(self.kv_heads).saturating_mul(self.head_dim.into())
    }

    /// Query heads that read one key-value head.
    pub fn group(&self) -> u16 {
        self.heads.checked_div(self.kv_heads).unwrap_or(0)
    }

    /// Rows of the high rotary table, ceil(C / 256).
    pub fn rotary_high_rows(&self) -> u32 {
        self.context.div_ceil(256)
    }
}

impl Rotary {
    fn validate(&self) -> Result<(), ShapeError> {
        let most = PPM << 40;
        if self.base < PPM || self.base > most {
            return Err(ShapeError::RotaryBase);
        }
        match &self.scaling {
            None => Ok(()),
            Some(scaling) => {
                let within = |value: u64| value > 0 && value <= most;
                if within(scaling.factor)
                    && within(scaling.low)
                    && within(scaling.high)
                    && scaling.high > scaling.low
                    && scaling.original_context > 0
                {
                    Ok(())
                } else {
                    Err(ShapeError::RotaryScaling)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At every upper bound.
    fn largest() -> Shape {
        Shape {
            layers: MAX_LAYERS,
            hidden: MAX_HIDDEN,
            intermediate: MAX_WIDTH,
            heads: 128,
            kv_heads: 32,
            head_dim: MAX_HEAD_DIM,
            vocabulary: MAX_VOCABULARY,
            context: MAX_CONTEXT,
            tied: false,
            biases: true,
            head_norms: true,
            fraction_bits: 20,
            eps40: MAX_EPS40,
            rotary: Rotary {
                base: PPM << 40,
                scaling: Some(Scaling {
                    factor: 32 * PPM,
                    low: PPM,
                    high: 4 * PPM,
                    original_context: 8192,
                }),
            },
        }
    }

    fn broken(change: impl Fn(&mut Shape)) -> Result<(), ShapeError> {
        let mut shape = largest();
        change(&mut shape);
        shape.validate()
    }

    fn scaled(change: impl Fn(&mut Scaling)) -> Result<(), ShapeError> {
        broken(|shape| change(shape.rotary.scaling.as_mut().unwrap()))
    }

    #[test]
    fn the_bounds_are_within() {
        assert_eq!(largest().validate(), Ok(()));
        assert_eq!(
            broken(|s| (s.hidden, s.heads, s.kv_heads) = (1, 1, 1)),
            Ok(())
        );
        assert_eq!(broken(|s| (s.fraction_bits, s.eps40) = (8, 1)), Ok(()));
        assert_eq!(broken(|s| (s.context, s.rotary.base) = (1, PPM)), Ok(()));
    }

    #[test]
    fn each_bound_has_its_error() {
        use ShapeError::*;
        assert_eq!(broken(|s| s.layers = 0), Err(Layers));
        assert_eq!(broken(|s| s.layers += 1), Err(Layers));
        assert_eq!(broken(|s| s.hidden = 0), Err(Hidden));
        assert_eq!(broken(|s| s.hidden += 1), Err(Hidden));
        assert_eq!(broken(|s| s.intermediate = 0), Err(Intermediate));
        assert_eq!(broken(|s| s.intermediate += 1), Err(Intermediate));
        assert_eq!(broken(|s| s.heads = 0), Err(Heads));
        assert_eq!(broken(|s| s.heads = 129), Err(Heads));
        assert_eq!(broken(|s| s.kv_heads = 0), Err(KvHeads));
        assert_eq!(broken(|s| s.kv_heads = 3), Err(KvHeads));
        assert_eq!(broken(|s| s.kv_heads = 256), Err(KvHeads));
        assert_eq!(broken(|s| s.head_dim = 0), Err(HeadDim));
        assert_eq!(broken(|s| s.head_dim = 33), Err(HeadDim));
        assert_eq!(broken(|s| (s.head_dim, s.heads) = (514, 32)), Err(HeadDim));
        assert_eq!(broken(|s| s.vocabulary = 0), Err(Vocabulary));
        assert_eq!(broken(|s| s.vocabulary += 1), Err(Vocabulary));
        assert_eq!(broken(|s| s.context = 0), Err(Context));
        assert_eq!(broken(|s| s.context += 1), Err(Context));
        assert_eq!(broken(|s| s.fraction_bits = 7), Err(FractionBits));
        assert_eq!(broken(|s| s.fraction_bits = 21), Err(FractionBits));
        assert_eq!(broken(|s| s.eps40 = 0), Err(Epsilon));
        assert_eq!(broken(|s| s.eps40 += 1), Err(Epsilon));
        assert_eq!(broken(|s| s.rotary.base = PPM - 1), Err(RotaryBase));
        assert_eq!(broken(|s| s.rotary.base += 1), Err(RotaryBase));
        assert_eq!(scaled(|s| s.factor = 0), Err(RotaryScaling));
        assert_eq!(scaled(|s| s.low = 0), Err(RotaryScaling));
        assert_eq!(scaled(|s| s.high = s.low), Err(RotaryScaling));
        assert_eq!(scaled(|s| s.high = u64::MAX), Err(RotaryScaling));
        assert_eq!(scaled(|s| s.original_context = 0), Err(RotaryScaling));
    }
}
