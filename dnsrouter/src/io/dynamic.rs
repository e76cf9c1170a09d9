//! Zones that clients change (RFC 2136), and messages that they sign (RFC 8945).
//!
//! ```text
//!  io::deferred ─▶ Server ─▶ signed::verify ─┬─ query ──▶ answer() ───────────────────────┬─▶ signed reply
//!                     │                      └─ update ─▶ catalogue ─▶ Updater ─▶ store ──┘
//!                     └─ NOTAUTH, FORMERR                 (hickory)      │          │
//!                                                                        │          ├─▶ journal (hickory, SQLite)
//!                                                                        └──────────┴─▶ io::keeper: the next plan
//! ```
//!
//! | part | does |
//! |---|---|
//! | [`Server`] | takes jobs one after another: verifies, answers queries, lets updates go on by themselves |
//! | `catalogue` | takes an update apart; all there is of hickory-server's way of serving |
//! | [`Updater`] | takes updates that wait together, and tells their clients when all is done |
//! | [`Store`] | owns the zones: judges, keeps, freezes |
//! | `journal` | a zone on disk; all there is of hickory-server's way of keeping |
//! | `replay` | the same message twice |
//!
//! The server has a thread of its own, as strangers reach it; what they cannot reach runs with the
//! keeper. Nothing is done for whoever has not shown that they hold a key, but to compute one code. A client
//! hears NOERROR when its update is on disk **and** in the plan that is served.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use daemon::quiet::Quiet;
use dns::edns::{self, MIN_PAYLOAD};
use dns::name::Name;
use dns::rr::{Opcode, Rcode};
use dns::tsig::{self, TsigError};
use dns::update::Skipped;
use dns::wire::{Malformed, Request, Writer};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{Lane, PAYLOAD, Query, Reply, Transport, Worker, answer_or_servfail};
use crate::counters::{Counters, Registry};
use crate::guard::limit::{Kind, Verdict};
use crate::plan::Published;
use crate::signed::{self, Rejected, Seal, Verified};

use super::deferred::{Job, Jobs};
use catalogue::{Asked, Catalogue};
use store::Carried;

pub use journal::{JournalError, Kept};
pub use store::{FolderError, MAX_RECORDS, NotAdopted, Store};

pub(crate) use journal::fingerprint;
pub(crate) use store::JOURNALS;

mod catalogue;
mod journal;
mod replay;
mod store;

/// Updates that are being carried out or wait for it: as many as may wait to be verified. Each waits
/// for the disk, a few milliseconds, and has 64 KiB at most; more are told SERVFAIL.
const MAX_IN_FLIGHT: usize = 1024;
/// Updates that are taken together, of one zone or several.
const MAX_BATCH: usize = 32;
/// In the third octet of a message.
const TC: u8 = 0x02;
/// Longest message, over any transport.
const MAX_MESSAGE: usize = 65_535;

/// What updates have made of a zone, out of its journal; none if there were none.
///
/// # Errors
///
/// The journal cannot be read, or holds no valid zone.
pub fn kept(state: &Path, zone: &Name) -> Result<Option<Kept>, JournalError> {
    journal::read(&journal::path_of(&store::folder_of(state), zone)?, zone)
}

/// The journal of a zone, if there is one.
pub(crate) fn journal(state: &Path, zone: &Name) -> Option<PathBuf> {
    let path = journal::path_of(&store::folder_of(state), zone).ok()?;
    journal::is_begun(&path).then_some(path)
}

/// Answers what was deferred.
pub struct Server {
    /// Where verified updates go on.
    runtime: Handle,
    plan: Arc<Published>,
    worker: Worker,
    /// Of replies to updates, which are counted by tasks of their own.
    updated: Arc<std::sync::Mutex<Arc<Counters>>>,
    catalogue: Catalogue,
    in_flight: Arc<Semaphore>,
    quiet: Quiet,
    out: Vec<u8>,
    /// When this began, in seconds. Updates that were signed before it may have been carried out by
    /// the process before this one, which remembered them (`replay`): they count no more.
    began: u64,
}

/// Carries out what the [`Server`] lets through.
pub struct Updater {
    asked: mpsc::Receiver<Asked>,
    store: Arc<Mutex<Store>>,
    quiet: Quiet,
}

/// Both ends of the way of updates, which go on in the runtime that this is called in.
///
/// # Panics
///
/// Outside of a runtime.
pub fn new(
    plan: Arc<Published>,
    registry: &Registry,
    store: Arc<Mutex<Store>>,
) -> (Server, Updater) {
    let (asking, asked) = mpsc::channel(MAX_IN_FLIGHT);
    let server = Server {
        runtime: Handle::current(),
        plan,
        worker: Worker::of_deferred(registry.worker()),
        updated: Arc::new(std::sync::Mutex::new(registry.worker())),
        catalogue: Catalogue::new(asking),
        in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        quiet: Quiet::default(),
        out: vec![0; MAX_MESSAGE],
        began: seconds(SystemTime::now()),
    };
    (server, Updater { asked, store, quiet: Quiet::default() })
}

type Done = Box<dyn FnOnce(Vec<u8>) + Send>;

impl Server {
    /// Takes jobs until told to stop.
    pub async fn run(&mut self, jobs: &mut Jobs, stop: &CancellationToken) {
        loop {
            tokio::select! {
                Some(job) = jobs.recv() => self.handle(job),
                () = stop.cancelled() => return,
            }
        }
    }

    fn handle(&mut self, job: Job) {
        let Job { bytes, peer, local, transport, lane, done } = job;
        // Whoever deferred it has read it before, and found a signature.
        let (request, refused) = match Request::parse(&bytes) {
            Ok(request) => (request, false),
            // Why is told by `answer`, once it is known who asks.
            Err(Malformed::Refuse(refusal)) => (refusal.request(&bytes), true),
            Err(Malformed::Drop(_)) => return,
        };
        let now = SystemTime::now();
        let signature = match tsig::Request::read(&request) {
            Ok(Some(signature)) => signature,
            Ok(None) => return,
            Err(tsig::Malformed) => return done(self.status(&request, Rcode::FORMERR)),
        };
        let plan = self.plan.load();
        let guard = &plan.inputs.guard;
        // What a stranger is told may be sent to somebody else's address. Who named no key was
        // counted before it waited.
        let limited =
            || lane == Lane::Udp && guard.limit(peer.ip(), Kind::Error, now) != Verdict::Pass;
        let is_update = request.header.opcode() == Opcode::UPDATE;
        let earliest = if is_update { self.began } else { 0 };
        let updates = &plan.inputs.updates;
        let seal = match signed::verify(&signature, updates, earliest, seconds(now)) {
            Ok(Verified { seal, .. }) => seal,
            Err(_) if limited() => return,
            Err(Rejected::Malformed) => return done(self.status(&request, Rcode::FORMERR)),
            Err(Rejected::Error(error, seal)) => {
                self.rejected(peer, &signature.variables.key, error);
                return done(sealed(self.status(&request, error.into()), seal));
            }
        };
        if is_update && !refused {
            return self.update(&request, peer, seal, done);
        }
        let room = room(&request, transport).saturating_sub(seal.record_len());
        let bytes = &signature.unsigned();
        let query = Query { bytes, peer, local, transport, now };
        let out = &mut self.out[..room.max(MIN_PAYLOAD.into())];
        match answer_or_servfail(&plan, &mut self.worker, query, out) {
            Reply::Bytes(length) if length <= room => {
                done(sealed(self.out[..length].to_vec(), seal));
            }
            // RFC 8945 §5.3: the question and the signature, and the rest over TCP.
            Reply::Bytes(_) => {
                let mut reply = blank(&request);
                reply[2] |= TC;
                done(sealed(reply, seal));
            }
            Reply::Drop | Reply::Deferred(_) => {}
        }
    }

    fn rejected(&self, peer: SocketAddr, key: &Name, error: TsigError) {
        metrics::counter!("dnsrouter_tsig_errors_total", "error" => error.to_string()).increment(1);
        if let Some(suppressed) = self.quiet.pass() {
            tracing::warn!(%peer, %key, %error, suppressed, "a signature does not count");
        }
    }

    /// Lets an update go on by itself; who holds the key has signed it.
    fn update(&self, request: &Request<'_>, peer: SocketAddr, seal: Seal, done: Done) {
        let mut reply = blank(request);
        let began = Instant::now();
        let (catalogue, bytes) = (self.catalogue.clone(), request.bytes.to_vec());
        let counters = Arc::clone(&self.updated);
        let permit = Arc::clone(&self.in_flight).try_acquire_owned();
        let mut carried = Box::pin(async move {
            match permit {
                Ok(_until_done) => catalogue.update(bytes, peer).await,
                Err(_too_many) => Rcode::SERVFAIL,
            }
        });
        // Its first step is taken here: it puts the update into the queue, in which there is room for
        // all that are in flight. So updates are carried out in the order in which they came.
        let first = carried.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.runtime.spawn(async move {
            let rcode = match first {
                Poll::Ready(rcode) => rcode,
                Poll::Pending => carried.await,
            };
            counters.lock().unwrap_or_else(PoisonError::into_inner).responded(rcode.0);
            let result = rcode.to_string();
            metrics::counter!("dnsrouter_updates_total", "result" => result).increment(1);
            if rcode == Rcode::NOERROR {
                metrics::histogram!("dnsrouter_update_seconds").record(began.elapsed());
            }
            reply[3] = reply[3] & 0xf0 | rcode.low();
            done(sealed(reply, seal));
        });
    }

    /// A reply without records.
    fn status(&self, request: &Request<'_>, rcode: Rcode) -> Vec<u8> {
        self.worker.responded(rcode);
        let mut reply = blank(request);
        reply[3] = reply[3] & 0xf0 | rcode.low();
        reply
    }
}

/// Runs [`Server::run`] on a thread of its own, because strangers can keep it busy, and waits for
/// it.
///
/// # Errors
///
/// When it panicked, or there is no thread for it.
pub async fn supervised(
    server: Arc<Mutex<(Server, Jobs)>>,
    stop: CancellationToken,
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let (done, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("dns-signed".into()).spawn(move || {
        runtime.block_on(async {
            let (server, jobs) = &mut *server.lock().await;
            server.run(jobs, &stop).await;
        });
        let _ = done.send(());
    });
    thread.map_err(|error| format!("no thread: {error}"))?;
    ended.await.map_err(|_| "the thread panicked".to_owned())
}

impl Updater {
    /// Carries out what comes until told to stop.
    pub async fn run(&mut self, stop: &CancellationToken) {
        loop {
            let first = tokio::select! {
                Some(first) = self.asked.recv() => first,
                () = stop.cancelled() => return,
            };
            let mut by_zone: Vec<(Name, Vec<Asked>)> = Vec::new();
            let mut sort_in =
                |asked: Asked| match by_zone.iter_mut().find(|(z, _)| *z == asked.zone) {
                    Some((_, all)) => all.push(asked),
                    None => by_zone.push((asked.zone.clone(), vec![asked])),
                };
            sort_in(first);
            for _ in 1..MAX_BATCH {
                let Ok(next) = self.asked.try_recv() else { break };
                sort_in(next);
            }
            for (zone, asked) in by_zone {
                self.carry_out(zone, asked).await;
            }
        }
    }

    /// What waits for one zone. Whoever gets no result is told SERVFAIL.
    async fn carry_out(&self, zone: Name, asked: Vec<Asked>) {
        let mut store = Arc::clone(&self.store).lock_owned().await;
        let of = zone.clone();
        let working = tokio::task::spawn_blocking(move || {
            let carried = store.carry_out(&of, &asked, seconds(SystemTime::now()));
            (store, asked, carried)
        });
        let (store, asked, Carried { outcomes, inputs }) = match working.await {
            Ok(done) => done,
            Err(panicked) => {
                tracing::error!(%zone, %panicked, "updates were not carried out");
                return;
            }
        };
        let changed = inputs.is_some();
        if let Some(inputs) = inputs
            && let Err(error) = store.publish_updated(inputs).await
        {
            tracing::error!(%zone, %error, "updates are kept and not served");
            return;
        }
        let serial = store.serial(&zone);
        for (Asked { key, peer, done, .. }, outcome) in asked.into_iter().zip(outcomes) {
            match outcome.why {
                None => {
                    if let Some(Skipped { count, first }) = outcome.skipped {
                        tracing::info!(%zone, %key, %peer, count, %first, "changes were skipped (RFC 2136 3.4.2)");
                    }
                    tracing::info!(%zone, %key, %peer, serial, "zone updated");
                }
                Some(why) => {
                    if let Some(suppressed) = self.quiet.pass() {
                        let result = outcome.rcode;
                        tracing::warn!(%zone, %key, %peer, %result, why, suppressed, "update refused");
                    }
                }
            }
            // Who asked may have gone.
            let _ = done.send(outcome.rcode);
        }
        if changed {
            let mut store = store;
            // A panic here is told by the runtime, and costs a longer journal.
            let _ = tokio::task::spawn_blocking(move || store.tidy(&zone)).await;
        }
    }
}

/// Octets that a reply may have.
fn room(request: &Request<'_>, transport: Transport) -> usize {
    match (transport, &request.edns) {
        (Transport::Tcp { .. }, _) => MAX_MESSAGE,
        (Transport::Udp, Some(edns)) => usize::from(edns.payload.min(PAYLOAD)),
        (Transport::Udp, None) => usize::from(MIN_PAYLOAD),
    }
}

/// A reply without records that says NOERROR.
fn blank(request: &Request<'_>) -> Vec<u8> {
    let opt = request.edns.as_ref().map(|edns| edns::Reply {
        payload: PAYLOAD,
        do_bit: edns.do_bit,
        ..edns::Reply::default()
    });
    let mut out = [0; MIN_PAYLOAD as usize];
    let (limit, question) = (out.len(), request.question.as_ref());
    let reserve = opt.as_ref().map_or(0, edns::Reply::encoded_len);
    let writer = Writer::reply(&mut out, limit, &request.header, question, reserve);
    let length = writer.map_or(0, |writer| writer.finish(Rcode::NOERROR, opt.as_ref()));
    out[..length].to_vec()
}

fn sealed(mut reply: Vec<u8>, seal: Seal) -> Vec<u8> {
    seal.put_on(&mut reply, seconds(SystemTime::now()));
    reply
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
