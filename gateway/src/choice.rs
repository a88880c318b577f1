//! Whom to ask: what the offers cost, how fast and how reliable their providers have been.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use assay_client::{AccountId32, Amount, H256};
use assay_primitives::{ListingId, Price, PPM_ONE};

/// The pause after a provider's first failure; each further one that shows itself after the pause doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is expected of a provider that has not been asked yet.
const UNKNOWN_LATENCY: Duration = Duration::from_secs(1);

/// A first token this much later is worth half of the price.
const DEAR_LATENCY: Duration = Duration::from_secs(4);

/// Opening a channel costs a fee and the wait until it is final, so an open one goes before an offer
/// that is cheaper by less than this factor.
const NEW_CHANNEL: f64 = 1.25;

/// An offer of a provider that can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The provider's stash.
    pub provider: AccountId32,
    /// The block since which it has been this provider: a channel is with one registration.
    pub epoch: u32,
    pub listing: ListingId,
    pub price: Price,
    /// The most tokens of prompt and answer together.
    pub context: u32,
    /// The provider's score, in parts per million.
    pub score: u32,
    pub endpoint: String,
    /// SHA-256 of the key in its certificate; none for plain HTTP.
    pub tls_key_hash: Option<H256>,
    /// What request bodies are sealed to; none if the provider has published none.
    pub x25519_key: Option<[u8; 32]>,
}

/// What a request needs of an offer.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    pub prompt_len: u32,
    pub token_limit: u32,
    /// The most planck for a token, of the prompt or of the answer.
    pub max_price: Option<Amount>,
    /// Whether bodies have to be sealed.
    pub sealed: bool,
}

impl Offer {
    /// Whether the request can be sent there at all.
    pub fn fits(&self, need: &Need) -> bool {
        let tokens = need.prompt_len.saturating_add(need.token_limit);
        let dear = need
            .max_price
            .is_some_and(|most| self.price.input > most.0 || self.price.output > most.0);
        tokens <= self.context && !dear && (self.x25519_key.is_some() || !need.sealed)
    }
}

/// How providers have done so far, in this process.
#[derive(Default)]
pub struct Experience(HashMap<[u8; 32], Provider>);

#[derive(Default)]
struct Provider {
    /// Mean time to the first token, the latest weighing a quarter.
    latency: Option<Duration>,
    failures: u32,
    /// Until when its last failure keeps it from being asked.
    failed_until: Option<Instant>,
    /// The same, or until when it is busy.
    paused_until: Option<Instant>,
    is_caught: bool,
}

impl Experience {
    /// The first token came after `latency`.
    pub fn answered(&mut self, provider: AccountId32, latency: Duration) {
        let known = self.0.entry(provider.0).or_default();
        known.latency = Some(match known.latency {
            Some(mean) => mean.saturating_mul(3).saturating_add(latency) / 4,
            None => latency,
        });
    }

    /// A request ended as it should.
    pub fn succeeded(&mut self, provider: AccountId32) {
        let known = self.0.entry(provider.0).or_default();
        known.failures = 0;
        known.failed_until = None;
        known.paused_until = None;
    }

    /// A request failed that began at `asked`; the provider is left alone for a while. All requests that were under way
    /// when it failed break off for the same reason, so that they count once: what began before a pause was over says
    /// nothing of the provider after it.
    pub fn failed(&mut self, provider: AccountId32, asked: Instant, now: Instant) {
        let known = self.0.entry(provider.0).or_default();
        let is_another = known.failed_until.is_none_or(|until| asked >= until);
        if is_another {
            known.failures = known.failures.saturating_add(1);
        }
        // One that comes to light after the pause has it begin again, and no longer than it was.
        if is_another || known.failed_until.is_some_and(|until| now >= until) {
            let doublings = known.failures.saturating_sub(1).min(16);
            let pause = FIRST_PAUSE.saturating_mul(1 << doublings);
            known.failed_until = now.checked_add(pause.min(LONGEST_PAUSE));
        }
        known.paused_until = known.paused_until.max(known.failed_until);
    }

    /// It is busy and no worse for that.
    pub fn busy(&mut self, provider: AccountId32, now: Instant, pause: Duration) {
        let known = self.0.entry(provider.0).or_default();
        known.paused_until = now.checked_add(pause.min(LONGEST_PAUSE));
    }

    /// A channel with it had to be given up: it is not asked again before the process ends.
    pub fn caught(&mut self, provider: AccountId32) {
        self.0.entry(provider.0).or_default().is_caught = true;
    }

    pub fn is_caught(&self, provider: &AccountId32) -> bool {
        let known = self.0.get(&provider.0);
        known.is_some_and(|known| known.is_caught)
    }

    /// How long the provider is left alone from now on.
    pub fn pause(&self, provider: &AccountId32, now: Instant) -> Option<Duration> {
        let until = self.0.get(&provider.0)?.paused_until?;
        until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Whether it pauses because it failed, and not only because it is busy.
    fn is_failing(&self, provider: &AccountId32, now: Instant) -> bool {
        let known = self.0.get(&provider.0);
        let until = known.and_then(|known| known.failed_until);
        until.is_some_and(|until| now < until)
    }

    pub fn latency(&self, provider: &AccountId32) -> Option<Duration> {
        self.0.get(&provider.0)?.latency
    }

    fn expected(&self, provider: &AccountId32) -> Duration {
        self.latency(provider).unwrap_or(UNKNOWN_LATENCY)
    }
}

/// The offers that can take the request, best first. `has_channel` says where one need not be opened,
/// `excluded` who has failed this very request.
pub fn rank<'a>(
    offers: &'a [Offer],
    need: &Need,
    experience: &Experience,
    now: Instant,
    has_channel: impl Fn(&Offer) -> bool,
    excluded: &[AccountId32],
) -> Vec<&'a Offer> {
    let usable = offers.iter().filter(|offer| {
        offer.fits(need)
            && !excluded.contains(&offer.provider)
            && !experience.is_caught(&offer.provider)
            && experience.pause(&offer.provider, now).is_none()
    });
    let cost = |offer: &Offer| {
        let fee = offer.price.fee(need.prompt_len, need.token_limit);
        // Between something for nothing and nothing for nothing the rest decides.
        let fee = fee.map_or(f64::INFINITY, |fee| fee.max(1) as f64);
        let latency = experience.expected(&offer.provider).as_secs_f64();
        let score = f64::from(offer.score.max(PPM_ONE / 100)) / f64::from(PPM_ONE);
        let opening = if has_channel(offer) { 1.0 } else { NEW_CHANNEL };
        fee * (1.0 + latency / DEAR_LATENCY.as_secs_f64()) * opening / score
    };
    let mut ranked: Vec<(f64, &Offer)> = usable.map(|offer| (cost(offer), offer)).collect();
    ranked
        .sort_by(|(one, a), (other, b)| one.total_cmp(other).then(a.provider.0.cmp(&b.provider.0)));
    ranked.into_iter().map(|(_, offer)| offer).collect()
}

/// The first of the paused providers that could take the request and may be asked again, and when. `can_pay` says who
/// could be paid for it.
pub fn next_try(
    offers: &[Offer],
    need: &Need,
    experience: &Experience,
    now: Instant,
    can_pay: impl Fn(&Offer) -> bool,
) -> Option<(AccountId32, Duration)> {
    let usable = offers
        .iter()
        .filter(|offer| offer.fits(need) && can_pay(offer));
    first_back(usable, experience, now)
}

/// Where everybody pauses who was not caught, and not only because they are busy: who may be asked again first, and
/// when.
pub fn all_pause(
    offers: &[Offer],
    experience: &Experience,
    now: Instant,
) -> Option<(AccountId32, Duration)> {
    let left = || {
        let offers = offers.iter();
        offers.filter(|offer| !experience.is_caught(&offer.provider))
    };
    let all = left().all(|offer| experience.pause(&offer.provider, now).is_some());
    let failing = left().any(|offer| experience.is_failing(&offer.provider, now));
    (all && failing)
        .then(|| first_back(left(), experience, now))
        .flatten()
}

fn first_back<'a>(
    offers: impl Iterator<Item = &'a Offer>,
    experience: &Experience,
    now: Instant,
) -> Option<(AccountId32, Duration)> {
    let offers = offers.filter(|offer| !experience.is_caught(&offer.provider));
    let pauses = offers.filter_map(|offer| {
        let pause = experience.pause(&offer.provider, now)?;
        Some((offer.provider, pause))
    });
    pauses.min_by_key(|(_, pause)| *pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need {
        prompt_len: 10,
        token_limit: 20,
        max_price: None,
        sealed: true,
    };

    fn offer(provider: u8, price: u128) -> Offer {
        Offer {
            provider: AccountId32([provider; 32]),
            epoch: 1,
            listing: H256::repeat_byte(9),
            price: Price {
                input: price,
                output: price,
            },
            context: 30,
            score: PPM_ONE / 2,
            endpoint: "https://worker".into(),
            tls_key_hash: Some(H256::repeat_byte(1)),
            x25519_key: Some([1; 32]),
        }
    }

    fn best(offers: &[Offer], experience: &Experience, now: Instant) -> Vec<u8> {
        let ranked = rank(offers, &NEED, experience, now, |_| false, &[]);
        ranked.iter().map(|offer| offer.provider.0[0]).collect()
    }

    #[test]
    fn price_score_and_latency_each_decide_where_the_others_are_equal() {
        let now = Instant::now();
        let mut experience = Experience::default();
        assert_eq!(best(&[offer(1, 2), offer(2, 1)], &experience, now), [2, 1]);
        let reliable = Offer {
            score: PPM_ONE,
            ..offer(3, 2)
        };
        assert_eq!(best(&[offer(1, 2), reliable], &experience, now), [3, 1]);
        experience.answered(AccountId32([2; 32]), Duration::from_millis(50));
        assert_eq!(best(&[offer(1, 2), offer(2, 2)], &experience, now), [2, 1]);
        experience.answered(AccountId32([2; 32]), Duration::from_secs(60));
        assert_eq!(best(&[offer(1, 2), offer(2, 2)], &experience, now), [1, 2]);
    }

    #[test]
    fn an_open_channel_beats_a_slightly_cheaper_offer_but_not_a_much_cheaper_one() {
        let now = Instant::now();
        let first = |cheap: u128| {
            let offers = [offer(1, 100), offer(2, cheap)];
            let open = |offer: &Offer| offer.provider.0[0] == 1;
            let ranked = rank(&offers, &NEED, &Experience::default(), now, open, &[]);
            ranked[0].provider.0[0]
        };
        assert_eq!(first(90), 1);
        assert_eq!(first(50), 2);
    }

    #[test]
    fn what_does_not_fit_is_not_asked() {
        let change: [fn(&mut Offer); 3] = [
            |offer| offer.context = 29,
            |offer| offer.x25519_key = None,
            |offer| offer.price.output = 11,
        ];
        let need = Need {
            max_price: Some(Amount(10)),
            ..NEED
        };
        assert!(offer(1, 10).fits(&need));
        for change in change {
            let mut unfit = offer(1, 10);
            change(&mut unfit);
            assert!(!unfit.fits(&need), "{unfit:?}");
        }
        let open = Offer {
            x25519_key: None,
            ..offer(1, 10)
        };
        assert!(open.fits(&Need {
            sealed: false,
            ..need
        }));
    }

    #[test]
    fn who_fails_pauses_longer_each_time_and_comes_back() {
        let start = Instant::now();
        let mut experience = Experience::default();
        let offers = [offer(1, 1), offer(2, 2)];
        let who = offers[0].provider;
        let next = |experience: &Experience, now| {
            let next = next_try(&offers, &NEED, experience, now, |_| true);
            next.map(|(_, pause)| pause)
        };
        experience.failed(who, start, start);
        assert_eq!(best(&offers, &experience, start), [2]);
        assert_eq!(experience.pause(&who, start), Some(FIRST_PAUSE));
        let mut now = start + FIRST_PAUSE;
        assert_eq!(best(&offers, &experience, now), [1, 2]);
        experience.failed(who, now, now);
        assert_eq!(experience.pause(&who, now), Some(FIRST_PAUSE * 2));
        for _ in 0..100 {
            now += experience.pause(&who, now).unwrap_or_default();
            experience.failed(who, now, now);
        }
        assert_eq!(experience.pause(&who, now), Some(LONGEST_PAUSE));
        assert_eq!(next(&experience, now), Some(LONGEST_PAUSE));
        experience.succeeded(who);
        assert_eq!(best(&offers, &experience, now), [1, 2]);
        experience.failed(who, now, now);
        assert_eq!(experience.pause(&who, now), Some(FIRST_PAUSE));
    }

    #[test]
    fn what_breaks_off_together_counts_once() {
        let start = Instant::now();
        let mut experience = Experience::default();
        let who = AccountId32([1; 32]);
        let milliseconds = Duration::from_millis;
        // All streams of a worker that is killed, and some that came before anybody knew.
        for late in 0..100 {
            experience.failed(who, start, start + milliseconds(late));
        }
        assert_eq!(experience.pause(&who, start), Some(FIRST_PAUSE));
        // One that hung for longer than the pause.
        let later = start + FIRST_PAUSE * 2;
        experience.failed(who, start, later);
        assert_eq!(experience.pause(&who, later), Some(FIRST_PAUSE));
        // It is busy for less than that, and fails again: it is as busy, and no more is known of it.
        experience.busy(who, later, milliseconds(1));
        let soon = later + milliseconds(2);
        experience.failed(who, soon, soon);
        let left = FIRST_PAUSE - milliseconds(2);
        assert_eq!(experience.pause(&who, soon), Some(left));
        // After the pause it is another one.
        let after = later + FIRST_PAUSE;
        experience.failed(who, after, after);
        assert_eq!(experience.pause(&who, after), Some(FIRST_PAUSE * 2));
    }

    #[test]
    fn that_all_pause_is_said_with_who_comes_back_first() {
        let start = Instant::now();
        let mut experience = Experience::default();
        let offers = [1, 2, 3].map(|provider| offer(provider, 1));
        let [one, two, three] = [0, 1, 2].map(|which| offers[which].provider);
        let told = |experience: &Experience| all_pause(&offers, experience, start);
        experience.caught(three);
        experience.busy(one, start, FIRST_PAUSE * 2);
        experience.busy(two, start, FIRST_PAUSE * 3);
        assert_eq!(told(&experience), None, "they are only busy");
        experience.failed(two, start, start);
        assert_eq!(told(&experience), Some((one, FIRST_PAUSE * 2)));
        experience.succeeded(one);
        assert_eq!(told(&experience), None);
        experience.failed(one, start, start);
        assert_eq!(told(&experience), Some((one, FIRST_PAUSE)));
        assert_eq!(all_pause(&[], &experience, start), None);
        assert_eq!(all_pause(&offers[2..], &experience, start), None);
    }

    #[test]
    fn who_was_caught_does_not_come_back() {
        let start = Instant::now();
        let mut experience = Experience::default();
        let offers = [offer(1, 1)];
        experience.caught(offers[0].provider);
        // Another stream of its may end well, or break off.
        experience.succeeded(offers[0].provider);
        let later = start + Duration::from_secs(24 * 3600);
        assert!(best(&offers, &experience, later).is_empty());
        experience.failed(offers[0].provider, start, start);
        let next = next_try(&offers, &NEED, &experience, start, |_| true);
        assert_eq!(next, None);
    }

    #[test]
    fn who_failed_this_request_is_not_asked_again() {
        let offers = [offer(1, 1), offer(2, 2)];
        let excluded = [offers[0].provider];
        let now = Instant::now();
        let ranked = rank(
            &offers,
            &NEED,
            &Experience::default(),
            now,
            |_| true,
            &excluded,
        );
        assert_eq!(ranked, [&offers[1]]);
    }
}
