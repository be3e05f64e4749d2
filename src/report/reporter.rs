//! Tells events on standard output, in the format that was asked for.

use super::{Event, Listening, Paint, ProblemLine, Reloaded, counted, table};
use crate::cli::Format;
use crate::output;
use crate::serve::Dropped;
use std::io;
use stitch_config::{Report, Sources};

/// Where and how events are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reporter {
    format: Format,
    paint: Paint,
    width: Option<usize>,
}

impl Reporter {
    /// Tells on standard output, as wide as its terminal.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, paint: Paint::stdout(), width: terminal_width() }
    }

    /// Everything is bound.
    pub(crate) fn ready(&self, listening: &Listening) -> io::Result<()> {
        output::print(&self.ready_text(listening))
    }

    /// A changed file is in force.
    pub(crate) fn reloaded(&self, reloaded: &Reloaded<'_>) -> io::Result<()> {
        output::print(&self.reloaded_text(reloaded))
    }

    /// A changed file was refused. People get every problem on standard error.
    pub(crate) fn reload_failed(&self, report: &Report, sources: &Sources) -> io::Result<()> {
        if self.format == Format::Text {
            eprint!("{}", report.render(sources));
        }
        output::print(&self.reload_failed_text(report, sources))
    }

    /// No new work is taken.
    pub(crate) fn draining(&self) -> io::Result<()> {
        output::print(&self.say(&Event::Draining, || "draining\n".to_owned()))
    }

    /// The end.
    pub(crate) fn stopped(&self) -> io::Result<()> {
        output::print(&self.say(&Event::Stopped, || "stopped\n".to_owned()))
    }

    fn ready_text(&self, listening: &Listening) -> String {
        let table = || table::render(listening, self.width, self.paint);
        self.say(&Event::Ready(listening), table)
    }

    fn reloaded_text(&self, reloaded: &Reloaded<'_>) -> String {
        self.say(&Event::Reloaded(reloaded), || {
            let mut line = format!("reloaded  {}", counted(reloaded.services.len(), "service"));
            if let Some(overlay) = reloaded.overlay {
                line += &format!("  with changes from {overlay}");
            }
            for Dropped { service, key, why } in reloaded.dropped {
                line += &format!("\n  the change of {service}.{key} at run time is dropped: {why}");
            }
            line + "\n"
        })
    }

    fn reload_failed_text(&self, report: &Report, sources: &Sources) -> String {
        let problems = ProblemLine::all(report, sources);
        self.say(&Event::ReloadFailed { problems: &problems }, || {
            let errors = counted(report.errors(), "error");
            format!("reload failed  {errors}, the configuration before stays in force\n")
        })
    }

    fn say(&self, event: &Event<'_>, text: impl FnOnce() -> String) -> String {
        match self.format {
            Format::Json => event.to_line() + "\n",
            Format::Text => text(),
        }
    }
}

/// Columns of the terminal behind standard output, if it is one.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stitch_config::{Place, Problem};

    const TEXT: Reporter = Reporter { format: Format::Text, paint: Paint::OFF, width: None };
    const JSON: Reporter = Reporter { format: Format::Json, ..TEXT };

    #[test]
    fn people_get_sentences() {
        let mut report = Report::default();
        report.push(Problem::error(Place::default(), "x", "bad"));
        let failed = TEXT.reload_failed_text(&report, &Sources::default());
        assert_eq!(failed, "reload failed  1 error, the configuration before stays in force\n");
        assert_eq!(TEXT.reloaded_text(&Reloaded::default()), "reloaded  0 services\n");
        let dropped = Dropped { service: "a".into(), key: "b".into(), why: "c".into() };
        let overlay = Some("x.overlay.yaml");
        assert_eq!(
            TEXT.reloaded_text(&Reloaded { overlay, services: &[], dropped: &[dropped] }),
            "reloaded  0 services  with changes from x.overlay.yaml\n  the change of a.b at run time is dropped: c\n"
        );
        assert_eq!(TEXT.ready_text(&Listening::default()), "ready\n");
        assert_eq!(TEXT.say(&Event::Stopped, || "stopped\n".to_owned()), "stopped\n");
    }

    #[test]
    fn programs_get_one_object_per_line() {
        let mut report = Report::default();
        report.push(Problem::error(Place::default(), "x", "bad"));
        let all = [
            (JSON.ready_text(&Listening::default()), "ready"),
            (JSON.reloaded_text(&Reloaded::default()), "reloaded"),
            (JSON.reload_failed_text(&report, &Sources::default()), "reload_failed"),
            (JSON.say(&Event::Draining, String::new), "draining"),
        ];
        for (line, event) in all {
            assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["event"], event);
        }
    }
}
