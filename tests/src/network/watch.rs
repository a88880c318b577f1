//! How far each node of a network is, looked at once a second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use assay_client::subxt::{
    config::RpcConfigFor,
    rpcs::{client::RpcClient, LegacyRpcMethods},
    PolkadotConfig,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

use crate::stopped;

type Rpc = LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>;

const PERIOD: Duration = Duration::from_secs(1);
/// A node that takes longer to answer is not counted as one that does.
const ANSWER: Duration = Duration::from_millis(900);
/// A node's last sample says where it is for so long.
const FRESH: Duration = Duration::from_millis(2_500);
/// Blocks that the last finalized one of every node may be behind the head of all when all is well.
const WELL: u32 = 10;
/// Looks in a row at which all has to be well.
const STEADY: usize = 3;

/// A node's best and last finalized block at some time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at: Instant,
    pub node: usize,
    pub best: u32,
    pub finalized: u32,
}

/// Looks until it is dropped.
pub struct Watch {
    nodes: usize,
    samples: Arc<Mutex<Vec<Sample>>>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// Of the nodes whose RPC is at these addresses.
    pub fn start(urls: Vec<String>) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let nodes = urls.len();
        let mut tasks = JoinSet::new();
        for (node, url) in urls.into_iter().enumerate() {
            let samples = samples.clone();
            tasks.spawn(async move {
                let mut rpc = None;
                let mut ticks = tokio::time::interval(PERIOD);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                loop {
                    ticks.tick().await;
                    let looked = tokio::time::timeout(ANSWER, look(&url, &mut rpc)).await;
                    match looked {
                        Ok(Ok((best, finalized))) => {
                            let mut samples =
                                samples.lock().unwrap_or_else(PoisonError::into_inner);
                            samples.push(Sample {
                                at: Instant::now(),
                                node,
                                best,
                                finalized,
                            });
                        }
                        _ => rpc = None,
                    }
                }
            });
        }
        Self {
            nodes,
            samples,
            _tasks: tasks,
        }
    }

    fn since(&self, from: Instant) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let first = samples.partition_point(|sample| sample.at < from);
        samples[first..].to_vec()
    }

    /// How far each node is now; none for one that does not answer.
    pub fn now(&self) -> Vec<Option<Sample>> {
        let mut latest = vec![None; self.nodes];
        let recent = Instant::now().checked_sub(FRESH);
        for sample in self.since(recent.unwrap_or_else(Instant::now)) {
            latest[sample.node] = Some(sample);
        }
        latest
    }

    /// The highest block that any node has, and the lowest that is some node's last finalized one. None unless all
    /// answer.
    pub fn span(&self) -> Option<(u32, u32)> {
        let now: Option<Vec<Sample>> = self.now().into_iter().collect();
        let now = now?;
        let head = now.iter().map(|sample| sample.best).max()?;
        let behind = now.iter().map(|sample| sample.finalized).min()?;
        Some((head, behind))
    }

    /// The highest block that any node knows to be final.
    pub fn finalized(&self) -> u32 {
        let now = self.now();
        let finalized = now.iter().flatten().map(|sample| sample.finalized);
        finalized.max().unwrap_or_default()
    }

    /// Wait until every node is with the others, and say how long that took.
    pub async fn wait_until_well(&self, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        let mut first = start;
        let mut steady = 0;
        while steady < STEADY {
            ensure!(!stopped(), "stopped");
            ensure!(
                start.elapsed() < limit,
                "after {} s not all nodes are together again: {:?}",
                limit.as_secs(),
                self.now()
            );
            let well = self
                .span()
                .is_some_and(|(head, behind)| head.saturating_sub(behind) <= WELL);
            if !well {
                steady = 0;
            } else {
                if steady == 0 {
                    first = Instant::now();
                }
                steady += 1;
            }
            tokio::time::sleep(PERIOD).await;
        }
        Ok(first - start)
    }

    /// The longest time since `from` in which no node saw a block become final.
    pub fn standstill(&self, from: Instant) -> Duration {
        let (mut highest, mut since) = (0, from);
        let mut longest = Duration::ZERO;
        for sample in self.since(from) {
            longest = longest.max(sample.at - since);
            if sample.finalized > highest {
                (highest, since) = (sample.finalized, sample.at);
            }
        }
        longest.max(since.elapsed())
    }

    /// The blocks between best and last finalized of every node in every second since `from`, in ascending order.
    pub fn lags(&self, from: Instant) -> Vec<u32> {
        let samples = self.since(from);
        let lag = |sample: &Sample| sample.best.saturating_sub(sample.finalized);
        let mut lags: Vec<u32> = samples.iter().map(lag).collect();
        lags.sort_unstable();
        lags
    }
}

/// Best and last finalized block, over a connection that is made anew when there is none.
async fn look(url: &str, rpc: &mut Option<Rpc>) -> Result<(u32, u32)> {
    if rpc.is_none() {
        let client = RpcClient::from_insecure_url(url).await?;
        *rpc = Some(Rpc::new(client));
    }
    let rpc = rpc.as_ref().context("a connection")?;
    let best = rpc.chain_get_header(None).await?;
    let hash = rpc.chain_get_finalized_head().await?;
    let finalized = rpc.chain_get_header(Some(hash)).await?;
    let (best, finalized) = best.zip(finalized).context("a node has blocks")?;
    Ok((best.number.try_into()?, finalized.number.try_into()?))
}

/// The value that a share of all, in percent, does not exceed; of values in ascending order.
pub fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watch that saw these: seconds since the start, node, best and last finalized block.
    fn seen(start: Instant, samples: &[(u64, usize, u32, u32)]) -> Watch {
        let sample = |(second, node, best, finalized): &(u64, usize, u32, u32)| Sample {
            at: start + Duration::from_secs(*second),
            node: *node,
            best: *best,
            finalized: *finalized,
        };
        Watch {
            nodes: 2,
            samples: Arc::new(Mutex::new(samples.iter().map(sample).collect())),
            _tasks: JoinSet::new(),
        }
    }

    #[test]
    fn a_share_of_values_is_counted_from_below() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&values, 50), 100);
        assert_eq!(percentile(&values, 99), 198);
        assert_eq!(percentile(&[7], 99), 7);
        // Nothing seen is nothing shown.
        assert_eq!(percentile(&[], 50), u32::MAX);
    }

    #[test]
    fn finality_stands_still_while_no_node_sees_more_of_it() {
        let start = Instant::now() - Duration::from_secs(20);
        let samples = [(1, 0, 5, 3), (2, 1, 6, 4), (9, 0, 12, 4), (10, 1, 13, 11)];
        let still = seen(start, &samples).standstill(start);
        // Since the tenth second nothing was seen at all.
        assert_eq!(still.as_secs(), 10);
        let samples = [&samples[..], &[(19, 0, 22, 20)]].concat();
        let still = seen(start, &samples).standstill(start);
        assert_eq!(still, Duration::from_secs(9));
    }

    #[test]
    fn all_are_together_only_when_all_answer() {
        let start = Instant::now() - Duration::from_secs(10);
        let watch = seen(start, &[(5, 0, 9, 7), (9, 1, 12, 8)]);
        assert_eq!(watch.span(), None);
        let watch = seen(start, &[(9, 0, 9, 7), (9, 1, 12, 8)]);
        assert_eq!(watch.span(), Some((12, 7)));
        assert_eq!(watch.finalized(), 8);
        assert_eq!(watch.lags(start), [2, 4]);
    }
}
