//! What HTTP/1 clients may not send: each row is tried against the proxy alone and in front of nginx.

/// Header lines, each with its end, that are no header section.
pub(super) const HEADS: &[&str] = &[
    // Obsolete folding, by space and by tab.
    "host: users\r\nx-a: 1\r\n folded\r\n",
    "host: users\r\nx-a: 1\r\n\tfolded\r\n",
    // Space before the colon, no colon, no name.
    "host: users\r\nx-a : 1\r\n",
    "host : users\r\n",
    "host: users\r\nx-a\t: 1\r\n",
    " host: users\r\n",
    "host: users\r\nno colon\r\n",
    "host: users\r\n: 1\r\n",
    // Bare CR and NUL, in values and in names.
    "host: users\r\nx-a: 1\r2\r\n",
    "host: users\r\nx-a: 1\0\r\n",
    "host: users\r\nx\0a: 1\r\n",
    // No host, two of them, and what is no host.
    "x-a: 1\r\n",
    "host: users\r\nhost: users\r\n",
    "host: users\r\nHost: orders\r\n",
    "host: users/a\r\n",
    "host: users, orders\r\n",
    "host: us@ers\r\n",
];

/// What is no request at all.
pub(super) const NO_HTTP: &[&str] = &[
    "garbage\r\n\r\n",
    // Nothing here speaks TLS.
    "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "GET\r\n\r\n",
    "GET /a\r\n\r\n",
    "GET /a HTTP/9.9\r\nhost: users\r\n\r\n",
    "G\0T /a HTTP/1.1\r\nhost: users\r\n\r\n",
    "GET /a b HTTP/1.1\r\nhost: users\r\n\r\n",
    "GET  /a HTTP/1.1\r\nhost: users\r\n\r\n",
    "GET /a HTTP/1.1 \r\nhost: users\r\n\r\n",
    "GET /a http/1.1\r\nhost: users\r\n\r\n",
    "GET /a HTTP/1.10\r\nhost: users\r\n\r\n",
    "G(T /a HTTP/1.1\r\nhost: users\r\n\r\n",
];

/// Transfer codings that are not `chunked`.
pub(super) const CODINGS: &[&str] = &[
    "transfer-encoding: chunked, gzip",
    "transfer-encoding: gzip",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    "transfer-encoding: xchunked",
    "transfer-encoding: \"chunked\"",
    "transfer-encoding: chunked;",
    "transfer-encoding:",
];

/// Lengths that are not one number.
pub(super) const LENGTHS: &[&str] = &[
    "content-length: 3\r\ncontent-length: 4",
    "content-length: 3, 4",
    "content-length: +3",
    "content-length: -3",
    "content-length: 3x",
    "content-length: 0x3",
    "content-length:",
    "content-length: 3 3",
    "content-length: 99999999999999999999",
];

/// Chunks that are none.
pub(super) const CHUNKS: &[&str] = &[
    "x\r\nabc\r\n0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "fffffffffffffffff\r\n",
    "-3\r\nabc\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    "\r\nabc\r\n0\r\n\r\n",
    "3\r\nab\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nno colon\r\n\r\n",
];

/// Two framings at once.
pub(super) const BOTH: &[&str] = &[
    "content-length: 5\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 5",
    "Transfer-Encoding: CHUNKED\r\nContent-Length: 13",
];

/// A POST with these header lines, and a chunked body that hides a request.
pub(super) fn post(lines: &str) -> String {
    format!(
        "POST /a HTTP/1.1\r\nhost: users\r\n{lines}\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         GET /smuggled HTTP/1.1\r\nhost: users\r\n\r\n"
    )
}

/// A POST in chunks that are none, and a request behind it.
pub(super) fn broken(chunks: &str) -> String {
    format!(
        "POST /a HTTP/1.1\r\nhost: users\r\ntransfer-encoding: chunked\r\n\r\n{chunks}\
         GET /smuggled HTTP/1.1\r\nhost: users\r\n\r\n"
    )
}

/// A request with these header lines.
pub(super) fn get(lines: &str) -> String {
    format!("GET /a HTTP/1.1\r\n{lines}\r\n")
}

/// Every request that is answered 400 before anybody is asked.
pub(super) fn refused() -> Vec<String> {
    let heads = HEADS.iter().map(|lines| get(lines));
    let garbage = NO_HTTP.iter().map(|text| (*text).to_owned());
    let framings = CODINGS.iter().chain(LENGTHS).map(|lines| post(lines));
    let old = post("transfer-encoding: chunked").replacen("HTTP/1.1", "HTTP/1.0", 1);
    heads.chain(garbage).chain(framings).chain([old]).collect()
}
