//! The `orders` service as a process; see the library for what it does.

use std::process::ExitCode;

use chassis::{SettingError, setting};
use orders::UsersClient;

/// The port when `PORT` is not set, and where users is when `USER_SERVICE_URL` is not.
const PORT: u16 = 8010;
const USERS: &str = "http://127.0.0.1:8000";

const HINT: &str = "give the http:// address of the users service, such as http://127.0.0.1:8000";

fn main() -> ExitCode {
    chassis::run("orders", PORT, || {
        let url = setting("USER_SERVICE_URL", USERS.to_owned(), HINT)?;
        let users =
            UsersClient::new(&url).map_err(|_| SettingError::new("USER_SERVICE_URL", url, HINT))?;
        Ok(orders::app(users))
    })
}
