//! A whole model again: every step of its program, in order, from nothing but the rows that the
//! program says the step reads.

use alloc::{format, string::String, vec::Vec};

use assay_exact::{
    leaf::{LeafError, Operand},
    op::{
        norm::Width,
        rotary::{self, Angle},
    },
    program::{Element, Operator, Program, Step},
    Scale,
};

use super::{
    files::{angle, LayerParameters, Map, Norm, Whole},
    rows::{self, Seen},
    Judge, Judged,
};

/// Keys or values of one position, and their scales.
type CachedRow<'a> = (&'a [i8], &'a [Scale]);
/// One head's row to integers and their scale.
type Quantise<Q> = fn(&[i32]) -> Result<(Vec<Q>, Scale), LeafError>;

impl Judged for Whole {
    fn judged(&self, judge: &Judge) -> Result<Self, LeafError> {
        let logits = logits(self, judge)?;
        let last = logits.len() - self.shape.vocabulary as usize;
        let bytes: Vec<u8> = logits.iter().flat_map(|x| x.to_le_bytes()).collect();
        let hash = (judge.hash)(&bytes);
        Ok(Self {
            last: logits[last..].to_vec(),
            logits: hash
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")),
            ..self.clone()
        })
    }
}

/// The row of one step at one position.
enum Row {
    Q16(Vec<i32>),
    Residual(Vec<i32>),
    Activations(Vec<i16>, Vec<Scale>),
    Cached(Vec<i8>, Vec<Scale>),
    Angles(Vec<Angle>),
}

impl Row {
    /// Type, width and number of scales, as a step states them.
    fn form(&self) -> (Element, usize, usize) {
        match self {
            Self::Q16(x) => (Element::Q16, x.len(), 0),
            Self::Residual(x) => (Element::Residual, x.len(), 0),
            Self::Activations(q, scales) => (Element::Activation, q.len(), scales.len()),
            Self::Cached(q, scales) => (Element::Cached, q.len(), scales.len()),
            Self::Angles(angles) => (Element::Angle, angles.len(), 0),
        }
    }

    fn fixed(&self) -> Result<&[i32], LeafError> {
        match self {
            Self::Q16(x) | Self::Residual(x) => Ok(x),
            _ => Err(Operand::Length.into()),
        }
    }

    fn activations(&self) -> Result<(&[i16], &[Scale]), LeafError> {
        match self {
            Self::Activations(q, scales) => Ok((q, scales)),
            _ => Err(Operand::Length.into()),
        }
    }

    fn angles(&self) -> Result<&[Angle], LeafError> {
        match self {
            Self::Angles(angles) => Ok(angles),
            _ => Err(Operand::Length.into()),
        }
    }
}

/// Every position's logits.
fn logits(whole: &Whole, judge: &Judge) -> Result<Vec<i32>, LeafError> {
    let program = Program::new(&whole.shape);
    let mut trace: Vec<Vec<Row>> = Vec::new();
    let mut logits = Vec::new();
    for token in &whole.tokens {
        trace.push(Vec::new());
        for step in program.steps() {
            let row = Stage {
                whole,
                judge,
                step,
                token: *token,
                trace: &trace,
            }
            .row()?;
            let form = (step.element, step.width as usize, step.scales as usize);
            if row.form() != form {
                return Err(Operand::Length.into());
            }
            trace.last_mut().ok_or(Operand::Length)?.push(row);
        }
        let last = trace.last().and_then(|rows| rows.last());
        logits.extend_from_slice(last.ok_or(Operand::Length)?.fixed()?);
    }
    Ok(logits)
}

/// One step at the latest position.
struct Stage<'a> {
    whole: &'a Whole,
    judge: &'a Judge<'a>,
    step: &'a Step,
    token: u32,
    /// The rows of each position so far, by step.
    trace: &'a [Vec<Row>],
}

impl<'a> Stage<'a> {
    /// Position's row number `place` among those that the step reads.
    fn read(&self, place: usize) -> Result<&'a Row, LeafError> {
        let rows = self.trace.last().ok_or(Operand::Length)?;
        let index = self.step.reads.get(place).ok_or(Operand::Length)?;
        Ok(rows.get(*index).ok_or(Operand::Length)?)
    }

    /// The same of every position.
    fn read_all(&self, place: usize) -> Result<Vec<CachedRow<'a>>, LeafError> {
        let all = &self.step.reads_all_positions;
        let index = *all.get(place).ok_or(Operand::Length)?;
        let row = |rows: &'a Vec<Row>| match rows.get(index) {
            Some(Row::Cached(q, scales)) => Ok((q.as_slice(), scales.as_slice())),
            _ => Err(Operand::Length.into()),
        };
        self.trace.iter().map(row).collect()
    }

    fn layer(&self) -> Result<&'a LayerParameters, LeafError> {
        let layer = self.step.layer.map(usize::from).ok_or(Operand::Length)?;
        Ok(self.whole.layers.get(layer).ok_or(Operand::Length)?)
    }

    fn row(&self) -> Result<Row, LeafError> {
        let whole = self.whole;
        match self.step.operator {
            Operator::Angles => self.angles(),
            Operator::Embed => self.embed(),
            Operator::InputNorm => self.norm(&self.layer()?.input_norm),
            Operator::PostNorm => self.norm(&self.layer()?.post_norm),
            Operator::FinalNorm => self.norm(&whole.final_norm),
            Operator::Query => self.linear(&self.layer()?.q),
            Operator::Key => self.linear(&self.layer()?.k),
            Operator::Value => self.linear(&self.layer()?.v),
            Operator::Gate => self.linear(&self.layer()?.gate),
            Operator::Up => self.linear(&self.layer()?.up),
            Operator::Logits => self.linear(whole.head.as_ref().unwrap_or(&whole.embedding)),
            Operator::Output => self.added(&self.layer()?.o),
            Operator::Down => self.added(&self.layer()?.down),
            Operator::QueryNorm => self.head_norm(&self.layer()?.q_norm),
            Operator::KeyNorm => self.head_norm(&self.layer()?.k_norm),
            Operator::QueryRotation | Operator::KeyRotation => {
                let angles = self.read(1)?.angles()?;
                self.each_head(|head| rows::rope(head, angles))
            }
            Operator::QueryQuant => {
                let (q, scales) = self.each_quantised(rows::quant16)?;
                Ok(Row::Activations(q, scales))
            }
            Operator::KeyQuant | Operator::ValueQuant => {
                let (q, scales) = self.each_quantised(rows::quant8)?;
                Ok(Row::Cached(q, scales))
            }
            Operator::Attention => self.attention(),
            Operator::AttentionQuant => {
                let (q, scale) = rows::quant16(self.read(0)?.fixed()?)?;
                Ok(Row::Activations(q, [scale].into()))
            }
            Operator::SiluMul => {
                let (gate, up) = (self.read(0)?.fixed()?, self.read(1)?.fixed()?);
                let (q, scale) = rows::silu_mul(gate, up, self.judge)?;
                Ok(Row::Activations(q, [scale].into()))
            }
        }
    }

    fn angles(&self) -> Result<Row, LeafError> {
        let (low, high) = rotary::table_rows(self.trace.len() as u32 - 1);
        let width = usize::from(self.whole.shape.head_dim);
        let entries = |table: &[i32], row: usize| {
            table[row * width..][..width]
                .chunks_exact(2)
                .map(|pair| angle((pair[0], pair[1])))
                .collect::<Vec<_>>()
        };
        let (low, high) = (
            entries(&self.whole.rotary_low, low),
            entries(&self.whole.rotary_high, high),
        );
        Ok(Row::Angles(rows::angles(&low, &high)?))
    }

    fn embed(&self) -> Result<Row, LeafError> {
        let (whole, token) = (self.whole, self.token as usize);
        let (high, parameters) = &whole.embedding;
        let x = rows::embed(
            &high[token],
            &whole.embedding_low[token],
            parameters[token],
            &whole.embedding_columns,
            whole.shape.fraction_bits,
        )?;
        Ok(Row::Residual(x))
    }

    fn norm(&self, gamma: &Norm) -> Result<Row, LeafError> {
        let width = Width::hidden(&self.whole.shape);
        let (q, scale) = rows::norm_quant(self.read(0)?.fixed()?, gamma, &width)?;
        Ok(Row::Activations(q, [scale].into()))
    }

    fn outputs(&self, (weights, rows): &Map, fraction_bits: u8) -> Result<Vec<i32>, LeafError> {
        let (q, scales) = self.read(0)?.activations()?;
        let [scale] = scales else {
            return Err(Operand::Length.into());
        };
        rows::linear(q, *scale, weights, rows, fraction_bits)
    }

    fn linear(&self, map: &Map) -> Result<Row, LeafError> {
        Ok(Row::Q16(self.outputs(map, 16)?))
    }

    fn added(&self, map: &Map) -> Result<Row, LeafError> {
        let y = self.outputs(map, self.whole.shape.fraction_bits)?;
        Ok(Row::Residual(rows::added(self.read(1)?.fixed()?, &y)))
    }

    fn heads(&self) -> Result<impl Iterator<Item = &'a [i32]>, LeafError> {
        let width = usize::from(self.whole.shape.head_dim);
        Ok(self.read(0)?.fixed()?.chunks_exact(width))
    }

    fn each_head(
        &self,
        of: impl Fn(&[i32]) -> Result<Vec<i32>, LeafError>,
    ) -> Result<Row, LeafError> {
        let heads: Vec<_> = self.heads()?.map(of).collect::<Result<_, _>>()?;
        Ok(Row::Q16(heads.concat()))
    }

    fn head_norm(&self, gamma: &Option<Norm>) -> Result<Row, LeafError> {
        let gamma = gamma.as_ref().ok_or(Operand::Length)?;
        let width = Width::head(&self.whole.shape);
        self.each_head(|head| rows::head_norm(head, gamma, &width))
    }

    fn each_quantised<Q: Clone>(&self, of: Quantise<Q>) -> Result<(Vec<Q>, Vec<Scale>), LeafError> {
        let heads: Vec<_> = self.heads()?.map(of).collect::<Result<_, _>>()?;
        let (q, scales): (Vec<_>, _) = heads.into_iter().unzip();
        Ok((q.concat(), scales))
    }

    fn attention(&self) -> Result<Row, LeafError> {
        let shape = &self.whole.shape;
        let width = usize::from(shape.head_dim);
        let (keys, values) = (self.read_all(0)?, self.read_all(1)?);
        let seen = |rows: &[(&'a [i8], &[Scale])], head: usize| Seen {
            rows: rows
                .iter()
                .map(|(q, _)| &q[head * width..][..width])
                .collect(),
            scales: rows.iter().map(|(_, scales)| scales[head]).collect(),
        };
        let (q, scales) = self.read(0)?.activations()?;
        let heads = q.chunks_exact(width).zip(scales).enumerate();
        let heads: Vec<_> = heads
            .map(|(head, (q, scale))| {
                let head = head / usize::from(shape.group());
                let (keys, values) = (seen(&keys, head), seen(&values, head));
                Ok(rows::attention(q, *scale, &keys, &values, self.judge)?.out)
            })
            .collect::<Result<_, LeafError>>()?;
        Ok(Row::Q16(heads.concat()))
    }
}
