//! What the process says about itself while it runs: log lines on standard error.
//!
//! `STITCH_LOG` holds a filter (`debug`, `stitch_proxy=debug`); by default libraries speak from
//! `warn`, stitch from `info`. `STITCH_LOG_FORMAT=json` makes each line a JSON object.

use crate::report::Paint;
use std::env;
use std::io;
use tracing_subscriber::EnvFilter;

/// Directives match target prefixes, so `stitch` stands for every crate of the project.
const DEFAULT_FILTER: &str = "warn,stitch=info";

/// Sets logging up for the rest of the process. Later calls change nothing.
pub(crate) fn init() {
    let wish = env::var("STITCH_LOG").ok();
    let (filter, complaint) = filter(wish.as_deref());
    let json = env::var("STITCH_LOG_FORMAT").is_ok_and(|format| format == "json");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(Paint::stderr().is_on());
    let set = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.compact().try_init()
    };
    if let (Ok(()), Some(complaint)) = (set, complaint) {
        tracing::warn!("{complaint}");
    }
}

/// The filter to use, and what to say about a wish that cannot be met.
fn filter(wish: Option<&str>) -> (EnvFilter, Option<String>) {
    let Some(wish) = wish.filter(|wish| !wish.trim().is_empty()) else {
        return (EnvFilter::new(DEFAULT_FILTER), None);
    };
    match EnvFilter::builder().parse(wish) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let complaint = format!("STITCH_LOG is ignored, \"{wish}\" is no filter: {error}");
            (EnvFilter::new(DEFAULT_FILTER), Some(complaint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(wish: Option<&str>, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter(wish).0)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn by_default_our_crates_say_more_than_libraries() {
        let text = logged(None, || {
            tracing::info!(target: "stitch_proxy::flow", "ours");
            tracing::debug!(target: "stitch", "too much");
            tracing::info!(target: "hyper", "chatter");
            tracing::warn!(target: "hyper", "trouble");
        });
        assert!(text.contains("ours") && text.contains("trouble"), "{text}");
        assert!(!text.contains("too much") && !text.contains("chatter"), "{text}");
    }

    #[test]
    fn the_environment_decides_when_it_can() {
        let text = logged(Some("stitch=debug"), || {
            tracing::debug!(target: "stitch_net", "detail");
            tracing::error!(target: "hyper", "unasked");
        });
        assert!(text.contains("detail") && !text.contains("unasked"), "{text}");
        assert!(filter(Some(" ")).1.is_none());
        assert!(filter(Some("a=b=c")).1.unwrap().contains("\"a=b=c\""));
    }
}
