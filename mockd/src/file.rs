//! `file:` bodies: kept in memory while they fit together, read from disk per request otherwise.

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::StreamBody;
use std::io;
use std::path::{Path, PathBuf};
use stitch_net::Body;
use tokio::io::AsyncReadExt as _;

/// All file bodies of a configuration that are kept in memory, together.
const MAX_HELD: u64 = 64 << 20;
/// How much is read at a time from those that are not.
const CHUNK: usize = 64 << 10;

/// What is left of the memory for files.
#[derive(Debug)]
pub(crate) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_HELD)
    }
}

/// The content of a file.
#[derive(Clone, Debug)]
pub(crate) enum FileBody {
    /// In memory, as it was at load.
    Held(Bytes),
    /// On disk, as it is at each request.
    OnDisk(PathBuf),
}

impl FileBody {
    /// Reads a file if it still fits, else makes sure that it can be read.
    pub(crate) fn load(path: &Path, budget: &mut Budget) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("is not a file"));
        }
        if metadata.len() > budget.0 {
            std::fs::File::open(path)?;
            return Ok(Self::OnDisk(path.to_owned()));
        }
        let bytes = std::fs::read(path)?;
        budget.0 = budget.0.saturating_sub(bytes.len() as u64);
        Ok(Self::Held(bytes.into()))
    }
}

/// Opens a file for one response and tells its length.
pub(crate) async fn stream(path: &Path) -> io::Result<(u64, Body)> {
    let file = tokio::fs::File::open(path).await?;
    let length = file.metadata().await?.len();
    // `take` keeps the promise of content-length when the file grows meanwhile; when it shrinks,
    // the answer is broken off.
    let chunks = stream::try_unfold(file.take(length), async |mut file| {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok::<_, io::Error>((read > 0).then(|| (Frame::data(chunk.freeze()), file)))
    });
    Ok((length, Body::boxed(StreamBody::new(chunks))))
}

/// The content type that a file's extension stands for.
pub(crate) fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" | "map" => "application/json",
        "html" | "htm" => "text/html; charset=utf-8",
        "txt" | "md" | "log" => "text/plain; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "wasm" => "application/wasm",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("stitch-file-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn files_are_held_while_they_fit() {
        let path = file("held.txt", b"12345678");
        let mut budget = Budget(10);
        assert!(matches!(FileBody::load(&path, &mut budget).unwrap(), FileBody::Held(_)));
        assert!(matches!(FileBody::load(&path, &mut budget).unwrap(), FileBody::OnDisk(_)));
        assert!(FileBody::load(&path.with_extension("none"), &mut budget).is_err());
        assert!(FileBody::load(path.parent().unwrap(), &mut budget).is_err());
    }

    #[tokio::test]
    async fn a_streamed_file_arrives_whole() {
        let content: Vec<u8> =
            (0..CHUNK * 3 + 17).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let path = file("streamed.bin", &content);
        let (length, body) = stream(&path).await.unwrap();
        assert_eq!(length, content.len() as u64);
        assert_eq!(body.collect().await.unwrap().to_bytes(), content);
        assert!(stream(&path.with_extension("gone")).await.is_err());
    }

    #[test]
    fn extensions_are_known_in_any_case() {
        assert_eq!(content_type(Path::new("a/B.JSON")), "application/json");
        assert_eq!(content_type(Path::new("archive")), "application/octet-stream");
    }
}
