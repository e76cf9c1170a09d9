//! What cannot be answered without waiting: updates, and whatever bears a transaction signature.
//!
//! ```text
//!                    ┌ tcp ──────┐
//!  io::udp, io::tcp ─┼ udp ──────┼─▶ one of each in turn ─▶ one task ──done(reply)──▶ the client
//!    Deferred::submit└ stranger ─┘
//! ```
//!
//! The thread that received the query copies its octets, submits them and goes on; it never waits.
//! A full lane is told at once: over UDP the client hears nothing and asks again, over TCP the
//! connection is closed.
//!
//! A [`Lane`] is told by what costs nothing to know, so a flood fills its own and no other; and
//! because each gets its turn, none waits for more than its own. Within a lane no network has more
//! than a share (`shares`).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::mpsc;

use crate::answer::{Lane, Transport};

use shares::{Place, Shares};

mod shares;

/// How many may wait in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Of all clients. A signed message takes some microseconds to verify, an update some
    /// milliseconds to reach the disk: what waits longer than these a client has asked again by
    /// then.
    pub most: usize,
    /// Of one network.
    pub share: usize,
}

impl Limit {
    /// Of a lane.
    pub const fn of(lane: Lane) -> Self {
        match lane {
            // As the source is proven, half is for who has many connections, and half for others.
            Lane::Tcp => Self { most: 256, share: 128 },
            Lane::Udp => Self { most: 256, share: 64 },
            // They hear that they have no key; whoever really wants to know asks again.
            Lane::Stranger => Self { most: 32, share: 8 },
        }
    }
}

/// One message that somebody else answers.
pub struct Job {
    /// As received.
    pub bytes: Box<[u8]>,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to.
    pub local: SocketAddr,
    /// How it came, and so how long its reply may be.
    pub transport: Transport,
    /// Where it waits.
    pub lane: Lane,
    /// Takes the reply to the client; called at most once. Dropped without a call: no reply.
    pub done: Box<dyn FnOnce(Vec<u8>) + Send>,
}

/// The lanes' end that transports hold.
#[derive(Clone)]
pub struct Deferred {
    lanes: [Entry; Lane::ALL.len()],
}

#[derive(Clone)]
struct Entry {
    jobs: mpsc::Sender<(Job, Place)>,
    shares: Arc<Shares>,
}

/// The lanes' end that a handler takes jobs from.
pub struct Jobs {
    lanes: [mpsc::Receiver<(Job, Place)>; Lane::ALL.len()],
    /// The lane that is looked at first.
    turn: usize,
}

/// As many jobs wait in this lane as may, in all or of the client's network; this one was dropped
/// and nothing else changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many updates and signed messages wait in the lane {}; this one was dropped", .0.word())]
pub struct Full(pub Lane);

impl Deferred {
    /// Empty lanes, and the end that a handler takes jobs from.
    pub fn new() -> (Self, Jobs) {
        let [tcp, udp, stranger] = Lane::ALL.map(|lane| {
            let Limit { most, share } = Limit::of(lane);
            let (jobs, waiting) = mpsc::channel(most);
            (Entry { jobs, shares: Shares::new(share) }, waiting)
        });
        let entries = Self { lanes: [tcp.0, udp.0, stranger.0] };
        (entries, Jobs { lanes: [tcp.1, udp.1, stranger.1], turn: 0 })
    }

    /// Hands a job over, without waiting.
    ///
    /// # Errors
    ///
    /// [`Full`], also when nobody handles jobs any more.
    pub fn submit(&self, job: Job) -> Result<(), Full> {
        let lane = job.lane;
        let Entry { jobs, shares } = &self.lanes[lane as usize];
        let place = shares.take(job.peer.ip()).ok_or(Full(lane))?;
        jobs.try_send((job, place)).map_err(|_| Full(lane))
    }
}

impl Jobs {
    /// The next job: the lanes have their turns. None when no more can come. Nothing is lost when
    /// this is given up before it is ready.
    pub async fn recv(&mut self) -> Option<Job> {
        poll_fn(|context| {
            let mut ended = 0;
            for step in 0..Lane::ALL.len() {
                let lane = (self.turn + step) % Lane::ALL.len();
                match self.lanes[lane].poll_recv(context) {
                    Poll::Ready(Some((job, _place))) => {
                        self.turn = lane + 1;
                        return Poll::Ready(Some(job));
                    }
                    Poll::Ready(None) => ended += 1,
                    Poll::Pending => {}
                }
            }
            if ended == Lane::ALL.len() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(lane: Lane, peer: &str) -> Job {
        Job {
            bytes: Box::default(),
            peer: SocketAddr::new(peer.parse().unwrap(), 4242),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: Transport::Udp,
            lane,
            done: Box::new(|_| {}),
        }
    }

    /// As many as go in, from networks of their own.
    fn fill(deferred: &Deferred, lane: Lane) -> usize {
        let peers = (0..=255).flat_map(|a| (0..=255).map(move |b| format!("10.{a}.{b}.1")));
        peers.take_while(|peer| deferred.submit(job(lane, peer)).is_ok()).count()
    }

    #[tokio::test]
    async fn a_full_lane_takes_no_place_in_another() {
        let (deferred, mut jobs) = Deferred::new();
        for lane in Lane::ALL.into_iter().rev() {
            assert_eq!(fill(&deferred, lane), Limit::of(lane).most, "{lane:?}");
            assert_eq!(deferred.submit(job(lane, "192.0.2.1")), Err(Full(lane)));
        }
        // Each in its turn, until it has no more.
        for round in 0..Limit::of(Lane::Tcp).most {
            for lane in Lane::ALL {
                if round < Limit::of(lane).most {
                    assert_eq!(jobs.recv().await.unwrap().lane, lane, "round {round}");
                }
            }
        }
        drop(deferred);
        assert!(jobs.recv().await.is_none());
    }

    #[tokio::test]
    async fn no_network_has_more_than_its_share() {
        for (one, same, other) in [
            ("192.0.2.1", "::ffff:192.0.2.255", "192.0.3.1"),
            ("2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:100::1"),
        ] {
            let (deferred, mut jobs) = Deferred::new();
            for lane in Lane::ALL {
                let share = Limit::of(lane).share;
                for _ in 0..share {
                    assert_eq!(deferred.submit(job(lane, one)), Ok(()));
                }
                assert_eq!(deferred.submit(job(lane, same)), Err(Full(lane)));
                assert_eq!(deferred.submit(job(lane, other)), Ok(()), "{other} {lane:?}");
                // Who was answered has room again.
                for _ in 0..=share {
                    jobs.recv().await.unwrap();
                }
                assert_eq!(deferred.submit(job(lane, same)), Ok(()));
                jobs.recv().await.unwrap();
            }
        }
    }
}
