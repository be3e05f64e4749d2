//! Which of several services gets a request.

use crate::cookies::cookies;
use http::HeaderMap;

/// Draws one by weight; `sum` is that of all weights, and `draw` gives a number below it.
pub(crate) fn draw<T>(
    sum: u64,
    targets: &[T],
    weight: impl Fn(&T) -> u64,
    draw: impl FnOnce(u64) -> u64,
) -> Option<&T> {
    let mut left = draw(sum);
    let picked = targets.iter().find(|target| match left.checked_sub(weight(target)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    picked.or(targets.first())
}

/// The target that a cookie names, if it gets requests at all.
pub(crate) fn stay<'t, T>(
    headers: &HeaderMap,
    cookie: &str,
    targets: &'t [T],
    weight: impl Fn(&T) -> u64,
    is_called: impl Fn(&T, &str) -> bool,
) -> Option<&'t T> {
    let of = |value: &str| {
        let mut live = targets.iter().filter(|target| weight(target) > 0);
        live.find(|target| is_called(target, value))
    };
    cookies(headers, cookie).find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::COOKIE;

    #[test]
    fn shares_are_exact_within_two_percent() {
        const DRAWS: u32 = 100_000;
        for weights in [&[90_u64, 10][..], &[1, 1, 1], &[2, 0, 3, 95], &[1]] {
            let targets: Vec<_> = weights.iter().copied().zip(0..).collect();
            let sum: u64 = weights.iter().sum();
            let mut random = fastrand::Rng::with_seed(7);
            let mut counts = vec![0_u32; weights.len()];
            for _ in 0..DRAWS {
                let picked = draw(sum, &targets, |target| target.0, |below| random.u64(..below));
                counts[picked.unwrap().1] += 1;
            }
            for (count, weight) in counts.into_iter().zip(weights) {
                #[expect(clippy::cast_precision_loss, reason = "the weights here are small")]
                let share = *weight as f64 / sum as f64;
                let got = f64::from(count) / f64::from(DRAWS);
                assert!((got - share).abs() < 0.02, "{weights:?}: {got} instead of {share}");
                assert!(*weight > 0 || count == 0, "{weights:?}: weight 0 was drawn");
            }
        }
    }

    #[test]
    fn every_number_that_can_be_drawn_has_its_target() {
        let targets = [(2, "a"), (0, "b"), (1, "c")];
        let at = |number| draw(3, &targets, |target| target.0, |_| number).unwrap().1;
        let drawn: Vec<_> = (0..3).map(at).collect();
        assert_eq!(drawn, ["a", "a", "c"]);
        assert_eq!(draw(1, &[] as &[u64], |weight| *weight, |_| 0), None);
    }

    #[test]
    fn a_client_stays_where_it_is_still_wanted() {
        let targets = [(9, "old"), (1, "new"), (0, "off")];
        let at = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static(line));
            let is_called = |target: &(u64, &str), name: &str| target.1 == name;
            stay(&headers, "version", &targets, |target| target.0, is_called).map(|it| it.1)
        };
        assert_eq!(at("version=new"), Some("new"));
        assert_eq!(at("x=1; version=old"), Some("old"));
        assert_eq!(at("version=gone; version=new"), Some("new"));
        for nobody in ["version=off", "version=NEW", "version=", "Version=new", "other=new"] {
            assert_eq!(at(nobody), None, "{nobody}");
        }
    }
}
