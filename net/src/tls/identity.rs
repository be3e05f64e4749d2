//! Who a certificate says that its owner is.
//!
//! A text that logs, counters and rules can use: one line of bounded length. Names that do not fit
//! that are passed over rather than cut, because two cut names may be equal.

use std::fmt::Write as _;
use x509_parser::asn1_rs::ToDer as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// A SPIFFE ID has at most this many bytes.
const MAX_BYTES: usize = 2048;

/// The identity of a peer from its end-entity certificate: its first SPIFFE ID, else its first URI,
/// else its first DNS name, else the common name of its subject, else the whole subject as RFC 4514
/// writes it. `None` when it names nobody.
#[must_use]
pub fn identity(der: &[u8]) -> Option<String> {
    let certificate = parse(der)?;
    let names = names(&certificate);
    let uris = || {
        names
            .iter()
            .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
    };
    let hosts = names
        .iter()
        .filter_map(|name| if let GeneralName::DNSName(host) = name { Some(*host) } else { None });
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let spiffe = uris().filter(|uri| uri.starts_with("spiffe://"));
    let mut named = spiffe.chain(uris()).chain(hosts).chain(common);
    let named = named.find(|name| usable(name)).map(str::to_owned);
    named.or_else(|| subject(certificate.subject()).filter(|text| usable(text)))
}

/// The DNS names of a certificate in lower case, wildcards as they are.
pub(super) fn dns_names(der: &[u8]) -> Vec<String> {
    let Some(certificate) = parse(der) else { return Vec::new() };
    let hosts = names(&certificate).iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    });
    hosts.collect()
}

/// From when until when a certificate is valid, in seconds since 1970.
pub(super) fn validity(der: &[u8]) -> Option<(i64, i64)> {
    let certificate = parse(der)?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

pub(super) fn names<'a, 'b>(certificate: &'b X509Certificate<'a>) -> &'b [GeneralName<'a>] {
    let names = certificate.subject_alternative_name().ok().flatten();
    names.map_or(&[], |names| &names.value.general_names)
}

/// Goes into headers and lines of logs.
fn usable(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_BYTES && !name.contains(char::is_control)
}

/// The subject with its last part first, as RFC 4514 asks for.
pub(super) fn subject(name: &X509Name<'_>) -> Option<String> {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (at, part) in parts.into_iter().rev().enumerate() {
        for (within, attribute) in part.iter().enumerate() {
            match (at, within) {
                (0, 0) => {}
                (_, 0) => text.push(','),
                _ => text.push('+'),
            }
            write_attribute(attribute, &mut text);
            if text.len() > MAX_BYTES {
                return None;
            }
        }
    }
    Some(text)
}

fn write_attribute(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let oid = attribute.attr_type().to_id_string();
    let value = attribute.as_str().ok();
    match (short_name(&oid), value) {
        (Some(name), Some(value)) => {
            text.push_str(name);
            text.push('=');
            write_escaped(value, text);
        }
        (name, _) => {
            text.push_str(name.unwrap_or(&oid));
            text.push_str("=#");
            write_hex(attribute, text);
        }
    }
}

/// The names that RFC 4514 has; every other attribute goes by its number.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

fn write_escaped(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, char) in value.chars().enumerate() {
        let outermost = at == 0 || at == last;
        if matches!(char, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (at == 0 && char == '#')
            || (outermost && char == ' ')
        {
            text.push('\\');
        }
        text.push(char);
    }
}

fn write_hex(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    for byte in attribute.attr_value().to_der_vec_raw().unwrap_or_default() {
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
