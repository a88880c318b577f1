//! What the client is shown of an answer.

use std::sync::Arc;

use assay_openai::{ApiError, Piece, Pieces};
use futures::{stream, FutureExt, StreamExt};
use tokio::sync::{mpsc, watch, Notify};

struct Shown {
    pieces: mpsc::Receiver<Result<Piece, ApiError>>,
    /// Nobody else waits for it, so that it is seen before the next piece.
    enough: Arc<Notify>,
    stop: watch::Sender<bool>,
}

/// The pieces up to a stop string, and the last one. What is on its way by then is paid for and not shown.
pub fn until_stop(
    pieces: mpsc::Receiver<Result<Piece, ApiError>>,
    enough: Arc<Notify>,
    stop: watch::Sender<bool>,
) -> Pieces {
    let shown = Shown {
        pieces,
        enough,
        stop,
    };
    let pieces = stream::unfold(shown, |mut shown| async {
        let piece = shown.next().await?;
        Some((piece, shown))
    });
    pieces.boxed()
}

impl Shown {
    async fn next(&mut self) -> Option<Result<Piece, ApiError>> {
        if self.enough.notified().now_or_never().is_some() {
            self.stop.send_replace(true);
        }
        loop {
            let piece = self.pieces.recv().await?;
            let is_text = matches!(piece, Ok(Piece::Tokens { .. }));
            if !(is_text && *self.stop.borrow()) {
                return Some(piece);
            }
        }
    }
}
