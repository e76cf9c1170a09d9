//! A zone that changes while its server is asked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::generator::{A, Expected, judge, once, query};
use crate::names::ZONE;

/// The name whose address changes.
const LABEL: &str = "reloaded";
/// What a change is looked for with: seldom, for whoever looks is on the generator's core.
const LOOK: Duration = Duration::from_millis(20);
/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// One that is not seen within this was not noticed.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// Two versions of a zone's master file, which take turns. They are written beforehand, so that a
/// change takes the machine no longer than a rename does.
pub struct Reloads {
    zone: PathBuf,
    versions: [PathBuf; 2],
    current: usize,
}

impl Reloads {
    /// Of the file at this path, which is left as it is.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn of(zone: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(zone)?;
        let versions = [0, 1].map(|version| zone.with_extension(format!("{version}")));
        for (version, file) in versions.iter().enumerate() {
            fs::write(file, format!("{text}{LABEL} A {}\n", address(version)))?;
        }
        Ok(Self { zone: zone.to_owned(), versions, current: 1 })
    }

    /// Works, and meanwhile changes the zone, waits until the server at `server` answers with the
    /// change, and changes it again; returns how many changes were seen: at least one.
    ///
    /// # Errors
    ///
    /// Those of the system and of the work, and a change that nobody noticed.
    pub fn during<T>(
        &mut self,
        server: SocketAddr,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(T, u64)> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let changing = scope.spawn(|| self.change_until(server, &over));
            let done = work();
            over.store(true, Ordering::Relaxed);
            let seen = changing.join().map_err(|_| io::Error::other("changing a zone panicked"))?;
            Ok((done?, seen?))
        })
    }

    fn change_until(&mut self, server: SocketAddr, over: &AtomicBool) -> io::Result<u64> {
        let mut seen = 0;
        loop {
            self.change()?;
            let question = query(&format!("{LABEL}.{ZONE}"), A, None);
            let expected = Expected::addresses([IpAddr::V4(address(self.current))]);
            let changed = Instant::now();
            loop {
                // Under such load that question may be lost too.
                let reply = once(server, &question, PATIENCE).unwrap_or_default();
                if judge(&question, Some(&expected), &reply).is_ok() {
                    break;
                }
                if changed.elapsed() > SEEN_WITHIN {
                    return Err(io::Error::other("a changed zone is not noticed"));
                }
                thread::sleep(LOOK);
            }
            seen += 1;
            if over.load(Ordering::Relaxed) {
                return Ok(seen);
            }
        }
    }

    /// Puts the other version into the zone's place, whole.
    fn change(&mut self) -> io::Result<()> {
        self.current = 1 - self.current;
        let link = self.zone.with_extension("next");
        fs::hard_link(&self.versions[self.current], &link)?;
        fs::rename(link, &self.zone)
    }
}

fn address(version: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 100 + version as u8)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use ::tests::scratch::Scratch;

    use super::*;

    /// Octets of the EDNS record of a query without options.
    const EDNS: usize = 11;

    /// Answers each question with the address that stands last in the file, while the test lasts.
    fn server(zone: PathBuf) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            loop {
                let mut buffer = [0; 512];
                let (length, peer) = socket.recv_from(&mut buffer).unwrap();
                // The record of EDNS gives way to the answer.
                let mut reply = buffer[..length - EDNS].to_vec();
                reply[2] |= 0x80;
                (reply[7], reply[11]) = (1, 0);
                reply.extend([0xc0, 12, 0, A as u8, 0, 1, 0, 0, 0, 60, 0, 4]);
                reply.extend(last(&zone).octets());
                socket.send_to(&reply, peer).unwrap();
            }
        });
        address
    }

    fn last(zone: &Path) -> Ipv4Addr {
        let text = fs::read_to_string(zone).unwrap();
        text.rsplit(' ').next().unwrap().trim().parse().unwrap()
    }

    #[test]
    fn changes_take_turns_and_each_is_seen() {
        let scratch = Scratch::new("reloads");
        let zone = scratch.write("zone", "ns1 A 192.0.2.53\n");
        let mut reloads = Reloads::of(&zone).unwrap();
        assert_eq!(last(&zone), Ipv4Addr::new(192, 0, 2, 53), "nothing has changed yet");
        let server = server(zone.clone());
        for _ in 0..3 {
            let before = last(&zone);
            let ((), seen) = reloads.during(server, || Ok(())).unwrap();
            assert_eq!(last(&zone) == before, seen % 2 == 0, "{seen} changes");
            assert!(seen >= 1 && fs::read_to_string(&zone).unwrap().starts_with("ns1 A"));
        }
    }

    #[test]
    fn what_the_work_says_counts() {
        let scratch = Scratch::new("reloads");
        let zone = scratch.write("zone", "ns1 A 192.0.2.53\n");
        let mut reloads = Reloads::of(&zone).unwrap();
        let failed = reloads.during(server(zone), || Err::<(), _>(io::Error::other("lost")));
        assert_eq!(failed.unwrap_err().to_string(), "lost");
    }
}
