//! `stitch wait`: until a running stitch is ready, for scripts.

use super::health::{DEFAULT_ADMIN, Health, from_env};
use crate::cli::{Endpoint, WaitArgs};
use crate::exit::{ExitCode, Failure};
use crate::file::{self, Choice};
use crate::http_get;
use crate::proxy_env::reachable;
use std::time::Duration;
use stitch_config::Config;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Pause between questions: short beside a start, long beside a round trip.
const PAUSE: Duration = Duration::from_millis(100);
/// No answer within this time counts as none; the next question may fare better.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn run(args: &WaitArgs) -> Result<ExitCode, Failure> {
    let admin = admin(args)?;
    match until_ready(&admin, &args.services, args.timeout).await {
        Ok(()) => Ok(ExitCode::Ok),
        Err(health) => {
            let missing = health.describe(&admin, &args.services);
            let limit = args.timeout;
            Err(Failure::runtime(format!("gave up after {limit:?}, {missing}")))
        }
    }
}

fn admin(args: &WaitArgs) -> Result<Endpoint, Failure> {
    if let Some(admin) = &args.admin {
        return Ok(admin.clone());
    }
    let admin = match file::choose(&args.file, from_env()?) {
        Choice::Environment(admin) => return Ok(admin),
        Choice::Nothing => DEFAULT_ADMIN.to_owned(),
        Choice::File(path) => {
            let config = file::load_valid(&path)?.config;
            check_names(&config, &args.services)?;
            let admin = config.proxy.admin.listen;
            if admin.port() == 0 {
                let where_ = "proxy.admin listens on a port picked at start";
                return Err(Failure::usage(format!("{where_}: pass --admin with its URL")));
            }
            reachable(admin).to_string()
        }
    };
    admin.parse().map_err(|error: String| Failure::usage(error))
}

/// A name with a typo would never be missing, and so always ready.
fn check_names(config: &Config, names: &[String]) -> Result<(), Failure> {
    match names.iter().find(|name| config.service(name).is_none()) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<&str> = config.services.iter().map(|service| &*service.name).collect();
            let known = known.join(", ");
            Err(Failure::usage(format!(
                "no service \"{name}\" is declared, but these are: {known}"
            )))
        }
    }
}

/// Asks until the answer suffices; the last answer where none did.
async fn until_ready(admin: &Endpoint, services: &[String], limit: Duration) -> Result<(), Health> {
    let deadline = Instant::now() + limit;
    let mut last = Health::Silent("no answer yet".to_owned());
    loop {
        let asked = http_get::get(admin.authority(), "/health/ready", LIMIT);
        match timeout_at(deadline, asked).await {
            Ok(answer) => last = Health::of(&answer),
            Err(_) => return Err(last),
        }
        if last.suffices(services) {
            return Ok(());
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = sleep_until(deadline) => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    const WAITING: &str = r#"{"waiting_for":{"users":"starting"}}"#;

    /// Says "waiting" this often, then "ready".
    async fn admin_ready_after(refusals: usize) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap().to_string().parse().unwrap();
        tokio::spawn(async move {
            for asked in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = match asked < refusals {
                    true => format!(
                        "HTTP/1.1 503 Wait\r\ncontent-length: {}\r\n\r\n{WAITING}",
                        WAITING.len()
                    ),
                    false => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
                };
                let mut end = [0; 4];
                while end != *b"\r\n\r\n" {
                    end.rotate_left(1);
                    end[3] = stream.read_u8().await.unwrap();
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        admin
    }

    #[tokio::test]
    async fn asks_again_until_ready() {
        let admin = admin_ready_after(2).await;
        assert_eq!(until_ready(&admin, &[], Duration::from_secs(20)).await, Ok(()));
    }

    #[tokio::test]
    async fn others_may_still_be_starting() {
        let admin = admin_ready_after(usize::MAX).await;
        let limit = Duration::from_secs(20);
        assert_eq!(until_ready(&admin, &["orders".into()], limit).await, Ok(()));
    }

    #[tokio::test]
    async fn gives_up_and_says_what_is_missing() {
        let admin = admin_ready_after(usize::MAX).await;
        let health = until_ready(&admin, &[], Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(health.describe(&admin, &[]), "not ready: users (starting)");
    }

    #[tokio::test]
    async fn nobody_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin: Endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        let health = until_ready(&admin, &[], Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(health, Health::Silent(_)), "{health:?}");
    }
}
