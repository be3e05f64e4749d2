//! The order of `balance: round_robin`: made once, then followed by everybody.

/// No cycle is longer; weights whose sum is larger are rounded.
const LONGEST: u64 = 1 << 15;

/// One cycle. Everybody stands in it as often as their weight says, and as evenly spread as can be.
pub(super) fn schedule(weights: &[u64]) -> Box<[u32]> {
    let turns = turns(weights);
    let n = weights.len() as f64;
    let mut order: Vec<(f64, u32)> = Vec::with_capacity(turns.iter().sum::<u64>() as usize);
    for (index, turns) in (0_u32..).zip(&turns) {
        // Each begins a little later than the one before, so that nobody's turns pile up.
        let begin = (f64::from(index) + 0.5) / n;
        order.extend((0..*turns).map(|turn| ((turn as f64 + begin) / *turns as f64, index)));
    }
    order.sort_by(|one, other| one.0.total_cmp(&other.0));
    order.into_iter().map(|(_, index)| index).collect()
}

/// How often each has its turn in one cycle.
fn turns(weights: &[u64]) -> Vec<u64> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let sum = weights.iter().fold(0_u64, |sum, weight| sum.saturating_add(weight / common));
    let turns = |weight: &u64| {
        let weight = weight / common;
        match sum <= LONGEST {
            true => weight,
            false => (u128::from(weight) * u128::from(LONGEST) / u128::from(sum)) as u64,
        }
        .max(1)
    };
    weights.iter().map(turns).collect()
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(schedule: &[u32], n: usize) -> Vec<usize> {
        (0..n as u32).map(|index| schedule.iter().filter(|one| **one == index).count()).collect()
    }

    #[test]
    fn equal_weights_take_turns() {
        assert_eq!(&*schedule(&[7, 7, 7]), [0, 1, 2]);
        assert!(schedule(&[]).is_empty());
    }

    #[test]
    fn a_cycle_holds_everybody_as_often_as_they_weigh() {
        assert_eq!(counts(&schedule(&[5, 1, 1]), 3), [5, 1, 1]);
        assert_eq!(counts(&schedule(&[100, 40, 20]), 3), [5, 2, 1]);
        let weights: Vec<u64> = (1..=50).collect();
        let schedule = schedule(&weights);
        assert!(counts(&schedule, 50).iter().zip(1..).all(|(count, weight)| *count == weight));
    }

    #[test]
    fn turns_are_spread() {
        for weights in [&[5, 1, 1][..], &[8, 4, 2, 1], &[3, 2]] {
            let schedule = schedule(weights);
            for (index, weight) in (0_u32..).zip(weights) {
                // In any stretch of it, within one turn of what is due, and one of rounding.
                for from in 0..schedule.len() {
                    for length in 1..=schedule.len() {
                        let stretch = schedule.iter().cycle().skip(from).take(length);
                        let had = stretch.filter(|one| **one == index).count() as f64;
                        let due = *weight as f64 * length as f64 / schedule.len() as f64;
                        assert!(
                            (had - due).abs() < 2.0,
                            "{schedule:?}: {index} at {from}+{length}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn huge_weights_are_rounded() {
        let schedule = schedule(&[u64::from(u32::MAX), u64::from(u32::MAX) * 3, 1]);
        assert!(schedule.len() as u64 <= LONGEST + 3);
        let counts = counts(&schedule, 3);
        assert!(counts[2] == 1 && (counts[1] as f64 / counts[0] as f64 - 3.0).abs() < 0.01);
    }
}
