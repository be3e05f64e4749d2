//! The HTTP face of the orders: routes and answers.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header::LOCATION},
};
use chassis::{Body, Id, Listing, Page, Problem, Query, Routes, trace_headers};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    UsersClient,
    order::{Order, RawChange, RawOrder},
    store::{CAPACITY, Store},
};

/// What every handler may reach.
#[derive(Clone)]
struct Shop {
    orders: Arc<Store>,
    users: UsersClient,
}

/// The service, with no orders yet, asking `users` about customers.
pub fn app(users: UsersClient) -> Router {
    routes().finish(Shop { orders: Arc::new(Store::new(CAPACITY)), users })
}

fn routes() -> Routes<Shop> {
    Routes::new("orders", include_str!("../openapi.json"))
        .get("/health/ready", ready)
        .get("/api/v1/orders", list)
        .post("/api/v1/orders", create)
        .get("/api/v1/orders/{id}", get)
        .put("/api/v1/orders/{id}", change)
        .delete("/api/v1/orders/{id}", delete)
        .get("/api/v1/orders/user/{id}", list_of)
}

async fn ready(State(shop): State<Shop>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    shop.users.ready(trace_headers(&headers)).await?;
    Ok(Json(json!({"status": "ok", "users": "ok"})))
}

#[derive(Deserialize)]
struct Filter {
    user_id: Option<String>,
}

async fn list(
    State(shop): State<Shop>,
    Query(filter): Query<Filter>,
    page: Page,
) -> Result<Json<Listing<Order>>, Problem> {
    Ok(Json(match Query::number("user_id", filter.user_id.as_deref())? {
        Some(user) => shop.orders.list_of(user, page),
        None => shop.orders.list(page),
    }))
}

async fn list_of(State(shop): State<Shop>, Id(user): Id, page: Page) -> Json<Listing<Order>> {
    Json(shop.orders.list_of(user, page))
}

async fn create(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Body(raw): Body<RawOrder>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Order>), Problem> {
    let draft = raw.check()?;
    shop.users.check(draft.user_id, trace_headers(&headers)).await?;
    let order = shop.orders.create(draft)?;
    let place = format!("/api/v1/orders/{}", order.id);
    Ok((StatusCode::CREATED, [(LOCATION, place)], Json(order)))
}

async fn get(State(shop): State<Shop>, Id(id): Id) -> Result<Json<Order>, Problem> {
    shop.orders.get(id).map(Json)
}

async fn change(
    State(shop): State<Shop>,
    Id(id): Id,
    Body(raw): Body<RawChange>,
) -> Result<Json<Order>, Problem> {
    shop.orders.change(id, raw.check()?).map(Json)
}

async fn delete(State(shop): State<Shop>, Id(id): Id) -> Result<StatusCode, Problem> {
    shop.orders.delete(id)?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
