//! Weighted draws in constant time (Walker's alias method).

/// Draws an index by weight.
#[derive(Clone, Debug, Default)]
pub(super) struct Alias(Box<[Column]>);

/// Each index has a column of equal height; what its own weight does not fill belongs to one other.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// How much of the column is its own, in units of 2^-32.
    own: u64,
    other: u32,
}

const WHOLE: u64 = 1 << 32;

impl Alias {
    pub(super) fn new(weights: &[u64]) -> Self {
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let n = weights.len() as u128;
        // Heights relative to the mean, exact: a column is `total` high.
        let mut heights: Vec<u128> = weights.iter().map(|weight| u128::from(*weight) * n).collect();
        let mut columns = vec![Column { own: WHOLE, other: 0 }; weights.len()];
        let (mut low, mut high): (Vec<_>, Vec<_>) =
            (0..weights.len()).partition(|index| heights[*index] < total);
        while let (Some(&short), Some(&tall)) = (low.last(), high.last()) {
            low.pop();
            let own = (heights[short] * u128::from(WHOLE)).checked_div(total).unwrap_or(0);
            columns[short] = Column {
                own: u64::try_from(own).unwrap_or(WHOLE),
                other: u32::try_from(tall).unwrap_or(0),
            };
            heights[tall] -= total - heights[short];
            if heights[tall] < total {
                high.pop();
                low.push(tall);
            }
        }
        Self(columns.into())
    }

    /// An index by weight; `draw` gives a number below its argument. 0 when there is nothing.
    pub(super) fn draw(&self, draw: &mut dyn FnMut(u64) -> u64) -> usize {
        let drawn = draw((self.0.len() as u64) << 32);
        let index = (drawn >> 32) as usize;
        match self.0.get(index) {
            Some(column) if drawn % WHOLE < column.own => index,
            Some(column) => column.other as usize,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every possible draw, at a resolution of 2^-10 of a column.
    fn shares(weights: &[u64]) -> Vec<u64> {
        let alias = Alias::new(weights);
        let mut hits = vec![0; weights.len()];
        for drawn in 0..(weights.len() as u64) << 10 {
            hits[alias.draw(&mut |_| drawn << 22)] += 1;
        }
        hits
    }

    #[test]
    fn shares_are_those_of_the_weights() {
        assert_eq!(shares(&[1, 3]), [512, 1536]);
        assert_eq!(shares(&[5]), [1024]);
        assert_eq!(shares(&[1, 1, 2, 4]), [512, 512, 1024, 2048]);
        let shares = shares(&[1000, 1, 0]);
        assert_eq!(shares[2], 0);
        assert!(shares[1] <= 4, "{shares:?}");
    }

    #[test]
    fn nothing_and_no_weight_at_all_are_no_panic() {
        assert_eq!(Alias::new(&[]).draw(&mut |_| 0), 0);
        assert_eq!(Alias::new(&[0, 0]).draw(&mut |below| below - 1), 1);
    }
}
