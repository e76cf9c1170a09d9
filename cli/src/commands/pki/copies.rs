//! The authority's certificate and revocation list beside what it issued: every node reads both.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daemon::files::{self, ReadError};
use pki::Folder;

use crate::whole_file;

/// Everybody may read them.
const PUBLIC: u32 = 0o644;
/// Octets of a bundle or a list; as many as programs take.
const MAX_FILE: u64 = 16 << 20;

/// Whether to make copies that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    Make,
    Leave,
}

/// Brings ca.crt and ca.crl in `dir` up to date; returns those that were written.
///
/// Never written are the files of an authority's own folder, and of one where the certificates of
/// several authorities stand in ca.crt: the others would be forgotten, and their revocations too.
///
/// # Errors
/// Names the file; what was issued before stays issued.
pub(crate) fn refresh(
    folder: &Folder,
    dir: &Path,
    missing: Missing,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    if dir.join("ca.key").exists() || trusts_several(&dir.join("ca.crt"))? {
        return Ok(written);
    }
    for original in [folder.ca_cert(), folder.ca_crl()] {
        let name = original.file_name().context("the authority's files have names")?;
        let copy = dir.join(name);
        let bytes = read(&original)?.with_context(|| original.display().to_string())?;
        let wanted = match read(&copy)? {
            Some(old) => old != bytes,
            None => missing == Missing::Make,
        };
        if wanted {
            let failed = || format!("{}: cannot write it, all else is done", copy.display());
            whole_file::write(&copy, &bytes, PUBLIC).with_context(failed)?;
            written.push(copy);
        }
    }
    Ok(written)
}

fn trusts_several(bundle: &Path) -> anyhow::Result<bool> {
    let text = read(bundle)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).matches("-----BEGIN CERTIFICATE-----").count() > 1)
}

fn read(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match files::read(file, MAX_FILE) {
        Ok(content) => Ok(Some(content.octets)),
        Err(ReadError::System(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| file.display().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    use super::*;

    fn authority(parent: &Path, name: &str) -> Folder {
        let domain = "test-net.io".parse().unwrap();
        Folder::create(&parent.join(name), &domain, SystemTime::now()).unwrap()
    }

    #[test]
    fn copies_are_made_when_asked_for_and_written_when_they_differ() {
        let parent = tempfile::tempdir().unwrap();
        let folder = authority(parent.path(), "pki");
        let dir = parent.path().join("node");
        fs::create_dir(&dir).unwrap();
        let (cert, crl) = (dir.join("ca.crt"), dir.join("ca.crl"));
        assert!(refresh(&folder, &dir, Missing::Leave).unwrap().is_empty());
        assert!(!cert.exists() && !crl.exists());
        assert_eq!(refresh(&folder, &dir, Missing::Make).unwrap(), [cert.clone(), crl.clone()]);
        assert_eq!(fs::metadata(&crl).unwrap().permissions().mode() & 0o777, 0o644);
        assert!(refresh(&folder, &dir, Missing::Make).unwrap().is_empty());
        folder.refresh_crl(SystemTime::now()).unwrap();
        let written = refresh(&folder, &dir, Missing::Leave).unwrap();
        assert_eq!(written, std::slice::from_ref(&crl));
        assert_eq!(fs::read(&crl).unwrap(), fs::read(folder.ca_crl()).unwrap());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn other_authorities_are_not_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, other) = (authority(parent.path(), "a"), authority(parent.path(), "b"));
        assert!(refresh(&folder, &parent.path().join("b"), Missing::Make).unwrap().is_empty());
        let dir = parent.path().join("node");
        fs::create_dir(&dir).unwrap();
        let certs = [folder.ca_cert(), other.ca_cert()].map(|file| fs::read(file).unwrap());
        fs::write(dir.join("ca.crt"), certs.concat()).unwrap();
        assert!(refresh(&folder, &dir, Missing::Make).unwrap().is_empty());
        assert!(!dir.join("ca.crl").exists());
    }
}
