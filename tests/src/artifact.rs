//! Where built programs, fetched peers and fetched databases are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The target folder this program was built into.
pub fn target() -> PathBuf {
    profile().parent().expect("a profile is a folder of the target folder").to_path_buf()
}

/// A program of this workspace, built with the same profile as this one.
///
/// # Panics
///
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let profile = profile();
    let command = match profile.ends_with("release") {
        true => "cargo build --release --workspace --bins",
        false => "cargo build --workspace --bins",
    };
    required(&profile.join(name), command)
}

/// A program from a Debian package, ready to run with its own libraries.
///
/// # Panics
///
/// When it was not fetched.
pub fn peer(path: &str) -> Command {
    let root = target().join("peers");
    let mut command = ending_with_us(&required(&root.join(path), "tests/fetch/peers"));
    let libraries: Vec<PathBuf> = ["lib", "usr/lib"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(root.join(folder)).ok())
        .flat_map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()))
        .filter(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .collect();
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).expect("no colon in a path"));
    command
}

/// A geo database.
///
/// # Panics
///
/// When it was not fetched.
pub fn database(file: &str) -> PathBuf {
    required(&target().join("data").join(file), "tests/fetch/databases")
}

/// A command that runs `program` and is killed when the thread that spawned it ends, however that
/// thread ends: `setpriv` asks the kernel for that and then becomes the program.
pub fn ending_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// `target/debug` or `target/release`: programs run from there, tests from its folder `deps`, examples
/// from theirs.
fn profile() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows its own path");
    let folder = program.parent().expect("a program is in a folder");
    let inner = folder.ends_with("deps") || folder.ends_with("examples");
    folder.parent().filter(|_| inner).unwrap_or(folder).to_path_buf()
}

fn required(path: &Path, command: &str) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `{command}` first, or `make test`", path.display());
    path.to_path_buf()
}
