//! What the manifests and the shape of the tree must not say: rules that no other tool checks.
#![expect(clippy::disallowed_methods, reason = "reads the tree")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Crates whose code gets everything as arguments.
const PURE: [&str; 4] = ["proto", "geo", "dns", "replica"];

/// Programs, which meet on the wire and nowhere else.
const PROGRAMS: [&str; 4] = ["geoping", "dnsrouter", "directory", "cli"];

/// A program's `main.rs` is a table of contents.
const MAIN_LINES: usize = 80;

/// Crates that reach a runtime, a socket, a file, a clock of their own, or the system's
/// randomness, by the beginning of their names.
const OUTSIDE: [&str; 36] = [
    "tokio",
    "async-std",
    "smol",
    "mio",
    "hyper",
    "axum",
    "tower-http",
    "quinn",
    "h2",
    "reqwest",
    "rustls",
    "openssl",
    "native-tls",
    "aws-lc",
    "ring",
    "rcgen",
    "socket2",
    "rustix",
    "nix",
    "libc",
    "polling",
    "hickory-server",
    "hickory-resolver",
    "hickory-net",
    "notify",
    "tempfile",
    "memmap",
    "redb",
    "fs-err",
    "rand",
    "getrandom",
    "fastrand",
    "uuid",
    "chrono",
    "etcd-client",
    "daemon",
];

/// Ways to the outside that need no crate.
const OUTSIDE_STD: [&str; 7] =
    ["std::fs", "std::env", "std::process", "std::thread", "TcpStream", "TcpListener", "UdpSocket"];

#[test]
fn pure_crates_name_nothing_of_the_outside() {
    for member in members().iter().filter(|member| PURE.contains(&member.folder.as_str())) {
        for dependency in member.dependencies() {
            let outside = OUTSIDE.iter().any(|name| names(&dependency, name));
            assert!(!outside, "{} is pure and depends on {dependency}", member.folder);
        }
        // A build script runs before any of the crate's code, and is no part of it.
        let sources = member.sources().into_iter();
        for (path, text) in sources.filter(|(path, _)| path.starts_with(member.path.join("src"))) {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let outside = OUTSIDE_STD.iter().find(|way| line.contains(*way));
                assert!(outside.is_none(), "{} is pure: {line}", path.display());
            }
        }
    }
}

#[test]
fn programs_do_not_depend_on_each_other() {
    let members = members();
    let packages: BTreeSet<String> = members
        .iter()
        .filter(|member| PROGRAMS.contains(&member.folder.as_str()))
        .map(Member::package)
        .collect();
    for member in members.iter().filter(|member| PROGRAMS.contains(&member.folder.as_str())) {
        for dependency in member.dependencies() {
            assert!(
                !packages.contains(&dependency),
                "{} depends on the program {dependency}: they meet through proto",
                member.folder
            );
        }
    }
}

#[test]
fn crates_are_named_for_what_they_are() {
    for member in members() {
        for name in [member.folder.clone(), member.package()] {
            let vague = ["common", "util", "helper", "misc", "shared"];
            assert!(!vague.iter().any(|word| name.contains(word)), "{name}: for what?");
        }
    }
}

#[test]
fn every_crate_takes_the_workspace_s_lints_and_edition() {
    for member in members() {
        for (section, key) in [("lints", "workspace"), ("package", "edition")] {
            let inherited = match &member.manifest[section][key] {
                Value::Boolean(inherited) => *inherited,
                other => other.get("workspace").and_then(Value::as_bool) == Some(true),
            };
            assert!(inherited, "{}: {section}.{key} is not the workspace's", member.folder);
        }
    }
}

#[test]
fn modules_are_files_with_a_name_and_main_is_a_table_of_contents() {
    for member in members() {
        for (path, text) in member.sources() {
            let shown = path.display();
            let vague = ["mod.rs", "utils.rs", "util.rs", "common.rs", "helpers.rs"];
            assert!(!vague.iter().any(|name| path.ends_with(name)), "{shown}: name it");
            let lines = text.lines().count();
            assert!(
                !path.ends_with("main.rs") || lines <= MAIN_LINES,
                "{shown} has {lines} lines, more than a table of contents"
            );
        }
    }
}

/// A crate of the workspace.
struct Member {
    folder: String,
    path: PathBuf,
    manifest: Table,
}

impl Member {
    fn package(&self) -> String {
        self.manifest["package"]["name"].as_str().expect("a package has a name").to_owned()
    }

    /// The names of what its code depends on, on any platform; tests and build scripts may use
    /// more.
    fn dependencies(&self) -> BTreeSet<String> {
        let platforms = self.manifest.get("target").and_then(Value::as_table);
        let platforms = platforms.into_iter().flat_map(Table::values).filter_map(Value::as_table);
        platforms
            .chain([&self.manifest])
            .filter_map(|table| table.get("dependencies").and_then(Value::as_table))
            .flat_map(Table::iter)
            .map(|(name, value)| {
                // `name = { package = "…" }` hides the real one.
                value.get("package").and_then(Value::as_str).unwrap_or(name).to_owned()
            })
            .collect()
    }

    /// Its Rust files and their text.
    fn sources(&self) -> Vec<(PathBuf, String)> {
        let mut sources = Vec::new();
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a crate's folder can be read") {
                let path = entry.expect("a crate's folder can be read").path();
                if path.is_dir() && !path.ends_with("target") {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("a source file can be read");
                    sources.push((path, text));
                }
            }
        }
        sources
    }
}

fn members() -> Vec<Member> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of a workspace");
    let members = manifest(root)["workspace"]["members"].as_array().cloned().unwrap_or_default();
    assert!(members.len() > 5, "the workspace lists its members");
    let member = |name: &Value| {
        let folder = name.as_str().expect("a member is a path").to_owned();
        let path = root.join(&folder);
        Member { manifest: manifest(&path), folder, path }
    };
    members.iter().map(member).collect()
}

fn manifest(folder: &Path) -> Table {
    let text = fs::read_to_string(folder.join("Cargo.toml")).expect("a crate has a manifest");
    text.parse().expect("a manifest is TOML")
}

/// Whether `dependency` is `name`, or one of its family: `rand` also means `rand_core`, and
/// `tokio` means `tokio-util`.
fn names(dependency: &str, name: &str) -> bool {
    dependency
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}
