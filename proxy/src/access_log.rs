//! The access log: chosen lines, written by a background thread so that no request waits for a disk
//! or a terminal.

use crate::relay;
use crate::shown::rfc3339;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};
use stitch_config::model::{
    AccessLog as Settings, AccessLogFormat, AccessLogOnly, AccessLogTarget,
};
use stitch_net::Reason;

/// Lines waiting to be written; more are dropped and counted.
const QUEUE: usize = 8192;

/// A log with its writer thread. The thread ends when the log is dropped and the queue is written.
#[derive(Debug)]
pub struct AccessLog {
    only: AccessLogOnly,
    queue: SyncSender<Entry>,
}

/// What a line tells of.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Request(Line),
    Connection(relay::Line),
}

impl From<Line> for Entry {
    fn from(line: Line) -> Self {
        Self::Request(line)
    }
}

impl From<relay::Line> for Entry {
    fn from(line: relay::Line) -> Self {
        Self::Connection(line)
    }
}

impl Entry {
    fn render(&self, format: AccessLogFormat) -> String {
        match self {
            Self::Request(line) => render(line, format),
            Self::Connection(line) => line.render(format),
        }
    }
}

/// What is known about a finished request.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub at: SystemTime,
    pub peer: String,
    pub method: String,
    pub host: String,
    pub path: String,
    pub status: u16,
    pub bytes: u64,
    pub took: Duration,
    pub service: String,
    pub source: &'static str,
    pub endpoint: String,
    pub reason: Option<Reason>,
    pub request_id: String,
    pub caller: String,
    /// 0 where the service could be asked only once.
    pub attempts: u32,
    /// The id of the policies of the route that claimed it, if it has some of its own.
    pub policy: String,
    /// `breaker` or `rate_limit`, and the id of the one that refused it.
    pub refused_by: Option<(&'static str, Arc<str>)>,
    /// Who sent it, as far as `auth` found out.
    pub user: Option<Arc<str>>,
    /// Where a copy went.
    pub mirror: Option<Arc<str>>,
}

impl AccessLog {
    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or no thread can be started.
    pub fn open(settings: &Settings) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match &settings.to {
            AccessLogTarget::Stderr => Box::new(io::stderr()),
            AccessLogTarget::Stdout => Box::new(io::stdout()),
            AccessLogTarget::File(path) => {
                Box::new(std::fs::OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        Self::to(settings, out)
    }

    fn to(settings: &Settings, out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let format = settings.format;
        std::thread::Builder::new()
            .name("stitch-access-log".to_owned())
            .spawn(move || write_all(&lines, format, out))?;
        Ok(Self { only: settings.only, queue })
    }

    /// Whether a request, or a connection, with this outcome is logged.
    pub(crate) fn wants(&self, status: u16, reason: Option<Reason>) -> bool {
        match self.only {
            AccessLogOnly::All => true,
            // A caller that went away made no error here.
            AccessLogOnly::Errors => {
                status >= 500 || reason.is_some_and(|reason| reason != Reason::ClientClosed)
            }
            AccessLogOnly::StatusFrom(least) => status >= least,
        }
    }

    /// Queues a line; drops and counts it when the writer cannot keep up.
    pub(crate) fn write(&self, line: impl Into<Entry>) {
        match self.queue.try_send(line.into()) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                metrics::counter!("stitch_access_log_dropped_total").increment(1);
            }
        }
    }
}

fn write_all(lines: &Receiver<Entry>, format: AccessLogFormat, mut out: Box<dyn Write + Send>) {
    while let Ok(line) = lines.recv() {
        let mut text = line.render(format);
        // What else is waiting goes out with one write.
        for line in lines.try_iter().take(256) {
            text.push_str(&line.render(format));
        }
        // There is no other place to report that the log's own target is gone.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn render(line: &Line, format: AccessLogFormat) -> String {
    let at = rfc3339(line.at);
    let millis = line.took.as_secs_f64() * 1000.0;
    match format {
        AccessLogFormat::Json => {
            let mut json = json!({
                "time": at,
                "peer": line.peer,
                "method": line.method,
                "host": line.host,
                "path": line.path,
                "status": line.status,
                "bytes": line.bytes,
                "ms": (millis * 1000.0).round() / 1000.0,
                "service": line.service,
                "source": line.source,
                "endpoint": line.endpoint,
                "reason": line.reason.map(Reason::as_str),
                "request_id": line.request_id,
                "caller": line.caller,
                "attempts": (line.attempts > 0).then_some(line.attempts),
                "policy": line.policy,
                "user": line.user.as_deref().map(shortened),
                "mirror": line.mirror.as_deref(),
            });
            if let Some(object) = json.as_object_mut() {
                object
                    .extend(line.refused_by.iter().map(|(key, id)| ((*key).to_owned(), json!(id))));
                object.retain(|_, value| !value.is_null() && value != "");
            }
            format!("{json}\n")
        }
        AccessLogFormat::Text => {
            let mut text = format!(
                "{at} {} {} {}{} {} {millis:.1}ms {} {}",
                printable(&line.peer),
                printable(&line.method),
                printable(&line.host),
                printable(&line.path),
                line.status,
                line.service,
                line.source,
            );
            if !line.endpoint.is_empty() {
                let _ = write!(text, " {}", printable(&line.endpoint));
            }
            if let Some(reason) = line.reason {
                let _ = write!(text, " {reason}");
            }
            if line.attempts > 1 {
                let _ = write!(text, " attempts={}", line.attempts);
            }
            if let Some((key, id)) = &line.refused_by {
                let _ = write!(text, " {key}={}", printable(id));
            }
            if let Some(user) = &line.user {
                let _ = write!(text, " user={}", printable(shortened(user)));
            }
            text.push('\n');
            text
        }
    }
}

/// The beginning of a name: tokens may hold long ones.
fn shortened(name: &str) -> &str {
    const MOST: usize = 128;
    name.char_indices().nth(MOST).map_or(name, |(end, _)| &name[..end])
}

/// Control characters escaped, so that a request cannot forge lines.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escape = c.is_control();
            let escaped = escape.then(|| c.escape_default()).into_iter().flatten();
            escaped.chain((!escape).then_some(c))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn settings(format: AccessLogFormat, only: AccessLogOnly) -> Settings {
        Settings { format, to: AccessLogTarget::Stderr, only }
    }

    fn line() -> Line {
        Line {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(951_827_696_789),
            peer: "127.0.0.1:5".into(),
            method: "GET".into(),
            host: "users".into(),
            path: "/a\n200 forged".into(),
            status: 502,
            bytes: 12,
            took: Duration::from_micros(1234),
            service: "users".into(),
            source: "stitch",
            endpoint: String::new(),
            reason: Some(Reason::ConnectRefused),
            request_id: "r".into(),
            caller: String::new(),
            attempts: 3,
            policy: String::new(),
            refused_by: None,
            user: None,
            mirror: None,
        }
    }

    fn written(format: AccessLogFormat) -> String {
        written_of(line(), format)
    }

    fn written_of(line: Line, format: AccessLogFormat) -> String {
        let shared = Shared::default();
        let log = AccessLog::to(&settings(format, AccessLogOnly::All), Box::new(shared.clone()));
        let log = log.unwrap();
        log.write(line);
        drop(log);
        let written = || String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
        while !written().ends_with('\n') {
            std::thread::yield_now();
        }
        written()
    }

    #[test]
    fn text_is_one_line_that_no_request_can_forge() {
        assert_eq!(
            written(AccessLogFormat::Text),
            "2000-02-29T12:34:56.789Z 127.0.0.1:5 GET users/a\\n200 forged 502 1.2ms users stitch \
             connect_refused attempts=3\n"
        );
    }

    #[test]
    fn json_is_one_object_without_empty_fields() {
        let json: serde_json::Value =
            serde_json::from_str(&written(AccessLogFormat::Json)).unwrap();
        assert_eq!(json["status"], 502);
        assert_eq!(json["ms"], 1.234);
        assert_eq!(json["reason"], "connect_refused");
        assert!(json.get("caller").is_none());
    }

    #[test]
    fn policies_are_named_where_they_had_a_part() {
        let line = Line {
            policy: "users@api".into(),
            refused_by: Some(("breaker", "users@api".into())),
            user: Some(format!("ann\n{}", "é".repeat(1000)).into()),
            mirror: Some("copy".into()),
            ..line()
        };
        let text = written_of(line.clone(), AccessLogFormat::Text);
        let shown = format!(" attempts=3 breaker=users@api user=ann\\n{}\n", "é".repeat(124));
        assert!(text.ends_with(&shown), "{text}");
        let json = written_of(line, AccessLogFormat::Json);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["user"].as_str().map(|user| user.chars().count()), Some(128));
        assert_eq!((&json["policy"], &json["breaker"]), (&"users@api".into(), &"users@api".into()));
        assert_eq!((&json["mirror"], json.get("rate_limit")), (&"copy".into(), None));
    }

    #[test]
    fn which_requests_are_wanted() {
        let wants = |only, status, reason| {
            let log = AccessLog::to(&settings(AccessLogFormat::Text, only), Box::new(io::sink()));
            log.unwrap().wants(status, reason)
        };
        assert!(wants(AccessLogOnly::All, 200, None));
        assert!(!wants(AccessLogOnly::Errors, 404, None));
        assert!(wants(AccessLogOnly::Errors, 404, Some(Reason::NoService)));
        assert!(wants(AccessLogOnly::Errors, 500, None));
        assert!(!wants(AccessLogOnly::Errors, 499, Some(Reason::ClientClosed)));
        assert!(wants(AccessLogOnly::StatusFrom(400), 404, None));
        assert!(!wants(AccessLogOnly::StatusFrom(400), 302, None));
    }
}
