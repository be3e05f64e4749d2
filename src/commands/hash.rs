//! `stitch hash`: the digest of a secret, for `auth` in the file.

use crate::exit::{ExitCode, Failure};
use crate::output;
use std::io::{self, BufRead, Read as _};

/// How long a secret may be.
const MOST: u64 = 64 << 10;

pub(super) fn run() -> Result<ExitCode, Failure> {
    let secret = read(&mut io::stdin().lock())?;
    output::print_line(&stitch_proxy::digest(&secret))?;
    Ok(ExitCode::Ok)
}

/// The first line, without its end. It comes over stdin because arguments are seen by everybody.
fn read(from: &mut impl BufRead) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    from.take(MOST + 1).read_until(b'\n', &mut line)?;
    if line.len() as u64 > MOST {
        return Err(Failure::usage("the secret is longer than 64 KiB"));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.is_empty() {
        true => Err(Failure::usage("there is no secret on stdin; write it there, and Enter")),
        false => Ok(line.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_one_secret() {
        for (text, secret) in [("a b\nc", "a b"), ("a\r\n", "a"), ("a", "a"), (" a \n", " a ")] {
            assert_eq!(read(&mut text.as_bytes()).unwrap(), secret.as_bytes(), "{text:?}");
        }
        for text in ["", "\n", "\r\n", &"x".repeat(70_000)] {
            assert_eq!(read(&mut text.as_bytes()).unwrap_err().exit, ExitCode::Usage);
        }
    }

    #[test]
    fn the_digest_is_what_sha256sum_says() {
        let known = "sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
        assert_eq!(stitch_proxy::digest(b"hunter2"), known);
    }
}
