//! The elementwise parts of the network as single operations with their own gradients.
//!
//! candle can derive all of them from smaller operations, but then each of those walks through
//! memory on its own, forwards and backwards. On a CPU that costs more than the matrix products.

use candle_core::{
    bail, CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor,
};
use std::sync::Arc;

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let data = storage.as_slice::<f32>()?;
    match layout
        .contiguous_offsets()
        .and_then(|(from, to)| data.get(from..to))
    {
        Some(data) => Ok(data),
        None => bail!("the operation needs a contiguous tensor, this one is {layout:?}"),
    }
}

fn output(data: Vec<f32>, layout: &Layout) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(data), layout.shape().clone()))
}

/// Root-mean-square normalisation of the last dimension, times a weight.
pub struct RmsNorm {
    pub eps: f32,
}

/// The scale of one row: 1 / sqrt(mean of squares + eps).
fn rms_scale(row: &[f32], eps: f32) -> f32 {
    let squares: f32 = row.iter().map(|x| x * x).sum();
    (squares / row.len() as f32 + eps).sqrt().recip()
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (floats(x, x_layout)?, floats(weight, weight_layout)?);
        let mut out = Vec::with_capacity(x.len());
        for row in x.chunks_exact(weight.len()) {
            let scale = rms_scale(row, self.eps);
            out.extend(row.iter().zip(weight).map(|(x, weight)| x * scale * weight));
        }
        output(out, x_layout)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let to_x = x.apply_op3_no_bwd(
            weight,
            &grad,
            &RmsNormGradient {
                eps: self.eps,
                of_weight: false,
            },
        )?;
        let to_weight = x.apply_op3_no_bwd(
            weight,
            &grad,
            &RmsNormGradient {
                eps: self.eps,
                of_weight: true,
            },
        )?;
        Ok((Some(to_x), Some(to_weight)))
    }
}

struct RmsNormGradient {
    eps: f32,
    of_weight: bool,
}

impl CustomOp3 for RmsNormGradient {
    fn name(&self) -> &'static str {
        "rms-norm-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, grad) = (
            floats(x, x_layout)?,
            floats(weight, weight_layout)?,
            floats(grad, grad_layout)?,
        );
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
        if self.of_weight {
            let mut out = vec![0f32; width];
            for (x, grad) in rows {
                let scale = rms_scale(x, self.eps);
                for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
                    *out += grad * x * scale;
                }
            }
            return output(out, weight_layout);
        }
        let mut out = Vec::with_capacity(x.len());
        for (x, grad) in rows {
            let scale = rms_scale(x, self.eps);
            let along: f32 = x
                .iter()
                .zip(weight)
                .zip(grad)
                .map(|((x, weight), grad)| x * weight * grad)
                .sum();
            let back = along * scale * scale * scale / width as f32;
            out.extend(
                x.iter()
                    .zip(weight)
                    .zip(grad)
                    .map(|((x, weight), grad)| grad * weight * scale - x * back),
            );
        }
        output(out, x_layout)
    }
}

/// Rotary position embedding in Hugging Face's convention: element `i` turns with element
/// `i + head_dim / 2`. The shape is [.., positions, head_dim].
#[derive(Clone)]
pub struct Rope {
    /// Cosines and sines, [positions, head_dim / 2] each.
    pub cos: Arc<Vec<f32>>,
    pub sin: Arc<Vec<f32>>,
    pub positions: usize,
    /// 1 forwards, -1 for the gradient, which turns back.
    pub direction: f32,
}

impl Rope {
    pub fn new(positions: usize, head_dim: usize, theta: f32) -> Self {
        let half = head_dim / 2;
        let angles = (0..positions).flat_map(|position| {
            (0..half).map(move |i| {
                position as f32 * theta.powf(2.0 * i as f32 / head_dim as f32).recip()
            })
        });
        let (cos, sin) = angles
            .map(|angle| (angle.cos(), angle.sin()))
            .unzip::<_, _, Vec<_>, Vec<_>>();
        Self {
            cos: Arc::new(cos),
            sin: Arc::new(sin),
            positions,
            direction: 1.0,
        }
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, layout)?;
        let half = self.cos.len() / self.positions;
        let mut out = Vec::with_capacity(x.len());
        let angles = self
            .cos
            .chunks_exact(half)
            .zip(self.sin.chunks_exact(half))
            .cycle();
        for (row, (cos, sin)) in x.chunks_exact(2 * half).zip(angles) {
            let (low, high) = row.split_at(half);
            let pairs = || low.iter().zip(high).zip(cos.iter().zip(sin));
            out.extend(
                pairs().map(|((low, high), (cos, sin))| low * cos - high * sin * self.direction),
            );
            out.extend(
                pairs().map(|((low, high), (cos, sin))| high * cos + low * sin * self.direction),
            );
        }
        output(out, layout)
    }

    fn bwd(&self, _x: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let back = Rope {
            direction: -self.direction,
            ..self.clone()
        };
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&back)?))
    }
}

/// Softmax of scaled attention scores [batch, .., positions, positions]: a position sees what lies
/// between the start of its own dialogue and itself.
#[derive(Clone)]
pub struct AttentionSoftmax {
    pub scale: f32,
    pub positions: usize,
    /// The start of its dialogue for each position of each batch row.
    pub starts: Arc<Vec<u32>>,
}

impl AttentionSoftmax {
    /// The rows of the scores with the range of positions that each one sees.
    fn visible(&self, rows: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let batch = self.starts.len() / self.positions;
        let copies = rows / self.starts.len().max(1);
        (0..batch).flat_map(move |entry| {
            (0..copies).flat_map(move |_| {
                (0..self.positions).map(move |position| {
                    (
                        self.starts[entry * self.positions + position] as usize,
                        position + 1,
                    )
                })
            })
        })
    }
}

impl CustomOp1 for AttentionSoftmax {
    fn name(&self) -> &'static str {
        "attention-softmax"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let scores = floats(scores, layout)?;
        let mut out = vec![0f32; scores.len()];
        let rows = scores
            .chunks_exact(self.positions)
            .zip(out.chunks_exact_mut(self.positions));
        for ((scores, out), (from, to)) in rows.zip(self.visible(scores.len() / self.positions)) {
            let (scores, out) = (&scores[from..to], &mut out[from..to]);
            let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0f32;
            for (out, score) in out.iter_mut().zip(scores) {
                *out = ((score - max) * self.scale).exp();
                sum += *out;
            }
            let norm = sum.recip();
            out.iter_mut().for_each(|out| *out *= norm);
        }
        output(out, layout)
    }

    fn bwd(&self, _scores: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(result.apply_op2_no_bwd(
            &grad.contiguous()?,
            &AttentionSoftmaxGradient(self.clone()),
        )?))
    }
}

struct AttentionSoftmaxGradient(AttentionSoftmax);

impl CustomOp2 for AttentionSoftmaxGradient {
    fn name(&self) -> &'static str {
        "attention-softmax-gradient"
    }

    fn cpu_fwd(
        &self,
        result: &CpuStorage,
        layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (result, grad) = (floats(result, layout)?, floats(grad, grad_layout)?);
        let positions = self.0.positions;
        let mut out = vec![0f32; result.len()];
        let rows = result
            .chunks_exact(positions)
            .zip(grad.chunks_exact(positions))
            .zip(out.chunks_exact_mut(positions));
        for (((result, grad), out), (from, to)) in
            rows.zip(self.0.visible(result.len() / positions))
        {
            let (result, grad, out) = (&result[from..to], &grad[from..to], &mut out[from..to]);
            let along: f32 = result
                .iter()
                .zip(grad)
                .map(|(result, grad)| result * grad)
                .sum();
            for ((out, result), grad) in out.iter_mut().zip(result).zip(grad) {
                *out = self.0.scale * result * (grad - along);
            }
        }
        output(out, layout)
    }
}

fn sigmoid(x: f32) -> f32 {
    (1.0 + (-x).exp()).recip()
}

/// silu(gate) * up
pub struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (floats(gate, gate_layout)?, floats(up, up_layout)?);
        output(
            gate.iter()
                .zip(up)
                .map(|(gate, up)| gate * sigmoid(*gate) * up)
                .collect(),
            gate_layout,
        )
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let to_gate = gate.apply_op3_no_bwd(up, &grad, &SwiGluGateGradient)?;
        let to_up = gate.apply_op2_no_bwd(&grad, &SwiGlu)?;
        Ok((Some(to_gate), Some(to_up)))
    }
}

struct SwiGluGateGradient;

impl CustomOp3 for SwiGluGateGradient {
    fn name(&self) -> &'static str {
        "swiglu-gate-gradient"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up, grad) = (
            floats(gate, gate_layout)?,
            floats(up, up_layout)?,
            floats(grad, grad_layout)?,
        );
        let slope = |x: f32| {
            let s = sigmoid(x);
            s * (1.0 + x * (1.0 - s))
        };
        output(
            gate.iter()
                .zip(up)
                .zip(grad)
                .map(|((gate, up), grad)| grad * up * slope(*gate))
                .collect(),
            gate_layout,
        )
    }
}

/// Cross-entropy of logits [rows, vocabulary], summed over the rows and divided by `count`.
#[derive(Clone)]
pub struct CrossEntropy {
    pub targets: Arc<Vec<u32>>,
    pub count: f32,
}

/// The maximum of a row, and the sum of exp(x - maximum).
fn exp_sum(row: &[f32]) -> (f32, f32) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (max, row.iter().map(|x| (x - max).exp()).sum())
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, vocabulary) = layout.shape().dims2()?;
        let rows = floats(logits, layout)?.chunks_exact(vocabulary);
        let mut loss = 0f32;
        for (row, &target) in rows.zip(self.targets.iter()) {
            let (max, sum) = exp_sum(row);
            loss += max + sum.ln() - row[target as usize];
        }
        Ok((CpuStorage::F32(vec![loss / self.count]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _result: &Tensor, _grad: &Tensor) -> Result<Option<Tensor>> {
        // The loss is where the gradient starts, so its own gradient is one.
        Ok(Some(
            logits.apply_op1_no_bwd(&CrossEntropyGradient(self.clone()))?,
        ))
    }
}

struct CrossEntropyGradient(CrossEntropy);

impl CustomOp1 for CrossEntropyGradient {
    fn name(&self) -> &'static str {
        "cross-entropy-gradient"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, vocabulary) = layout.shape().dims2()?;
        let logits = floats(logits, layout)?;
        let mut out = Vec::with_capacity(logits.len());
        for (row, &target) in logits.chunks_exact(vocabulary).zip(self.0.targets.iter()) {
            let (max, sum) = exp_sum(row);
            let start = out.len();
            out.extend(row.iter().map(|x| (x - max).exp() / (sum * self.0.count)));
            out[start + target as usize] -= self.0.count.recip();
        }
        output(out, layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn var(shape: &[usize], seed: f32) -> Var {
        let count: usize = shape.iter().product();
        let data: Vec<f32> = (0..count)
            .map(|i| ((i as f32 + seed) * 1.7).sin())
            .collect();
        Var::from_tensor(&Tensor::from_vec(data, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// Compares each gradient with a central difference of the loss.
    fn check(vars: &[&Var], loss: impl Fn() -> Tensor) {
        let grads = loss().backward().unwrap();
        for var in vars {
            let grad = grads
                .get(var)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            let original = var
                .as_tensor()
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            for index in (0..original.len()).step_by(3) {
                let at = |delta: f32| {
                    let mut data = original.clone();
                    data[index] += delta;
                    var.set(&Tensor::from_vec(data, var.shape(), &Device::Cpu).unwrap())
                        .unwrap();
                    loss().to_scalar::<f32>().unwrap()
                };
                let slope = (at(0.01) - at(-0.01)) / 0.02;
                at(0.0);
                assert!(
                    (slope - grad[index]).abs() < 0.02,
                    "element {index}: difference {slope}, gradient {}",
                    grad[index]
                );
            }
        }
    }

    fn weighted(x: Tensor) -> Tensor {
        let weights = var(x.dims(), 40.0);
        (x * weights.as_tensor()).unwrap().sum_all().unwrap()
    }

    #[test]
    fn gradients_match_differences() {
        let (x, y, w) = (var(&[3, 8], 1.0), var(&[3, 8], 2.0), var(&[8], 3.0));
        check(&[&x, &w], || {
            weighted(x.apply_op2(&w, RmsNorm { eps: 1e-5 }).unwrap())
        });
        check(&[&x, &y], || weighted(x.apply_op2(&y, SwiGlu).unwrap()));
        check(&[&x], || {
            weighted(x.apply_op1(Rope::new(3, 8, 10_000.0)).unwrap())
        });
        check(&[&x], || {
            x.apply_op1(CrossEntropy {
                targets: Arc::new(vec![2, 0, 7]),
                count: 3.0,
            })
            .unwrap()
        });
        let scores = var(&[2, 6, 3], 4.0);
        let softmax = AttentionSoftmax {
            scale: 0.7,
            positions: 3,
            starts: Arc::new(vec![0, 0, 2, 0, 1, 1]),
        };
        check(&[&scores], || {
            weighted(scores.apply_op1(softmax.clone()).unwrap())
        });
    }

    #[test]
    fn rope_agrees_with_candle() {
        let x = var(&[1, 2, 5, 8], 1.0);
        let rope = Rope::new(5, 8, 10_000.0);
        let table = |data: &Vec<f32>| Tensor::from_vec(data.clone(), (5, 4), &Device::Cpu).unwrap();
        let theirs = candle_nn::rotary_emb::rope(&x, &table(&rope.cos), &table(&rope.sin)).unwrap();
        let ours = x.apply_op1_no_bwd(&rope).unwrap();
        let difference = (theirs - ours)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(difference < 1e-6);
    }
}
