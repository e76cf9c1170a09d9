//! Tells whoever started this program where it is reached, when ports were left to the system.

use std::io;
use std::path::Path;

use super::program::Addresses;

/// Writes `{"grpc":"127.0.0.1:PORT","admin":"127.0.0.1:PORT"}` to `file`, which appears whole or
/// not at all; `admin` is null where it is not served.
///
/// # Errors
///
/// The system's; what was written beside `file` is taken away.
pub fn write(file: &Path, addresses: Addresses) -> io::Result<()> {
    let json = serde_json::json!({ "grpc": addresses.grpc, "admin": addresses.admin });
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = Path::new(&beside);
    let written =
        std::fs::write(beside, format!("{json}\n")).and_then(|()| std::fs::rename(beside, file));
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
        let addresses = Addresses { grpc: "127.0.0.1:8443".parse().unwrap(), admin: None };
        let file = folder.path().join("ready");
        write(&file, addresses).unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(json, serde_json::json!({ "grpc": "127.0.0.1:8443", "admin": null }));
        write(&folder.path().join("missing/ready"), addresses).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
    }
}
