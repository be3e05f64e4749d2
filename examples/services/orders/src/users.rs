//! The client of the `users` service.
//!
//! It asks one question, "is there such a user", and carries the caller's trace headers along. It goes
//! through `HTTP_PROXY` unless `NO_PROXY` says otherwise. It does not retry: that is for the caller or for
//! a proxy in between to decide.

use std::{error::Error, time::Duration};

use axum::http::{HeaderMap, StatusCode};
use chassis::Problem;
use reqwest::{Client, ClientBuilder, Url, redirect::Policy};

/// How long `users` may take, connecting included.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client of the service at one address.
#[derive(Debug, Clone)]
pub struct UsersClient {
    http: Client,
    /// With a slash at the end, so that joining appends.
    base: Url,
}

/// The address given is not one that this client can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUrl;

impl UsersClient {
    /// A client of the service at `url`, an `http://` address with or without a path.
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        Self::with(Client::builder(), url)
    }

    /// The same without a proxy, whatever the environment says.
    pub fn direct(url: &str) -> Result<Self, BadUrl> {
        Self::with(Client::builder().no_proxy(), url)
    }

    fn with(builder: ClientBuilder, url: &str) -> Result<Self, BadUrl> {
        let base = Url::parse(&format!("{}/", url.trim_end_matches('/'))).map_err(|_| BadUrl)?;
        // Built without TLS: a service in a cluster leaves that to its proxy.
        if base.scheme() != "http" {
            return Err(BadUrl);
        }
        let http = builder.timeout(PATIENCE).redirect(Policy::none()).build();
        Ok(Self { http: http.map_err(|_| BadUrl)?, base })
    }

    /// Fails with 422 when there is no user `id`, with 503 when nobody can tell.
    pub(crate) async fn check(&self, id: u64, trace: HeaderMap) -> Result<(), Problem> {
        let (url, status) = self.get(&format!("api/v1/users/{id}"), trace).await?;
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::NOT_FOUND => {
                Err(Problem::invalid("user_id", format!("no user has the id {id}")))
            }
            other => Err(unavailable(&url, &format_args!("answered {other}"))),
        }
    }

    /// Fails with 503 when `users` cannot be asked.
    pub(crate) async fn ready(&self, trace: HeaderMap) -> Result<(), Problem> {
        let (url, status) = self.get("health/ready", trace).await?;
        // A stand-in for `users` may have no such route, and its 404 still shows that it is there.
        if status.is_server_error() {
            return Err(unavailable(&url, &format_args!("answered {status}")));
        }
        Ok(())
    }

    async fn get(&self, path: &str, trace: HeaderMap) -> Result<(Url, StatusCode), Problem> {
        // Joining fails for bases like `mailto:`, which `http` is not.
        let url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        match self.http.get(url.clone()).headers(trace).send().await {
            Ok(response) => Ok((url, response.status())),
            Err(error) => Err(unavailable(&url, &root(&error))),
        }
    }
}

fn unavailable(url: &Url, reason: &dyn std::fmt::Display) -> Problem {
    let url = without_secrets(url.clone());
    tracing::warn!(url = url.as_str(), %reason, "Users cannot be asked");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("the users service at {url} cannot be asked: {reason}"),
    )
}

/// The address as callers and logs may see it.
fn without_secrets(mut url: Url) -> Url {
    // Only an address without a host refuses, and it has no secrets either.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url
}

/// The end of the chain says what happened ("connection refused"); the rest repeats the address.
fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_are_taken_and_their_path_is_kept() {
        for url in ["", "users", "https://users", "ftp://users", "http://"] {
            assert_eq!(UsersClient::new(url).map(|_| ()), Err(BadUrl), "{url}");
        }
        for url in ["http://users:8000/shop", "http://users:8000/shop/"] {
            assert_eq!(UsersClient::new(url).unwrap().base.as_str(), "http://users:8000/shop/");
        }
    }

    #[test]
    fn a_password_in_the_address_is_not_told() {
        let url = Url::parse("http://ada:secret@users:8000/api/v1/users/1").unwrap();
        let problem = unavailable(&url, &"answered 500");
        assert_eq!(
            problem.detail(),
            "the users service at http://users:8000/api/v1/users/1 cannot be asked: answered 500"
        );
    }
}
