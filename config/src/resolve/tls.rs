//! `tls:` of the proxy and of services. Files are named here and read by others.

use super::context::Context;
use super::upstreams;
use crate::decode::{At, Record, Word};
use crate::model::{Certificate, ClientTls, PemFile, ServerTls, Upstream};
use crate::raw::{RawCertificate, RawServerTls, RawService};
use crate::yaml::Spot;

/// `proxy.tls`, unless it names no certificate.
pub(super) fn server(cx: &mut Context<'_>, raw: Option<&At<RawServerTls>>) -> Option<ServerTls> {
    let At { spot, value: raw } = raw?;
    let single = certificate(cx, spot, raw, raw.cert.as_ref(), raw.key.as_ref());
    let alone = !raw.has("cert") && !raw.has("key");
    if let Some(several) = raw.certificates.as_ref().filter(|_| !alone) {
        cx.push(
            several
                .spot
                .error("\"certificates\" stands beside \"cert\" and \"key\"")
                .hint("put all of them into certificates; the first is the default"),
        );
    }
    if alone && !raw.has("certificates") {
        cx.push(
            spot.error("\"tls\" names no certificate").hint(
                "write tls: { cert: ./tls.crt, key: ./tls.key }, or certificates: and a list",
            ),
        );
    }
    let several = raw.certificates.iter().flat_map(|several| &several.value.0);
    let several = several.filter_map(|RawCertificate { cert, key, .. }| {
        Some(Certificate { cert: file(cx, cert.as_ref()?), key: file(cx, key.as_ref()?) })
    });
    let certificates: Vec<_> = single.into_iter().chain(several).collect();
    let client_ca = raw.client_ca.as_ref().map(|ca| file(cx, ca));
    (!certificates.is_empty()).then_some(ServerTls { certificates, client_ca })
}

/// `tls` of a service with these endpoints.
pub(super) fn client(
    cx: &mut Context<'_>,
    service: &mut RawService,
    upstreams: &[Upstream],
) -> ClientTls {
    let Some(At { spot, value: raw }) = service.tls.take() else { return ClientTls::default() };
    let used = upstreams.iter().any(|upstream| upstream.scheme.is_tls());
    if !used && !upstreams::are_unknown(service, upstreams) {
        cx.push(
            spot.error("\"tls\" stands without an https:// or tls:// url")
                .hint("it says how TLS to the real service is done; proxy.tls is for clients"),
        );
    }
    let insecure = raw.insecure.as_ref().filter(|insecure| insecure.value);
    if let Some(At { spot, .. }) = insecure {
        cx.push(
            spot.warning("the certificate of this service is not checked, so anybody on the way can pose as it")
                .hint("name the authority that signed it with \"ca\" instead"),
        );
    }
    ClientTls {
        ca: raw.ca.as_ref().map(|ca| file(cx, ca)),
        certificate: certificate(cx, &spot, &raw, raw.cert.as_ref(), raw.key.as_ref()),
        sni: raw.sni.map(|name| name.0),
        insecure: insecure.is_some(),
    }
}

/// `cert` and `key`, which mean something only together.
fn certificate(
    cx: &mut Context<'_>,
    spot: &Spot,
    raw: &impl Record,
    cert: Option<&At<Word>>,
    key: Option<&At<Word>>,
) -> Option<Certificate> {
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if raw.has(one) && !raw.has(other) {
            let spot = cert.or(key).map_or(spot, |file| &file.spot);
            cx.push(
                spot.error(format!("{one:?} stands without {other:?}"))
                    .hint("a certificate is of use only with its private key; name both files"),
            );
        }
    }
    Some(Certificate { cert: file(cx, cert?), key: file(cx, key?) })
}

fn file(cx: &Context<'_>, name: &At<Word>) -> PemFile {
    let place = name.spot.place;
    PemFile { path: cx.sources.relative(place, &name.value.0), place }
}
