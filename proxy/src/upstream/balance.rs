//! Which of several endpoints: the less loaded of two drawn by weight ("power of two choices").

use super::endpoint::Endpoint;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A request counted on its endpoint until this is dropped.
#[derive(Debug)]
pub struct InFlight(Option<Arc<Endpoint>>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.0 {
            endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Picks an endpoint; `None` when there are none. `draw` gives a number below its argument.
pub fn pick(
    endpoints: &[Arc<Endpoint>],
    mut draw: impl FnMut(u64) -> u64,
) -> Option<(&Arc<Endpoint>, InFlight)> {
    match endpoints {
        [] => None,
        // Nothing to balance, nothing to count.
        [only] => Some((only, InFlight(None))),
        several => {
            let one = by_weight(several, &mut draw);
            let two = by_weight(several, &mut draw);
            let picked = if load(two) < load(one) { two } else { one };
            picked.in_flight.fetch_add(1, Ordering::Relaxed);
            Some((picked, InFlight(Some(picked.clone()))))
        }
    }
}

fn by_weight<'e>(
    endpoints: &'e [Arc<Endpoint>],
    draw: &mut impl FnMut(u64) -> u64,
) -> &'e Arc<Endpoint> {
    let total: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
    let mut left = draw(total.max(1));
    for endpoint in endpoints {
        match left.checked_sub(u64::from(endpoint.weight)) {
            Some(rest) => left = rest,
            None => return endpoint,
        }
    }
    &endpoints[0]
}

/// Requests per unit of weight, were one more to come.
fn load(endpoint: &Endpoint) -> f64 {
    let in_flight = u32::try_from(endpoint.in_flight.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
    (f64::from(in_flight) + 1.0) / f64::from(endpoint.weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_config::model::Upstream;

    fn endpoints(weights: &[u32]) -> Vec<Arc<Endpoint>> {
        let endpoint = |weight: &u32| {
            let upstream = Upstream { weight: *weight, ..Upstream::http("a", 1) };
            Arc::new(Endpoint::declared(&upstream, None))
        };
        weights.iter().map(endpoint).collect()
    }

    #[test]
    fn weights_are_shares() {
        let endpoints = endpoints(&[1, 3]);
        let mut hits = [0, 0];
        for turn in 0..400 {
            let mut draws = [turn % 4, turn % 4].into_iter();
            let (picked, _in_flight) = pick(&endpoints, |_| draws.next().unwrap()).unwrap();
            hits[usize::from(Arc::ptr_eq(picked, &endpoints[1]))] += 1;
        }
        assert_eq!(hits, [100, 300]);
    }

    #[test]
    fn the_less_loaded_of_two_wins() {
        let endpoints = endpoints(&[1, 1]);
        let busy = pick(&endpoints, |_| 0).unwrap().1;
        let mut draws = [0, 1].into_iter();
        let (picked, _) = pick(&endpoints, |_| draws.next().unwrap()).unwrap();
        assert!(Arc::ptr_eq(picked, &endpoints[1]));
        drop(busy);
        assert_eq!(endpoints[0].in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nothing_to_pick_from() {
        assert!(pick(&[], |_| 0).is_none());
    }
}
