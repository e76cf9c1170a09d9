//! BIND's and Knot's programs that send updates.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Output, Stdio};

use tests::artifact;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Bind,
    Knot,
}

impl Tool {
    pub(crate) const ALL: [Tool; 2] = [Tool::Bind, Tool::Knot];
}

/// How an update is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nsupdate<'a> {
    pub(crate) tool: Tool,
    /// `algorithm:name:secret`; none: not signed.
    pub(crate) key: Option<&'a str>,
    pub(crate) tcp: bool,
    pub(crate) server: SocketAddr,
}

impl Nsupdate<'_> {
    /// Sends one update: `lines` are the program's own commands, and names end in the zone.
    ///
    /// # Errors
    ///
    /// The response code, or what is wrong with the reply's signature.
    pub(crate) fn send(&self, zone: &str, lines: &[&str]) -> Result<(), String> {
        let mut command = artifact::peer(match self.tool {
            Tool::Bind => "usr/bin/nsupdate",
            Tool::Knot => "usr/bin/knsupdate",
        });
        command.args(self.key.map(|key| ["-y", key]).into_iter().flatten());
        command.args(self.tcp.then_some("-v"));
        if self.tool == Tool::Bind {
            // Over UDP it asks again each second: a lost datagram costs no more than that.
            command.args(["-u", "1", "-r", "60"]);
        }
        let (ip, port) = (self.server.ip(), self.server.port());
        let commands = lines.join("\n");
        let script = format!("server {ip} {port}\nzone {zone}\n{commands}\nsend\nquit\n");
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program was just there");
        let mut input = child.stdin.take().expect("it was asked for");
        input.write_all(script.as_bytes()).expect("it reads its commands");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        self.verdict(&output)
    }

    fn verdict(&self, output: &Output) -> Result<(), String> {
        if output.status.success() {
            return Ok(());
        }
        let said =
            String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        let (before, after) = match self.tool {
            Tool::Bind => ("update failed: ", "\n"),
            Tool::Knot => ("status: ", ";"),
        };
        let code = said.split(before).nth(1).and_then(|rest| rest.split(after).next());
        Err(code.map_or_else(|| said.to_string(), str::to_owned))
    }
}
