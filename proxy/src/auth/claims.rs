//! What a token says, once its signature is known to be good: whether it is for us and valid now, and
//! what the service is told of it.

use super::admit::{Cause, Identity, Method};
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use stitch_config::model::Jwt;

/// What tokens have to say.
#[derive(Debug)]
pub(super) struct Rules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    scopes: Vec<String>,
    /// Seconds.
    leeway: f64,
    claims: Vec<(Claim, HeaderName)>,
}

/// A claim by its name, or by the path to it.
#[derive(Debug)]
struct Claim {
    name: String,
    path: Vec<String>,
}

impl Rules {
    pub fn of(jwt: &Jwt) -> Self {
        let claim = |(name, header): &(String, HeaderName)| {
            let path = name.split('.').map(str::to_owned).collect();
            (Claim { name: name.clone(), path }, header.clone())
        };
        Self {
            issuers: jwt.issuers.clone(),
            audiences: jwt.audiences.clone(),
            scopes: jwt.scopes.clone(),
            leeway: jwt.leeway.as_secs_f64(),
            claims: jwt.claims.iter().map(claim).collect(),
        }
    }

    /// Headers that are written from claims.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.claims.iter().map(|(_, header)| header)
    }

    /// Who the token is about, at this second since 1970.
    pub fn check(&self, claims: &Map<String, Value>, now: f64) -> Result<Identity, Cause> {
        match claims.get("exp") {
            None => {}
            Some(Value::Number(at)) if now < seconds(at) + self.leeway => {}
            Some(Value::Number(_)) => return Err(Cause::Expired),
            Some(_) => return Err(Cause::Malformed),
        }
        match claims.get("nbf") {
            None => {}
            Some(Value::Number(at)) if seconds(at) <= now + self.leeway => {}
            Some(Value::Number(_)) => return Err(Cause::NotYet),
            Some(_) => return Err(Cause::Malformed),
        }
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        if !self.issuers.is_empty() && !self.issuers.iter().any(|known| known == issuer) {
            return Err(Cause::Issuer);
        }
        let ours = |name: &str| self.audiences.iter().any(|known| known == name);
        if !self.audiences.is_empty() && !words(claims.get("aud"), false).any(ours) {
            return Err(Cause::Audience);
        }
        let granted = || words(claims.get("scope"), true).chain(words(claims.get("scp"), true));
        if !self.scopes.iter().all(|scope| granted().any(|word| word == scope)) {
            return Err(Cause::Scope);
        }
        let told = self.claims.iter().filter_map(|(claim, header)| {
            Some((header.clone(), header_value(claim.find(claims)?)?))
        });
        Ok(Identity {
            who: claims.get("sub").and_then(Value::as_str).map(Into::into),
            headers: told.collect(),
            method: Method::Jwt,
        })
    }
}

/// A number that is none is before everything for `exp`, and after everything for `nbf`.
fn seconds(number: &serde_json::Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

/// The words of a claim: a text, perhaps of several, or a list of them.
fn words(claim: Option<&Value>, split: bool) -> impl Iterator<Item = &str> {
    let (text, list) = match claim {
        Some(Value::String(text)) => (Some(text.as_str()), &[][..]),
        Some(Value::Array(list)) => (None, list.as_slice()),
        _ => (None, &[][..]),
    };
    let parts = text.into_iter().flat_map(move |text| {
        text.split(move |c: char| split && c == ' ').filter(|word| !word.is_empty())
    });
    parts.chain(list.iter().filter_map(Value::as_str))
}

impl Claim {
    /// The claim of this very name, for names that hold dots, or the one that the path leads to.
    fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        if let Some(value) = claims.get(&self.name) {
            return Some(value);
        }
        let (first, rest) = self.path.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, key| value.get(key))
    }
}

/// A claim as a header: text as it is, a list with commas, a map as JSON. `None` for what cannot be
/// said so, above all for lists that would read as longer ones.
fn header_value(claim: &Value) -> Option<HeaderValue> {
    let text = match claim {
        Value::Null => return None,
        Value::Array(list) => {
            let items: Option<Vec<_>> = list.iter().map(scalar).collect();
            let items = items.filter(|items| !items.iter().any(|item| item.contains(',')))?;
            items.join(",")
        }
        Value::Object(_) => claim.to_string(),
        _ => scalar(claim)?,
    };
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn header(claim: &Value) -> Option<String> {
        header_value(claim).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    #[test]
    fn claims_become_headers_that_mean_the_same() {
        for (claim, value) in [
            (json!("ann"), Some("ann")),
            (json!("Jürgen"), Some("Jürgen")),
            (json!(5), Some("5")),
            (json!(true), Some("true")),
            (json!(["a", 1]), Some("a,1")),
            (json!({"a": [1, "b\nc"]}), Some(r#"{"a":[1,"b\nc"]}"#)),
            (json!(["user", "x,admin"]), None),
            (json!([["a"]]), None),
            (json!("a\r\nx-admin: 1"), None),
            (json!(null), None),
        ] {
            assert_eq!(header(&claim).as_deref(), value, "{claim}");
        }
    }

    #[test]
    fn a_claim_is_found_by_its_name_before_its_path() {
        let claims = json!({"a.b": 1, "a": {"b": 2, "c": 3}, "https://x.y/z": 4});
        let claims = claims.as_object().unwrap();
        for (name, value) in [
            ("a.b", Some(1)),
            ("a.c", Some(3)),
            ("https://x.y/z", Some(4)),
            ("a.c.d", None),
            ("", None),
        ] {
            let path = name.split('.').map(str::to_owned).collect();
            let claim = Claim { name: name.to_owned(), path };
            assert_eq!(claim.find(claims).and_then(Value::as_i64), value, "{name}");
        }
    }
}
