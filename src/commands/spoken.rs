//! What is spoken with real endpoints, for `stitch explain`: the protocol, and whom TLS trusts.

use serde::Serialize;
use stitch_config::model::{ClientTls, Scheme, Service, Upstream, UpstreamAddress};

/// One real endpoint.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Spoken {
    pub(super) service: String,
    pub(super) url: String,
    protocol: &'static str,
    #[serde(skip)]
    scheme: Scheme,
    /// For those that speak TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Verification>,
}

/// How an endpoint has to show who it is, and how we do.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Verification {
    verified: bool,
    /// The name that is asked for.
    name: String,
    /// A file of authorities; the system's roots when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
    /// Our certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
}

impl Spoken {
    /// The endpoints of a service, in file order.
    pub(super) fn of(service: &Service) -> impl Iterator<Item = Self> {
        service.upstreams.iter().map(|upstream| Self {
            service: service.name.to_string(),
            url: upstream.to_string(),
            protocol: protocol(upstream),
            scheme: upstream.scheme,
            tls: Verification::of(&service.tls, upstream),
        })
    }

    /// Whether it is one of a service of bytes.
    pub(super) fn is_bytes(&self) -> bool {
        matches!(self.scheme, Scheme::Tcp | Scheme::Tls)
    }

    /// The url, and what it does not say by itself.
    pub(super) fn words(&self) -> String {
        match &self.tls {
            Some(tls) => format!("{} ({}, {})", self.url, self.protocol, tls.words()),
            None if self.url.starts_with("http://") => self.url.clone(),
            None => format!("{} ({})", self.url, self.protocol),
        }
    }
}

impl Verification {
    fn of(tls: &ClientTls, upstream: &Upstream) -> Option<Self> {
        let (host, _) = upstream.host_port().filter(|_| upstream.scheme.is_tls())?;
        Some(Self {
            verified: !tls.insecure,
            name: tls.sni.clone().unwrap_or_else(|| host.to_owned()),
            ca: tls.ca.as_ref().map(|file| file.path.display().to_string()),
            certificate: tls.certificate.as_ref().map(|pair| pair.cert.path.display().to_string()),
        })
    }

    fn words(&self) -> String {
        let name = &self.name;
        let mut words = match (&self.ca, self.verified) {
            (_, false) => format!("not verified (tls.insecure), asked for as {name}"),
            (Some(ca), true) => format!("verified as {name} by {ca}"),
            (None, true) => format!("verified as {name} by the system's roots"),
        };
        if let Some(certificate) = &self.certificate {
            words.push_str(", and is shown ");
            words.push_str(certificate);
        }
        words
    }
}

fn protocol(upstream: &Upstream) -> &'static str {
    match (upstream.scheme, &upstream.address) {
        (Scheme::Tcp, UpstreamAddress::Unix(_)) => "any bytes over a socket",
        (_, UpstreamAddress::Unix(_)) => "HTTP/1.1 over a socket",
        (Scheme::Http, _) => "HTTP/1.1",
        (Scheme::H2c, _) => "HTTP/2 without TLS",
        (Scheme::Https, _) => "HTTP/2 or HTTP/1.1 over TLS",
        (Scheme::Tcp, _) => "any bytes",
        (Scheme::Tls, _) => "any bytes inside TLS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn spoken(service: &str) -> Vec<Spoken> {
        let config = testing::config(&format!("services:\n  a: {service}\n"));
        Spoken::of(&config.services[0]).collect()
    }

    #[test]
    fn the_url_says_what_is_spoken() {
        for (service, words) in [
            ("{ url: 'http://h:1' }", "http://h:1"),
            ("{ url: 'h2c://h:1' }", "h2c://h:1 (HTTP/2 without TLS)"),
            ("{ url: 'unix:/s' }", "unix:/s (HTTP/1.1 over a socket)"),
            ("{ type: tcp, url: 'tcp://h:1' }", "tcp://h:1 (any bytes)"),
            ("{ type: tcp, url: 'unix:/s' }", "unix:/s (any bytes over a socket)"),
        ] {
            assert_eq!(spoken(service)[0].words(), words, "{service}");
        }
    }

    #[test]
    fn tls_says_whom_it_trusts() {
        for (service, end) in [
            ("{ url: 'https://h' }", "over TLS, verified as h by the system's roots"),
            (
                "{ type: tcp, url: 'tls://h:1' }",
                "bytes inside TLS, verified as h by the system's roots",
            ),
            (
                "{ url: 'https://h', tls: { ca: /ca.crt, sni: other } }",
                "verified as other by /ca.crt",
            ),
            (
                "{ url: 'https://h', tls: { insecure: true } }",
                "not verified (tls.insecure), asked for as h",
            ),
            (
                "{ url: 'https://h', tls: { cert: /a.crt, key: /a.key } }",
                "roots, and is shown /a.crt",
            ),
        ] {
            let words = spoken(service)[0].words();
            assert!(words.ends_with(&format!("{end})")), "{words}");
        }
    }

    #[test]
    fn programs_read_the_same() {
        let json = |service: &str| serde_json::to_value(&spoken(service)[0]).unwrap();
        assert_eq!(
            json("{ url: 'https://h/v1', tls: { ca: /ca.crt } }"),
            serde_json::json!({
                "service": "a", "url": "https://h/v1", "protocol": "HTTP/2 or HTTP/1.1 over TLS",
                "tls": { "verified": true, "name": "h", "ca": "/ca.crt" },
            })
        );
        assert_eq!(json("{ url: 'h2c://h:1' }").get("tls"), None);
    }
}
