//! The output of commands, line by line, each with its service in front.
//!
//! One thread writes for all, fed through a bounded channel: a terminal that stands still slows the
//! commands down, never the proxy.

use crate::report::{Colour, Paint};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Lines between the commands and the thread that writes them.
const QUEUE: usize = 256;
/// Longer lines are broken, in bytes.
const LONGEST_LINE: u64 = 8 * 1024;
/// Lines kept of each command, for when it crashes.
const TAIL: usize = 20;
/// How long the end waits for lines still to be written.
const FLUSH: Duration = Duration::from_secs(1);

enum Message {
    Line(String),
    Flush(oneshot::Sender<()>),
}

/// Where the lines of all commands go.
#[derive(Clone, Debug)]
pub(super) struct Output {
    queue: mpsc::Sender<Message>,
    /// Of the longest name, so that lines begin below each other.
    width: Arc<AtomicUsize>,
    paint: Paint,
}

impl Output {
    /// To standard error: standard output is for what `stitch` itself has to say.
    pub(super) fn stderr() -> Self {
        Self::to(io::stderr(), Paint::stderr())
    }

    /// To any writer, on a thread of its own.
    pub(super) fn to(mut writer: impl Write + Send + 'static, paint: Paint) -> Self {
        let (queue, mut messages) = mpsc::channel(QUEUE);
        thread::spawn(move || {
            while let Some(message) = messages.blocking_recv() {
                match message {
                    // A stream that is closed has no reader to miss anything.
                    Message::Line(line) => drop(writer.write_all(line.as_bytes())),
                    Message::Flush(done) => {
                        let _ = writer.flush();
                        let _ = done.send(());
                    }
                }
            }
        });
        Self { queue, width: Arc::default(), paint }
    }

    /// The names that will stand in front of lines.
    pub(super) fn names<'a>(&self, names: impl Iterator<Item = &'a str>) {
        self.width.store(names.map(str::len).max().unwrap_or(0), Ordering::Relaxed);
    }

    /// Writes one line of a service.
    pub(super) async fn line(&self, name: &str, text: &str) {
        let width = self.width.load(Ordering::Relaxed);
        let front = self.paint.paint(Colour::of(name), &format!("{name:width$} |"));
        // The thread lives as long as any of us.
        let _ = self.queue.send(Message::Line(format!("{front} {text}\n"))).await;
    }

    /// Writes everything that a command says until it closes the stream.
    pub(super) async fn follow(self, name: Arc<str>, stream: impl AsyncRead + Unpin, tail: Tail) {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let line = (&mut stream).take(LONGEST_LINE).read_until(b'\n', &mut bytes).await;
            if line.is_err() || bytes.is_empty() {
                return;
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end_matches(['\n', '\r']);
            tail.push(text);
            self.line(&name, text).await;
        }
    }

    /// Waits until everything so far is written, but not for a terminal that stands still.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let flush = async {
            let _ = self.queue.send(Message::Flush(done)).await;
            let _ = wait.await;
        };
        let _ = timeout(FLUSH, flush).await;
    }
}

/// The last lines of one command.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// The lines, which are then forgotten.
    pub(super) fn take(&self) -> VecDeque<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn written(paint: Paint, stream: &[u8]) -> (String, Tail) {
        let sink = Sink::default();
        let output = Output::to(sink.clone(), paint);
        output.names(["web", "users"].into_iter());
        let tail = Tail::default();
        output.clone().follow("web".into(), stream, tail.clone()).await;
        output.flush().await;
        let bytes = sink.0.lock().unwrap().clone();
        (String::from_utf8(bytes).unwrap(), tail)
    }

    #[tokio::test]
    async fn every_line_has_its_service_in_front() {
        let (text, _) = written(Paint::OFF, b"one\r\n\ntwo \xff").await;
        assert_eq!(text, "web   | one\nweb   | \nweb   | two \u{fffd}\n");
    }

    #[tokio::test]
    async fn the_front_alone_is_coloured() {
        let (text, _) = written(Paint::ON, b"one\n").await;
        assert_eq!(text, format!("{} one\n", Paint::ON.paint(Colour::of("web"), "web   |")));
    }

    #[tokio::test]
    async fn a_line_without_end_is_broken() {
        let longest = usize::try_from(LONGEST_LINE).unwrap();
        let (text, _) = written(Paint::OFF, &vec![b'x'; longest + 1]).await;
        let lengths: Vec<_> = text.lines().map(|line| line.matches('x').count()).collect();
        assert_eq!(lengths, [longest, 1]);
    }

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let lines: String = (0..TAIL + 5).map(|number| format!("{number}\n")).collect();
        let (_, tail) = written(Paint::OFF, lines.as_bytes()).await;
        let kept = tail.take();
        assert_eq!(kept.len(), TAIL);
        assert_eq!(kept.front().map(String::as_str), Some("5"));
        assert!(tail.take().is_empty());
    }
}
