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

#[cfg(test)]
mod tests {
    use assay_openai::Token;
    use assay_primitives::Finish;

    use super::*;

    #[tokio::test]
    async fn after_a_stop_only_the_end_is_shown() {
        let (pieces, receiver) = mpsc::channel(16);
        for id in 0..3 {
            let tokens = vec![Token::from(id)];
            let piece = Piece::Tokens {
                tokens,
                assay: None,
            };
            pieces.send(Ok(piece)).await.unwrap();
        }
        let finish = Finish::Caller;
        let end = Piece::End {
            finish,
            assay: None,
        };
        pieces.send(Ok(end)).await.unwrap();
        let (enough, (stop, stopped)) = (Arc::new(Notify::new()), watch::channel(false));
        let mut shown = until_stop(receiver, enough.clone(), stop);
        let first = shown.next().await;
        assert!(matches!(first, Some(Ok(Piece::Tokens { .. }))));
        assert!(!*stopped.borrow());
        enough.notify_one();
        let next = shown.next().await;
        assert!(matches!(next, Some(Ok(Piece::End { .. }))));
        assert!(*stopped.borrow(), "the purchase is told");
    }
}
