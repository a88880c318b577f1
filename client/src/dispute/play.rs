//! Which move follows from a dispute's state. Functions of what the chain says and of a trace, so that a
//! player that was killed goes on where it was.

use assay_exact::trace::{levels, Target};
use assay_primitives::VoucherSignature;

use super::{
    game::{Choice, Move, Stage, Step},
    witness::Witness,
};

/// What a player does now.
#[derive(Clone, PartialEq, Debug)]
// One at a time; a box would only complicate it.
#[allow(clippy::large_enum_variant)]
pub enum Play {
    Move(Move),
    /// It is the other side's turn.
    Wait,
    /// Everything that was shown is right, so that there is nothing to choose: the challenger is wrong,
    /// and loses when its time is over.
    NothingWrong,
}

/// The move of a provider with this trace. `signature` is the user's under the request's header; for a job
/// there is none.
pub fn provider(
    stage: &Stage,
    witness: &mut dyn Witness,
    signature: Option<VoucherSignature>,
) -> Result<Play, String> {
    let leaves = witness.layout().leaves();
    let below = |level, index, to| levels::below(leaves, level, index, to);
    Ok(Play::Move(match stage {
        Stage::Answer => {
            let level = levels::first(leaves);
            Move::Trace {
                signature,
                nodes: witness.nodes(level, below(levels::height(leaves), 0, level))?,
                last: witness.open_last()?,
                token: witness.open_token()?,
            }
        }
        Stage::Node { level, index } => match levels::next(*level) {
            Some(next) => Move::Nodes(witness.nodes(next, below(*level, *index, next))?),
            None => Move::Leaves(witness.leaves(below(*level, *index, 0))?),
        },
        Stage::Step(step) => {
            let target = target(step, witness)?;
            Move::Prove(witness.prove(&target)?)
        }
        Stage::Nodes { .. } | Stage::Leaves { .. } | Stage::Parts { .. } => return Ok(Play::Wait),
    }))
}

/// The move of a challenger with this trace: the first of what was shown that is not in it.
pub fn challenger(stage: &Stage, witness: &mut dyn Witness) -> Result<Play, String> {
    let behind = |first: u64, count: usize| first..first.saturating_add(count as u64);
    let choice = match stage {
        Stage::Nodes {
            level,
            first,
            nodes,
        } => {
            let right = witness.nodes(*level, behind(*first, nodes.len()))?;
            first_difference(nodes, &right).map(Choice::Node)
        }
        Stage::Leaves { first, leaves } => {
            let right = witness.leaves(behind(*first, leaves.len()))?;
            match first_difference(leaves, &right) {
                None => None,
                Some(leaf) => {
                    let element = element(*first, leaf, leaves, &right, witness);
                    Some(Choice::Element { leaf, element })
                }
            }
        }
        Stage::Parts { step, parts } => {
            let target = target(step, witness)?;
            first_difference(parts, &witness.parts(&target)?).map(Choice::Part)
        }
        Stage::Answer | Stage::Node { .. } | Stage::Step(_) => return Ok(Play::Wait),
    };
    Ok(choice.map_or(Play::NothingWrong, |choice| {
        Play::Move(Move::Choose(choice))
    }))
}

/// The first element in which the leaf number `leaf` of those that were shown is wrong.
fn element(
    first: u64,
    leaf: u32,
    shown: &[Vec<u8>],
    right: &[Vec<u8>],
    witness: &dyn Witness,
) -> u32 {
    let number = first.saturating_add(leaf.into());
    let row = witness.layout().leaf(number).map(|leaf| leaf.place.row);
    let bytes = row.map_or(1, |row| row.element().bytes());
    let elements = |leaves: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let leaf = leaves.get(leaf as usize).map(Vec::as_slice);
        let elements = leaf.unwrap_or_default().chunks(bytes);
        elements.map(<[u8]>::to_vec).collect()
    };
    first_difference(&elements(shown), &elements(right)).unwrap_or(0)
}

fn target(step: &Step, witness: &dyn Witness) -> Result<Target, String> {
    let target = step.target(witness.layout());
    target.ok_or_else(|| {
        format!(
            "the trace has no number {} in leaf {}",
            step.element, step.leaf
        )
    })
}

fn first_difference<T: PartialEq>(shown: &[T], right: &[T]) -> Option<u32> {
    let mut pairs = shown.iter().zip(right);
    let common = pairs.position(|(shown, right)| shown != right);
    let longer = || (shown.len() != right.len()).then(|| shown.len().min(right.len()));
    common.or_else(longer).map(|index| index as u32)
}
