//! Paths of Unix sockets: relative to the file that names them, and short.

use super::context::Context;
use crate::yaml::Spot;
use std::path::{Path, PathBuf};

/// The kernel's bound on Linux, without the byte that ends the path.
const LONGEST: usize = 107;

/// The path as seen from here.
pub(super) fn resolve(cx: &mut Context<'_>, spot: &Spot, path: &Path) -> PathBuf {
    let path = cx.sources.relative(spot.place, path);
    let length = path.as_os_str().len();
    if length > LONGEST {
        cx.push(
            spot.error(format!("the path of this socket is {length} bytes long"))
                .hint(format!("a socket's path has at most {LONGEST}")),
        );
    }
    path
}
