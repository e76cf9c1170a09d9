//! dig, kdig and drill: how each is asked, and what it prints, read.

use std::process::Command;

use tests::artifact;

use crate::queries::Query;
use crate::said::{Said, record};

/// A client that prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// BIND's.
    Dig,
    /// Knot's.
    Kdig,
    /// NLnet Labs'.
    Drill,
}

impl Tool {
    /// All of them.
    pub(crate) const ALL: [Tool; 3] = [Tool::Dig, Tool::Kdig, Tool::Drill];

    /// Whether it can ask this at all: drill knows no EDNS options.
    pub(crate) fn can(self, query: &Query) -> bool {
        self != Tool::Drill || !query.has_options()
    }

    /// Asks, and reads what is printed.
    ///
    /// # Panics
    ///
    /// When there is no answer, or not in a form that is known.
    pub(crate) fn ask(self, query: &Query, server: std::net::SocketAddr) -> Said {
        let mut command = match self {
            Tool::Dig => artifact::peer("usr/bin/dig"),
            Tool::Kdig => artifact::peer("usr/bin/kdig"),
            Tool::Drill => artifact::peer("usr/bin/drill"),
        };
        command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
        match self {
            Tool::Drill => drill(&mut command, query),
            Tool::Dig => {
                command.args(["+notcp", "+tries=1", "+time=5", "+nocookie", "+noednsnegotiation"]);
                command.args(["-q", &query.name, "-t", &query.rtype]);
                dig(&mut command, query);
            }
            Tool::Kdig => {
                command.args(["+noidn", "+retry=0", "+time=5"]);
                command.args(["-q", &query.name, "-t", &query.rtype]);
                dig(&mut command, query);
            }
        }
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = String::from_utf8_lossy(&output.stdout);
        let warnings = String::from_utf8_lossy(&output.stderr);
        let fine = output.status.success() && !text.contains(";; Warning");
        assert!(fine, "{command:?}: {}\n{text}{warnings}", output.status);
        read(&text).unwrap_or_else(|what| panic!("{command:?} printed {what}:\n{text}{warnings}"))
    }
}

/// What dig and kdig share.
fn dig(command: &mut Command, query: &Query) {
    command.args(["+ignore", "+norecurse"]);
    if query.tcp {
        command.arg("+tcp");
    }
    if !query.edns {
        command.arg("+noedns");
        return;
    }
    command.arg(format!("+edns={}", query.version)).arg(format!("+bufsize={}", query.payload));
    if let Some(subnet) = &query.subnet {
        command.arg(format!("+subnet={subnet}"));
    }
    if query.nsid {
        command.arg("+nsid");
    }
    if query.cookie {
        command.args(["+cookie=0123456789abcdef", "+nobadcookie"]);
    }
}

fn drill(command: &mut Command, query: &Query) {
    command.args(["-o", "rd", if query.tcp { "-t" } else { "-u" }]);
    if query.edns {
        command.args(["-b", &query.payload.to_string()]);
    }
    command.args([&query.name, &query.rtype]);
}

/// Reads what any of the three prints; an error says what is missing.
fn read(text: &str) -> Result<Said, &'static str> {
    let mut said = Said::default();
    let mut section: Option<usize> = None;
    let (mut header, mut flags) = (false, false);
    for line in text.lines() {
        let comment = line.trim_start_matches([';', ' ']);
        if comment.len() == line.len() {
            if let (Some(place), false) = (section, line.trim().is_empty()) {
                said.sections[place].insert(record(line));
            }
            continue;
        }
        if let Some(rest) = comment.strip_prefix("->>HEADER<<-") {
            header = true;
            let code = rest.split_once("status: ").or_else(|| rest.split_once("rcode: "));
            let (_, code) = code.ok_or("no response code")?;
            said.rcode = word(code).to_owned();
        } else if let Some(rest) = comment.to_ascii_lowercase().strip_prefix("flags:") {
            flags = true;
            let set = rest.split(';').next().unwrap_or_default();
            said.aa = set.split(' ').any(|flag| flag == "aa");
            said.tc = set.split(' ').any(|flag| flag == "tc");
        } else if let Some((_, code)) = comment.split_once("ext-rcode: ") {
            // The upper bits by themselves, so NOERROR where there are none.
            if word(code) != "NOERROR" {
                word(code).clone_into(&mut said.rcode);
            }
        } else if let Some(rest) = comment.strip_prefix("CLIENT-SUBNET: ") {
            said.scope = rest.rsplit('/').next().and_then(|scope| scope.trim().parse().ok());
        } else if let Some(rest) = comment.strip_prefix("NSID: ") {
            // The octets, and then what they look like.
            let octets = rest.split(['"', '(']).next().unwrap_or_default();
            said.nsid = Some(octets.replace(' ', "").to_ascii_lowercase());
        } else if let Some(rest) = comment.strip_prefix("COOKIE: ") {
            said.cookie = Some(word(rest).len() / 2);
        } else if comment.ends_with("SECTION:") {
            section = ["ANSWER", "AUTHORITY", "ADDITIONAL"]
                .iter()
                .position(|name| comment.split(' ').next() == Some(name));
        }
    }
    match (header, flags) {
        (true, true) => Ok(said),
        (false, _) => Err("no header"),
        (true, false) => Err("no flags"),
    }
}

fn word(text: &str) -> &str {
    text.split([',', ';', ' ']).next().unwrap_or_default()
}
