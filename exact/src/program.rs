//! The program: the operators of one position in order, derived from a [`Shape`] alone (format page
//! §4). Every operator reads only what stands above it, at this position or at earlier ones.

use alloc::vec::Vec;

use crate::shape::Shape;

/// What a step computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    /// Cosine and sine of the position's angles.
    Angles,
    /// The token's row of the embedding: the residual.
    Embed,
    /// `norm_quant` of the residual, before attention.
    InputNorm,
    /// `q_proj`.
    Query,
    /// `k_proj`.
    Key,
    /// `v_proj`.
    Value,
    /// `head_norm` of each query head.
    QueryNorm,
    /// `head_norm` of each key head.
    KeyNorm,
    /// `rope` of each query head.
    QueryRotation,
    /// `rope` of each key head.
    KeyRotation,
    /// int16 queries, a scale for each head.
    QueryQuant,
    /// int8 keys of the cache, a scale for each key-value head.
    KeyQuant,
    /// int8 values of the cache, a scale for each key-value head.
    ValueQuant,
    /// `scores` and `attend` of every head over positions 0 to this one.
    Attention,
    /// int16 of all heads' outputs as one row.
    AttentionQuant,
    /// `o_proj`, added to the residual.
    Output,
    /// `norm_quant` of the residual, before the feed-forward layer.
    PostNorm,
    /// `gate_proj`.
    Gate,
    /// `up_proj`.
    Up,
    /// `silu_mul` and its int16.
    SiluMul,
    /// `down_proj`, added to the residual.
    Down,
    /// `norm_quant` of the residual, before the head.
    FinalNorm,
    /// The output projection.
    Logits,
}

/// Type of a step's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    /// i32 in Q16.
    Q16,
    /// i32 with the shape's fraction bits.
    Residual,
    /// int16 activations.
    Activation,
    /// int8 keys or values.
    Cached,
    /// Cosine and sine, Q30.
    Angle,
}

/// One operator at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub operator: Operator,
    /// Decoder layer, for the operators inside one.
    pub layer: Option<u16>,
    pub element: Element,
    /// Elements of its row.
    pub width: u32,
    /// Scales beside the row, each for `width / scales` elements; 0 where the elements are fixed
    /// point.
    pub scales: u32,
    /// Indices of the earlier steps whose rows it reads, at this position.
    pub reads: Vec<usize>,
    /// Indices of the steps whose rows of earlier positions it reads, and of this one.
    pub reads_all_positions: Vec<usize>,
}

/// The steps of one position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    steps: Vec<Step>,
    /// Steps before the final norm.
    body: usize,
}

impl Program {
    /// The program of a shape that passed [`Shape::validate`].
    pub fn new(shape: &Shape) -> Self {
        let mut list = List {
            shape,
            steps: Vec::new(),
            layer: None,
        };
        let angles = list.push(Operator::Angles, &[]);
        let mut residual = list.push(Operator::Embed, &[]);
        for layer in 0..shape.layers {
            list.layer = Some(layer);
            residual = list.attention(angles, residual);
            residual = list.feed_forward(residual);
        }
        list.layer = None;
        let body = list.steps.len();
        let y = list.push(Operator::FinalNorm, &[residual]);
        list.push(Operator::Logits, &[y]);
        Self {
            steps: list.steps,
            body,
        }
    }

    /// Every step, for a position whose next token is chosen or scored.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps of a position whose logits nobody asks for.
    pub fn body(&self) -> &[Step] {
        self.steps.get(..self.body).unwrap_or(&self.steps)
    }

    /// The steps from the residual to the logits.
    pub fn head(&self) -> &[Step] {
        self.steps.get(self.body..).unwrap_or(&[])
    }
}

struct List<'a> {
    shape: &'a Shape,
    steps: Vec<Step>,
    layer: Option<u16>,
}

impl List<'_> {
    /// Adds a step and gives its index.
    fn push(&mut self, operator: Operator, reads: &[usize]) -> usize {
        let (element, width, scales) = row(operator, self.shape);
        self.steps.push(Step {
            operator,
            layer: self.layer,
            element,
            width,
            scales,
            reads: reads.to_vec(),
            reads_all_positions: Vec::new(),
        });
        self.steps.len().saturating_sub(1)
    }

    /// From a residual to the next.
    fn attention(&mut self, angles: usize, residual: usize) -> usize {
        let y = self.push(Operator::InputNorm, &[residual]);
        let mut q = self.push(Operator::Query, &[y]);
        let mut k = self.push(Operator::Key, &[y]);
        let v = self.push(Operator::Value, &[y]);
        if self.shape.head_norms {
            q = self.push(Operator::QueryNorm, &[q]);
            k = self.push(Operator::KeyNorm, &[k]);
        }
        q = self.push(Operator::QueryRotation, &[q, angles]);
        k = self.push(Operator::KeyRotation, &[k, angles]);
        q = self.push(Operator::QueryQuant, &[q]);
        k = self.push(Operator::KeyQuant, &[k]);
        let v = self.push(Operator::ValueQuant, &[v]);
        let out = self.push(Operator::Attention, &[q]);
        if let Some(step) = self.steps.last_mut() {
            step.reads_all_positions.extend([k, v]);
        }
        let y = self.push(Operator::AttentionQuant, &[out]);
        self.push(Operator::Output, &[y, residual])
    }

    /// From a residual to the next.
    fn feed_forward(&mut self, residual: usize) -> usize {
        let y = self.push(Operator::PostNorm, &[residual]);
        let gate = self.push(Operator::Gate, &[y]);
        let up = self.push(Operator::Up, &[y]);
        let z = self.push(Operator::SiluMul, &[gate, up]);
        self.push(Operator::Down, &[z, residual])
    }
}

/// Type, width and scales of an operator's row.
fn row(operator: Operator, shape: &Shape) -> (Element, u32, u32) {
    use Operator::*;
    let (query, kv) = (shape.query_width(), shape.kv_width());
    match operator {
        Angles => (Element::Angle, u32::from(shape.head_dim) >> 1, 0),
        Embed | Output | Down => (Element::Residual, shape.hidden, 0),
        InputNorm | PostNorm | FinalNorm => (Element::Activation, shape.hidden, 1),
        Query | QueryNorm | QueryRotation | Attention => (Element::Q16, query, 0),
        Key | Value | KeyNorm | KeyRotation => (Element::Q16, kv, 0),
        QueryQuant => (Element::Activation, query, shape.heads.into()),
        KeyQuant | ValueQuant => (Element::Cached, kv, shape.kv_heads.into()),
        AttentionQuant => (Element::Activation, query, 1),
        Gate | Up => (Element::Q16, shape.intermediate, 0),
        SiluMul => (Element::Activation, shape.intermediate, 1),
        Logits => (Element::Q16, shape.vocabulary, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Rotary;

    fn shapes() -> impl Iterator<Item = Shape> {
        [(1, false), (1, true), (3, false), (28, true)]
            .into_iter()
            .map(|(layers, head_norms)| Shape {
                layers,
                hidden: 8,
                intermediate: 20,
                heads: 6,
                kv_heads: 2,
                head_dim: 4,
                vocabulary: 11,
                context: 300,
                tied: true,
                biases: false,
                head_norms,
                fraction_bits: 16,
                eps40: 11,
                rotary: Rotary {
                    base: 10_000_000_000,
                    scaling: None,
                },
            })
    }

    #[test]
    fn every_step_reads_only_what_stands_above_it() {
        for shape in shapes() {
            for (index, step) in Program::new(&shape).steps().iter().enumerate() {
                let reads = step.reads.iter().chain(&step.reads_all_positions);
                assert!(reads.into_iter().all(|read| *read < index), "{step:?}");
            }
        }
    }

    #[test]
    fn every_row_but_the_last_is_read() {
        for shape in shapes() {
            let program = Program::new(&shape);
            let last = program.steps().len() - 1;
            for index in 0..last {
                let read = program.steps().iter().any(|step| {
                    step.reads.contains(&index) || step.reads_all_positions.contains(&index)
                });
                assert!(read, "{:?}", program.steps()[index]);
            }
        }
    }

    #[test]
    fn a_layer_reads_what_the_format_says() {
        use Operator::*;
        let shape = shapes().nth(1).unwrap();
        let program = Program::new(&shape);
        let operator = |index: &usize| program.steps()[*index].operator;
        let found: Vec<_> = program
            .steps()
            .iter()
            .map(|step| {
                let reads = step.reads.iter().chain(&step.reads_all_positions);
                (step.operator, reads.map(operator).collect::<Vec<_>>())
            })
            .collect();
        let wanted: [(Operator, &[Operator]); 23] = [
            (Angles, &[]),
            (Embed, &[]),
            (InputNorm, &[Embed]),
            (Query, &[InputNorm]),
            (Key, &[InputNorm]),
            (Value, &[InputNorm]),
            (QueryNorm, &[Query]),
            (KeyNorm, &[Key]),
            (QueryRotation, &[QueryNorm, Angles]),
            (KeyRotation, &[KeyNorm, Angles]),
            (QueryQuant, &[QueryRotation]),
            (KeyQuant, &[KeyRotation]),
            (ValueQuant, &[Value]),
            (Attention, &[QueryQuant, KeyQuant, ValueQuant]),
            (AttentionQuant, &[Attention]),
            (Output, &[AttentionQuant, Embed]),
            (PostNorm, &[Output]),
            (Gate, &[PostNorm]),
            (Up, &[PostNorm]),
            (SiluMul, &[Gate, Up]),
            (Down, &[SiluMul, Output]),
            (FinalNorm, &[Down]),
            (Logits, &[FinalNorm]),
        ];
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(of, reads)| (*of, reads.to_vec()))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn widths_follow_the_shape() {
        let shape = shapes().next().unwrap();
        let widths: Vec<u32> = Program::new(&shape)
            .steps()
            .iter()
            .map(|step| step.width)
            .collect();
        assert_eq!(
            widths,
            [2, 8, 8, 24, 8, 8, 24, 8, 24, 8, 8, 24, 24, 8, 8, 20, 20, 20, 8, 8, 11]
        );
        assert_eq!(Program::new(&shape).body().len(), widths.len() - 2);
    }
}
