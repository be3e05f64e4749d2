//! Cookies: those that a request has, and the one that keeps a client where it is.
//!
//! Reading one allocates nothing. Credentials are found by `auth` itself, for which two cookies of
//! one name are one too many.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The values of a cookie, as they were sent; HTTP/2 clients may send a line for each pair.
pub(crate) fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    pairs.filter_map(move |pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The value of a cookie (RFC 6265 §4.2) without its quotes; the first one, if it came more than
/// once.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    cookies(headers, name).next().map(|value| value.trim_matches('"'))
}

/// The `Set-Cookie` that keeps a client where it is, for as long as its browser runs.
pub(crate) fn set_cookie(name: &str, value: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_may_stand_in_one_line_or_several() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; b=x=y;a=2", "c=\"q\"; lone; ab=3", " a = 4 "] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        let read = |name| cookies(&headers, name).collect::<Vec<_>>();
        assert_eq!(read("a"), ["1", "2", "4"]);
        assert_eq!(read("b"), ["x=y"]);
        assert_eq!(read("c"), ["\"q\""]);
        assert!(read("A").is_empty() && read("lone").is_empty() && read("").is_empty());
        assert_eq!((cookie(&headers, "a"), cookie(&headers, "c")), (Some("1"), Some("q")));
        assert_eq!(cookie(&headers, "lone"), None);
    }

    #[test]
    fn a_client_is_told_to_come_back() {
        let cookie = set_cookie("version", "new").unwrap();
        assert_eq!(cookie, "version=new; Path=/; HttpOnly; SameSite=Lax");
        assert_eq!(set_cookie("version", "a\nb"), None);
    }
}
