//! gdnsd from Debian, as a server of the same questions.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hickory_proto::rr::RecordType;

use crate::artifact;
use crate::port;
use crate::process::Process;
use crate::query::Ask;
use crate::scratch::Scratch;
use crate::wait;

/// What its configuration begins with, so that it listens and writes where it is told to.
pub const OPTIONS: &str = "options => $include{options.cfg}";

/// How long it may take until it answers: it reads whole databases before.
const READY: Duration = Duration::from_secs(180);

/// Somebody else may take a free port before it does.
const ATTEMPTS: usize = 5;

/// A running gdnsd.
pub struct Gdnsd {
    dns: SocketAddr,
    _process: Process,
}

impl Gdnsd {
    /// Starts it on a port of loopback, and waits until it answers for the zone `apex`. `fill` writes
    /// its folder: `config`, which begins with [`OPTIONS`], `zones/` and whatever else.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(scratch: &Scratch, apex: &str, fill: impl Fn(&Path)) -> Gdnsd {
        (0..ATTEMPTS)
            .find_map(|attempt| {
                let folder = scratch.join(format!("gdnsd-{attempt}"));
                fs::create_dir_all(&folder).expect("the scratch folder can be written");
                fill(&folder);
                Gdnsd::attempt(&folder, apex)
            })
            .unwrap_or_else(|| panic!("gdnsd does not start; see {:?}", scratch.path()))
    }

    fn attempt(folder: &Path, apex: &str) -> Option<Gdnsd> {
        let port = port::free();
        let options = format!(
            "listen => [ 127.0.0.1:{port} ], zones_default_ttl => 7200, udp_threads => 1\n\
             tcp_threads => 1, run_dir => {run:?}, state_dir => {state:?}\n",
            run = folder.join("run"),
            state = folder.join("state"),
        );
        fs::write(folder.join("options.cfg"), options).expect("the scratch folder can be written");
        let mut command = artifact::peer("usr/sbin/gdnsd");
        command.arg("-c").arg(folder).arg("start").current_dir(folder);
        let mut process = Process::spawn("gdnsd", command, &folder.join("log"));
        let dns = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let answers = wait::some("gdnsd to answer", READY, || {
            if process.exited().is_some() {
                return Some(false);
            }
            let reply = Ask::new(dns, apex, RecordType::SOA).send();
            reply.is_ok_and(|reply| !reply.message.answers.is_empty()).then_some(true)
        });
        if !answers {
            let log = process.log();
            assert!(log.contains("ddress already in use"), "gdnsd has ended:\n{log}");
            return None;
        }
        Some(Gdnsd { dns, _process: process })
    }

    /// Where it answers DNS.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// What it calls itself: `gdnsd version 3.8.1`.
    ///
    /// # Panics
    ///
    /// When it was not fetched.
    pub fn version() -> String {
        // No option asks for it: it is part of what is said to a wrong one.
        let output = artifact::peer("usr/sbin/gdnsd").arg("-?").output().expect("gdnsd runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let version = said.lines().find(|line| line.starts_with("gdnsd version"));
        version.unwrap_or("gdnsd of an unknown version").to_owned()
    }
}
