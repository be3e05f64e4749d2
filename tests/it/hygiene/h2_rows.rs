//! What HTTP/2 clients may not send: each row is tried against the proxy alone and in front of nginx.

use stitch_kit::h2::request;

pub(super) type Fields = Vec<(&'static str, &'static str)>;

/// `GET /a` of `users`, with more fields.
pub(super) fn get(more: &[(&'static str, &'static str)]) -> Fields {
    [&request("GET", "users", "/a")[..], more].concat()
}

/// `GET /a` without an authority, with more fields.
pub(super) fn bare(more: &[(&'static str, &'static str)]) -> Fields {
    [&[(":method", "GET"), (":scheme", "http"), (":path", "/a")][..], more].concat()
}

/// Hosts that differ or miss.
pub(super) fn hosts() -> Vec<Fields> {
    let differ = ["orders", "users.example", "users:81"].map(|host| get(&[("host", host)]));
    let none = ["users/x", "ada@users", "us ers", "users,orders"];
    let none = none.map(|host| bare(&[("host", host)]));
    let others = [
        bare(&[]),
        get(&[("host", "users"), ("host", "users")]),
        bare(&[("host", "users"), ("host", "orders")]),
    ];
    differ.into_iter().chain(none).chain(others).collect()
}

/// What is no authority.
pub(super) const AUTHORITIES: &[&str] = &["ada@users", "users/x", "", "us ers", "[::1"];

/// What is no path.
pub(super) const PATHS: &[&str] = &["", "a", "/a b", "/a\r\nx-b: 2", "http://users/a", "/a\0"];

/// Fields that HTTP/2 has no place for.
pub(super) const OF_ONE_CONNECTION: &[(&str, &str)] = &[
    ("connection", "close"),
    ("connection", "x-a"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("transfer-encoding", "chunked"),
    ("upgrade", "websocket"),
    ("te", "gzip"),
];

/// Fields that HTTP/1 would read differently.
pub(super) const FIELDS: &[(&str, &str)] = &[
    ("X-A", "1"),
    ("x-A", "1"),
    ("x a", "1"),
    ("x:a", "1"),
    ("x\r\na", "1"),
    ("", "1"),
    ("x-a", "1\r\nx-b: 2"),
    ("x-a", "1\n"),
    ("x-a", "1\0"),
    (":unknown", "1"),
    (":status", "200"),
];

/// Pseudo-headers that miss, come twice or come late.
pub(super) fn pseudo() -> Vec<Fields> {
    let whole = request("GET", "users", "/a");
    let missing = [0, 1, 3].map(|missing| {
        let mut fields = whole.to_vec();
        fields.remove(missing);
        fields
    });
    let [method, scheme, authority, path] = whole;
    let late = vec![method, scheme, ("x-a", "1"), authority, path];
    missing.into_iter().chain(whole.map(|twice| get(&[twice]))).chain([late]).collect()
}

/// Lengths, and pieces of a body that they do not fit or that are no lengths.
pub(super) const LENGTHS: &[(&str, &[&str])] = &[
    ("5", &["abc"]),
    ("2", &["abc"]),
    ("5", &["abc", ""]),
    ("2", &["a", "bc"]),
    ("5", &[]),
    ("0", &["abc"]),
    ("x", &["abc"]),
    ("-1", &["abc"]),
    ("+3", &["abc"]),
    ("3, 3", &["abc"]),
];

/// Fields that have no place behind a body.
pub(super) const TRAILERS: &[(&str, &str)] = &[
    ("content-length", "0"),
    ("transfer-encoding", "chunked"),
    ("host", "orders"),
    ("connection", "close"),
    ("x-forwarded-for", "6.6.6.6"),
    ("authorization", "Bearer x"),
    (":path", "/b"),
];

/// Every request without a body that is refused before anybody is asked.
pub(super) fn refused() -> Vec<Fields> {
    let fields = OF_ONE_CONNECTION.iter().chain(FIELDS).map(|field| get(&[*field]));
    let authorities = AUTHORITIES.iter().map(|host| request("GET", host, "/a").to_vec());
    let paths = PATHS.iter().map(|path| request("GET", "users", path).to_vec());
    hosts().into_iter().chain(pseudo()).chain(fields).chain(authorities).chain(paths).collect()
}
