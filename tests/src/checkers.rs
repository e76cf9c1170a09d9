//! Other servers' readers of master files, run on one file.

use std::fmt;
use std::path::Path;
use std::process::Output;

use crate::artifact;

/// A program that reads a master file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checker {
    /// BIND's `named-compilezone`: reads, checks and prints.
    Bind,
    /// Knot's `kzonecheck`: reads and checks.
    Knot,
    /// ldns' `ldns-read-zone`: reads and prints, types other than SOA in the form of RFC 3597.
    Ldns,
    /// NSD's `nsd-checkzone`: reads, checks a little, and prints.
    Nsd,
}

/// Checks of BIND that need other servers, or that are matters of taste.
const BIND_UNCHECKED: [&str; 14] = [
    "-i", "none", "-k", "ignore", "-m", "ignore", "-n", "ignore", "-r", "ignore", "-M", "ignore",
    "-S", "ignore",
];

impl Checker {
    /// All of them.
    pub const ALL: [Checker; 4] = [Checker::Bind, Checker::Knot, Checker::Ldns, Checker::Nsd];

    /// The name it has in data files.
    pub fn name(self) -> &'static str {
        match self {
            Checker::Bind => "bind",
            Checker::Knot => "knot",
            Checker::Ldns => "ldns",
            Checker::Nsd => "nsd",
        }
    }

    /// Reads the file as the zone `apex`: what it prints of the zone, which for Knot is nothing, or
    /// why it refuses.
    pub fn read(self, apex: &str, file: &Path) -> Result<String, String> {
        let folder = file.parent().expect("a file is in a folder");
        let mut command = artifact::peer(match self {
            Checker::Bind => "usr/bin/named-compilezone",
            Checker::Knot => "usr/bin/kzonecheck",
            Checker::Ldns => "usr/bin/ldns-read-zone",
            Checker::Nsd => "usr/sbin/nsd-checkzone",
        });
        // Includes are relative to the working folder, or to the file, which is the same here.
        command.current_dir(folder);
        match self {
            Checker::Bind => command.arg("-q").args(BIND_UNCHECKED).args(["-o", "-", apex]),
            Checker::Knot => command.args(["-o", apex]),
            Checker::Ldns => command.args(["-U", "SOA"]),
            Checker::Nsd => command.args(["-p", apex]),
        };
        let output = command.arg(file).output().expect("the program was just there");
        let Output { status, stdout, stderr } = &output;
        let (said, printed) = (String::from_utf8_lossy(stderr), String::from_utf8_lossy(stdout));
        // NSD says on the way what it will not serve.
        if status.success() && !said.contains("error:") {
            let zone = printed.lines().filter(|line| !line.starts_with(';') && !is_verdict(line));
            Ok(zone.map(|line| format!("{line}\n")).collect())
        } else {
            Err(format!("{status}: {said}{printed}"))
        }
    }
}

/// NSD's last line.
fn is_verdict(line: &str) -> bool {
    line.starts_with("zone ") && line.ends_with(" is ok")
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
