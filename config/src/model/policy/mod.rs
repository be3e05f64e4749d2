//! Policies: what happens to requests besides being passed on. They stand in `defaults`, services
//! and routes alike.

mod auth;
mod balance;
mod breaker;
mod edit;
mod health;
mod limit;
mod policies;
mod retry;
mod timeout;
mod traffic;

pub use auth::{
    ApiKey, ApiKeys, Auth, BasicAuth, Digest, ForwardAuth, Jwks, Jwt, KeyPlace, PasswordHash, User,
    WrongHash,
};
pub use balance::{Balance, HashKey};
pub use breaker::{Breaker, Eject, Slow};
pub use edit::{
    BodyEdit, BodyEdits, HeaderEdit, HeaderEdits, JsonPath, JsonStep, Value, ValuePart,
};
pub use health::{HealthCheck, HealthProbe};
pub use limit::{Concurrency, LimitKey, Rate, RateLimit};
pub use policies::{Policies, Setting};
pub use retry::{Hedge, HedgeAfter, Retry, RetryOn};
pub use timeout::{TimeoutOverrides, Timeouts};
pub use traffic::{Cors, Mirror, Origins, Respond};
