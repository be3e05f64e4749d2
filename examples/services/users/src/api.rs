//! The HTTP face of the users: routes, what a request must hold, and the answers.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, StatusCode, header::LOCATION},
};
use chassis::{Body, Id, Listing, Page, Problem, Routes, alive};
use serde::Deserialize;

use crate::{
    email::Email,
    store::{CAPACITY, Draft, Store, User},
};

const LONGEST_NAME: usize = 200;

type Users = State<Arc<Store>>;

/// The service, with no users yet.
pub fn app() -> Router {
    routes().finish(Arc::new(Store::new(CAPACITY)))
}

/// Every route of the service.
fn routes() -> Routes<Arc<Store>> {
    Routes::new("users", include_str!("../openapi.json"))
        .get("/health/ready", alive)
        .get("/api/v1/users", list)
        .post("/api/v1/users", create)
        .get("/api/v1/users/{id}", get)
        .put("/api/v1/users/{id}", replace)
        .delete("/api/v1/users/{id}", delete)
}

/// A user as a caller writes it, for POST and PUT alike.
#[derive(Deserialize)]
struct RawUser {
    name: String,
    email: String,
}

impl RawUser {
    fn check(self) -> Result<Draft, Problem> {
        let name = self.name.trim();
        let length = name.chars().count();
        if !(1..=LONGEST_NAME).contains(&length) {
            let detail = format!("`name` has {length} characters; give 1 to {LONGEST_NAME}");
            return Err(Problem::invalid("name", detail));
        }
        let email = Email::new(&self.email).map_err(|reason| {
            Problem::invalid(
                "email",
                format!("`{}` is not an e-mail address: {reason}", self.email),
            )
        })?;
        Ok(Draft { name: name.to_owned(), email })
    }
}

async fn list(State(store): Users, page: Page) -> Json<Listing<User>> {
    Json(store.list(page))
}

async fn create(
    State(store): Users,
    Body(raw): Body<RawUser>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<User>), Problem> {
    let user = store.create(raw.check()?)?;
    let place = format!("/api/v1/users/{}", user.id);
    Ok((StatusCode::CREATED, [(LOCATION, place)], Json(user)))
}

async fn get(State(store): Users, Id(id): Id) -> Result<Json<User>, Problem> {
    store.get(id).map(Json)
}

async fn replace(
    State(store): Users,
    Id(id): Id,
    Body(raw): Body<RawUser>,
) -> Result<Json<User>, Problem> {
    store.replace(id, raw.check()?).map(Json)
}

async fn delete(State(store): Users, Id(id): Id) -> Result<StatusCode, Problem> {
    store.delete(id)?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
