//! Cookies of a request.

use http::HeaderMap;
use http::header::COOKIE;

/// The values of a cookie, as they were sent; HTTP/2 clients may send a line for each pair.
pub(crate) fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    pairs.filter_map(move |pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
    }
}
