//! dnsperf: a file of queries, and what it reports.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tests::artifact;
use tests::scratch::Scratch;

/// Name, type, and the code that is expected; a round holds each once.
pub(crate) const MIX: [(&str, &str, &str); 10] = [
    ("www.test-net.io", "A", "NOERROR"),
    ("alias.test-net.io", "AAAA", "NOERROR"),
    ("geo.test-net.io", "A", "NOERROR"),
    ("big.test-net.io", "A", "NOERROR"),
    ("odd.test-net.io", "TXT", "NOERROR"),
    ("www.child.test-net.io", "A", "NOERROR"),
    ("x#.wild.test-net.io", "TXT", "NOERROR"),
    ("www.test-net.io", "MX", "NOERROR"),
    ("x#.test-net.io", "A", "NXDOMAIN"),
    ("x#.example.org", "A", "REFUSED"),
];

/// How queries go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Without EDNS.
    Udp,
    /// With EDNS.
    UdpEdns,
    /// Over a few connections, many queries on each.
    Tcp,
}

/// What dnsperf reports at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Queries.
    pub(crate) sent: usize,
    /// Answered in time.
    pub(crate) completed: usize,
    /// Not answered in time.
    pub(crate) lost: usize,
    /// How many answers had which response code.
    pub(crate) codes: BTreeMap<String, usize>,
}

/// Sends every line of `queries` (`name type`) once.
///
/// # Panics
///
/// When dnsperf complains of anything.
pub(crate) fn run(scratch: &Scratch, queries: &str, server: SocketAddr, mode: Mode) -> Report {
    let file = scratch.write(&format!("{mode:?}.queries"), queries);
    let mut command = artifact::peer("usr/bin/dnsperf");
    command.args(["-s", &server.ip().to_string(), "-p", &server.port().to_string()]);
    // Once through the file. Seconds enough for a debug build on a busy machine: a bound on the
    // test, not a measure of the server.
    command.args(["-n", "1", "-l", "60", "-t", "20", "-d"]).arg(file);
    match mode {
        Mode::Udp => {}
        Mode::UdpEdns => {
            command.arg("-e");
        }
        Mode::Tcp => {
            command.args(["-m", "tcp", "-c", "4"]);
        }
    }
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{text}{complaints}");
    assert!(!text.contains("Warning") && !text.contains("Error"), "{text}");
    read(&text).unwrap_or_else(|| panic!("dnsperf printed no report:\n{text}"))
}

fn read(text: &str) -> Option<Report> {
    let value = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
        Some(line.trim())
    };
    let number = |label: &str| value(label)?.split(' ').next()?.parse::<usize>().ok();
    // "NOERROR 12 (80.00%), NXDOMAIN 3 (20.00%)"
    let codes = value("Response codes:")?.split(", ").map(|part| {
        let mut words = part.split(' ');
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    });
    Some(Report {
        sent: number("Queries sent:")?,
        completed: number("Queries completed:")?,
        lost: number("Queries lost:")?,
        codes: codes.collect::<Option<_>>()?,
    })
}
