//! Makes timer transitions happen without traffic: sleeps until the next one is due, and looks
//! again whenever a breaker changed.

use super::registry::Breakers;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Wakes breakers at their deadlines, for as long as it is polled.
pub async fn watch_breakers(breakers: Arc<Breakers>) {
    let transitions = breakers.transitions();
    loop {
        match breakers.advance(Instant::now()) {
            None => transitions.stirred().await,
            Some(deadline) => {
                tokio::select! {
                    () = sleep_until(deadline) => {}
                    () = transitions.stirred() => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breakers::{Breaker, Followed};
    use crate::policy::breaker::{Mode, State, Verdict};
    use std::time::Duration;
    use stitch_config::model;

    fn fail(breaker: &Arc<Breaker>, times: u32) {
        for _ in 0..times {
            let now = Instant::now();
            breaker.admit(now).unwrap().settle(Verdict::Failure, Duration::ZERO, now);
        }
    }

    /// Sleeps past a moment of the paused clock, so that whoever is due has run.
    async fn pass(time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn timers_fire_without_traffic() {
        let breakers = Arc::new(Breakers::default());
        let settings = model::Breaker::default();
        let breaker = breakers.keep("users", "users", &settings, Instant::now());
        let mut follower = breakers.transitions().follow(None);
        let warden = tokio::spawn(watch_breakers(breakers.clone()));
        pass(Duration::from_secs(5)).await;
        fail(&breaker, 5);
        let opened = Instant::now();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let Some(Followed::Transition(transition)) = follower.next().await else { panic!() };
            seen.push((transition.to, opened.elapsed().as_secs()));
            assert!(opened.elapsed().subsec_millis() < 5, "{:?}", opened.elapsed());
        }
        assert_eq!(seen, [(State::Open, 0), (State::HalfOpen, 60), (State::Open, 90)]);
        warden.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_forced_mode_reverts_by_itself_at_the_time_that_was_set_last() {
        let breakers = Arc::new(Breakers::default());
        let breaker = breakers.keep("a", "a", &model::Breaker::default(), Instant::now());
        let warden = tokio::spawn(watch_breakers(breakers.clone()));
        let set = |seconds| {
            let ttl = Some(Duration::from_secs(seconds));
            breaker.set_mode(Mode::ForcedOpen, ttl, None, Instant::now());
        };
        set(30);
        pass(Duration::from_secs(20)).await;
        // Longer first, then shorter than what the warden waits for.
        set(100);
        pass(Duration::from_secs(90)).await;
        assert_eq!(breaker.state(), State::ForcedOpen);
        set(5);
        pass(Duration::from_secs(5)).await;
        assert_eq!(breaker.state(), State::Closed);
        warden.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_of_many_is_first() {
        let breakers = Arc::new(Breakers::default());
        let make = |id: &str, seconds| {
            let open = Duration::from_secs(seconds);
            let settings = model::Breaker { open, ..model::Breaker::default() };
            breakers.keep(id, id, &settings, Instant::now())
        };
        let made = [make("a", 30), make("b", 10), make("c", 20)];
        let warden = tokio::spawn(watch_breakers(breakers.clone()));
        for breaker in &made {
            fail(breaker, 5);
        }
        let states = || made.each_ref().map(|breaker| breaker.state());
        pass(Duration::from_secs(10)).await;
        assert_eq!(states(), [State::Open, State::HalfOpen, State::Open]);
        pass(Duration::from_secs(10)).await;
        assert_eq!(states(), [State::Open, State::HalfOpen, State::HalfOpen]);
        warden.abort();
    }
}
