//! What a check comes to, as data: whoever answers the client makes a response of it.

use super::stats::AuthStats;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use stitch_net::Body;
use stitch_net::mock::BoxFuture;

/// What is known about a request besides itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Who sent it; `None` for those that events cause.
    pub client: Option<IpAddr>,
    /// Whether it came over TLS.
    pub secure: bool,
    /// The host that was asked for.
    pub host: Option<&'a HeaderValue>,
    /// What was asked for, before any route changed it.
    pub uri: &'a Uri,
    /// Where the check is counted.
    pub stats: &'a Arc<AuthStats>,
}

/// What a check comes to.
pub(crate) enum Checked {
    /// The request may go on, and is as the service may see it. Who sent it, if somebody said so.
    In(Option<Arc<str>>),
    /// It may not.
    Refused(Box<Refusal>),
    /// Somebody has to be asked, or something computed. The request is left alone meanwhile.
    Later(BoxFuture<Result<Admitted, Box<Refusal>>>),
}

/// A way to prove who one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// Nothing was shown.
    #[default]
    None,
    /// `jwt`.
    Jwt,
    /// `api_key`.
    ApiKey,
    /// `basic`.
    Basic,
    /// `forward`.
    Forward,
}

impl Method {
    pub const ALL: [Self; 5] = [Self::None, Self::Jwt, Self::ApiKey, Self::Basic, Self::Forward];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::Basic => "basic",
            Self::Forward => "forward",
        }
    }
}

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $words:literal;)*) => {
        /// Why a request was let in or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Cause { $($(#[$doc])* $variant,)* }

        impl Cause {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// In words that repeat nothing of what was shown.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }
        }
    };
}

causes! {
    /// It was let in.
    Allowed => "allowed", "it may come in";
    /// Nothing was shown.
    Missing => "missing", "it does not say who sends it";
    /// What was shown cannot be read, or stands there twice.
    Malformed => "malformed", "what it shows cannot be read";
    /// An algorithm that is not taken, or that is not the key's.
    Algorithm => "algorithm", "the token's algorithm is not taken";
    /// Signed with a key that nobody knows.
    UnknownKey => "unknown_key", "no known key has signed the token";
    /// The signature is not the key's.
    Signature => "signature", "the token's signature is wrong";
    /// `exp` has passed.
    Expired => "expired", "the token has expired";
    /// `nbf` is to come.
    NotYet => "not_yet", "the token is not valid yet";
    /// `iss` is somebody else.
    Issuer => "issuer", "the token is from another issuer";
    /// `aud` is somebody else.
    Audience => "audience", "the token is for somebody else";
    /// It is sound, but does not reach so far.
    Scope => "scope", "the token lacks a scope";
    /// No such key, user or password.
    Wrong => "wrong", "nobody is known by what it shows";
    /// The service that was asked says no.
    Denied => "denied", "the service that decides says no";
    /// It cannot be found out now.
    Unavailable => "unavailable", "who may come in cannot be found out now";
}

/// Why a request may not go on, and what its sender is told.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// 401, 403 or 503; that of `answer` if there is one.
    pub status: StatusCode,
    /// What was tried.
    pub method: Method,
    /// What it came to.
    pub cause: Cause,
    /// The same in words. Repeats nothing of what was shown.
    pub detail: Cow<'static, str>,
    /// `WWW-Authenticate`, a line each; never empty with 401.
    pub challenges: Vec<HeaderValue>,
    /// The answer of the service that was asked, to be passed on as it is.
    pub answer: Option<Response<Body>>,
}

impl Refusal {
    pub(super) fn new(method: Method, cause: Cause) -> Box<Self> {
        let status = match cause {
            Cause::Scope | Cause::Denied => StatusCode::FORBIDDEN,
            Cause::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        };
        let detail = cause.words().into();
        Box::new(Self { status, method, cause, detail, challenges: Vec::new(), answer: None })
    }

    /// How much it says: the one that says most is told when several ways in were tried.
    pub(super) fn weight(&self) -> u8 {
        match self.cause {
            Cause::Missing => 0,
            Cause::Malformed | Cause::Wrong => 1,
            Cause::Unavailable => 2,
            Cause::Scope => 4,
            _ => 3,
        }
    }
}

/// Who somebody is, and what the service is told about it.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub who: Option<Arc<str>>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How it was proved.
    pub method: Method,
}

/// A request that may go on, once this has been done to it.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(super) auth: Arc<super::Auth>,
    pub(super) identity: Identity,
}

impl Admitted {
    /// Makes the request what the service may see, and says who sent it.
    pub fn apply(self, request: &mut Request<Body>) -> Option<Arc<str>> {
        self.auth.admit(self.identity, request)
    }
}
