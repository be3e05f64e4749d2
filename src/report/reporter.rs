//! Tells events on standard output, in the format that was asked for.

use super::{Event, Listening, Paint, ProblemLine, ServiceLine, counted, table};
use crate::cli::Format;
use crate::output;
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
        let table = || table::render(listening, self.width, self.paint);
        self.tell(&Event::Ready(listening), table)
    }

    /// A changed file is in force.
    pub(crate) fn reloaded(&self, services: &[ServiceLine]) -> io::Result<()> {
        let line = || format!("reloaded  {}\n", counted(services.len(), "service"));
        self.tell(&Event::Reloaded { services }, line)
    }

    /// A changed file was refused. People get every problem on standard error.
    pub(crate) fn reload_failed(&self, report: &Report, sources: &Sources) -> io::Result<()> {
        let problems = ProblemLine::all(report, sources);
        self.tell(&Event::ReloadFailed { problems: &problems }, || {
            eprint!("{}", report.render(sources));
            let errors = counted(report.errors(), "error");
            format!("reload failed  {errors}, the configuration before stays in force\n")
        })
    }

    /// No new work is taken.
    pub(crate) fn draining(&self) -> io::Result<()> {
        self.tell(&Event::Draining, || "draining\n".to_owned())
    }

    /// The end.
    pub(crate) fn stopped(&self) -> io::Result<()> {
        self.tell(&Event::Stopped, || "stopped\n".to_owned())
    }

    fn tell(&self, event: &Event<'_>, text: impl FnOnce() -> String) -> io::Result<()> {
        output::print(&self.say(event, text))
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

    #[test]
    fn the_format_decides() {
        let reporter = |format| Reporter { format, paint: Paint::OFF, width: None };
        let said = |format| reporter(format).say(&Event::Stopped, || "stopped\n".to_owned());
        assert_eq!(said(Format::Text), "stopped\n");
        assert_eq!(said(Format::Json), "{\"event\":\"stopped\"}\n");
    }
}
