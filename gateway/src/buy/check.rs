//! Answers that another provider checks, who is paid for it.

use std::sync::Arc;

use assay_client::{answer::Answer, AccountId32};
use assay_primitives::Finish;

use super::score;
use crate::{
    recheck::{Suspect, Verdict},
    shop::Shop,
};

/// Has the answers scored that wait for it, for ever.
pub async fn score_all(shop: Arc<Shop>) {
    while let Some((suspect, place)) = shop.scoring.next().await {
        let shop = shop.clone();
        tokio::spawn(async move {
            let verdict = scored(&shop, &suspect).await;
            shop.tell(&suspect, &verdict);
            drop(place);
        });
    }
}

async fn scored(shop: &Arc<Shop>, suspect: &Suspect) -> Verdict {
    let answer = &suspect.answer;
    if let Err(what) = answer.check() {
        return Verdict::Wrong {
            what,
            position: None,
        };
    }
    match score::buy(shop, &suspect.model, answer, None).await {
        Ok(score) => verdict(answer, score),
        Err(why) => Verdict::Unknown(why),
    }
}

/// What a score says of an answer.
fn verdict(answer: &Answer, score: Answer) -> Verdict {
    let receipt = &score.signed.receipt;
    match receipt.finish {
        Finish::Mismatch => Verdict::Contradicted {
            what: format!(
                "{} calls token {} of {} wrong, and {} signed it",
                score.header.provider,
                receipt.output_len.saturating_add(1),
                answer.output.len(),
                answer.header.provider,
            ),
            score: Box::new(score),
        },
        _ => Verdict::Right,
    }
}

/// What a provider was paid to say of an answer.
pub struct Opinion {
    /// Its score, with the receipt that it signed.
    pub score: Answer,
    /// What it says against the answer; none if it calls every token right.
    pub against: Option<String>,
}

/// Has the provider `by` score an answer of whoever. A contradiction is kept as evidence.
pub async fn opinion(
    shop: &Arc<Shop>,
    suspect: Suspect,
    by: AccountId32,
) -> Result<Opinion, String> {
    let Suspect { answer, model, .. } = &suspect;
    let score = score::buy(shop, model, answer, Some(by)).await?;
    let verdict = verdict(answer, score.clone());
    shop.tell(&suspect, &verdict);
    let against = match verdict {
        Verdict::Contradicted { what, .. } => Some(what),
        _ => None,
    };
    Ok(Opinion { score, against })
}
