//! What one request costs the engine, sockets and HTTP aside.
//!
//! "request alone" is what making the request costs here; take it off the others.

use criterion::{Criterion, criterion_group, criterion_main};
use http::Request;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use stitch_config::Report;
use stitch_mockd::Engine;
use stitch_net::{Body, MockService, MockSet as _, Offered};

fn service(endpoints: &str) -> Arc<dyn MockService> {
    let text = format!("services:\n  api:\n    endpoints:\n{endpoints}");
    let loaded = stitch_config::load_text("bench.yaml", &text, &|_| None);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    let mut report = Report::default();
    let engine = Engine::compile(&loaded.config, 42, None, &mut report);
    assert!(!report.has_errors());
    engine.service("api").expect("api has endpoints")
}

fn request(path: &str) -> Request<Body> {
    Request::builder().uri(path).header("host", "api").body(Body::Empty).expect("a request")
}

fn offer(mock: &dyn MockService, path: &str) -> Offered {
    mock.offer(black_box(&mut request(path)))
}

fn engine(c: &mut Criterion) {
    c.bench_function("request alone", |b| b.iter(|| black_box(request("/static"))));

    let mock = service("      - { path: /static, response: { id: 1, name: testuser } }\n");
    c.bench_function("static hit", |b| b.iter(|| offer(&*mock, "/static")));

    let mock = service(
        "      - { path: '/u/{id}', response: { id: '{{ request.path.id }}', tx: '{{ uuid }}', note: 'for {{ request.query.who }}' } }\n",
    );
    c.bench_function("templated hit", |b| b.iter(|| offer(&*mock, "/u/7?who=me")));

    let mut endpoints = String::new();
    for n in 0..500 {
        writeln!(endpoints, "      - {{ path: /things/{n}, response: {{ n: {n} }} }}")
            .expect("memory");
        writeln!(endpoints, "      - {{ path: '/things/{{id}}/part{n}', response: {{ n: {n} }} }}")
            .expect("memory");
    }
    let mock = service(&endpoints);
    c.bench_function("literal, 1 of 1000", |b| b.iter(|| offer(&*mock, "/things/499")));
    c.bench_function("named, 1 of 1000", |b| b.iter(|| offer(&*mock, "/things/x/part499")));
    c.bench_function("miss among 1000", |b| b.iter(|| offer(&*mock, "/nothing/here")));
    c.bench_function("explained miss among 1000", |b| {
        b.iter(|| match offer(&*mock, "/nothing/here") {
            Offered::Miss(explain) => explain(&request("/nothing/here")),
            _ => unreachable!("nothing matches"),
        });
    });
}

criterion_group!(benches, engine);
criterion_main!(benches);
