//! What ejection did, in the process's log: a line for each time that an endpoint goes or comes back.
//!
//! That it may be tried again is no news: only time did that.

use crate::upstream::Endpoint;
use std::time::Duration;

/// What became of an endpoint, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Out for so long after so many failures in a row.
    Failed(u32, Duration),
    /// Out once more: the request that tried it failed.
    FailedAgain(Duration),
    /// In again: the request that tried it was answered well.
    Tried,
    /// In again: a health check passed.
    Checked,
    /// In again: nobody is ejected any more.
    Pardoned,
}

/// Writes it to the log.
#[cold]
pub(super) fn tell(service: &str, endpoint: &Endpoint, news: News) {
    let line = line(service, endpoint, news);
    match news {
        News::Failed(..) | News::FailedAgain(_) => tracing::warn!("{line}"),
        News::Tried | News::Checked | News::Pardoned => tracing::info!("{line}"),
    }
}

fn line(service: &str, endpoint: &Endpoint, news: News) -> String {
    let what = match news {
        News::Failed(1, lasts) => format!("is ejected for {lasts:?}: it failed"),
        News::Failed(times, lasts) => {
            format!("is ejected for {lasts:?}: it failed {times} times in a row")
        }
        News::FailedAgain(lasts) => {
            format!("is ejected for another {lasts:?}: the request that tried it failed")
        }
        News::Tried => "gets requests again: the one that tried it went well".to_owned(),
        News::Checked => "gets requests again: a health check passed".to_owned(),
        News::Pardoned => "gets requests again: the file has no `eject` any more".to_owned(),
    };
    format!("{service} at {endpoint} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::EndpointSet;
    use stitch_config::model::{Policies, Upstream};
    use tokio::time::Instant;

    #[test]
    fn it_says_who_is_out_for_how_long_and_why() {
        let upstream = [(Upstream::http("127.0.0.1", 8002), None)];
        let policies = Policies::default();
        let set = EndpointSet::new("users".into(), upstream, &policies, None, Instant::now());
        let lasts = Duration::from_millis(1500);
        for (news, expected) in [
            (News::Failed(1, lasts), "is ejected for 1.5s: it failed"),
            (News::Failed(5, lasts), "is ejected for 1.5s: it failed 5 times in a row"),
            (
                News::FailedAgain(lasts),
                "is ejected for another 1.5s: the request that tried it failed",
            ),
            (News::Tried, "gets requests again: the one that tried it went well"),
            (News::Checked, "gets requests again: a health check passed"),
            (News::Pardoned, "gets requests again: the file has no `eject` any more"),
        ] {
            let expected = format!("users at 127.0.0.1:8002 {expected}");
            assert_eq!(line("users", &set.all()[0], news), expected);
        }
    }
}
