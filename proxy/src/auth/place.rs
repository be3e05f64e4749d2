//! Where in a request a credential stands, and taking it away from there.

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Uri};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use stitch_config::model::KeyPlace;
use stitch_net::Body;

/// What stands at a place.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    Nothing,
    One(Cow<'a, str>),
    /// More than one, or no text: whoever reads it after us might read another.
    Unclear,
}

impl<'a> Found<'a> {
    /// The one of several that is there.
    fn only(mut all: impl Iterator<Item = Option<Cow<'a, str>>>) -> Self {
        match (all.next(), all.next()) {
            (None, _) => Self::Nothing,
            (Some(Some(text)), None) => Self::One(text),
            (Some(_), _) => Self::Unclear,
        }
    }
}

/// What stands at a place of a request.
pub(super) fn find<'r>(place: &KeyPlace, request: &'r Request<Body>) -> Found<'r> {
    let headers = request.headers();
    match place {
        KeyPlace::Bearer => scheme(headers, "bearer"),
        KeyPlace::Header(name) => Found::only(headers.get_all(name).iter().map(text)),
        KeyPlace::Cookie(name) => Found::only(
            cookies(headers)
                .filter(|cookie| cookie_name(cookie) == name.as_bytes())
                .map(|cookie| utf8(&cookie[(name.len() + 1).min(cookie.len())..])),
        ),
        KeyPlace::Query(name) => {
            let pairs = request.uri().query().unwrap_or_default().split('&');
            let named = pairs.filter(|pair| is_named(pair, name));
            Found::only(named.map(|pair| {
                let value = pair.split_once('=').map_or("", |(_, value)| value);
                percent_decode_str(value).decode_utf8().ok()
            }))
        }
    }
}

/// What follows a scheme in `authorization`. Other schemes are no concern of ours.
pub(super) fn scheme<'r>(headers: &'r HeaderMap, wanted: &str) -> Found<'r> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), more) = (lines.next(), lines.next()) else { return Found::Nothing };
    if more.is_some() {
        return Found::Unclear;
    }
    match of_scheme(line, wanted) {
        Some(rest) => Found::only(std::iter::once(utf8(rest))),
        None => Found::Nothing,
    }
}

fn of_scheme<'v>(line: &'v HeaderValue, wanted: &str) -> Option<&'v [u8]> {
    let (scheme, rest) = line.as_bytes().split_at_checked(wanted.len())?;
    let rest = rest.strip_prefix(b" ").or(rest.is_empty().then_some(rest))?;
    scheme.eq_ignore_ascii_case(wanted.as_bytes()).then(|| rest.trim_ascii())
}

fn text(value: &HeaderValue) -> Option<Cow<'_, str>> {
    utf8(value.as_bytes())
}

fn utf8(bytes: &[u8]) -> Option<Cow<'_, str>> {
    std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii))
}

fn cookie_name(cookie: &[u8]) -> &[u8] {
    cookie.split(|byte| *byte == b'=').next().unwrap_or_default()
}

fn is_named(pair: &str, name: &str) -> bool {
    let (key, _) = pair.split_once('=').unwrap_or((pair, ""));
    percent_decode_str(key).eq(name.bytes())
}

/// Takes a credential away, so that nobody behind us sees it.
pub(super) fn strip(place: &KeyPlace, request: &mut Request<Body>) {
    match place {
        KeyPlace::Bearer => strip_scheme(request.headers_mut(), "bearer"),
        KeyPlace::Header(name) => drop(request.headers_mut().remove(name)),
        KeyPlace::Cookie(name) => strip_cookie(request.headers_mut(), name),
        KeyPlace::Query(name) => strip_query(request.uri_mut(), name),
    }
}

/// Takes `authorization` away if it is of this scheme.
pub(super) fn strip_scheme(headers: &mut HeaderMap, scheme: &str) {
    if headers.get(AUTHORIZATION).is_some_and(|line| of_scheme(line, scheme).is_some()) {
        headers.remove(AUTHORIZATION);
    }
}

fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    if !cookies(headers).any(|cookie| cookie_name(cookie) == name.as_bytes()) {
        return;
    }
    let kept = cookies(headers).filter(|cookie| cookie_name(cookie) != name.as_bytes());
    let kept = kept.collect::<Vec<_>>().join(&b"; "[..]);
    headers.remove(COOKIE);
    if let Ok(value) = HeaderValue::from_bytes(&kept)
        && !kept.is_empty()
    {
        headers.insert(COOKIE, value);
    }
}

fn strip_query(uri: &mut Uri, name: &str) {
    let Some(query) = uri.query() else { return };
    if !query.split('&').any(|pair| is_named(pair, name)) {
        return;
    }
    let kept: Vec<_> = query.split('&').filter(|pair| !is_named(pair, name)).collect();
    *uri = with_query(uri, &kept);
}

fn with_query(uri: &Uri, pairs: &[&str]) -> Uri {
    let path = match pairs.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), pairs.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    // Parts of a target that was valid are valid.
    parts.path_and_query = Some(path.parse().unwrap_or(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).unwrap_or_default()
}

/// A target as it may stand in a log, without the values of parameters that let somebody in; `None`
/// when it has none of them.
pub(crate) fn masked(uri: &Uri, secret: &[String]) -> Option<Uri> {
    let pairs = || uri.query().unwrap_or_default().split('&');
    let is_secret = |pair: &str| secret.iter().any(|name| is_named(pair, name));
    if secret.is_empty() || !pairs().any(is_secret) {
        return None;
    }
    let told = pairs().map(|pair| match is_secret(pair) {
        true => format!("{}=***", pair.split('=').next().unwrap_or_default()),
        false => pair.to_owned(),
    });
    let told: Vec<_> = told.collect();
    Some(with_query(uri, &told.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Takes away every header of these names: they are ours to write.
pub(super) fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::Empty).unwrap()
    }

    fn place(text: &str) -> KeyPlace {
        match text.split_once(':') {
            Some(("header", name)) => KeyPlace::Header(name.parse().unwrap()),
            Some(("cookie", name)) => KeyPlace::Cookie(name.to_owned()),
            Some((_, name)) => KeyPlace::Query(name.to_owned()),
            None => KeyPlace::Bearer,
        }
    }

    #[test]
    fn one_is_found_and_two_are_unclear() {
        let one = |text: &'static str| Found::One(Cow::Borrowed(text));
        for (at, uri, headers, found) in [
            ("bearer", "/", &[("authorization", "bEaReR  a.b ")][..], one("a.b")),
            ("bearer", "/", &[("authorization", "Basic abc")], Found::Nothing),
            ("bearer", "/", &[("authorization", "Bearerabc")], Found::Nothing),
            ("bearer", "/", &[("authorization", "Bearer")], one("")),
            (
                "bearer",
                "/",
                &[("authorization", "Bearer a"), ("authorization", "x")],
                Found::Unclear,
            ),
            ("header:x-key", "/", &[("x-key", "k")], one("k")),
            ("header:x-key", "/", &[("x-key", "k"), ("x-key", "k")], Found::Unclear),
            ("header:x-key", "/", &[], Found::Nothing),
            ("cookie:s", "/", &[("cookie", "a=1; s=x=y; ss=2")], one("x=y")),
            ("cookie:s", "/", &[("cookie", "s")], one("")),
            ("cookie:s", "/", &[("cookie", "s=1"), ("cookie", "s=2")], Found::Unclear),
            ("query:k", "/?a=k&k=x%2By&kk=1", &[], one("x+y")),
            ("query:k", "/?%6b=1&k=2", &[], Found::Unclear),
            ("query:k", "/?k=%ff", &[], Found::Unclear),
            ("query:k", "/", &[], Found::Nothing),
        ] {
            assert_eq!(find(&place(at), &request(uri, headers)), found, "{at} {uri} {headers:?}");
        }
    }

    #[test]
    fn what_is_stripped_is_gone_and_nothing_else_is() {
        let headers = [
            ("authorization", "Bearer a"),
            ("x-key", "k"),
            ("cookie", "a=1; s=2"),
            ("cookie", "s=3"),
        ];
        let mut request = request("http://h/p?a=1&k=2&%6B=3&b", &headers);
        for at in ["bearer", "header:x-key", "cookie:s", "query:k"] {
            strip(&place(at), &mut request);
            assert_eq!(find(&place(at), &request), Found::Nothing, "{at}");
        }
        assert_eq!(request.uri(), "http://h/p?a=1&b");
        assert_eq!(request.headers()["cookie"], "a=1");
        assert_eq!(request.headers().len(), 1);
    }

    #[test]
    fn what_lets_in_is_masked_whether_or_not_it_is_stripped() {
        let mask = |uri: &str| {
            let secret = ["key".to_owned(), "token".to_owned()];
            masked(&uri.parse().unwrap(), &secret).map(|uri| uri.to_string())
        };
        let told = |uri: &str| Some(uri.to_owned());
        assert_eq!(mask("/a?x=1&key=hunter2&y"), told("/a?x=1&key=***&y"));
        assert_eq!(
            mask("http://h/a?%6bey=1&token=a=b&key"),
            told("http://h/a?%6bey=***&token=***&key=***")
        );
        assert_eq!((mask("/a?keys=1"), mask("/key")), (None, None));
        assert_eq!(masked(&"/a?key=1".parse().unwrap(), &[]), None);
    }

    #[test]
    fn what_is_not_there_leaves_no_trace_when_it_is_stripped() {
        let headers = [("authorization", "Basic eDp5"), ("cookie", "a=1;b=2")];
        let mut request = request("/?k", &headers);
        for at in ["bearer", "header:x-key", "cookie:s", "query:q"] {
            strip(&place(at), &mut request);
        }
        assert_eq!((request.headers().len(), request.uri().to_string().as_str()), (2, "/?k"));
        strip(&place("query:k"), &mut request);
        assert_eq!(request.uri(), "/");
    }
}
