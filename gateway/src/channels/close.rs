//! Ending channels, and getting back what was not spent.

use assay_client::Error;

use super::{Channels, Line, MoneyError, LIFETIME};
use crate::store::Stage;

impl Channels {
    /// Begins to close the channels that are of no more use.
    pub async fn close_retired(&self) -> Result<(), MoneyError> {
        let mut asked = Ok(());
        for line in self.lines() {
            let channel = line.channel();
            if channel.stage == Stage::Open && channel.retired.is_some() {
                // One that cannot be closed keeps no other one open.
                asked = asked.and(self.request_close(&line).await);
            }
        }
        asked
    }

    async fn request_close(&self, line: &Line) -> Result<(), MoneyError> {
        let finalized = self.market.block(0).await?.finalized;
        if line.may_be_closing(finalized) {
            // A second call would cost its fee and be refused.
            return Ok(());
        }
        let since = self.since().await?;
        let asked = self.market.request_close(line.id()).await;
        if asked.as_ref().is_err_and(|error| !error.is_final()) {
            line.close_later(since.saturating_add(LIFETIME));
        }
        self.unless_done(line, asked, |stage| stage != Stage::Open)
            .await
    }

    async fn finalize(&self, line: &Line) -> Result<(), MoneyError> {
        let asked = self.market.finalize(line.id()).await;
        self.unless_done(line, asked, |stage| stage.is_closed())
            .await
    }

    /// A step that the chain refuses because somebody else has taken it is taken.
    async fn unless_done(
        &self,
        line: &Line,
        asked: Result<(), Error>,
        is_done: impl Fn(Stage) -> bool,
    ) -> Result<(), MoneyError> {
        match asked {
            Ok(()) => self.refresh(line).await,
            Err(error) if error.is_final() => {
                self.refresh(line).await?;
                match is_done(line.channel().stage) {
                    true => Ok(()),
                    false => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to close every channel that is open, and ends those whose window is over; how many of each. The first
    /// error is said when all have been tried.
    pub async fn close_all(&self) -> Result<(usize, usize), MoneyError> {
        let finalized = self.market.block(0).await?.finalized;
        let (mut closing, mut ended) = (0usize, 0usize);
        let mut all = Ok(());
        for line in self.lines() {
            let (done, count) = match line.channel().stage {
                Stage::Open => (self.request_close(&line).await, &mut closing),
                Stage::Closing(block) if finalized >= block => {
                    (self.finalize(&line).await, &mut ended)
                }
                Stage::Closing(_) | Stage::Closed | Stage::Gone { .. } => continue,
            };
            match done {
                Ok(()) => *count = count.saturating_add(1),
                Err(error) => all = all.and(Err(error)),
            }
        }
        all.map(|()| (closing, ended))
    }
}
