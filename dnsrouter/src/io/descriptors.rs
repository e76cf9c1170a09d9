//! How the file descriptors a process may have are shared out: strangers get what the node does not
//! need itself. Were it the other way round, a flood of connections would keep updates from their
//! journals and probes from their regions.

use crate::config::Tcp;

use super::dynamic::JOURNALS;
use super::tcp;

/// Runtimes, the log, zone files while they are loaded, the state while it is written.
const OWN: usize = 64;
/// Each bound socket has clones: for the thread or the runtime that serves it, and for its restart.
const CLONES: usize = 3;
/// Connections of the control service: people, and other name servers.
pub(super) const CONTROL: usize = 256;
/// Connections of the admin service, as it limits them itself.
const ADMIN: usize = 64;
/// Connections of the prober, one to each region's endpoint. With more endpoints than that the
/// limit should be ample.
const PROBES: usize = 256;
/// So many connections are taken whatever the limit.
const LEAST: usize = 16;
/// Where the reserve is more than there is, strangers get one in so many.
const SHARE: usize = 4;
/// One in so many connections may be a proxy's that has not said yet for whom.
const PENDING: usize = 8;

/// What connections over TCP may hold in a process that may have `limit` files open, `None` for no
/// limit, with so many sockets bound. Says so when that is less than wanted.
pub(super) fn limits(limit: Option<u64>, bound: usize, proxied: bool, wanted: Tcp) -> tcp::Limits {
    let (connections, needed) =
        (connections(limit, bound, wanted.connections), reserve(bound) + wanted.connections);
    if let Some(limit) = limit.filter(|_| connections < wanted.connections) {
        tracing::warn!(
            limit,
            needed,
            connections,
            "few file descriptors: fewer connections over TCP at a time; raise the limit \
             (ulimit -n, LimitNOFILE=)"
        );
    }
    let pending = if proxied { connections / PENDING } else { 0 };
    let usual = tcp::Limits::default();
    tcp::Limits {
        connections: connections - pending,
        pending,
        // Nobody takes all there is, unless that is wanted.
        per_client: match connections < wanted.connections {
            true => wanted.per_client.min(connections / 2),
            false => wanted.per_client,
        },
        idle: wanted.idle,
        least_idle: usual.least_idle.min(wanted.idle),
        ..usual
    }
}

fn connections(limit: Option<u64>, bound: usize, most: usize) -> usize {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit.saturating_sub(reserve(bound)).max(limit / SHARE).max(LEAST).min(most)
}

fn reserve(bound: usize) -> usize {
    OWN + bound.saturating_mul(CLONES) + JOURNALS + CONTROL + ADMIN + PROBES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn strangers_get_what_is_left() {
        let most = Tcp::default().connections;
        let connections = |limit, bound| connections(limit, bound, most);
        let enough = (reserve(4) + most) as u64;
        assert_eq!(connections(None, 4), most);
        assert_eq!(connections(Some(u64::MAX), 4), most);
        assert_eq!(connections(Some(enough), 4), most);
        assert_eq!(connections(Some(enough - 1), 4), most - 1);
        assert_eq!(connections(Some(200), 4), 50);
        assert_eq!(connections(Some(20), 4), LEAST);
        assert!(connections(Some(4096), 40) < connections(Some(4096), 4));
    }

    #[test]
    fn proxies_that_wait_are_part_of_it() {
        let usual = Tcp::default();
        let limits = limits(Some(400), 4, true, usual);
        assert_eq!((limits.connections, limits.pending, limits.per_client), (88, 12, 50));
        assert_eq!(super::limits(Some(400), 4, false, usual).pending, 0);
    }

    #[test]
    fn what_is_wanted_is_given_where_there_is_room() {
        let idle = Duration::from_millis(500);
        let wanted = Tcp { connections: 10_000, per_client: 10_000, idle };
        let limits = limits(None, 4, false, wanted);
        assert_eq!((limits.connections, limits.per_client), (10_000, 10_000));
        assert_eq!((limits.idle, limits.least_idle), (idle, idle));
    }
}
