//! One `auth` of the configuration, compiled: what a request has to show, and in which order it is
//! looked at.

use super::admit::{Admitted, Cause, Checked, Facts, Identity, Method, Refusal};
use super::api_key::Keys;
use super::basic::{Answer, Users};
use super::files::AuthFiles;
use super::forward::Checker;
use super::jwt::Tokens;
use super::keys::KeySet;
use super::outgoing::Caller;
use super::place::{self, Found};
use super::source::{Clock, Looked, Source};
use super::stats::AuthStats;
use http::{HeaderName, HeaderValue, Request};
use smallvec::SmallVec;
use std::sync::Arc;
use stitch_config::model::{self, Jwks, KeyPlace, Upstream};
use stitch_net::Body;
use stitch_net::mock::BoxFuture;

/// Who may come in.
#[derive(Debug)]
pub(crate) struct Auth {
    jwt: Option<Jwt>,
    api_key: Option<(KeyPlace, bool, Keys)>,
    basic: Option<(bool, Users)>,
    forward: Option<Checker>,
    /// Headers that say who it was; nobody else may set them.
    ours: Vec<HeaderName>,
    /// What is told to whoever shows nothing.
    challenges: Vec<HeaderValue>,
}

#[derive(Debug)]
struct Jwt {
    from: KeyPlace,
    strip: bool,
    tokens: Arc<Tokens>,
    keys: TokenKeys,
}

/// Where the keys of tokens are.
#[derive(Debug)]
enum TokenKeys {
    Here(Arc<KeySet>),
    There(Arc<Source>),
}

/// What one way in comes to.
enum Tried {
    /// Nothing was shown.
    Not,
    Now(Result<Identity, Box<Refusal>>),
    Later(BoxFuture<Result<Identity, Box<Refusal>>>),
}

type Attempt = (Method, BoxFuture<Result<Identity, Box<Refusal>>>);

/// What all ways in but `forward` come to.
enum Local {
    In(Identity),
    Refused(Box<Refusal>),
    Later(SmallVec<[Attempt; 1]>, Box<Refusal>),
}

impl Auth {
    /// Compiles what the file says. `declared` knows the addresses of services; others are asked
    /// directly. Keys, connections and verdicts of `previous` are taken over where nothing changed.
    pub fn compile(
        auth: &model::Auth,
        files: &AuthFiles,
        declared: &dyn Fn(&Upstream) -> Option<Caller>,
        previous: Option<&Self>,
    ) -> Arc<Self> {
        let caller = |upstream: &Upstream, before: Option<&Caller>| {
            declared(upstream).unwrap_or_else(|| Caller::outside(upstream, before))
        };
        let before = previous.and_then(|previous| previous.jwt.as_ref());
        let jwt = auth.jwt.as_ref().map(|jwt| Jwt {
            from: jwt.from.clone(),
            strip: jwt.strip,
            tokens: Arc::new(Tokens::of(jwt)),
            keys: TokenKeys::of(&jwt.keys, files, caller, before.map(|before| &before.keys)),
        });
        let before = previous.and_then(|previous| previous.basic.as_ref()).map(|(_, users)| users);
        let basic = auth.basic.as_ref().map(|basic| {
            let listed = basic.file.as_ref().map_or(&[][..], |file| files.users(file));
            (basic.strip, Users::of(basic, listed, before))
        });
        let before = previous.and_then(|previous| previous.forward.as_ref());
        let forward = auth.forward.as_ref().map(|forward| {
            let caller = caller(&forward.upstream, before.map(|before| &before.caller));
            Checker::of(forward, caller)
        });
        let api_key =
            auth.api_key.as_ref().map(|keys| (keys.from.clone(), keys.strip, Keys::of(keys)));
        let claims = jwt.iter().flat_map(|jwt| jwt.tokens.rules.headers().cloned());
        let owner = auth.api_key.as_ref().and_then(|keys| keys.owner.clone());
        let user = auth.basic.as_ref().and_then(|basic| basic.user_header.clone());
        let ours = claims.chain(owner).chain(user).collect();
        let mut challenges: Vec<HeaderValue> = Vec::new();
        let token = jwt.iter().map(|jwt| &jwt.tokens.challenge);
        let key = api_key.iter().map(|(_, _, keys)| &keys.challenge);
        for challenge in token.chain(key).chain(basic.iter().map(|(_, users)| &users.challenge)) {
            if !challenges.contains(challenge) {
                challenges.push(challenge.clone());
            }
        }
        Arc::new(Self { jwt, api_key, basic, forward, ours, challenges })
    }

    /// The parameters of queries in which it looks for credentials.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        let places = self.jwt.iter().map(|jwt| &jwt.from);
        let places = places.chain(self.api_key.iter().map(|(place, ..)| place));
        places.filter_map(|place| match place {
            KeyPlace::Query(name) => Some(&**name),
            _ => None,
        })
    }

    /// Checks a request and, where that can be said at once, makes it what the service may see.
    /// Headers that only we may set are gone afterwards, or are ours.
    pub fn check(self: &Arc<Self>, request: &mut Request<Body>, facts: &Facts<'_>) -> Checked {
        let local = self.local(request, facts.stats);
        place::remove(request.headers_mut(), &self.ours);
        let Some(checker) = &self.forward else {
            return match local {
                Local::In(identity) => Checked::In(self.admit(identity, request)),
                Local::Refused(refusal) => Checked::Refused(refusal),
                Local::Later(attempts, refusal) => {
                    let (auth, stats) = (self.clone(), facts.stats.clone());
                    Checked::Later(Box::pin(async move {
                        let identity = first(attempts, refusal, &auth, &stats).await?;
                        Ok(Admitted { auth, identity })
                    }))
                }
            };
        };
        if let Local::Refused(refusal) = local {
            return Checked::Refused(refusal);
        }
        let mut question = checker.question(request, facts);
        place::remove(request.headers_mut(), &checker.taken);
        let (auth, stats) = (self.clone(), facts.stats.clone());
        Checked::Later(Box::pin(async move {
            let mut identity = match local {
                Local::In(identity) => identity,
                Local::Refused(refusal) => return Err(refusal),
                Local::Later(attempts, refusal) => first(attempts, refusal, &auth, &stats).await?,
            };
            for (name, value) in &identity.headers {
                question.insert(name, value.clone());
            }
            let Some(checker) = &auth.forward else {
                return Err(Refusal::new(Method::Forward, Cause::Unavailable));
            };
            let asked = checker.ask(question).await;
            let cause = asked.as_ref().map_or_else(|refusal| refusal.cause, |_| Cause::Allowed);
            stats.count(Method::Forward, cause);
            // What the checker says about somebody counts for more.
            let said = asked?.headers;
            identity.headers.retain(|(name, _)| !said.iter().any(|(other, _)| name == other));
            identity.headers.extend(said);
            Ok(Admitted { auth, identity })
        }))
    }

    /// Lets a request in: takes away what the service is not to see, and says who it was.
    pub(super) fn admit(
        &self,
        identity: Identity,
        request: &mut Request<Body>,
    ) -> Option<Arc<str>> {
        let token = self.jwt.as_ref().map(|jwt| (&jwt.from, jwt.strip, Method::Jwt));
        let key = self.api_key.as_ref().map(|(from, strip, _)| (from, *strip, Method::ApiKey));
        let shared = token.zip(key).is_some_and(|(token, key)| token.0 == key.0);
        for (place, strip, method) in token.into_iter().chain(key) {
            // Where both may stand it is the one that was taken which says.
            if strip && (!shared || identity.method == method) {
                place::strip(place, request);
            }
        }
        if let Some((true, _)) = &self.basic {
            place::strip_scheme(request.headers_mut(), "basic");
        }
        let Identity { who, headers, .. } = identity;
        for (name, value) in headers {
            request.headers_mut().append(name, value);
        }
        who
    }

    /// Tries what is shown; the first way in that opens is enough.
    fn local(&self, request: &Request<Body>, stats: &AuthStats) -> Local {
        if self.jwt.is_none() && self.api_key.is_none() && self.basic.is_none() {
            return Local::In(Identity::default());
        }
        let mut worst = Refusal::new(Method::None, Cause::Missing);
        let mut later = SmallVec::new();
        for (method, tried) in [
            (Method::Jwt, self.token(request)),
            (Method::ApiKey, self.key(request)),
            (Method::Basic, self.password(request)),
        ] {
            match tried {
                Tried::Not => {}
                Tried::Now(Ok(identity)) => {
                    stats.count(method, Cause::Allowed);
                    return Local::In(identity);
                }
                Tried::Now(Err(refusal)) => worst = worse(worst, refusal),
                Tried::Later(attempt) => later.push((method, attempt)),
            }
        }
        match later.is_empty() {
            true => Local::Refused(self.refused(worst, stats)),
            false => Local::Later(later, worst),
        }
    }

    /// Counts a refusal, and says which ways in there are.
    fn refused(&self, mut refusal: Box<Refusal>, stats: &AuthStats) -> Box<Refusal> {
        stats.count(refusal.method, refusal.cause);
        if refusal.status == http::StatusCode::UNAUTHORIZED {
            for challenge in &self.challenges {
                let scheme = |value: &HeaderValue| {
                    value.as_bytes().split(|byte| *byte == b' ').next().map(<[u8]>::to_vec)
                };
                let told = refusal.challenges.iter().any(|own| scheme(own) == scheme(challenge));
                if !told {
                    refusal.challenges.push(challenge.clone());
                }
            }
        }
        refusal
    }

    fn token(&self, request: &Request<Body>) -> Tried {
        let Some(Jwt { from, tokens, keys, .. }) = &self.jwt else { return Tried::Not };
        let refuse = |cause| Tried::Now(Err(tokens.refuse(cause)));
        let text = match place::find(from, request) {
            Found::Nothing => return Tried::Not,
            Found::Unclear => return refuse(Cause::Malformed),
            Found::One(text) => text,
        };
        let token = match tokens.read(&text) {
            Ok(token) => token,
            Err(cause) => return refuse(cause),
        };
        let clock = Clock::read();
        let source = match keys {
            TokenKeys::Here(keys) => {
                let checked = tokens.check(&token, keys, clock.seconds);
                return Tried::Now(checked.map_err(|cause| tokens.refuse(cause)));
            }
            TokenKeys::There(source) => source,
        };
        let mut waiting = match source.look(tokens, &token, clock) {
            Looked::Said(said) => {
                return Tried::Now(said.map_err(|cause| tokens.refuse(cause)));
            }
            Looked::Wait(waiting) => waiting,
        };
        let (source, tokens, text) = (source.clone(), tokens.clone(), text.into_owned());
        Tried::Later(Box::pin(async move {
            // That the other side is gone is no answer; what is here is looked at all the same.
            let _ = waiting.changed().await;
            let token = tokens.read(&text).map_err(|cause| tokens.refuse(cause))?;
            let said = source.look_again(&tokens, &token, Clock::read());
            said.map_err(|cause| tokens.refuse(cause))
        }))
    }

    fn key(&self, request: &Request<Body>) -> Tried {
        let Some((from, _, keys)) = &self.api_key else { return Tried::Not };
        let checked = match place::find(from, request) {
            Found::Nothing => return Tried::Not,
            Found::Unclear => Err(Cause::Malformed),
            Found::One(key) => keys.check(&key),
        };
        Tried::Now(checked.map_err(|cause| keys.refuse(cause)))
    }

    fn password(&self, request: &Request<Body>) -> Tried {
        let Some((_, users)) = &self.basic else { return Tried::Not };
        let answer = match place::scheme(request.headers(), "basic") {
            Found::Nothing => return Tried::Not,
            Found::Unclear => Answer::Now(Err(Cause::Malformed)),
            Found::One(encoded) => users.check(&encoded),
        };
        match answer {
            Answer::Now(checked) => Tried::Now(checked.map_err(|cause| users.refuse(cause))),
            Answer::Later(later) => {
                let (wrong, busy) = (users.refuse(Cause::Wrong), users.refuse(Cause::Unavailable));
                Tried::Later(Box::pin(async move {
                    later.await.map_err(|cause| match cause {
                        Cause::Unavailable => busy,
                        _ => wrong,
                    })
                }))
            }
        }
    }
}

/// The first attempt that succeeds, or why none did.
async fn first(
    attempts: SmallVec<[Attempt; 1]>,
    mut worst: Box<Refusal>,
    auth: &Auth,
    stats: &AuthStats,
) -> Result<Identity, Box<Refusal>> {
    for (method, attempt) in attempts {
        match attempt.await {
            Ok(identity) => {
                stats.count(method, Cause::Allowed);
                return Ok(identity);
            }
            Err(refusal) => worst = worse(worst, refusal),
        }
    }
    Err(auth.refused(worst, stats))
}

/// The refusal that says more.
fn worse(one: Box<Refusal>, other: Box<Refusal>) -> Box<Refusal> {
    if other.weight() > one.weight() { other } else { one }
}

impl TokenKeys {
    fn of(
        keys: &Jwks,
        files: &AuthFiles,
        caller: impl Fn(&Upstream, Option<&Caller>) -> Caller,
        before: Option<&Self>,
    ) -> Self {
        match keys {
            Jwks::File(file) => Self::Here(files.keys(file)),
            Jwks::Secret(secret) => Self::Here(Arc::new(KeySet::secret(secret.reveal()))),
            Jwks::Url { upstream, path, cache } => {
                let before = before.and_then(|before| match before {
                    Self::There(source) => Some(source),
                    Self::Here(_) => None,
                });
                let caller = caller(upstream, before.map(|before| before.caller()));
                let source = Source::new(caller, path, *cache);
                match before.filter(|before| before.is(&source)) {
                    Some(before) => Self::There(before.clone()),
                    None => Self::There(Arc::new(source)),
                }
            }
        }
    }
}
