//! The processor's time of a worker and a gateway under load, apart from the engine's.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context, Result};
use assay_tests::{http, Gateway, Marketplace, Worker};
use serde_json::json;

use super::{model, Work};
use crate::report::{Bar, Page};

/// Streams at once, and how often: the system counts time in hundredths of a second, of which a stream alone takes few.
const STREAMS: [(u32, u32); 2] = [(1, 8), (32, 2)];
const DEMANDED: f64 = 0.03;
/// Threads of the worker that compute: the generator of a model and its helpers.
const ENGINE: [&str; 2] = ["generator", "exact"];
/// What a process does without any request is measured for so long.
const IDLE: Duration = Duration::from_secs(5);
/// What Linux counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time since the processes started.
#[derive(Clone, Copy)]
struct Spent {
    engine: f64,
    worker: f64,
    gateway: f64,
}

impl Spent {
    fn now(worker: &Worker, gateway: &Gateway) -> Result<Self> {
        let process = Path::new("/proc").join(worker.daemon.id().to_string());
        let mut engine = 0.0;
        for thread in fs::read_dir(process.join("task"))? {
            let thread = thread?.path();
            let name = fs::read_to_string(thread.join("comm"))?;
            if ENGINE.contains(&name.trim()) {
                engine += seconds(&thread)?;
            }
        }
        let gateway = Path::new("/proc").join(gateway.daemon.id().to_string());
        Ok(Self {
            engine,
            worker: seconds(&process)? - engine,
            gateway: seconds(&gateway)?,
        })
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            engine: self.engine - earlier.engine,
            worker: self.worker - earlier.worker,
            gateway: self.gateway - earlier.gateway,
        }
    }
}

/// Of a process with all its threads, ended ones included, or of one thread.
fn seconds(path: &Path) -> Result<f64> {
    let stat = fs::read_to_string(path.join("stat"))?;
    // The name may hold blanks; the 12th and 13th field behind it are the time in and under the program.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |index| {
        let field: &str = fields.split_whitespace().nth(index)?;
        field.parse::<f64>().ok()
    };
    let ticks = ticks(11).zip(ticks(12));
    let (user, system) = ticks.with_context(|| format!("{stat:?} has no times"))?;
    Ok((user + system) / TICKS_PER_SECOND)
}

pub async fn measure(work: &Work, page: &mut Page) -> Result<()> {
    let scratch = tempfile::Builder::new()
        .prefix("assay-overhead-")
        .tempdir()?;
    let floats = model::create(work.shape, scratch.path())?;
    let market = Marketplace::of_one(&floats, &["--max-batch=32", "--queue=64"]).await?;
    let server = market.servers.first().context("a market has a server")?;
    // Re-checks are computing, of which there may be as much or as little as one likes; and with all that is
    // ever needed in the channel, streams do not wait for blocks in which it is topped up.
    let gateway = market.gateway("10000 ASY", &["--check=0", "--deposit=100 ASY"])?;
    let model = gateway.model()?;
    let ask = |stream: u32, tokens: u32| {
        let request = json!({
            "model": model,
            "prompt": format!("Stream {stream} of many"),
            "max_tokens": tokens,
            "temperature": 0,
        });
        http::listen(gateway.port, request, |_| Ok(()))
    };
    // Maps the weights, opens the channel.
    ask(0, 8)?;

    let before = Spent::now(&server.worker, &gateway)?;
    thread::sleep(IDLE);
    let idle = Spent::now(&server.worker, &gateway)?.since(before);
    let idle = (idle.worker + idle.gateway) / IDLE.as_secs_f64();

    page.add(format!(
        "## Processor time per output token\n\nWorker and gateway without the engine's threads: HTTP, TLS, sealing, \
         vouchers, receipts, text. Without any request the two take {:.1} ms a second, for following the chain; that \
         is left in.\n",
        idle * 1e3
    ));
    let mut rows = Vec::new();
    for (streams, times) in STREAMS {
        let before = Spent::now(&server.worker, &gateway)?;
        let mut tokens = 0;
        for _ in 0..times {
            thread::scope(|scope| {
                let running: Vec<_> = (0..streams)
                    .map(|stream| scope.spawn(move || ask(stream, work.tokens)))
                    .collect();
                for stream in running {
                    let heard = stream.join().expect("a stream's thread ended")?;
                    let (_, told) = heard.usage.context("usage is told")?;
                    tokens += told;
                }
                anyhow::Ok(())
            })?;
        }
        let spent = Spent::now(&server.worker, &gateway)?.since(before);
        let share = (spent.worker + spent.gateway) / spent.engine;
        let each = |seconds: f64| format!("{:.3}", seconds * 1e3 / tokens as f64);
        rows.push(vec![
            streams.to_string(),
            tokens.to_string(),
            each(spent.engine),
            each(spent.worker),
            each(spent.gateway),
            format!("{:.2} %", share * 100.0),
        ]);
        page.bar(Bar {
            demand: format!(
                "{streams} streams: at most {:.0} % of the engine's time",
                DEMANDED * 100.0
            ),
            measured: format!("{:.2} %", share * 100.0),
            met: share <= DEMANDED,
        });
    }
    let header = [
        "streams",
        "tokens",
        "engine, ms/token",
        "rest of the worker, ms/token",
        "gateway, ms/token",
        "rest and gateway beside the engine",
    ];
    page.table(&header, &rows);
    Ok(())
}
