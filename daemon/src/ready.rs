//! Tells whoever started this program that it serves, and where: systemd by its socket
//! (sd_notify(3)), others by a file.

use std::io;
use std::path::Path;

use sd_notify::NotifyState;
use serde::Serialize;

/// Tells systemd, if that is listening, and writes `addresses` as JSON to `file`, if one is wanted.
///
/// # Errors
///
/// The file cannot be written.
pub fn announce(file: Option<&Path>, addresses: &impl Serialize) -> io::Result<()> {
    if let Some(file) = file {
        write(file, addresses).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", file.display()))
        })?;
    }
    // Not started by systemd: nobody to tell.
    drop(sd_notify::notify(&[NotifyState::Ready]));
    Ok(())
}

/// Tells systemd that the way out has begun.
pub fn leaving() {
    drop(sd_notify::notify(&[NotifyState::Stopping]));
}

/// Takes `file` away: nobody is reached there any more.
pub fn withdraw(file: Option<&Path>) {
    if let Some(file) = file {
        // Gone already is as good.
        drop(std::fs::remove_file(file));
    }
}

/// Asks the kernel to end this process when its parent ends: what a launcher starts must not
/// outlive it.
///
/// # Errors
///
/// Those of the system; the process then ends when it is told to.
pub fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    Ok(())
}

/// Writes `file`, which appears whole or not at all.
fn write(file: &Path, addresses: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_string(addresses)?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = Path::new(&beside);
    let written = std::fs::write(beside, json + "\n").and_then(|()| std::fs::rename(beside, file));
    if written.is_err() {
        // The first error is the one to tell.
        drop(std::fs::remove_file(beside));
    }
    written
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn the_addresses_appear_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let addresses = serde_json::json!({ "grpc": "127.0.0.1:8443", "admin": null });
        let file = folder.path().join("ready");
        announce(Some(&file), &addresses).unwrap();
        let read = std::fs::File::open(&file).unwrap();
        let json: serde_json::Value = serde_json::from_reader(read).unwrap();
        assert_eq!(json, addresses);
        announce(Some(&folder.path().join("missing/ready")), &addresses).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
        withdraw(Some(&file));
        assert!(!file.exists());
    }
}
