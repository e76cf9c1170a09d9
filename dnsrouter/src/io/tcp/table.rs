//! Who is connected, and who leaves when somebody else wants in.
//!
//! Seats stand in the order in which they were last *filed* as active. A query only stamps its
//! seat, without a lock; whoever looks for the idlest files stamped seats anew until the first in
//! the order has no newer stamp. Every stamp is filed at most once, so that a flood of newcomers
//! costs the logarithm of the table each, not a walk over it.
//!
//! Whom a proxy has not named yet waits in a lobby and takes nobody's seat: it is not known yet
//! whether its client may have one.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// One IPv6 client: what a household or a small site is given (RFC 6177 §2). Within it addresses
/// cost nothing.
const CLIENT_V6: u32 = 56;

/// The connections of all listeners.
pub(super) struct Table {
    limits: Limits,
    /// What stamps count from.
    start: Instant,
    taken: Mutex<Taken>,
    /// Somebody has closed its socket.
    left: Notify,
}

#[derive(Default)]
struct Taken {
    by_activity: BTreeMap<Place, Arc<Guest>>,
    /// By number, which is the order in which they came.
    lobby: BTreeMap<u64, Arc<Guest>>,
    clients: HashMap<IpAddr, usize>,
    next: u64,
}

/// When a guest was last filed as active, and its number.
type Place = (u64, u64);

struct Guest {
    /// Whose share it takes; nobody's while a proxy has not said.
    client: OnceLock<IpAddr>,
    number: u64,
    /// The last query, in nanoseconds since the start.
    active: AtomicU64,
    /// The stamp it is filed under; changes only while the table is locked.
    filed: AtomicU64,
    leave: CancellationToken,
}

/// A place at the table; free again when dropped.
pub(super) struct Seat {
    table: Arc<Table>,
    guest: Arc<Guest>,
}

impl Table {
    pub(super) fn new(limits: Limits, start: Instant) -> Arc<Self> {
        Arc::new(Self { limits, start, taken: Mutex::default(), left: Notify::new() })
    }

    /// A seat; none when the client has its share already. At a full table the idlest leaves.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Seat> {
        let mut taken = self.lock();
        let client = taken.share_for(address, self.limits.per_client)?;
        let guest = self.guest(&mut taken, client.into(), now);
        self.seat(&mut taken, &guest);
        Some(Seat { table: Arc::clone(self), guest })
    }

    /// A place in the lobby for somebody a proxy will name. In a full one whoever came first leaves.
    pub(super) fn admit_unknown(self: &Arc<Self>, now: Instant) -> Seat {
        let mut taken = self.lock();
        if taken.lobby.len() >= self.limits.pending.max(1) {
            taken.dismiss_oldest_unknown();
        }
        let guest = self.guest(&mut taken, OnceLock::new(), now);
        taken.lobby.insert(guest.number, Arc::clone(&guest));
        Seat { table: Arc::clone(self), guest }
    }

    fn guest(&self, taken: &mut Taken, client: OnceLock<IpAddr>, now: Instant) -> Arc<Guest> {
        let number = taken.next;
        taken.next += 1;
        let stamp = self.stamp(now);
        Arc::new(Guest {
            client,
            number,
            active: stamp.into(),
            filed: stamp.into(),
            leave: CancellationToken::new(),
        })
    }

    fn seat(&self, taken: &mut Taken, guest: &Arc<Guest>) {
        if taken.by_activity.len() >= self.limits.connections {
            taken.dismiss_idlest();
        }
        taken.by_activity.insert(guest.place(), Arc::clone(guest));
    }

    /// The idlest leaves, whoever it is for; returns when somebody has closed a socket, after
    /// `patience` at the latest. False when there is nobody who could leave.
    pub(super) async fn make_room(&self, patience: Duration) -> bool {
        let left = self.left.notified();
        let dismissed = {
            let mut taken = self.lock();
            taken.dismiss_idlest() || taken.dismiss_oldest_unknown()
        };
        dismissed && timeout(patience, left).await.is_ok()
    }

    fn stamp(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn dismiss_idlest(&mut self) -> bool {
        while let Some(((filed, number), guest)) = self.by_activity.pop_first() {
            let active = guest.active.load(Ordering::Relaxed);
            if active == filed {
                self.forget(&guest);
                guest.leave.cancel();
                return true;
            }
            guest.filed.store(active, Ordering::Relaxed);
            self.by_activity.insert((active, number), guest);
        }
        false
    }

    fn dismiss_oldest_unknown(&mut self) -> bool {
        let oldest = self.lobby.pop_first();
        oldest.inspect(|(_, guest)| guest.leave.cancel()).is_some()
    }

    /// One more of a client's share, whose key is returned; none when it has all of it.
    fn share_for(&mut self, address: IpAddr, most: usize) -> Option<IpAddr> {
        let client = client(address);
        let seats = self.clients.entry(client).or_default();
        if *seats >= most {
            return None;
        }
        *seats += 1;
        Some(client)
    }

    fn forget(&mut self, guest: &Guest) {
        let Some(client) = guest.client.get() else { return };
        if let Some(seats) = self.clients.get_mut(client) {
            *seats -= 1;
            if *seats == 0 {
                self.clients.remove(client);
            }
        }
    }
}

impl Seat {
    /// Cancelled when the guest has to leave.
    pub(super) fn leave(&self) -> CancellationToken {
        self.guest.leave.clone()
    }

    /// Whether it has been cancelled already.
    pub(super) fn is_leaving(&self) -> bool {
        self.guest.leave.is_cancelled()
    }

    /// Leaves the lobby for a seat of the client that a proxy has named; false when the client has
    /// its share already, or the guest has been dismissed.
    pub(super) fn name(&self, address: IpAddr, now: Instant) -> bool {
        let (table, guest) = (&self.table, &self.guest);
        let mut taken = table.lock();
        if taken.lobby.remove(&guest.number).is_none() {
            return false;
        }
        let Some(client) = taken.share_for(address, table.limits.per_client) else { return false };
        if guest.client.set(client).is_err() {
            return false;
        }
        let stamp = table.stamp(now);
        guest.active.store(stamp, Ordering::Relaxed);
        guest.filed.store(stamp, Ordering::Relaxed);
        table.seat(&mut taken, guest);
        true
    }

    /// Something was asked, or an answer was taken.
    pub(super) fn touch(&self, now: Instant) {
        self.guest.active.store(self.table.stamp(now), Ordering::Relaxed);
    }

    /// How long this guest may be silent at the moment: the fuller the table, or the client's
    /// share of it, the shorter.
    pub(super) fn idle_time(&self) -> Duration {
        let Limits { connections, per_client, idle, least_idle, .. } = self.table.limits;
        let taken = self.table.lock();
        let own = self.guest.client.get().and_then(|client| taken.clients.get(client).copied());
        let own = own.unwrap_or_default();
        let full = share(taken.by_activity.len(), connections).max(share(own, per_client));
        idle.saturating_sub(idle.saturating_sub(least_idle).mul_f64(full))
    }
}

impl Guest {
    /// What it is filed under; holds while the table is locked.
    fn place(&self) -> Place {
        (self.filed.load(Ordering::Relaxed), self.number)
    }
}

impl Drop for Seat {
    /// To be dropped when the socket is closed.
    fn drop(&mut self) {
        let mut taken = self.table.lock();
        taken.lobby.remove(&self.guest.number);
        // Whoever was dismissed is forgotten already.
        if taken.by_activity.remove(&self.guest.place()).is_some() {
            taken.forget(&self.guest);
        }
        drop(taken);
        self.table.left.notify_waiters();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: usize, whole: usize) -> f64 {
    (part as f64 / whole.max(1) as f64).min(1.0)
}

/// Whom an address belongs to, as its first address.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - CLIENT_V6))).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn table(connections: usize, per_client: usize) -> (Arc<Table>, Instant) {
        let start = Instant::now();
        (Table::new(Limits { connections, per_client, ..Limits::default() }, start), start)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_56() {
        let (table, now) = table(100, 2);
        let admit = |text| table.admit(ip(text), now);
        let _seats = [admit("2001:db8::1").unwrap(), admit("2001:db8:0:ff::2").unwrap()];
        assert!(admit("2001:db8:0:1::3").is_none(), "the same /56");
        assert!(admit("2001:db8:0:100::3").is_some(), "the next /56");
        let _seats = [admit("192.0.2.1").unwrap(), admit("::ffff:192.0.2.1").unwrap()];
        assert!(admit("192.0.2.1").is_none(), "mapped or not, it is the same");
        assert!(admit("192.0.2.2").is_some());
    }

    #[test]
    fn at_a_full_table_whoever_asked_longest_ago_leaves() {
        let (table, start) = table(3, 3);
        let seats: Vec<_> =
            (0..3).map(|i| table.admit(ip("192.0.2.1"), start + SECOND * i).unwrap()).collect();
        seats[0].touch(start + SECOND * 5);
        seats[1].touch(start + SECOND * 4);
        let gone = || seats.iter().map(|seat| seat.leave().is_cancelled()).collect::<Vec<_>>();
        let d = table.admit(ip("192.0.2.2"), start + SECOND * 6).unwrap();
        assert_eq!(gone(), [false, false, true], "it came last and never asked");
        let e = table.admit(ip("192.0.2.2"), start + SECOND * 6).unwrap();
        assert_eq!(gone(), [false, true, true]);
        assert!(!d.leave().is_cancelled() && !e.leave().is_cancelled());
    }

    #[test]
    fn places_and_shares_are_given_back_once() {
        let (table, now) = table(2, 1);
        let a = table.admit(ip("192.0.2.1"), now).unwrap();
        let b = table.admit(ip("192.0.2.2"), now).unwrap();
        b.touch(now + SECOND);
        let c = table.admit(ip("192.0.2.3"), now + SECOND).unwrap();
        assert!(a.leave().is_cancelled());
        let again = table.admit(ip("192.0.2.1"), now + SECOND * 2).unwrap();
        drop(a);
        assert!(table.admit(ip("192.0.2.1"), now).is_none(), "the dismissed seat took no share");
        drop((b, c, again));
        let taken = table.lock();
        assert!(taken.by_activity.is_empty() && taken.clients.is_empty());
    }

    #[test]
    fn whom_a_proxy_names_takes_a_share_and_gives_it_back() {
        let (table, now) = table(3, 1);
        let seats: Vec<_> = (0..3).map(|_| table.admit_unknown(now)).collect();
        assert!(seats[0].name(ip("192.0.2.1"), now), "without a name they are nobody's share");
        assert!(!seats[1].name(ip("192.0.2.1"), now));
        assert!(table.admit(ip("192.0.2.1"), now).is_none());
        drop(seats);
        let taken = table.lock();
        assert!(taken.clients.is_empty() && taken.by_activity.is_empty() && taken.lobby.is_empty());
    }

    #[test]
    fn nobody_leaves_for_somebody_without_a_name() {
        let start = Instant::now();
        let limits = Limits { connections: 2, pending: 2, per_client: 1, ..Limits::default() };
        let table = Table::new(limits, start);
        let guests = ["192.0.2.1", "192.0.2.2"].map(|text| table.admit(ip(text), start).unwrap());
        let unknown: Vec<_> = (0..3).map(|_| table.admit_unknown(start + SECOND)).collect();
        assert!(guests.iter().all(|guest| !guest.is_leaving()));
        assert!(unknown[0].is_leaving() && !unknown[0].name(ip("192.0.2.3"), start), "too late");
        assert!(!unknown[1].name(ip("192.0.2.1"), start), "it has its share");
        assert!(guests.iter().all(|guest| !guest.is_leaving()), "so nobody had to leave");
        assert!(unknown[2].name(ip("192.0.2.3"), start + SECOND));
        assert!(guests[0].is_leaving() && !guests[1].is_leaving() && !unknown[2].is_leaving());
    }

    #[tokio::test]
    async fn room_is_made_when_a_socket_is_closed() {
        let (table, now) = table(4, 4);
        assert!(!table.make_room(SECOND).await, "nobody is there");
        let guest = table.admit(ip("192.0.2.1"), now).unwrap();
        let unknown = table.admit_unknown(now);
        assert!(!table.make_room(Duration::ZERO).await && guest.is_leaving(), "it still lingers");
        let leaving = async {
            unknown.leave().cancelled().await;
            drop(unknown);
        };
        let (made, ()) = tokio::join!(table.make_room(SECOND * 60), leaving);
        assert!(made);
    }

    #[test]
    fn the_idle_time_shrinks_as_the_table_or_the_share_fills() {
        let (table, now) = table(10, 2);
        let first = table.admit(ip("192.0.2.1"), now).unwrap();
        let alone = first.idle_time();
        assert!(alone < Limits::default().idle && alone > SECOND * 5, "{alone:?}");
        let second = table.admit(ip("192.0.2.1"), now).unwrap();
        assert_eq!(first.idle_time(), SECOND, "the client's share is used up");
        drop(second);
        assert_eq!(first.idle_time(), alone);
        let _others: Vec<_> =
            (2..=10).map(|i| table.admit(ip(&format!("192.0.2.{i}")), now).unwrap()).collect();
        assert_eq!(first.idle_time(), SECOND, "the table is full");
    }
}
