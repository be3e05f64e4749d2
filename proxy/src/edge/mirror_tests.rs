//! Copies on invented time: what they hold, what bounds them, and that originals never notice.

use super::*;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::stream::{poll_fn, repeat_with};
use http::Response;
use http_body::Frame;
use http_body_util::StreamBody;
use std::sync::Mutex;
use stitch_net::BoxError;
use stitch_net::mock::BoxFuture;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

type Sender = UnboundedSender<Result<Frame<Bytes>, BoxError>>;

fn stream() -> (Sender, Body) {
    let (sender, mut receiver) = unbounded_channel();
    (sender, Body::boxed(StreamBody::new(poll_fn(move |cx| receiver.poll_recv(cx)))))
}

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(bytes.into()))
}

fn declared(to: &str) -> model::Mirror {
    model::Mirror { to: to.into(), share: 1.0, max: 64, max_body: 1000 }
}

/// A service that is called with copies.
struct Target {
    answers: Box<dyn Fn(Request<Body>) -> BoxFuture<Response<Body>> + Send + Sync>,
    calls: Mutex<Vec<String>>,
}

impl Target {
    fn new<F>(answers: impl Fn(Request<Body>) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let answers = Box::new(move |request| -> BoxFuture<_> { Box::pin(answers(request)) });
        Arc::new(Self { answers, calls: Mutex::default() })
    }

    /// Reads its request and answers.
    fn sound() -> Arc<Self> {
        Self::new(|request| async {
            let _ = request.into_body().collect().await;
            Response::new(Body::from("thanks"))
        })
    }

    /// Neither reads nor answers.
    fn stalled() -> Arc<Self> {
        Self::new(|request| async move {
            let _request = request;
            pending().await
        })
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Flow for Target {
    fn call(&self, service: &str, request: Request<Body>) -> BoxFuture<Response<Body>> {
        self.calls.lock().unwrap().push(format!("{service} {}", request.uri()));
        (self.answers)(request)
    }
}

fn flow(target: &Arc<Target>) -> Arc<dyn Flow> {
    target.clone()
}

fn request(body: impl Into<Body>) -> Request<Body> {
    Request::post("/charge?x=1").header("x-tenant", "acme").body(body.into()).unwrap()
}

/// `sent`, `dropped`, `too_large` and `failed`.
fn counts(mirror: &Mirror) -> [u64; 4] {
    Outcome::ALL.map(|outcome| mirror.state.counts[outcome as usize].load(Ordering::Relaxed))
}

/// Lets every task run until it waits for time to pass.
async fn settle() {
    sleep(Duration::from_nanos(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_has_all_of_the_original_and_a_mark() {
    let (told, mut seen) = unbounded_channel();
    let target = Target::new(move |request: Request<Body>| {
        let told = told.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            told.send((head, body)).unwrap();
            Response::new(Body::Empty)
        }
    });
    let mirror = Mirror::compile(&declared("users-v2"), None);
    let (sender, streamed) = stream();
    sender.send(data("hello ")).unwrap();
    sender.send(data("there")).unwrap();
    drop(sender);
    for body in [Body::from("hello there"), streamed] {
        let mut original = request(body);
        mirror.tee(&mut original, &flow(&target), 0.0);
        assert!(!original.headers().contains_key(MIRROR));
        assert_eq!(original.into_body().collect().await.unwrap().to_bytes(), "hello there");
        let (head, body) = seen.recv().await.unwrap();
        assert_eq!((head.method, head.uri.to_string()), (Method::POST, "/charge?x=1".into()));
        assert_eq!(
            (&head.headers["x-tenant"], &head.headers[MIRROR]),
            (&"acme".parse().unwrap(), &"1".parse().unwrap())
        );
        assert_eq!(body, "hello there");
    }
    settle().await;
    assert_eq!(target.calls(), ["users-v2 /charge?x=1"; 2]);
    assert_eq!(counts(&mirror), [2, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn only_the_share_is_copied() {
    let target = Target::sound();
    let mirror = Mirror::compile(&model::Mirror { share: 0.1, ..declared("b") }, None);
    for hundredths in 0..100 {
        let draw = f64::from(hundredths) / 100.0;
        mirror.tee(&mut request("x"), &flow(&target), draw);
    }
    let whole = Mirror::compile(&declared("b"), None);
    whole.tee(&mut request("x"), &flow(&target), 1.0);
    settle().await;
    assert_eq!(counts(&mirror), [10, 0, 0, 0]);
    assert_eq!(counts(&whole), [1, 0, 0, 0], "a hundred per cent is every one");
}

#[tokio::test(start_paused = true)]
async fn copies_tunnels_and_upgrades_are_not_copied() {
    let target = Target::sound();
    let mirror = Mirror::compile(&declared("b"), None);
    let mut copy = request("x");
    copy.headers_mut().insert(MIRROR, HeaderValue::from_static("1"));
    let mut tunnel = request(Body::Empty);
    *tunnel.method_mut() = Method::CONNECT;
    let mut upgrade = request(Body::Empty);
    upgrade.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    for mut request in [copy, tunnel, upgrade] {
        mirror.tee(&mut request, &flow(&target), 0.0);
    }
    settle().await;
    assert_eq!((target.calls().len(), counts(&mirror)), (0, [0; 4]));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_target_holds_nobody_up_and_is_given_up() {
    let target = Target::stalled();
    let mirror = Mirror::compile(&model::Mirror { max: 2, ..declared("b") }, None);
    let began = Instant::now();
    for _ in 0..5 {
        let (sender, body) = stream();
        let mut original = request(body);
        mirror.tee(&mut original, &flow(&target), 0.0);
        for _ in 0..10 {
            sender.send(data(vec![b'x'; 100])).unwrap();
        }
        drop(sender);
        let whole = original.into_body().collect().now_or_never();
        assert_eq!(whole.expect("it waited").unwrap().to_bytes().len(), 1000);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(counts(&mirror), [0, 3, 0, 0], "there are places for two");
    sleep(LIMIT - Duration::from_millis(1)).await;
    assert_eq!(counts(&mirror), [0, 3, 0, 0]);
    sleep(Duration::from_millis(2)).await;
    assert_eq!(counts(&mirror), [0, 3, 0, 2]);
    mirror.tee(&mut request("x"), &flow(&target), 0.0);
    assert_eq!(counts(&mirror)[1], 3, "the places are free again");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_is_given_up_too() {
    let (_sender, body) = stream();
    let body = Mutex::new(Some(body));
    let target = Target::new(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async { Response::new(body) }
    });
    let mirror = Mirror::compile(&declared("b"), None);
    mirror.tee(&mut request("x"), &flow(&target), 0.0);
    sleep(LIMIT + Duration::from_millis(1)).await;
    assert_eq!(counts(&mirror), [0, 0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_says_it_is_too_large_is_not_copied() {
    let target = Target::sound();
    let mirror = Mirror::compile(&declared("b"), None);
    let mut original = request("x".repeat(1001));
    mirror.tee(&mut original, &flow(&target), 0.0);
    mirror.tee(&mut request("x".repeat(1000)), &flow(&target), 0.0);
    settle().await;
    assert_eq!((target.calls().len(), counts(&mirror)), (1, [1, 0, 1, 0]));
    assert_eq!(original.into_body().collect().await.unwrap().to_bytes().len(), 1001);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_turns_out_too_large_takes_its_copy_back() {
    let target = Target::stalled();
    let mirror = Mirror::compile(&declared("b"), None);
    let (sender, body) = stream();
    let mut original = request(body);
    mirror.tee(&mut original, &flow(&target), 0.0);
    for _ in 0..11 {
        sender.send(data(vec![b'x'; 100])).unwrap();
    }
    drop(sender);
    let whole = original.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), 1100);
    settle().await;
    assert_eq!(counts(&mirror), [0, 0, 1, 0]);
    assert_eq!(mirror.state.in_flight.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_original_that_breaks_off_takes_its_copy_back() {
    let target = Target::stalled();
    let mirror = Mirror::compile(&declared("b"), None);
    let (sender, body) = stream();
    let mut original = request(body);
    mirror.tee(&mut original, &flow(&target), 0.0);
    sender.send(data("part")).unwrap();
    original.body_mut().frame().await.unwrap().unwrap();
    drop(original);
    settle().await;
    assert_eq!(counts(&mirror), [0; 4], "it may have been answered");
    sender.send(Err("cut".into())).unwrap();
    settle().await;
    assert_eq!(counts(&mirror), [0, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_answered_unread_is_copied_whole() {
    let (told, mut seen) = unbounded_channel();
    let target = Target::new(move |request: Request<Body>| {
        let told = told.clone();
        async move {
            told.send(request.into_body().collect().await.unwrap().to_bytes()).unwrap();
            Response::new(Body::Empty)
        }
    });
    let mirror = Mirror::compile(&declared("b"), None);
    let (sender, body) = stream();
    let mut original = request(body);
    mirror.tee(&mut original, &flow(&target), 0.0);
    drop(original);
    for piece in ["one ", "two ", "three"] {
        settle().await;
        sender.send(data(piece)).unwrap();
    }
    drop(sender);
    settle().await;
    assert_eq!(seen.try_recv().unwrap(), "one two three");
    assert_eq!(counts(&mirror), [1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rest_is_read_for_as_long_as_a_copy_may_take() {
    let silent = Target::new(|_| async { Response::new(Body::Empty) });
    for (target, failed) in [(silent, 0), (Target::stalled(), 1)] {
        let mirror = Mirror::compile(&declared("b"), None);
        let (sender, body) = stream();
        let mut original = request(body);
        mirror.tee(&mut original, &flow(&target), 0.0);
        drop(original);
        sender.send(data("part")).unwrap();
        settle().await;
        assert_eq!(sender.is_closed(), failed == 0, "who has answered wants no more");
        sleep(LIMIT).await;
        assert_eq!((sender.is_closed(), counts(&mirror)), (true, [1 - failed, 0, 0, failed]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_answers_without_reading_counts() {
    let target = Target::new(|_| async {
        sleep(Duration::from_secs(1)).await;
        Response::new(Body::Empty)
    });
    let mirror = Mirror::compile(&declared("b"), None);
    let (sender, body) = stream();
    let mut original = request(body);
    mirror.tee(&mut original, &flow(&target), 0.0);
    settle().await;
    for _ in 0..20 {
        sender.send(data(vec![b'x'; 100])).unwrap();
    }
    drop(sender);
    original.into_body().collect().await.unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(counts(&mirror), [1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_read_up_to_a_bound() {
    let read = Arc::new(AtomicU64::new(0));
    let reading = read.clone();
    let target = Target::new(move |_| {
        let read = reading.clone();
        let piece = move || {
            read.fetch_add(1, Ordering::Relaxed);
            data(vec![b'x'; 64 * 1024])
        };
        async { Response::new(Body::boxed(StreamBody::new(repeat_with(piece)))) }
    });
    let mirror = Mirror::compile(&declared("b"), None);
    mirror.tee(&mut request("x"), &flow(&target), 0.0);
    settle().await;
    assert_eq!((read.load(Ordering::Relaxed), counts(&mirror)), (17, [1, 0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_place_of_the_service_is_a_failure() {
    for (reason, expected) in [(Some(Reason::ConnectRefused), [0, 0, 0, 1]), (None, [1, 0, 0, 0])] {
        let target = Target::new(move |_| async move {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = http::StatusCode::BAD_GATEWAY;
            if let Some(reason) = reason {
                response.extensions_mut().insert(reason);
            }
            response
        });
        let mirror = Mirror::compile(&declared("b"), None);
        mirror.tee(&mut request("x"), &flow(&target), 0.0);
        settle().await;
        assert_eq!(counts(&mirror), expected, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn counters_go_on_over_reloads_and_add_up_over_mirrors() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let target = Target::sound();
    let first = Mirror::compile(&declared("b"), None);
    first.tee(&mut request("x"), &flow(&target), 0.0);
    settle().await;
    first.publish("a");
    let second = Mirror::compile(&model::Mirror { max: 1, ..declared("b") }, Some(&first));
    let of_route = Mirror::compile(&declared("b"), None);
    for mirror in [&second, &of_route] {
        mirror.tee(&mut request("x"), &flow(&target), 0.0);
    }
    settle().await;
    for _ in 0..2 {
        second.publish("a");
        of_route.publish("a");
    }
    let line = "stitch_mirror_requests_total{service=\"a\",to=\"b\",outcome=\"sent\"} 3";
    assert!(metrics.render().contains(line), "{}", metrics.render());
    assert_eq!(counts(&second), [2, 0, 0, 0]);
    assert_eq!(counts(&Mirror::compile(&declared("c"), Some(&second))), [0; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_lost_is_not_taken_for_one_that_failed() {
    let target = Target::new(|request| async {
        let mut response = Response::new(Body::Empty);
        if request.into_body().collect().await.is_err() {
            response.extensions_mut().insert(Reason::UpstreamReset);
        }
        response
    });
    let mirror = Mirror::compile(&declared("b"), None);
    // Both ends of such a copy come at once; one try could see the right one first by chance.
    for _ in 0..32 {
        let (sender, body) = stream();
        let mut original = request(body);
        mirror.tee(&mut original, &flow(&target), 0.0);
        settle().await;
        sender.send(data(vec![b'x'; 1001])).unwrap();
        drop(sender);
        original.into_body().collect().await.unwrap();
        settle().await;
    }
    assert_eq!(counts(&mirror), [0, 0, 32, 0]);
}
