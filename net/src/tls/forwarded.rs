//! A client's certificate as a header tells of it: one element of Envoy's
//! `x-forwarded-client-cert`.

use super::identity::{names, parse, subject};
use aws_lc_rs::digest::{SHA256, digest};
use std::fmt::Write as _;
use x509_parser::extensions::GeneralName;

/// Longest element, in bytes; names that would make it longer are left out.
const MOST: usize = 4096;

/// `Hash=…;Subject="…";URI=…;DNS=…`: the SHA-256 of the certificate, its subject and its names.
/// `None` for what is no certificate.
#[must_use]
pub fn forwarded_certificate(der: &[u8]) -> Option<String> {
    let certificate = parse(der)?;
    let mut element = String::from("Hash=");
    for byte in digest(&SHA256, der).as_ref() {
        let _ = write!(element, "{byte:02x}");
    }
    let named = names(&certificate).iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(("URI", (*uri).to_owned())),
        GeneralName::DNSName(host) => Some(("DNS", (*host).to_owned())),
        _ => None,
    });
    let subject = subject(certificate.subject()).map(|subject| ("Subject", subject));
    for (key, value) in subject.into_iter().chain(named) {
        let value = quoted(key, &value);
        if element.len() + key.len() + value.len() + 2 <= MOST && value.chars().all(is_printable) {
            let _ = write!(element, ";{key}={value}");
        }
    }
    Some(element)
}

/// Subjects always stand in quotes, other values when they hold what would end them.
fn quoted(key: &str, value: &str) -> String {
    if key == "Subject" || value.contains([',', ';', '=', '"']) {
        return format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    }
    value.to_owned()
}

fn is_printable(char: char) -> bool {
    matches!(char, ' '..='~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::self_signed;
    use rcgen::{DistinguishedName, DnType, SanType};

    #[test]
    fn an_element_names_the_certificate_and_its_owner() {
        let issued = self_signed(&[], |params| {
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "a \"shop\"");
            params.subject_alt_names = vec![
                SanType::URI("spiffe://here/shop".try_into().unwrap()),
                SanType::DnsName("shop.example".try_into().unwrap()),
                SanType::URI("https://x/?a=b,c".try_into().unwrap()),
            ];
        });
        let element = forwarded_certificate(&issued.der).unwrap();
        let (hash, rest) = element.split_once(';').unwrap();
        assert_eq!(hash.len(), "Hash=".len() + 64);
        assert_eq!(
            rest,
            r#"Subject="CN=a \\\"shop\\\"";URI=spiffe://here/shop;DNS=shop.example;URI="https://x/?a=b,c""#
        );
    }

    #[test]
    fn garbage_and_long_names_do_no_harm() {
        assert_eq!(forwarded_certificate(b"no certificate"), None);
        let issued = self_signed(&[], |params| {
            let long = format!("https://{}", "x".repeat(MOST));
            params.subject_alt_names = vec![SanType::URI(long.try_into().unwrap())];
        });
        assert!(forwarded_certificate(&issued.der).unwrap().len() <= MOST);
    }
}
