//! `url:` taken apart. Which schemes a service may have is decided where its `type` is known.

use super::address::host_and_port;
use super::scalar::{FromScalar, scalars};
use super::wrong::Wrong;
use crate::model::{Scheme, Upstream, UpstreamAddress};
use crate::near;
use crate::place::Place;
use std::path::PathBuf;
use std::str::FromStr;

/// A url; a socket's path stays as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// `None` for a socket, whose url does not say what is spoken there.
    pub(crate) scheme: Option<Scheme>,
    pub(crate) address: UpstreamAddress,
    pub(crate) base_path: String,
}

impl FromScalar for Url {
    const WHAT: &'static str = "a URL such as http://localhost:8000";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text.starts_with("unix:") {
            let address = UpstreamAddress::Unix(socket_path(text)?);
            return Ok(Self { scheme: None, address, base_path: String::new() });
        }
        refuse_variable(text)?;
        let (scheme, rest) = split_scheme(text)?;
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(end) => rest.split_at(end),
            None => (rest, ""),
        };
        check_user(authority)?;
        if let Some(socket) = rest.strip_prefix("unix:") {
            return Err(socket_with_scheme(scheme, socket));
        }
        let (host, port) = host_and_port(authority).ok_or_else(|| {
            Wrong::new(format!("the url {text:?} names no valid host and port"))
                .hint(format!("write {}", example(scheme)))
        })?;
        if port == Some(0) {
            return Err(Wrong::new(format!("nothing can listen on port 0 of {text:?}")));
        }
        let port = port.or(scheme.default_port()).ok_or_else(|| {
            Wrong::new(format!("the url {text:?} has no port")).hint(format!(
                "{}:// has none of its own; write {}",
                scheme.as_str(),
                example(scheme)
            ))
        })?;
        check_path(text, scheme, path)?;
        let base_path = path.trim_end_matches('/').to_owned();
        Ok(Self { scheme: Some(scheme), address: UpstreamAddress::Host { host, port }, base_path })
    }
}

scalars!(Url);

impl FromStr for Upstream {
    type Err = String;

    /// A url that no file declares; over a socket HTTP is spoken.
    fn from_str(text: &str) -> Result<Self, String> {
        let read = Url::from_text(text).map_err(|wrong| match wrong.hint {
            Some(hint) => format!("{}: {hint}", wrong.message),
            None => wrong.message,
        });
        let Url { scheme, address, base_path } = read?;
        let scheme = scheme.unwrap_or(Scheme::Http);
        Ok(Self { scheme, address, base_path, weight: 1, tier: 1, place: Place::default() })
    }
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), Wrong> {
    let Some((name, rest)) = text.split_once("://") else {
        return Err(Wrong::new(format!("the url {text:?} has no scheme"))
            .hint(format!("write \"http://{text}\"")));
    };
    if let Some(scheme) = Scheme::ALL.into_iter().find(|scheme| scheme.as_str() == name) {
        return Ok((scheme, rest));
    }
    // The rest may hold a password.
    let shown = if rest.contains('@') { "HOST:PORT" } else { rest };
    let instead = |scheme: &str, why: &str| {
        Wrong::new(format!("\"{name}://\" is not a scheme of its own here"))
            .hint(format!("write \"{scheme}://{shown}\"{why}"))
    };
    Err(match name {
        "ws" => instead("http", "; upgrades to WebSocket pass through"),
        "wss" => instead("https", "; upgrades to WebSocket pass through"),
        "grpc" => instead("h2c", ", which is HTTP/2 without TLS"),
        "grpcs" | "h2" => instead("https", "; HTTP/2 is agreed on by itself"),
        _ => {
            let known = Scheme::ALL.map(Scheme::as_str).into_iter().chain(["unix"]);
            Wrong::new(format!("unknown scheme {name:?} in the url"))
                .hint(near::suggest("schemes", name, known))
        }
    })
}

/// The message must not repeat a password.
fn check_user(authority: &str) -> Result<(), Wrong> {
    match authority.contains('@') {
        true => Err(Wrong::new("the url holds a user name or password")
            .hint("remove what stands before the \"@\"; a client sends its own authorization")),
        false => Ok(()),
    }
}

fn check_path(text: &str, scheme: Scheme, path: &str) -> Result<(), Wrong> {
    if path.contains(['?', '#']) {
        return Err(Wrong::new(format!("the url {text:?} holds a query or fragment"))
            .hint("a url is an address and at most a path that is put before every request's"));
    }
    if !scheme.is_http() && !matches!(path, "" | "/") {
        return Err(Wrong::new(format!("the url {text:?} holds a path"))
            .hint(format!("bytes have no paths; write {}", example(scheme))));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Wrong::new(format!("the path of {text:?} holds a space or foreign letter"))
            .hint("percent-encode it"));
    }
    Ok(())
}

fn example(scheme: Scheme) -> String {
    let (name, port) = match scheme {
        Scheme::Http => ("http", 8000),
        Scheme::H2c => ("h2c", 50051),
        Scheme::Https => ("https", 8443),
        Scheme::Tcp | Scheme::Tls => (scheme.as_str(), 5432),
    };
    format!("{name}://HOST:PORT, such as {name}://localhost:{port}")
}

/// `http://unix:/path` is how others write it.
fn socket_with_scheme(scheme: Scheme, path: &str) -> Wrong {
    let name = scheme.as_str();
    let hint = format!("write \"unix:{path}\"");
    match scheme.is_tls() {
        true => Wrong::new(format!("{name}:// is not possible over a socket"))
            .hint(format!("{hint}, which is without TLS")),
        false => Wrong::new(format!("\"{name}://\" stands before a socket")).hint(hint),
    }
}

/// The path of `unix:PATH`, absolute or not; `unix:///path` is accepted.
pub(super) fn socket_path(text: &str) -> Result<PathBuf, Wrong> {
    refuse_variable(text)?;
    let wrong = |what: &str| {
        Err(Wrong::new(format!("{text:?} {what}"))
            .hint("write unix: and the path of a socket, such as unix:/run/stitch.sock"))
    };
    let path = text.strip_prefix("unix:").unwrap_or(text);
    let path = match path.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return wrong("names a host, and a socket has none"),
        None => path,
    };
    match path {
        "" => wrong("names no socket"),
        _ if path.chars().any(char::is_control) => wrong("holds a control character"),
        _ if path.contains(":/") => wrong("holds a path behind that of the socket"),
        _ if path.ends_with('/') => wrong("names a directory"),
        _ => Ok(path.into()),
    }
}

/// Quoted text is never expanded, and an address cannot hold a brace.
fn refuse_variable(text: &str) -> Result<(), Wrong> {
    match text.contains("${") {
        true => Err(Wrong::new(format!("{text:?} stands in quotes, so it is not filled in"))
            .hint("remove the quotes; inside { } write the map over several lines instead")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Scalar;

    fn read(text: &str) -> Result<Url, Wrong> {
        Url::from_scalar(&Scalar::plain(text.to_owned()))
    }

    #[test]
    fn urls_are_taken_apart() {
        for (text, scheme, host, port, path) in [
            ("http://LocalHost:8000", Scheme::Http, "localhost", 8000, ""),
            ("http://a.b/", Scheme::Http, "a.b", 80, ""),
            ("http://[::1]:81/v1/x/", Scheme::Http, "::1", 81, "/v1/x"),
            ("http://my_db", Scheme::Http, "my_db", 80, ""),
            ("https://a/v1", Scheme::Https, "a", 443, "/v1"),
            ("h2c://a", Scheme::H2c, "a", 80, ""),
            ("tcp://a:5432", Scheme::Tcp, "a", 5432, ""),
            ("tls://a:5432/", Scheme::Tls, "a", 5432, ""),
        ] {
            let address = UpstreamAddress::Host { host: host.to_owned(), port };
            let url = Url { scheme: Some(scheme), address, base_path: path.to_owned() };
            assert_eq!(read(text), Ok(url));
        }
    }

    #[test]
    fn sockets_have_a_path_and_nothing_else() {
        for (text, path) in
            [("unix:/run/c.sock", "/run/c.sock"), ("unix:./c", "./c"), ("unix:///c", "/c")]
        {
            let url = read(text).unwrap();
            assert_eq!((url.scheme, url.base_path.as_str()), (None, ""));
            assert_eq!(url.address, UpstreamAddress::Unix(path.into()));
        }
    }

    #[test]
    fn what_an_endpoint_shows_can_be_read() {
        for text in ["http://a:81/v1", "https://a", "h2c://[::1]:1", "tls://a:1", "unix:/c.sock"] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), text);
        }
        assert_eq!("unix:/c.sock".parse::<Upstream>().unwrap().scheme, Scheme::Http);
        let wrong = "tcp://a".parse::<Upstream>().unwrap_err();
        assert!(wrong.contains("has no port: tcp:// has none"), "{wrong}");
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        for (text, part) in [
            ("localhost:8000", "no scheme"),
            ("ftp://a", "unknown scheme"),
            ("http://", "no valid host"),
            ("http://a:99999", "no valid host"),
            ("h2c://", "no valid host"),
            ("http://a:+1", "no valid host"),
            ("http://[::1", "no valid host"),
            ("http://[::1]x", "no valid host"),
            ("http://a b", "no valid host"),
            ("http://a:0", "port 0"),
            ("tcp://a", "has no port"),
            ("tls://a", "has no port"),
            ("tcp://a:1/x", "holds a path"),
            ("http://a/?x=1", "query or fragment"),
            ("http://a/é", "foreign letter"),
            ("http://me:hunter2@a", "user name or password"),
            ("unix:", "names no socket"),
            ("unix://a/b", "names a host"),
            ("unix:/a.sock:/v1", "a path behind"),
            ("unix:/a/", "a directory"),
            ("unix:/a\0", "control character"),
            ("https://unix:/a", "not possible over a socket"),
            ("http://unix:/a", "before a socket"),
            ("\"${A}\"", "in quotes"),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.message.contains(part), "{text}: {}", wrong.message);
            assert!(!format!("{wrong:?}").contains("hunter2"));
        }
    }

    #[test]
    fn bad_urls_say_what_to_write() {
        for (text, part) in [
            ("ws://a", "write \"http://a\""),
            ("wss://a", "write \"https://a\""),
            ("grpc://a:1", "write \"h2c://a:1\""),
            ("h2://a", "write \"https://a\""),
            ("ws://me:hunter2@a", "write \"http://HOST:PORT\""),
            ("htpp://a", "did you mean \"http\"?"),
            ("ftp://a", "known schemes: http, h2c, https, tcp, tls, unix"),
            ("tcp://a", "write tcp://HOST:PORT, such as tcp://localhost:5432"),
            ("https://unix:/a", "write \"unix:/a\", which is without TLS"),
        ] {
            let hint = read(text).unwrap_err().hint.unwrap();
            assert!(hint.contains(part) && !hint.contains("hunter2"), "{text}: {hint}");
        }
    }
}
