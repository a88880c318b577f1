//! Where a run's time goes.

use std::time::{Duration, Instant};

/// A part of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Angles and embedding.
    Embed,
    /// Norms of the residual, and their activations.
    Norm,
    /// All linear maps inside the layers.
    Linear,
    /// Norm, rotation and quantisation of queries, keys and values, and the cache.
    Heads,
    /// Scores, weights and mixing, and the activations.
    Attention,
    /// The gate, and its activations.
    Silu,
    /// The linear map to the logits.
    Logits,
    /// All of a pass but the first part, where an accelerator runs it.
    Accelerated,
}

impl Part {
    pub const ALL: [Self; 8] = [
        Self::Embed,
        Self::Norm,
        Self::Linear,
        Self::Heads,
        Self::Attention,
        Self::Silu,
        Self::Logits,
        Self::Accelerated,
    ];
}

/// The time that each part took, on the caller's clock.
#[derive(Clone, Debug)]
pub struct Times {
    since: Instant,
    spent: [Duration; Part::ALL.len()],
}

impl Default for Times {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            spent: Default::default(),
        }
    }
}

impl Times {
    /// What a part has taken so far.
    pub fn of(&self, part: Part) -> Duration {
        self.spent.get(part as usize).copied().unwrap_or_default()
    }

    /// What all parts have taken.
    pub fn total(&self) -> Duration {
        self.spent.iter().sum()
    }

    /// What follows is another part.
    pub(super) fn start(&mut self) {
        self.since = Instant::now();
    }

    /// What has passed since the last call was this part.
    pub(super) fn lap(&mut self, part: Part) {
        let now = Instant::now();
        if let Some(spent) = self.spent.get_mut(part as usize) {
            *spent = spent.saturating_add(now.duration_since(self.since));
        }
        self.since = now;
    }
}
