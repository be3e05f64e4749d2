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
    use crate::cli::FileArg;
    use crate::testing::{Scratch, answering};
    use std::path::PathBuf;
    use tokio::net::TcpListener;

    const WAITING: &str = r#"{"waiting_for":{"users":"starting"}}"#;

    /// Says "waiting" this often, then "ready".
    async fn admin_ready_after(refusals: usize) -> Endpoint {
        let answer = move |asked| match asked < refusals {
            true => ("503 Wait", WAITING),
            false => ("200 OK", ""),
        };
        answering(answer).await.to_string().parse().unwrap()
    }

    fn args(file: Option<PathBuf>, services: &[&str]) -> WaitArgs {
        WaitArgs {
            file: FileArg { file },
            admin: None,
            timeout: Duration::from_secs(20),
            services: services.iter().map(ToString::to_string).collect(),
        }
    }

    #[tokio::test]
    async fn the_file_says_where_to_ask_and_for_whom() {
        let scratch = Scratch::new();
        let admin = admin_ready_after(1).await;
        let text = format!(
            "proxy: {{ admin: {} }}\nservices: {{ a: {{ url: 'http://h:1' }} }}\n",
            admin.authority()
        );
        let file = scratch.write("stitch.yaml", &text);
        assert_eq!(run(&args(Some(file.clone()), &["a"])).await.unwrap(), ExitCode::Ok);

        let failure = run(&args(Some(file), &["b"])).await.unwrap_err();
        assert_eq!(failure.exit, ExitCode::Usage);
        let told = failure.message().unwrap();
        assert!(told.contains("\"b\"") && told.ends_with("but these are: a"), "{told}");
    }

    #[tokio::test]
    async fn a_port_picked_at_start_must_be_told() {
        let scratch = Scratch::new();
        let file = scratch.write("stitch.yaml", "proxy: { admin: '127.0.0.1:0' }\nservices: {}\n");
        let failure = run(&args(Some(file), &[])).await.unwrap_err();
        assert_eq!(failure.exit, ExitCode::Usage);
        assert!(failure.message().unwrap().contains("--admin"));
    }

    #[tokio::test]
    async fn giving_up_is_a_runtime_failure() {
        let admin = Some(admin_ready_after(usize::MAX).await);
        let timeout = Duration::from_millis(300);
        let failure = run(&WaitArgs { admin, timeout, ..args(None, &[]) }).await.unwrap_err();
        assert_eq!(failure.exit, ExitCode::Runtime);
        let told = failure.message().unwrap();
        assert_eq!(told, "gave up after 300ms, not ready: users (starting)");
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
    async fn nobody_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin: Endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        let health = until_ready(&admin, &[], Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(health, Health::Silent(_)), "{health:?}");
    }
}
