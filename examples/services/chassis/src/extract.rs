//! What handlers take: bodies, ids, queries and pages, with every refusal a [`Problem`].
//!
//! Broken JSON is 400, JSON of the wrong shape is 422, an id that cannot exist is 404. axum's own
//! extractors do the reading; these only choose the words and the status.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::Problem;

/// A JSON request body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refused_body(&rejection)),
        }
    }
}

fn refused_body(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    // "Failed to deserialize the JSON body into the target type: items[0].sku: …" names the field itself.
    let said = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
    match rejection {
        JsonRejection::JsonSyntaxError(_) => {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {said}"))
        }
        JsonRejection::JsonDataError(_) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, said);
            match field_of(said) {
                Some(field) => problem.at(field),
                None => problem,
            }
        }
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as JSON, with `content-type: application/json`",
        ),
        other => Problem::new(other.status(), text),
    }
}

/// The field a message of serde is about: `a.b: invalid type …`, `missing field `b` …`, or both in one.
fn field_of(said: &str) -> Option<String> {
    let path = said.split_once(": ").map(|(path, _)| path).filter(|path| !path.contains(' '));
    let missing = said.split_once("missing field `").and_then(|(_, rest)| rest.split('`').next());
    match (path, missing) {
        (Some(path), Some(missing)) => Some(format!("{path}.{missing}")),
        (path, missing) => path.or(missing).map(str::to_owned),
    }
}

/// The `{id}` of the path. What is not a positive integer names nothing, so it is 404 rather than 400.
#[derive(Debug, Clone, Copy)]
pub struct Id(pub u64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|rejection| {
                Problem::new(rejection.status(), rejection.body_text()).at("id")
            })?;
        text.parse().map(Self).map_err(|_| {
            Problem::not_found(format!("nothing has the id `{text}`; ids are positive integers"))
                .at("id")
        })
    }
}

/// Query parameters as typed; each handler gives them meaning with [`Query::number`].
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))
    }
}

impl Query<()> {
    /// The number in `text`, when there is any text; otherwise a problem that names the parameter.
    pub fn number(field: &str, text: Option<&str>) -> Result<Option<u64>, Problem> {
        text.map(str::parse).transpose().map_err(|_| {
            let text = text.unwrap_or_default();
            Problem::invalid(
                field,
                format!("`{field}` is `{text}`; give a whole number, 0 or more"),
            )
        })
    }
}

/// The part of a list that was asked for: `?limit=&offset=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many entries at most, 1 to [`Page::MOST`].
    pub limit: usize,
    /// How many entries to skip.
    pub offset: usize,
}

#[derive(Deserialize)]
struct RawPage {
    limit: Option<String>,
    offset: Option<String>,
}

impl Page {
    /// The limit when none is given.
    pub const USUAL: u64 = 20;
    /// The highest limit.
    pub const MOST: u64 = 100;
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(raw) = Query::<RawPage>::from_request_parts(parts, state).await?;
        let limit = Query::number("limit", raw.limit.as_deref())?.unwrap_or(Self::USUAL);
        let offset = Query::number("offset", raw.offset.as_deref())?.unwrap_or(0);
        if !(1..=Self::MOST).contains(&limit) {
            return Err(Problem::invalid(
                "limit",
                format!("`limit` is {limit}; give 1 to {}", Self::MOST),
            ));
        }
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            offset: usize::try_from(offset).unwrap_or(usize::MAX),
        })
    }
}

/// A page of a list, with what is needed to ask for the next one.
#[derive(Debug, Serialize)]
pub struct Listing<T> {
    /// The entries of this page.
    pub items: Vec<T>,
    /// How many entries there are on all pages.
    pub total: usize,
    /// The limit that was applied.
    pub limit: usize,
    /// The offset that was applied.
    pub offset: usize,
}

impl<T: Clone> Listing<T> {
    /// Cuts `page` out of `all`, which holds `total` entries.
    pub fn cut<'a>(all: impl Iterator<Item = &'a T>, total: usize, page: Page) -> Self
    where
        T: 'a,
    {
        Self {
            items: all.skip(page.offset).take(page.limit).cloned().collect(),
            total,
            limit: page.limit,
            offset: page.offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::field_of;

    #[test]
    fn the_field_is_read_out_of_the_message() {
        for (said, field) in [
            ("name: invalid type: integer `7`, expected a string", Some("name")),
            ("missing field `name` at line 1 column 2", Some("name")),
            ("items[0]: missing field `sku` at line 1 column 9", Some("items[0].sku")),
            ("invalid type: map, expected a sequence", None),
        ] {
            assert_eq!(field_of(said).as_deref(), field, "{said}");
        }
    }
}
