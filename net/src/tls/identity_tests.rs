//! Identities: what counts before what, and certificates that are not.

use super::*;
use crate::tls::testing::self_signed;
use rcgen::{CertificateParams, DistinguishedName, DnType, SanType};

fn of(change: impl FnOnce(&mut CertificateParams)) -> Option<String> {
    let issued = self_signed(&[], |params| {
        params.distinguished_name = DistinguishedName::new();
        change(params);
    });
    identity(&issued.der)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

fn common(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.push(DnType::CommonName, name);
}

#[test]
fn the_most_telling_name_is_taken() {
    let all = [
        dns("a.example"),
        uri("https://a.example"),
        uri("spiffe://here/a"),
        uri("spiffe://here/b"),
    ];
    let with = |names: &[SanType]| {
        of(|params| {
            common(params, "shop");
            params.subject_alt_names = names.to_vec();
        })
    };
    assert_eq!(with(&all).as_deref(), Some("spiffe://here/a"));
    assert_eq!(with(&all[..2]).as_deref(), Some("https://a.example"));
    assert_eq!(with(&all[..1]).as_deref(), Some("a.example"));
    assert_eq!(with(&[]).as_deref(), Some("shop"));
    let address = SanType::IpAddress([127, 0, 0, 1].into());
    assert_eq!(with(&[address]).as_deref(), Some("shop"));
}

#[test]
fn a_subject_without_a_common_name_is_written_out_backwards() {
    let text = of(|params| {
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "GB");
        name.push(DnType::OrganizationName, " Shop, \"Ltd\" ");
        name.push(DnType::OrganizationalUnitName, "#1 a=b;c");
        name.push(DnType::CustomDnType(vec![1, 2, 3, 4]), "x");
    });
    // OpenSSL says the same with `-nameopt RFC2253`.
    assert_eq!(text.as_deref(), Some(r#"1.2.3.4=#0c0178,OU=\#1 a=b\;c,O=\ Shop\, \"Ltd\"\ ,C=GB"#));
}

#[test]
fn nobody_is_nobody() {
    assert_eq!(of(|_| ()), None);
    assert_eq!(identity(b""), None);
    assert_eq!(identity(b"nothing"), None);
    assert_eq!(validity(b"nothing"), None);
    assert!(dns_names(b"nothing").is_empty());
}

#[test]
fn names_that_do_not_fit_a_line_are_passed_over() {
    let long = "a".repeat(MAX_BYTES + 1);
    let with = |names: &[&str], shop: &str| {
        of(|params| {
            common(params, shop);
            params.subject_alt_names = names.iter().map(|name| uri(name)).collect();
        })
    };
    assert_eq!(with(&[&long], "shop").as_deref(), Some("shop"));
    assert_eq!(with(&["a\r\nb: c", ""], "shop").as_deref(), Some("shop"));
    assert_eq!(with(&["spiffe://\u{7f}", "urn:b"], "shop").as_deref(), Some("urn:b"));
    assert_eq!(with(&[&long[1..]], "shop").as_deref(), Some(&long[1..]));
    assert_eq!(with(&[], &long), None);
    assert_eq!(with(&[], "a\nb"), None);
    assert_eq!(with(&[], "Bücher").as_deref(), Some("Bücher"));
}

#[test]
fn damaged_certificates_do_no_harm() {
    let issued = self_signed(&["a.example"], |params| {
        params.subject_alt_names.push(uri("spiffe://here/a"));
        params.distinguished_name.push(DnType::OrganizationName, "Shop");
    });
    let whole = issued.der.to_vec();
    let look = |der: &[u8]| {
        let text = identity(der);
        assert!(text.is_none_or(|text| text.len() <= MAX_BYTES));
        let _ = (dns_names(der), validity(der));
    };
    for at in 0..whole.len() {
        look(&whole[..at]);
        look(&whole[at..]);
        let mut damaged = whole.clone();
        for value in 0..=u8::MAX {
            damaged[at] = value;
            look(&damaged);
        }
        damaged.remove(at);
        look(&damaged);
    }
}
