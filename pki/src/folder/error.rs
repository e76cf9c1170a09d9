//! What can go wrong with the folder; each says what was changed.

use std::io;
use std::path::PathBuf;

use files::ReadError;

use crate::authority::AuthorityError;
use crate::index::MAX_ENTRIES;
use crate::serial::Serial;

/// Why the folder did not do it, and what was changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is an authority already.
    #[error("{} is there already, nothing was changed; an authority is never overwritten", .0.display())]
    Exists(PathBuf),
    /// Others may look into the folder.
    #[error(
        "others may look into {}, where the authority's key lies; nothing was changed: chmod 700 {}",
        .0.display(), .0.display()
    )]
    OpenFolder(PathBuf),
    /// Others may read the authority's key.
    #[error(
        "others may read the authority's key {}, nothing was changed; if nobody did: chmod 600 {}",
        .0.display(), .0.display()
    )]
    OpenKey(PathBuf),
    /// A file could not be read.
    #[error("cannot read {}, nothing was changed: {cause}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says, or what else it is than a file.
        cause: ReadError,
    },
    /// A file could not be written.
    #[error("cannot write {}; {changed}: {cause}", .file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// What happened before.
        changed: &'static str,
        /// What the system says.
        cause: io::Error,
    },
    /// Another process holds the folder.
    #[error("cannot lock {}, nothing was changed: {cause}", .file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The index does not parse, or is of a newer program.
    #[error("{} is damaged, nothing was changed: {why}; restore it from a backup", .file.display())]
    BadIndex {
        /// The index.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The index has no room.
    #[error("the index has {MAX_ENTRIES} certificates in date, nothing was issued")]
    Full,
    /// No certificate has this number.
    #[error("no certificate {0} was issued here, nothing was changed")]
    UnknownSerial(Serial),
    /// It was taken back before.
    #[error("certificate {0} is revoked already, nothing was changed")]
    RevokedAlready(Serial),
    /// A revoked certificate is not renewed.
    #[error("certificate {0} is revoked, so it is not renewed; issue a new one if its holder may")]
    NotRenewed(Serial),
    /// The file to renew holds no certificate of ours.
    #[error(
        "{}: this certificate was not issued by this authority, nothing was changed: {why}",
        .file.display()
    )]
    NotOurs {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The authority refuses.
    #[error("the authority in {} refuses, nothing was changed: {cause}", .dir.display())]
    Authority {
        /// The folder.
        dir: PathBuf,
        /// Why.
        cause: Box<AuthorityError>,
    },
}
