//! The certificate authority of this installation, which tunnels are looked into with.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use stitch_net::tls::{Authority, default_dir};

/// Where its files are: `$STITCH_CA_DIR`, else below the user's data folder.
pub(crate) fn folder() -> Result<PathBuf, String> {
    default_dir(&|name| env::var(name).ok())
        .ok_or_else(|| "there is no home directory to keep a certificate authority in".to_owned())
}

/// Opens it, or makes it where there is none.
pub(crate) fn open() -> Result<Arc<Authority>, String> {
    let folder = folder()?;
    Authority::open_or_create(&folder).map(Arc::new).map_err(|error| error.to_string())
}
