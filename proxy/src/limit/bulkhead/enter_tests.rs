//! Bulkheads on tokio's paused clock, and under many threads.

use super::{Bulkhead, Overloaded, Place};
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use stitch_config::model::Concurrency;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance};

const SECOND: Duration = Duration::from_secs(1);

fn fixed(max: u32, queue: u32) -> Concurrency {
    Concurrency::Fixed { max, queue, wait: SECOND }
}

fn bulkhead(max: u32, queue: u32) -> Arc<Bulkhead> {
    Bulkhead::keep(&fixed(max, queue), None)
}

/// In flight, waiting, turned away.
fn counts(bulkhead: &Bulkhead) -> (u32, usize, u64) {
    let view = bulkhead.view();
    (view.in_flight, view.queued, view.rejected)
}

/// A request that comes now and waits if it has to.
async fn come(bulkhead: &Arc<Bulkhead>) -> JoinHandle<Result<Place, Overloaded>> {
    let bulkhead = bulkhead.clone();
    let waiting = tokio::spawn(async move { bulkhead.enter().await });
    tokio::task::yield_now().await;
    waiting
}

#[tokio::test(start_paused = true)]
async fn places_are_counted_and_given_back() {
    let bulkhead = bulkhead(2, 0);
    let one = bulkhead.try_enter().unwrap();
    let two = bulkhead.enter().await.unwrap();
    assert!(bulkhead.try_enter().is_none());
    let overloaded = bulkhead.enter().await.unwrap_err();
    assert_eq!(overloaded, Overloaded { in_flight: 2, limit: 2, queued: 0, waited: None });
    assert_eq!(overloaded.to_string(), "2 of 2 places are taken");
    assert_eq!(counts(&bulkhead), (2, 0, 1));
    drop(one);
    let three = bulkhead.try_enter().unwrap();
    drop((two, three));
    assert_eq!(counts(&bulkhead), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn whoever_came_first_is_let_in_first() {
    let bulkhead = bulkhead(1, 3);
    let place = bulkhead.try_enter().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(come(&bulkhead).await);
    }
    let full = bulkhead.enter().await.unwrap_err();
    assert_eq!((full.queued, full.waited), (3, None));
    assert_eq!(full.to_string(), "1 of 1 places are taken; 3 requests wait already");
    drop(place);
    assert!(bulkhead.try_enter().is_none(), "nobody passes those that wait");
    for place in waiting {
        let place = place.await.unwrap().unwrap();
        assert_eq!(bulkhead.view().in_flight, 1);
        drop(place);
    }
    assert_eq!(counts(&bulkhead), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_wait_has_an_end() {
    let bulkhead = bulkhead(1, 2);
    let _place = bulkhead.try_enter().unwrap();
    let began = Instant::now();
    let overloaded = bulkhead.enter().await.unwrap_err();
    // The timer rounds up to whole milliseconds.
    assert!((SECOND..SECOND + Duration::from_millis(2)).contains(&began.elapsed()));
    assert_eq!(overloaded.waited, Some(SECOND));
    assert!(overloaded.to_string().ends_with("no place was free within 1s"), "{overloaded}");
    assert_eq!(counts(&bulkhead), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_with_the_end_of_the_wait_is_taken() {
    let bulkhead = bulkhead(1, 1);
    let place = bulkhead.try_enter().unwrap();
    let mut waiting = Box::pin(bulkhead.enter());
    assert!(waiting.as_mut().now_or_never().is_none());
    advance(2 * SECOND).await;
    drop(place);
    drop(waiting.await.unwrap());
    assert_eq!(counts(&bulkhead), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_leaves_room_in_the_queue_and_no_trace() {
    let bulkhead = bulkhead(1, 2);
    let place = bulkhead.try_enter().unwrap();
    let (first, second) = (come(&bulkhead).await, come(&bulkhead).await);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(counts(&bulkhead), (1, 1, 0));
    let third = come(&bulkhead).await;
    assert_eq!(counts(&bulkhead), (1, 2, 0));
    drop(place);
    drop(second.await.unwrap().unwrap());
    drop(third.await.unwrap().unwrap());
    assert_eq!(counts(&bulkhead), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_was_on_its_way_goes_to_the_next() {
    let bulkhead = bulkhead(1, 2);
    let place = bulkhead.try_enter().unwrap();
    let mut first = Box::pin(bulkhead.enter());
    assert!(first.as_mut().now_or_never().is_none());
    let second = come(&bulkhead).await;
    drop(place);
    assert_eq!(counts(&bulkhead), (1, 1, 0), "given to the first, who has not looked yet");
    drop(first);
    drop(second.await.unwrap().unwrap());
    assert_eq!(counts(&bulkhead), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_the_limit_in_place() {
    let bulkhead = bulkhead(2, 4);
    let (one, two) = (bulkhead.try_enter().unwrap(), bulkhead.try_enter().unwrap());
    let (three, four) = (come(&bulkhead).await, come(&bulkhead).await);
    let after = Bulkhead::keep(&fixed(3, 4), Some(&bulkhead));
    assert!(Arc::ptr_eq(&bulkhead, &after));
    let three = three.await.unwrap().unwrap();
    assert_eq!(counts(&bulkhead), (3, 1, 0), "a higher limit lets the first in");

    Bulkhead::keep(&fixed(1, 0), Some(&bulkhead));
    assert_eq!(counts(&bulkhead), (3, 1, 0), "a lower one turns nobody out");
    assert!(bulkhead.enter().await.is_err(), "but lets nobody else in or wait");
    drop((one, two));
    assert_eq!(counts(&bulkhead), (1, 1, 1));
    drop(three);
    drop(four.await.unwrap().unwrap());
    assert_eq!(counts(&bulkhead), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_those_that_wait_when_an_adaptive_limit_rises() {
    let bulkhead = bulkhead(1, 1);
    let place = bulkhead.try_enter().unwrap();
    let waiting = come(&bulkhead).await;
    Bulkhead::keep(&Concurrency::Adaptive { min: 1, max: 1, tolerance: 2.0 }, Some(&bulkhead));
    // Between an answer that raised the limit and the end of its request.
    bulkhead.state().bounds.limit = 9;
    assert!(bulkhead.try_enter().is_none());
    drop(place);
    drop(waiting.await.unwrap().unwrap());
    assert_eq!(counts(&bulkhead), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_follows_what_answers_take() {
    let settings = Concurrency::Adaptive { min: 3, max: 100, tolerance: 2.0 };
    let bulkhead = Bulkhead::keep(&settings, None);
    assert_eq!(bulkhead.view().limit, 20);
    let answer = async |count: u32, millis: u64| {
        for _ in 0..count {
            let places: Vec<_> = std::iter::from_fn(|| bulkhead.try_enter()).collect();
            advance(Duration::from_millis(millis)).await;
            for place in &places {
                place.answered(|| Duration::from_millis(millis), false);
            }
        }
        bulkhead.view().limit
    };
    let quick = answer(100, 10).await;
    assert_eq!(quick, 100);
    // Within the second in which latency has gone up, before it is taken for the new normal.
    let slow = answer(3, 300).await;
    assert!(slow < 60, "{slow}");
    let baseline = bulkhead.view().adaptive.unwrap().baseline;
    assert_eq!(baseline, Some(0.01));

    let held = bulkhead.try_enter().unwrap();
    Bulkhead::keep(&settings, Some(&bulkhead));
    assert_eq!(bulkhead.view().limit, slow, "an unchanged one goes on");
    Bulkhead::keep(&fixed(7, 1), Some(&bulkhead));
    held.answered(|| SECOND, false);
    assert_eq!((bulkhead.view().limit, bulkhead.view().adaptive), (7, None));
    let narrow = Concurrency::Adaptive { min: 1, max: 5, tolerance: 2.0 };
    Bulkhead::keep(&narrow, Some(&bulkhead));
    assert_eq!((bulkhead.view().limit, bulkhead.view().in_flight), (5, 1));
}

#[test]
fn threads_are_never_more_than_there_are_places() {
    let bulkhead = bulkhead(3, 0);
    let (inside, entered) = (AtomicU32::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let Some(_place) = bulkhead.try_enter() else { continue };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                    entered.fetch_add(1, Ordering::Relaxed);
                    std::hint::spin_loop();
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert!(entered.into_inner() > 0);
    assert_eq!(counts(&bulkhead), (0, 0, 0));
}

/// Waiting, giving up at any moment and a limit that changes all the time, on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_gained_in_a_crowd() {
    const MOST: u32 = 8;
    let patient = |max| Concurrency::Fixed { max, queue: 10_000, wait: 600 * SECOND };
    let bulkhead = Bulkhead::keep(&patient(MOST), None);
    let inside = Arc::new(AtomicU32::new(0));
    let request = |number: u32| {
        let (bulkhead, inside) = (bulkhead.clone(), inside.clone());
        tokio::spawn(async move {
            let entering = bulkhead.enter();
            // Every third gives up after as many turns as its number says.
            let entered = if number.is_multiple_of(3) {
                tokio::select! {
                    biased;
                    entered = entering => Some(entered),
                    () = yields(number % 50) => None,
                }
            } else {
                Some(entering.await)
            };
            let Some(entered) = entered else { return 0 };
            let place = entered.unwrap();
            assert!(inside.fetch_add(1, Ordering::SeqCst) < MOST);
            yields(number % 4).await;
            inside.fetch_sub(1, Ordering::SeqCst);
            drop(place);
            1
        })
    };
    let requests: Vec<_> = (0..6000).map(request).collect();
    for turn in 0..200 {
        Bulkhead::keep(&patient(1 + turn % MOST), Some(&bulkhead));
        tokio::task::yield_now().await;
    }
    let mut served = 0;
    for request in requests {
        served += request.await.unwrap();
    }
    assert!(served >= 4000, "{served}");
    assert_eq!(counts(&bulkhead), (0, 0, 0));
}

async fn yields(count: u32) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
