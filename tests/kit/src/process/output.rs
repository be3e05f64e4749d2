//! What a process printed: read by a thread of its own, kept up to a limit, looked at while it runs.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes kept of one stream; what comes after is read and forgotten, so the writer never blocks.
const KEPT: usize = 16 << 20;

/// A longer line is taken for several.
const LINE: u64 = 1 << 20;

/// One captured stream, shared with the thread that fills it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    text: Mutex<Text>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    /// Each with its end of line.
    lines: Vec<String>,
    bytes: usize,
    ended: bool,
}

impl Capture {
    /// Reads `stream` to its end in the background.
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let capture = Self::default();
        let filled = capture.clone();
        std::thread::spawn(move || filled.fill(BufReader::new(stream)));
        capture
    }

    fn fill(&self, mut stream: impl BufRead) {
        let mut line = Vec::new();
        loop {
            line.clear();
            // A read error and the end are the same here: nothing more will come.
            let count = stream.by_ref().take(LINE).read_until(b'\n', &mut line).unwrap_or(0);
            let mut text = self.lock();
            if count == 0 {
                text.ended = true;
            } else if text.bytes + count <= KEPT {
                text.bytes += count;
                text.lines.push(String::from_utf8_lossy(&line).into_owned());
            }
            drop(text);
            self.0.changed.notify_all();
            if count == 0 {
                return;
            }
        }
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().map(|line| bare(line).to_owned()).collect()
    }

    /// All of it so far as one text.
    pub(crate) fn text(&self) -> String {
        self.lock().lines.concat()
    }

    /// Waits for the writer to close its end.
    pub(crate) fn wait_end(&self, limit: Duration) -> bool {
        self.find(limit, |_| None::<()>).is_err_and(|ended| ended)
    }

    /// The first line, old or new, that `pick` accepts. The error says whether the stream ended
    /// (true) or the limit passed (false).
    pub(crate) fn find<T>(
        &self,
        limit: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, bool> {
        let end = Instant::now() + limit;
        let mut seen = 0;
        let mut text = self.lock();
        loop {
            while let Some(line) = text.lines.get(seen) {
                if let Some(found) = pick(bare(line)) {
                    return Ok(found);
                }
                seen += 1;
            }
            let left = end.saturating_duration_since(Instant::now());
            if text.ended || left.is_zero() {
                return Err(text.ended);
            }
            text = match self.0.changed.wait_timeout(text, left) {
                Ok((text, _)) => text,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Text> {
        // Lines are pushed whole, so a panic elsewhere leaves nothing half done.
        self.0.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bare(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn lines_are_found_as_they_come() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let capture = Capture::of(reader);
        writeln!(writer, "one").unwrap();
        assert_eq!(capture.find(LONG, |line| (line == "one").then_some(1)), Ok(1));
        writeln!(writer, "two").unwrap();
        assert_eq!(capture.find(LONG, |line| (line == "two").then_some(2)), Ok(2));
        let never = capture.find(Duration::from_millis(10), |_| None::<()>);
        assert_eq!(never, Err(false), "the writer is still there");
        drop(writer);
        assert!(capture.wait_end(LONG));
        assert_eq!(capture.text(), "one\ntwo\n");
        assert_eq!(capture.lines().len(), 2);
    }

    #[test]
    fn what_is_not_text_is_kept_readable() {
        let capture = Capture::of(&b"a\xff\nno end of line"[..]);
        assert!(capture.wait_end(LONG));
        assert_eq!(capture.lines(), ["a\u{fffd}", "no end of line"]);
    }

    #[test]
    fn a_flood_is_read_but_not_kept() {
        let capture = Capture::of(std::io::repeat(b'x').take(KEPT as u64 + 100));
        assert!(capture.wait_end(Duration::from_secs(60)));
        assert_eq!(capture.lock().bytes, KEPT);
    }
}
