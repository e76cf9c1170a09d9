//! Files that are replaced as a whole: after a crash the old one or the new one stands there.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Writes `bytes` to `file`, with exactly the permissions `mode` from the first moment.
///
/// # Errors
/// The system's; the file is as it was.
pub(crate) fn write(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let temporary = file.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
    let put = || {
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        out.set_permissions(Permissions::from_mode(mode))?; // the umask may have taken some
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&temporary, file)
    };
    let written = put();
    if written.is_err() {
        // Only tidying up: the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}
