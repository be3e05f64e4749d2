//! nginx behind a proxy, telling what it makes of each request.

use serde_json::Value;
use std::time::Duration;
use stitch_kit::http::{self, Connection, Response};
use stitch_kit::{Nginx, Stitch, wait_until};

pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Both ways of speaking to a service.
pub(super) const SCHEMES: [&str; 2] = ["http", "h2c"];

/// What nginx makes of a request, as JSON; what is PUT is kept as a file.
const SERVER: &str = r#"
    access_log seen.log combined;
    keepalive_requests 1000000;
    dav_methods PUT;
    client_max_body_size 64m;
    default_type application/json;
    location /kept/ { root .; }
    location / {
        return 200 '{"line":"$request","host":"$http_host","connection":"$http_connection","keep":"$http_keep_alive$http_proxy_connection$http_proxy_authorization","upgrade":"$http_upgrade$http_http2_settings","te":"$http_te","secret":"$http_x_secret","expect":"$http_expect","cookie":"$http_cookie","authorization":"$http_authorization","for":"$http_x_forwarded_for","proto":"$http_x_forwarded_proto","asked":"$http_x_forwarded_host","via":"$http_via","forwarded":"$http_forwarded","stitch":"$http_x_stitch_service$http_x_stitch_fault","id":"$http_x_request_id","trace":"$http_traceparent","framing":"$http_transfer_encoding$http_content_length"}';
    }
"#;

/// A service `users` that is nginx, behind a proxy.
pub(super) struct Behind {
    pub(super) nginx: Nginx,
    pub(super) stitch: Stitch,
}

impl Behind {
    /// Spoken to in HTTP/1, or in HTTP/2 from the first byte; no peer is trusted.
    pub(super) fn speaking(scheme: &str) -> Self {
        Self::with(scheme, "trust: []", "")
    }

    /// With these keys of the proxy and more of the service.
    pub(super) fn with(scheme: &str, proxy: &str, service: &str) -> Self {
        Self::serving(scheme, "", proxy, service)
    }

    /// With more locations of nginx.
    pub(super) fn serving(scheme: &str, more: &str, proxy: &str, service: &str) -> Self {
        let options = if scheme == "h2c" { "http2" } else { "" };
        let nginx = Nginx::listening(options, &format!("{SERVER}{more}"));
        let url = format!("{scheme}://{}", nginx.addr());
        let stitch = Stitch::up(&format!(
            "proxy: {{ workers: 1, {proxy} }}\nservices: {{ users: {{ url: '{url}', {service} }} }}"
        ));
        Self { nginx, stitch }
    }

    pub(super) fn send(&self, bytes: &str) -> (Connection, Response) {
        let mut connection = Connection::open(self.stitch.proxy());
        connection.send(bytes);
        let answer = connection.read_response();
        (connection, answer)
    }

    /// What nginx makes of this request.
    pub(super) fn made_of(&self, bytes: &str) -> Value {
        let (_, answer) = self.send(bytes);
        assert_eq!(answer.status, 200, "{bytes:?}: {}", answer.text());
        answer.json()
    }

    /// The request lines that have arrived; a last one is waited for.
    pub(super) fn seen(&self) -> Vec<String> {
        let path = self.nginx.folder().join("seen.log");
        let log = || std::fs::read_to_string(&path).unwrap();
        let last = || log().matches("GET /last ").count();
        let before = last();
        let answer = http::get(self.stitch.proxy(), "/last", &[("host", "users")]);
        assert_eq!(answer.status, 200);
        assert!(wait_until(PATIENCE, || last() > before));
        let line = |line: &str| line.split('"').nth(1).map(str::to_owned);
        log().lines().filter_map(line).filter(|line| !line.contains("/last")).collect()
    }

    /// Makes the folder that PUT writes to.
    pub(super) fn keep(&self) {
        let _ = self.nginx.folder().write("kept/.here", "");
    }

    /// What was kept of a body.
    pub(super) fn kept(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.nginx.folder().join(&format!("kept/{name}"))).ok()
    }
}

/// What nginx calls the version in which it is asked.
pub(super) fn version(scheme: &str) -> &'static str {
    if scheme == "h2c" { "HTTP/2.0" } else { "HTTP/1.1" }
}
