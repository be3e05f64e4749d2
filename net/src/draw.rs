//! Chance that repeats: every draw is a pure function of the seed and of what is drawn for.
//!
//! `u = SipHash-2-4(key = BLAKE3(seed)[..16], canonical(scenario, id, purpose, key, attempt))`.
//! There is no generator and so no order: the k-th match of a fault gets the same decision in every
//! run, whatever else happens, and adding one fault never shifts another. `canonical` is each text
//! with its length in front (u32, little endian), then the attempt (u32, little endian), so that no
//! two different inputs look alike. The seed enters as its eight little-endian bytes.

use siphasher::sip::SipHasher24;
use std::hash::Hasher as _;
use std::time::Duration;

/// All chance of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    key: [u8; 16],
}

/// What a draw is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw<'a> {
    /// The scenario that asked; empty outside scenarios.
    pub scenario: &'a str,
    /// The fault or endpoint: a stable id.
    pub id: &'a str,
    /// What is decided: `decide`, `delay`, `offset`, … Purposes are independent of each other.
    pub purpose: &'a str,
    /// Which match.
    pub key: Key<'a>,
    /// The attempt of one request, from 0.
    pub attempt: u32,
}

/// What tells one match from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The k-th match, from 0; enters as its decimal digits.
    Sequence(u64),
    /// A trace id, a header's value, a connection.
    Text(&'a str),
}

impl<'a> Draw<'a> {
    /// The k-th draw of an endpoint or fault, outside scenarios and on the first attempt.
    pub fn sequence(id: &'a str, purpose: &'a str, k: u64) -> Self {
        Self { scenario: "", id, purpose, key: Key::Sequence(k), attempt: 0 }
    }
}

impl Draws {
    /// All chance of this seed.
    pub fn new(seed: u64) -> Self {
        let hash = blake3::hash(&seed.to_le_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        Self { key }
    }

    /// 64 uniform bits.
    pub fn bits(&self, draw: &Draw<'_>) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        let mut text = |bytes: &[u8]| {
            // Lengths past u32 would need a 4 GiB name; saturating keeps the function total.
            hasher.write(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            hasher.write(bytes);
        };
        text(draw.scenario.as_bytes());
        text(draw.id.as_bytes());
        text(draw.purpose.as_bytes());
        match draw.key {
            Key::Sequence(k) => text(Decimal::of(k).as_bytes()),
            Key::Text(key) => text(key.as_bytes()),
        }
        hasher.write(&draw.attempt.to_le_bytes());
        hasher.finish()
    }

    /// Whether something with this probability happens. 0 never does, 1 always.
    pub fn happens(&self, draw: &Draw<'_>, probability: f64) -> bool {
        // 56 bits and 2^56 are exact in f64 up to its 53 bits of mantissa; the rounding is the same
        // on every machine.
        #[expect(clippy::cast_precision_loss, reason = "the formula is defined on f64")]
        let share = (self.bits(draw) >> 8) as f64;
        share < probability * TWO_POW_56 || probability >= 1.0
    }

    /// A duration between two, both ends included.
    pub fn between(&self, draw: &Draw<'_>, min: Duration, max: Duration) -> Duration {
        let span = u64::try_from(max.saturating_sub(min).as_nanos()).unwrap_or(u64::MAX);
        if span == 0 {
            return min;
        }
        // The high half of the product scales 64 uniform bits to 0..=span.
        let scaled = (u128::from(self.bits(draw)) * (u128::from(span) + 1)) >> 64;
        min + Duration::from_nanos(u64::try_from(scaled).unwrap_or(span))
    }
}

const TWO_POW_56: f64 = 72_057_594_037_927_936.0;

/// The decimal digits of a number, without allocating.
struct Decimal {
    digits: [u8; 20],
    from: usize,
}

impl Decimal {
    fn of(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; 20], from: 20 };
        loop {
            decimal.from -= 1;
            decimal.digits[decimal.from] = b'0' + u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
            if number == 0 {
                return decimal;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.digits[self.from..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(draws: Draws, id: &str, probability: f64, count: u64) -> u64 {
        let happened =
            (0..count).filter(|k| draws.happens(&Draw::sequence(id, "decide", *k), probability));
        happened.count() as u64
    }

    #[test]
    fn known_answers() {
        assert_eq!(hex(&Draws::new(42).key), "fae624a6c2dcaa946ec81bbee9d0ee5c");
        let draws = Draws::new(42);
        assert_eq!(
            draws.bits(&Draw::sequence("payments POST /charge", "decide", 0)),
            0x1cb0_73f7_a2bb_60f4
        );
        assert_eq!(
            draws.bits(&Draw::sequence("payments POST /charge", "delay", 12)),
            0xbb5a_4874_8b34_a133
        );
        let full = Draw {
            scenario: "outage",
            id: "payments/abort",
            purpose: "decide",
            key: Key::Text("0af7651916cd43dd8448eb211c80319c"),
            attempt: 3,
        };
        assert_eq!(draws.bits(&full), 0xdcc9_378a_ae1d_70fc);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_sequence_is_its_decimal_text() {
        let draws = Draws::new(7);
        for k in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let text = k.to_string();
            let by_text = Draw { key: Key::Text(&text), ..Draw::sequence("a", "decide", 0) };
            assert_eq!(draws.bits(&Draw::sequence("a", "decide", k)), draws.bits(&by_text));
        }
    }

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let draws = Draws::new(1);
        let base = Draw::sequence("ab", "c", 1);
        let others = [
            Draw { scenario: "x", ..base },
            Draw { id: "a", purpose: "bc", ..base },
            Draw { purpose: "d", ..base },
            Draw { key: Key::Sequence(2), ..base },
            Draw { attempt: 1, ..base },
        ];
        for other in others {
            assert_ne!(draws.bits(&base), draws.bits(&other), "{other:?}");
        }
        assert_ne!(draws.bits(&base), Draws::new(2).bits(&base));
    }

    #[test]
    fn shares_are_kept_and_the_ends_are_exact() {
        let draws = Draws::new(42);
        assert_eq!(shares(draws, "a", 0.0, 1000), 0);
        assert_eq!(shares(draws, "a", 1.0, 1000), 1000);
        let about = shares(draws, "a", 0.3, 10_000);
        assert!((2_850..3_150).contains(&about), "{about}");
        assert_eq!(about, shares(Draws::new(42), "a", 0.3, 10_000));
    }

    #[test]
    fn durations_stay_in_their_range_and_reach_both_halves() {
        let draws = Draws::new(42);
        let (min, max) = (Duration::from_millis(20), Duration::from_millis(80));
        let all: Vec<_> =
            (0..1000).map(|k| draws.between(&Draw::sequence("a", "delay", k), min, max)).collect();
        assert!(all.iter().all(|delay| (min..=max).contains(delay)));
        assert!(all.iter().any(|delay| *delay < Duration::from_millis(30)));
        assert!(all.iter().any(|delay| *delay > Duration::from_millis(70)));
        assert_eq!(draws.between(&Draw::sequence("a", "delay", 0), min, min), min);
    }
}
