//! `eject`: whether one more endpoint may be left out.

use stitch_config::model::Eject;

/// Whether an endpoint may be ejected when `out` of `all` are already, and `others_fit` would be left
/// to take its requests.
pub(crate) fn may_eject(policy: &Eject, all: usize, out: usize, others_fit: usize) -> bool {
    // Shares such as 0.3 have no exact form.
    let most = policy.max * all as f64 + 1e-9;
    (out + 1) as f64 <= most && (others_fit > 0 || policy.max >= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(max: f64, all: usize) -> usize {
        let policy = Eject { max, ..Eject::default() };
        (0..all).take_while(|out| may_eject(&policy, all, *out, all - out - 1)).count()
    }

    #[test]
    fn never_more_than_the_share() {
        assert_eq!([1, 2, 3, 4, 5, 10].map(|all| most(0.5, all)), [0, 1, 1, 2, 2, 5]);
        assert_eq!(most(0.3, 10), 3);
        assert_eq!(most(0.1, 9), 0);
    }

    #[test]
    fn only_all_of_them_lets_the_last_one_go() {
        assert_eq!([1, 2, 5].map(|all| most(1.0, all)), [1, 2, 5]);
        assert_eq!([2, 5, 100].map(|all| most(0.999, all)), [1, 4, 99]);
        let policy = Eject { max: 0.9, ..Eject::default() };
        assert!(!may_eject(&policy, 10, 2, 0), "the others are unwell");
    }
}
