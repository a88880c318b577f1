//! The cheats by name.

use assay_client::{
    dispute::Stage,
    primitives::{Sampling, PPM_ONE},
};
use assay_exact::trace::{Proof, Row};
use codec::Encode;

use super::lie::{Lie, Number, Tampering};

/// One way to cheat.
#[derive(Clone, Copy, Debug)]
pub struct Cheat {
    pub name: &'static str,
    pub lie: Lie,
    pub manner: Manner,
    pub sampling: Sampling,
    pub limit: u32,
    /// Whether it answers a job, and not a request in a channel. On a chain of its own: other providers
    /// would be drawn as well, and let the user down.
    pub in_job: bool,
    /// Whether it scores somebody's answer, and makes none.
    pub in_score: bool,
    /// Whether its model has norms for queries and keys; these are on another chain as well.
    pub with_norms: bool,
    /// What it has to end with.
    pub end: End,
}

/// How a provider behaves when its answer is disputed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Plays on with its own trace.
    Plays,
    /// The same, and gives a false sum false parts that fit it.
    InParts,
    /// Says nothing any more from here on.
    Silent(Pause),
    /// Sends what is no proof.
    Malformed(Malformation),
    /// Leaves, closes its channels, takes its bond.
    Flees,
    /// Has changed its operator's key before it is accused.
    Rotates,
    /// Has a friend accuse it first.
    Overtakes,
}

/// A move that is not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    Answer,
    Nodes,
    Leaves,
    Step,
    Part,
}

impl Manner {
    /// Whether it gives a false sum false parts that fit it, so that the game goes on.
    pub fn fits_parts(self) -> bool {
        matches!(self, Self::InParts | Self::Silent(Pause::Part))
    }
}

impl Pause {
    pub fn of(stage: &Stage) -> Self {
        match stage {
            Stage::Answer | Stage::Nodes { .. } => Self::Answer,
            Stage::Node { level, .. } if *level > 3 => Self::Nodes,
            Stage::Node { .. } | Stage::Leaves { .. } => Self::Leaves,
            Stage::Step(step) if step.parts.is_empty() => Self::Step,
            Stage::Step(_) | Stage::Parts { .. } => Self::Part,
        }
    }
}

/// What is sent instead of a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformation {
    /// Bytes that are none, or of another step.
    Noise,
    /// More than the chain takes.
    Oversized,
}

impl Malformation {
    pub fn of(self, proof: &Proof) -> Vec<Vec<u8>> {
        let bytes = proof.encode();
        match self {
            Self::Noise => {
                let flipped = |at: usize| {
                    let mut bytes = bytes.clone();
                    bytes[at] ^= 1;
                    bytes
                };
                vec![
                    Vec::new(),
                    vec![0xff; 200],
                    bytes[..bytes.len() - 1].to_vec(),
                    [&bytes[..], &[0]].concat(),
                    flipped(bytes.len() / 3),
                    flipped(bytes.len() / 2),
                    Proof::default().encode(),
                ]
            }
            Self::Oversized => vec![vec![0; 12 * 1024 + 1], [&bytes[..], &[0; 12_000]].concat()],
        }
    }
}

/// How a case ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// A step of this row is recomputed, and is another.
    Row(Row),
    /// A step is recomputed, of whatever row is the first that is wrong.
    Step,
    /// This move was not made in time.
    Late(Pause),
    /// It is seen without a game, as the fault that the chain names so.
    Face(&'static str),
}

/// Everything that a choice can have.
const DRAWN: Sampling = Sampling {
    temperature: 900_000,
    top_k: 40,
    top_p: 950_000,
    min_p: 10_000,
    penalty: 1_100_000,
    nonce: 0,
};
const PLAIN: Sampling = Sampling {
    temperature: PPM_ONE,
    ..Sampling::GREEDY
};

const fn cheat(name: &'static str, lie: Lie, end: End) -> Cheat {
    Cheat {
        name,
        lie,
        manner: Manner::Plays,
        sampling: DRAWN,
        limit: 16,
        in_job: false,
        in_score: false,
        with_norms: false,
        end,
    }
}

const fn number(row: Row, layer: u16, position: i32, element: u64) -> Lie {
    Lie::Number(Number {
        row,
        layer,
        position,
        element,
    })
}

const fn normed(name: &'static str, row: Row, layer: u16, position: i32, element: u64) -> Cheat {
    Cheat {
        with_norms: true,
        ..cheat(name, number(row, layer, position, element), End::Row(row))
    }
}

const fn score(name: &'static str, lie: Lie, end: End) -> Cheat {
    Cheat {
        in_score: true,
        ..cheat(name, lie, end)
    }
}

const fn manner(name: &'static str, manner: Manner, end: End) -> Cheat {
    Cheat {
        manner,
        ..cheat(name, Lie::Token, end)
    }
}

/// No cheat at all.
pub const HONEST: Cheat = cheat("the truth", Lie::None, End::Step);

/// All of them.
pub const CHEATS: &[Cheat] = &[
    cheat(
        "layers left out of the model",
        Lie::Model(Tampering::LayerLeftOut),
        End::Row(Row::Output),
    ),
    cheat(
        "one flipped bit in a weight",
        Lie::Model(Tampering::WeightBit),
        End::Step,
    ),
    // An angle that another entry of a rotary table gives.
    cheat(
        "one wrong entry in a table",
        number(Row::Angles, 0, 5, 3),
        End::Row(Row::Angles),
    ),
    cheat("an altered prompt", Lie::Prompt, End::Step),
    cheat("a wrong seed", Lie::Seed, End::Row(Row::Token)),
    cheat(
        "an answer copied from another provider",
        Lie::Copied,
        End::Row(Row::Token),
    ),
    cheat(
        "one unit in an activation",
        number(Row::PostActivation, 2, -1, 100),
        End::Row(Row::PostActivation),
    ),
    cheat(
        "a wrong key in a complete page",
        number(Row::KeyCached, 1, 3, 40),
        End::Row(Row::KeyCached),
    ),
    cheat(
        "a wrong value in a complete page",
        number(Row::ValuePage, 3, 15, 77),
        End::Row(Row::ValuePage),
    ),
    cheat(
        "a wrong value in an unfinished page",
        number(Row::ValueCached, 0, -2, 5),
        End::Row(Row::ValueCached),
    ),
    cheat(
        "a wrong rounding",
        number(Row::Gate, 1, -1, 300),
        End::Row(Row::Gate),
    ),
    Cheat {
        manner: Manner::InParts,
        ..cheat(
            "a wrong sum with parts that fit it",
            number(Row::Mixed, 1, -1, 33),
            End::Row(Row::Mixed),
        )
    },
    cheat(
        "a wrong attention score",
        number(Row::Score, 2, -1, 9),
        End::Row(Row::Score),
    ),
    cheat(
        "a wrong attention sum",
        number(Row::Denominator, 2, -1, 3),
        End::Row(Row::Denominator),
    ),
    cheat(
        "a wrong logit",
        number(Row::Logits, 0, -1, 700),
        End::Row(Row::Logits),
    ),
    cheat(
        "a wrong token under a correct trace",
        Lie::Token,
        End::Row(Row::Token),
    ),
    Cheat {
        sampling: Sampling::GREEDY,
        ..cheat("the second-best token", Lie::Token, End::Row(Row::Token))
    },
    Cheat {
        sampling: PLAIN,
        ..cheat("an unlikely token", Lie::Token, End::Row(Row::Token))
    },
    cheat("stopping early", Lie::Early, End::Row(Row::Token)),
    cheat(
        "stopping early without a stop token",
        Lie::TooShort,
        End::Face("TooShort"),
    ),
    Cheat {
        sampling: Sampling::GREEDY,
        limit: 80,
        ..cheat(
            "another token where the model stops",
            Lie::NoStop,
            End::Row(Row::Token),
        )
    },
    Cheat {
        sampling: Sampling::GREEDY,
        limit: 80,
        ..cheat(
            "going on behind a stop token",
            Lie::Late,
            End::Face("PastStopToken"),
        )
    },
    cheat(
        "more tokens than asked for",
        Lie::TooLong,
        End::Face("TooLong"),
    ),
    cheat(
        "a fee for more tokens than there are",
        Lie::Inflated,
        End::Face("WrongFee"),
    ),
    cheat("another price", Lie::Price, End::Face("WrongFee")),
    cheat(
        "two answers to one request",
        Lie::Twice,
        End::Face("Equivocation"),
    ),
    cheat(
        "an invented anchor",
        Lie::InventedAnchor,
        End::Face("WrongAnchor"),
    ),
    cheat(
        "an anchor in the future",
        Lie::FutureAnchor,
        End::Face("WrongAnchor"),
    ),
    cheat(
        "a request that nobody signed",
        Lie::Unasked,
        End::Late(Pause::Answer),
    ),
    Cheat {
        in_job: true,
        ..cheat(
            "one unit in an activation, in a job",
            number(Row::MixedActivation, 3, -1, 31),
            End::Row(Row::MixedActivation),
        )
    },
    score(
        "a wrong token called right in a score",
        Lie::Token,
        End::Row(Row::Token),
    ),
    score(
        "a right token called wrong in a score",
        Lie::Refused,
        End::Row(Row::Token),
    ),
    score(
        "a score by a model with layers left out",
        Lie::Model(Tampering::LayerLeftOut),
        End::Row(Row::Output),
    ),
    score(
        "a token called wrong behind the answer",
        Lie::TooLong,
        End::Face("TooLong"),
    ),
    normed("a wrong query behind its norm", Row::QueryNorm, 1, -1, 40),
    normed(
        "a wrong sum under a query's norm",
        Row::QueryNormSquares,
        3,
        4,
        2,
    ),
    normed("a wrong key behind its norm", Row::KeyNorm, 0, 7, 33),
    normed(
        "a wrong product under a key's norm",
        Row::KeyNormProduct,
        2,
        -1,
        1,
    ),
    manner(
        "a rotated operator key",
        Manner::Rotates,
        End::Row(Row::Token),
    ),
    manner(
        "leaving and closing its channels when accused",
        Manner::Flees,
        End::Row(Row::Token),
    ),
    manner(
        "overtaking its accuser",
        Manner::Overtakes,
        End::Face("Equivocation"),
    ),
    manner(
        "silence instead of the answer",
        Manner::Silent(Pause::Answer),
        End::Late(Pause::Answer),
    ),
    manner(
        "silence instead of hashes",
        Manner::Silent(Pause::Nodes),
        End::Late(Pause::Nodes),
    ),
    manner(
        "silence instead of leaves",
        Manner::Silent(Pause::Leaves),
        End::Late(Pause::Leaves),
    ),
    manner(
        "silence instead of a proof",
        Manner::Silent(Pause::Step),
        End::Late(Pause::Step),
    ),
    Cheat {
        lie: number(Row::Mixed, 2, -1, 200),
        ..manner(
            "silence instead of a part",
            Manner::Silent(Pause::Part),
            End::Late(Pause::Part),
        )
    },
    manner(
        "malformed proofs",
        Manner::Malformed(Malformation::Noise),
        End::Late(Pause::Step),
    ),
    manner(
        "oversized proofs",
        Manner::Malformed(Malformation::Oversized),
        End::Late(Pause::Step),
    ),
];
