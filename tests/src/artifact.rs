//! Where built programs, fetched peers and fetched databases are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The target folder this test was built into.
pub fn target() -> PathBuf {
    profile().parent().expect("a profile is a folder of the target folder").to_path_buf()
}

/// A program of this workspace, built with the same profile as this test.
///
/// # Panics
///
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    required(&profile().join(name), "cargo build --workspace --bins")
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

/// `target/debug` or `target/release`: tests run from its folder `deps`.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("tests run from target/<profile>/deps").to_path_buf()
}

fn required(path: &Path, command: &str) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `{command}` first, or `make test`", path.display());
    path.to_path_buf()
}
