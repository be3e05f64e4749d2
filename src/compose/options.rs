//! What the compose file needs to know beyond the configuration itself.
//!
//! Everything that asks the file system stands here, so that [`generate`](super::generate()) is a
//! function of its arguments: where the files lie, who may read them, and a mark that changes
//! with their content, for compose recreates a container only when its own entry changes.

use std::io;
use std::path::{Path, PathBuf};
use stitch_config::model::ResponseBody;
use stitch_config::{Config, Place, Sources};

/// The image that the project publishes; `STITCH_IMAGE` wins when compose runs.
pub(crate) const IMAGE: &str = "servicestitch/stitch:latest";

/// See the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The image of our container unless the environment names another.
    pub(crate) image: String,
    /// The directory of the configuration, as the compose file names it: `.` beside it, else
    /// absolute.
    pub(crate) base: String,
    /// The configuration's file name in that directory.
    pub(crate) file: String,
    /// Environment variables that the configuration reads; handed through by name only, so that
    /// no value lands in the compose file.
    pub(crate) variables: Vec<String>,
    /// Files that the configuration names outside its own directory, which is all we mount.
    pub(crate) outside: Vec<PathBuf>,
    /// `uid:gid` to run as, when the image's own user could not read the files.
    pub(crate) user: Option<String>,
    /// Changes with the content of any file that was read.
    pub(crate) fingerprint: u64,
}

impl Options {
    /// Asks the file system. `directory` is where the compose file will stand, `variables` what
    /// the loader looked up in the environment.
    pub(crate) fn gather(
        config: &Config,
        sources: &Sources,
        directory: &Path,
        variables: Vec<String>,
    ) -> io::Result<Self> {
        let file = config.file.canonicalize()?;
        let base = file.parent().unwrap_or(Path::new("/")).to_owned();
        let files = files(config, sources);
        // Changes of certificates and keys are noticed by whoever runs with them.
        let pem = config.pem_files().map(|file| file.path.clone());
        let mut all: Vec<_> = files.iter().cloned().chain(pem).collect();
        all.sort();
        all.dedup();
        let beside = directory.canonicalize()? == base;
        Ok(Self {
            image: IMAGE.to_owned(),
            base: if beside { ".".to_owned() } else { base.display().to_string() },
            file: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            variables,
            outside: all.iter().filter(|path| is_outside(&base, path)).cloned().collect(),
            user: reader(&base, &all)?,
            fingerprint: fingerprint(sources, &files),
        })
    }
}

/// Every file that `stitch up` will read again inside the container.
fn files(config: &Config, sources: &Sources) -> Vec<PathBuf> {
    let endpoints = config.services.iter().flat_map(|service| &service.endpoints);
    let bodies = endpoints.filter_map(|endpoint| match &endpoint.response.body {
        ResponseBody::File(path, _) => Some(path.clone()),
        _ => None,
    });
    let mut files: Vec<_> = sources.paths().map(Path::to_owned).chain(bodies).collect();
    files.sort();
    files.dedup();
    files
}

/// A file that cannot be found is told elsewhere.
fn is_outside(base: &Path, path: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| !path.starts_with(base))
}

/// FNV-1a over what was read: the texts as loaded, the bodies as they are.
fn fingerprint(sources: &Sources, files: &[PathBuf]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let texts = (0..).map_while(|file| sources.text(Place { file, ..Place::default() }));
    texts.for_each(|text| add(text.as_bytes()));
    let read: Vec<_> = sources.paths().collect();
    for path in files.iter().filter(|path| !read.contains(&path.as_path())) {
        add(&std::fs::read(path).unwrap_or_default());
    }
    hash
}

/// The owner of the files, when others may not read them.
#[cfg(unix)]
fn reader(base: &Path, files: &[PathBuf]) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt as _;
    /// Read and enter, for others.
    const OPEN_DIRECTORY: u32 = 0o5;
    /// Read, for others.
    const OPEN_FILE: u32 = 0o4;

    let directory = base.metadata()?;
    let closed = directory.mode() & OPEN_DIRECTORY != OPEN_DIRECTORY
        || files
            .iter()
            .filter_map(|path| path.metadata().ok())
            .any(|file| file.mode() & OPEN_FILE == 0);
    Ok(closed.then(|| format!("{}:{}", directory.uid(), directory.gid())))
}

/// Elsewhere the engine's own file sharing decides.
#[cfg(not(unix))]
fn reader(_base: &Path, _files: &[PathBuf]) -> io::Result<Option<String>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scratch, config, endpoint_file, mock};
    use super::*;
    use stitch_config::model::{Certificate, PemFile, ServerTls};

    fn sources(paths: &[(&Path, &str)]) -> Sources {
        let mut sources = Sources::default();
        for (path, text) in paths {
            sources.add(path.to_path_buf(), *text);
        }
        sources
    }

    #[test]
    fn a_file_beside_the_compose_file_is_named_from_there() {
        let scratch = Scratch::new("beside");
        let path = scratch.file("stitch.yaml", "services: {}");
        let mut config = config(vec![]);
        config.file.clone_from(&path);
        let sources = sources(&[(&path, "services: {}")]);
        let here = Options::gather(&config, &sources, scratch.path(), vec!["A".into()]).unwrap();
        assert_eq!((here.base.as_str(), here.file.as_str()), (".", "stitch.yaml"));
        assert_eq!(here.image, IMAGE);
        assert_eq!(here.variables, ["A"]);
        assert!(here.outside.is_empty());

        let elsewhere = scratch.directory("elsewhere");
        let there = Options::gather(&config, &sources, &elsewhere, vec![]).unwrap();
        assert_eq!(there.base, scratch.path().canonicalize().unwrap().display().to_string());
        assert_eq!(there.fingerprint, here.fingerprint);
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let scratch = Scratch::new("missing");
        let mut config = config(vec![]);
        config.file = scratch.path().join("absent.yaml");
        assert!(Options::gather(&config, &Sources::default(), scratch.path(), vec![]).is_err());
    }

    #[test]
    fn the_mark_follows_every_file_that_is_read() {
        let scratch = Scratch::new("mark");
        let path = scratch.file("stitch.yaml", "");
        let body = scratch.file("body.json", "one");
        let mut config = config(vec![mock("a", None, vec![endpoint_file(&body)])]);
        config.file.clone_from(&path);
        let mark = |text: &str| {
            let sources = sources(&[(&path, text)]);
            Options::gather(&config, &sources, scratch.path(), vec![]).unwrap().fingerprint
        };
        let first = mark("x");
        assert_eq!(first, mark("x"));
        assert_ne!(first, mark("y"));
        scratch.file("body.json", "two");
        assert_ne!(first, mark("x"));
    }

    #[test]
    fn files_outside_the_mounted_directory_are_told() {
        let scratch = Scratch::new("outside");
        let inner = scratch.directory("inner");
        let path = inner.join("stitch.yaml");
        std::fs::write(&path, "").unwrap();
        let shared = scratch.file("shared.yaml", "");
        let mut config = config(vec![]);
        config.file.clone_from(&path);
        let sources = sources(&[(&path, ""), (&shared, "")]);
        let options = Options::gather(&config, &sources, &inner, vec![]).unwrap();
        assert_eq!(options.outside, [shared]);
    }

    #[test]
    fn certificates_are_files_too() {
        let scratch = Scratch::new("certificates");
        let inner = scratch.directory("inner");
        let path = inner.join("stitch.yaml");
        std::fs::write(&path, "").unwrap();
        let key = scratch.file("a.key", "");
        let file = PemFile { path: key.clone(), place: Place::default() };
        let mut config = config(vec![]);
        config.file.clone_from(&path);
        config.proxy.tls = Some(ServerTls {
            certificates: vec![Certificate { cert: file.clone(), key: file }],
            client_ca: None,
        });
        let gather = || Options::gather(&config, &sources(&[(&path, "")]), &inner, vec![]).unwrap();
        let before = gather();
        assert_eq!(before.outside, std::slice::from_ref(&key));
        // What is renewed is read anew by who runs, not started anew.
        std::fs::write(&key, "renewed").unwrap();
        assert_eq!(gather().fingerprint, before.fingerprint);
    }

    #[cfg(unix)]
    #[test]
    fn files_closed_to_others_are_read_as_their_owner() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let scratch = Scratch::new("closed");
        let path = scratch.file("stitch.yaml", "");
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(scratch.path(), 0o755);
        mode(&path, 0o644);
        let files = [path.clone()];
        assert_eq!(reader(scratch.path(), &files).unwrap(), None);
        let owner = scratch.path().metadata().unwrap();
        let owner = Some(format!("{}:{}", owner.uid(), owner.gid()));
        mode(&path, 0o600);
        assert_eq!(reader(scratch.path(), &files).unwrap(), owner);
        mode(&path, 0o644);
        mode(scratch.path(), 0o700);
        assert_eq!(reader(scratch.path(), &files).unwrap(), owner);
    }
}
