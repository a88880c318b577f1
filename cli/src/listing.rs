//! Which listing is meant. Anybody may list anything, so where no id is given only those listings
//! count that can be meant at all, and a stranger's does not make the choice harder.

use assay_client::{
    chain::{Listing, ListingStatus},
    folder::named_root,
    AccountId32, Snapshot, Text, H256,
};

use crate::{failure::Failure, records};

pub type Found = (H256, Listing);

pub fn is_active(listing: &Listing) -> bool {
    matches!(listing.status, ListingStatus::Active)
}

/// A listing that may be meant.
struct Candidate {
    id: H256,
    /// How its model is computed, in one word.
    profile: &'static str,
    publisher: AccountId32,
    /// Whether it is of the model in the user's folder.
    is_of_folder: bool,
    /// Whether the provider that the user named offers it.
    is_of_provider: bool,
    offers: usize,
}

/// What decides between several listings that fit.
#[derive(Clone, Copy)]
enum Preference {
    None,
    /// The model with this root, then what this provider offers, then what anybody does.
    For {
        root: Option<H256>,
        provider: Option<AccountId32>,
    },
}

/// The listing with these first digits of its id, or else the only active one.
pub async fn any(snapshot: &Snapshot, wanted: Option<&str>) -> Result<Found, Failure> {
    let all = snapshot.listings().await?;
    let none = "no model is listed on this chain; list one with `assay model register`";
    let fits = |(_, listing): &Found| is_active(listing);
    choose(snapshot, all, wanted, fits, none, Preference::None).await
}

/// The listing that a user of this tokenizer and template asks: of the folder's own model before others, one that the
/// named provider offers before others, and one that somebody offers before those that nobody does.
pub async fn for_text(
    snapshot: &Snapshot,
    wanted: Option<&str>,
    text: &Text,
    provider: Option<AccountId32>,
) -> Result<Found, Failure> {
    let all = snapshot.listings().await?;
    let none = match all.iter().any(|(_, listing)| is_active(listing)) {
        true => format!(
            "{}: no active listing has the tokenizer and chat template of this folder; look at \
             `assay model list`, and take the folder from a listing's URI",
            text.folder().display()
        ),
        false => "no model is listed on this chain; list one with `assay model register`".into(),
    };
    let fits = |(_, listing): &Found| is_active(listing) && text.fits(&listing.parts.0);
    let preference = Preference::For {
        root: named_root(text.folder()),
        provider,
    };
    let found = choose(snapshot, all, wanted, fits, &none, preference).await?;
    text.check(&found.1.parts.0)?;
    Ok(found)
}

/// The listing that a provider offers.
pub async fn offered_by(
    snapshot: &Snapshot,
    wanted: Option<&str>,
    stash: AccountId32,
) -> Result<Found, Failure> {
    let all = match wanted {
        Some(_) => snapshot.listings().await?,
        None => offers_of(snapshot, stash).await?,
    };
    let none = format!("{stash} offers nothing; look at `assay provider status`");
    choose(snapshot, all, wanted, |_| true, &none, Preference::None).await
}

/// The listing that a provider sets the terms for: the one that it offers, or else the only active
/// one.
pub async fn to_offer(
    snapshot: &Snapshot,
    wanted: Option<&str>,
    stash: AccountId32,
) -> Result<Found, Failure> {
    if wanted.is_none() && !offers_of(snapshot, stash).await?.is_empty() {
        return offered_by(snapshot, None, stash).await;
    }
    any(snapshot, wanted).await
}

async fn offers_of(snapshot: &Snapshot, stash: AccountId32) -> Result<Vec<Found>, Failure> {
    let mut offered = Vec::new();
    for (id, listing) in snapshot.listings().await? {
        if snapshot.offer(id, stash).await?.is_some() {
            offered.push((id, listing));
        }
    }
    Ok(offered)
}

/// A publisher's listing.
pub async fn published_by(
    snapshot: &Snapshot,
    wanted: Option<&str>,
    publisher: AccountId32,
) -> Result<Found, Failure> {
    let all = snapshot.listings().await?;
    let none = format!("{publisher} lists nothing; list a model with `assay model register`");
    let fits = |(_, listing): &Found| listing.publisher == publisher;
    choose(snapshot, all, wanted, fits, &none, Preference::None).await
}

/// The listing whose id begins with `wanted`, or else the only one that fits. `none` says what is
/// wrong if there is none.
async fn choose(
    snapshot: &Snapshot,
    all: Vec<Found>,
    wanted: Option<&str>,
    fits: impl Fn(&Found) -> bool,
    none: &str,
    preference: Preference,
) -> Result<Found, Failure> {
    let mut left = match wanted {
        Some(wanted) => beginning_with(all, wanted)?,
        None => all,
    };
    // A full id is taken at its word, and so are digits that only one id begins with.
    if wanted.is_none() || left.len() > 1 {
        let unfiltered = left.clone();
        left.retain(&fits);
        if left.is_empty() && wanted.is_some() {
            left = unfiltered;
        }
    }
    if left.len() > 1 {
        let mut candidates = Vec::new();
        let (root, provider) = match preference {
            Preference::None => (None, None),
            Preference::For { root, provider } => (root, provider),
        };
        for (id, listing) in &left {
            let offers = snapshot.offers(*id).await?;
            let is_of = |root| listing.parts.0.root() == root;
            candidates.push(Candidate {
                is_of_folder: root.is_some_and(is_of),
                is_of_provider: offers.iter().any(|(stash, _)| provider == Some(*stash)),
                id: *id,
                profile: records::profile(&listing.parts.0.spec.profile),
                publisher: listing.publisher,
                offers: offers.len(),
            });
        }
        let prefers = matches!(preference, Preference::For { .. });
        let chosen = only(candidates, prefers, wanted.is_some())?;
        left.retain(|(id, _)| *id == chosen);
    }
    left.pop().ok_or_else(|| Failure::Request(none.into()))
}

fn beginning_with(mut all: Vec<Found>, wanted: &str) -> Result<Vec<Found>, Failure> {
    let digits = first_digits(wanted)?;
    all.retain(|(id, _)| hex::encode(id).starts_with(&digits));
    if all.is_empty() {
        return Err(Failure::Usage(format!(
            "no listing's id begins with {wanted}; look at `assay model list`"
        )));
    }
    Ok(all)
}

fn first_digits(wanted: &str) -> Result<String, Failure> {
    let digits = wanted.strip_prefix("0x").unwrap_or(wanted);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::Usage(format!(
            "{wanted:?} is no listing id; copy one from `assay model list`"
        )));
    }
    Ok(digits.to_ascii_lowercase())
}

/// The only one of several, if that is decided by the folder, the provider, or who is offered at all.
fn only(mut candidates: Vec<Candidate>, prefers: bool, by_digits: bool) -> Result<H256, Failure> {
    let better: [fn(&Candidate) -> bool; 3] = [
        |candidate| candidate.is_of_folder,
        |candidate| candidate.is_of_provider,
        |candidate| candidate.offers > 0,
    ];
    for is_better in better.into_iter().filter(|_| prefers) {
        if candidates.iter().any(is_better) {
            candidates.retain(is_better);
        }
    }
    if let [candidate] = candidates.as_slice() {
        return Ok(candidate.id);
    }
    let each: Vec<String> = candidates
        .iter()
        .map(
            |Candidate {
                 id,
                 profile,
                 publisher,
                 offers,
                 ..
             }| {
                let offers = match offers {
                    0 => "no offer".to_owned(),
                    1 => "1 offer".to_owned(),
                    several => format!("{several} offers"),
                };
                format!("{id:?} ({profile}) of {publisher} with {offers}")
            },
        )
        .collect();
    let next = match by_digits {
        true => "give more digits of one",
        false => "choose one by the first digits of its id",
    };
    Err(Failure::Usage(format!(
        "{} listings fit; {next}: {}",
        candidates.len(),
        each.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(byte: u8, offers: usize) -> Candidate {
        Candidate {
            id: H256::repeat_byte(byte),
            profile: records::UNVERIFIED,
            publisher: AccountId32([byte; 32]),
            is_of_folder: false,
            is_of_provider: false,
            offers,
        }
    }

    #[test]
    fn what_strangers_offer_besides_does_not_stand_in_the_way() {
        let all = |change: fn(&mut Candidate)| {
            let mut all = vec![candidate(1, 1), candidate(2, 1), candidate(3, 0)];
            all.iter_mut().skip(1).for_each(change);
            all
        };
        let of_folder = all(|candidate| candidate.is_of_folder = true);
        let second = H256::repeat_byte(2);
        assert_eq!(only(of_folder, true, false).unwrap(), second);
        let of_provider = all(|candidate| candidate.is_of_provider = candidate.offers > 0);
        assert_eq!(only(of_provider, true, false).unwrap(), second);
        // The model is what is asked for; a provider that does not offer it says so.
        let mut both = all(|_| {});
        both[0].is_of_provider = true;
        both[1].is_of_folder = true;
        assert_eq!(only(both, true, false).unwrap(), second);
        let neither = only(all(|_| {}), true, false).unwrap_err().to_string();
        assert!(neither.starts_with("2 listings fit"), "{neither}");
    }

    #[test]
    fn a_listing_that_somebody_offers_goes_before_those_that_nobody_does() {
        let chosen = only(vec![candidate(1, 0), candidate(2, 3)], true, false);
        assert_eq!(chosen.unwrap(), H256::repeat_byte(2));
        assert_eq!(
            only(vec![candidate(1, 0)], true, false).unwrap(),
            H256::repeat_byte(1)
        );
    }

    #[test]
    fn where_several_fit_each_is_told_with_its_publisher_and_offers() {
        let all = || vec![candidate(1, 0), candidate(2, 1), candidate(3, 2)];
        let message = only(all(), false, false).unwrap_err().to_string();
        for part in [
            "3 listings",
            "(unverified)",
            "no offer",
            "1 offer,",
            "2 offers",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(message.contains(&AccountId32([3; 32]).to_string()));
        assert!(!message.contains('\n'), "{message}");

        let message = only(all(), true, true).unwrap_err().to_string();
        assert!(
            message.contains("2 listings fit; give more digits"),
            "{message}"
        );
        assert!(!message.contains("no offer"), "{message}");
    }

    #[test]
    fn an_id_is_given_by_its_first_digits() {
        assert_eq!(first_digits("0xAb").unwrap(), "ab");
        assert_eq!(first_digits("a1").unwrap(), "a1");
        for wanted in ["", "0x", "zz", "0x0x"] {
            assert!(first_digits(wanted).is_err(), "{wanted:?}");
        }
    }
}
