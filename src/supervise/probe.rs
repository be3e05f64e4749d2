//! Whether a command answers yet.

use super::target::Target;
use http::StatusCode;
use std::time::Duration;
use stitch_config::model::{Kind, Service};
use stitch_proxy::health::ask::{self, Trouble};
use tokio::time::{sleep, timeout};

/// Between two questions: short beside any start.
const PAUSE: Duration = Duration::from_millis(100);
/// No answer within this time counts as none.
const LIMIT: Duration = Duration::from_secs(2);

/// How a command shows that it is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// By running: it serves nothing that we know of.
    Nothing,
    /// By accepting connections.
    Connect(Target),
    /// By answering a GET with anything but a server's error.
    Get { target: Target, path: String },
    /// By the word of its gRPC health service.
    Grpc {
        target: Target,
        /// The path of the url.
        prefix: String,
        /// Empty for the whole server.
        service: String,
    },
}

impl Probe {
    /// The probe of a service: its first real endpoint is asked.
    pub(super) fn of(service: &Service) -> Self {
        let Some(upstream) = service.upstreams.first() else { return Self::Nothing };
        let target = Target::of(service, upstream);
        let prefix = upstream.base_path.clone();
        match (&service.health_grpc, &service.health_path) {
            _ if service.kind != Kind::Http => Self::Connect(target),
            (Some(service), _) => Self::Grpc { target, prefix, service: service.clone() },
            (None, Some(path)) => Self::Get { target, path: prefix + path },
            (None, None) => Self::Connect(target),
        }
    }

    /// Waits until the command is up. What waiting will hardly mend is told, each thing once.
    pub(super) async fn until_up(&self, mut tell: impl FnMut(&str)) {
        let mut told = None;
        while let Err(trouble) = self.ask().await {
            if trouble.tell && told.as_ref() != Some(&trouble.why) {
                tell(&trouble.why);
                told = Some(trouble.why);
            }
            sleep(PAUSE).await;
        }
    }

    async fn ask(&self) -> Result<(), Trouble> {
        let asked = async {
            match self {
                Self::Nothing => Ok(()),
                Self::Connect(target) => target.accepts().await,
                Self::Get { target, path } => {
                    // A missing health page is an answer.
                    match ask::get(target.open().await?, path).await? {
                        status if status < StatusCode::INTERNAL_SERVER_ERROR => Ok(()),
                        status => Err(Trouble::not_yet(format!("{path} answers {status}"))),
                    }
                }
                Self::Grpc { target, prefix, service } => {
                    ask::serving(target.open().await?, prefix, service).await
                }
            }
        };
        timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(Trouble::not_yet("no answer")))
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
