//! Standard output: data for the caller, and nothing else.

use std::io::{self, ErrorKind, Write};

/// Prints text as it is. A reader that has seen enough (`stitch schema | head`) is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    forgive(write(&mut io::stdout().lock(), text))
}

/// Prints one line.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    print(&format!("{line}\n"))
}

fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn forgive(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_written_whole() {
        let mut out = Vec::new();
        write(&mut out, "a\nb\n").unwrap();
        assert_eq!(out, b"a\nb\n");
    }

    #[test]
    fn only_a_closed_pipe_is_forgiven() {
        assert!(forgive(Err(ErrorKind::BrokenPipe.into())).is_ok());
        assert!(forgive(Err(ErrorKind::StorageFull.into())).is_err());
        assert!(forgive(Ok(())).is_ok());
    }
}
