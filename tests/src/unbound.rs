//! A real recursive resolver between clients and our name servers.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::artifact;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;
use crate::wait;

/// Somebody else may take a free port before unbound does.
const ATTEMPTS: u32 = 5;

/// How long it may take to start.
const READY: std::time::Duration = std::time::Duration::from_secs(20);

/// A running unbound that asks our name servers for everything in test-net.io.
pub struct Unbound {
    address: SocketAddr,
    /// Ended when this is dropped.
    _process: Process,
}

/// What is told about clients to the name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Nothing: they see the resolver alone.
    Nothing,
    /// The client's subnet (RFC 7871), as the client gives it.
    ClientSubnet,
}

impl Unbound {
    /// Starts one that asks `servers` from the address `outgoing`. It caches as TTLs say and
    /// serves nothing past them.
    pub fn start(
        scratch: &Scratch,
        name: &str,
        servers: &[SocketAddr],
        outgoing: IpAddr,
        tells: Tells,
    ) -> Unbound {
        (0..ATTEMPTS)
            .find_map(|_| Unbound::attempt(scratch, name, servers, outgoing, tells))
            .unwrap_or_else(|| panic!("unbound does not start; see {:?}", scratch.join(name)))
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn attempt(
        scratch: &Scratch,
        name: &str,
        servers: &[SocketAddr],
        outgoing: IpAddr,
        tells: Tells,
    ) -> Option<Unbound> {
        let port = port::free();
        let folder = scratch.join(name);
        let mut config = format!(
            "server:\n\
             \x20 directory: {folder:?}\n\
             \x20 interface: 127.0.0.1\n\
             \x20 port: {port}\n\
             \x20 outgoing-interface: {outgoing}\n\
             \x20 do-not-query-localhost: no\n\
             \x20 access-control: 127.0.0.0/8 allow\n\
             \x20 do-ip6: no\n\
             \x20 num-threads: 1\n\
             \x20 do-daemonize: no\n\
             \x20 chroot: \"\"\n\
             \x20 username: \"\"\n\
             \x20 pidfile: \"\"\n\
             \x20 use-syslog: no\n\
             \x20 logfile: \"\"\n\
             \x20 verbosity: 1\n\
             \x20 cache-min-ttl: 0\n\
             \x20 cache-max-negative-ttl: 1\n\
             \x20 serve-expired: no\n"
        );
        config.push_str(match tells {
            Tells::Nothing => "  module-config: \"iterator\"\n",
            Tells::ClientSubnet => {
                "  module-config: \"subnetcache iterator\"\n\
                 \x20 send-client-subnet: 127.0.0.0/8\n\
                 \x20 client-subnet-always-forward: yes\n"
            }
        });
        config.push_str("remote-control:\n  control-enable: no\n");
        config.push_str("stub-zone:\n  name: \"test-net.io\"\n");
        for server in servers {
            let _ = writeln!(config, "  stub-addr: {}@{}", server.ip(), server.port());
        }
        let file = scratch.write(&format!("{name}/unbound.conf"), config);
        let mut command = artifact::peer("usr/sbin/unbound");
        command.arg("-d").arg("-c").arg(&file);
        let log = folder.join("unbound.log");
        let _ = std::fs::remove_file(&log);
        let mut process = Process::spawn(name, command, &log);
        let started = wait::some(&format!("{name} to start"), READY, || {
            let ended = process.exited().is_some();
            let serves = process.log().contains("start of service");
            (ended || serves).then_some(serves && !ended)
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        started.then_some(Unbound { address, _process: process })
    }
}
