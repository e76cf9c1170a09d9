//! DNS over TCP (RFC 7766): length-prefixed messages, several to a connection.
//!
//! A connection is a task; it can be slow or silent without anybody else noticing. What it may
//! hold is bounded: connections in all and per client, time for a message to arrive, time for an
//! answer to be taken, idle time.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Query, Reply, Transport, Worker, answer_or_servfail};
use crate::plan::Published;

/// Connections of one listener.
const MAX_CONNECTIONS: usize = 4096;
/// Connections from one address: several resolvers behind one NAT, not one attacker.
const MAX_PER_CLIENT: usize = 128;
/// A connection without a query for so long is closed (RFC 7766 §6.2.3: "of the order of a few
/// seconds").
const IDLE: Duration = Duration::from_secs(10);
/// A query must have arrived whole, and an answer must have been taken, within this.
const SLOW: Duration = Duration::from_secs(5);
/// After the system refused to accept (no descriptors left): pause, then try again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until told to stop, then lets running answers finish.
///
/// # Errors
///
/// None that end the listener: what accepting can fail with passes.
pub async fn run(
    listener: TcpListener,
    plan: Arc<Published>,
    new_worker: impl Fn() -> Worker,
    stop: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let clients = Arc::new(Clients::default());
    let tasks = TaskTracker::new();
    // Workers are reused, so that counters grow with concurrency and not with connections.
    let workers = Arc::new(Mutex::new(Vec::new()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting failed; going on");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Over a limit the connection is closed at once: the resolver tries another server.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let Some(guest) = clients.admit(peer.ip()) else { continue };
        let mut worker = pop(&workers).unwrap_or_else(&new_worker);
        let (plan, stop, workers) = (Arc::clone(&plan), stop.clone(), Arc::clone(&workers));
        tasks.spawn(async move {
            let served = serve(stream, peer, &plan, &mut worker, &stop).await;
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "connection ended");
            }
            workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
            drop((place, guest));
        });
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

fn pop(workers: &Mutex<Vec<Worker>>) -> Option<Worker> {
    workers.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    plan: &Published,
    worker: &mut Worker,
    stop: &CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let mut query = Vec::new();
    // Length and message go out in one write.
    let mut answer = vec![0; 2 + usize::from(u16::MAX)];
    loop {
        let first = tokio::select! {
            first = timeout(IDLE, stream.read_u8()) => first,
            () = stop.cancelled() => return Ok(()),
        };
        let Ok(Ok(first)) = first else { return Ok(()) };
        timeout(SLOW, async {
            let length = u16::from_be_bytes([first, stream.read_u8().await?]);
            query.resize(usize::from(length), 0);
            stream.read_exact(&mut query).await
        })
        .await??;
        let reply = {
            let asked = Query {
                bytes: &query,
                peer,
                local,
                transport: Transport::Tcp,
                now: SystemTime::now(),
            };
            answer_or_servfail(&plan.load(), worker, asked, &mut answer[2..])
        };
        match reply {
            Reply::Bytes(length) => {
                let prefix = u16::try_from(length).map_err(io::Error::other)?;
                answer[..2].copy_from_slice(&prefix.to_be_bytes());
                timeout(SLOW, stream.write_all(&answer[..2 + length])).await??;
            }
            Reply::Drop => return Ok(()),
        }
    }
}

/// Who is connected how often.
#[derive(Debug, Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// Counts a connection off when it ends.
struct Guest {
    clients: Arc<Clients>,
    address: IpAddr,
}

impl Clients {
    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let address = address.to_canonical();
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = clients.entry(address).or_default();
        if *connections >= MAX_PER_CLIENT {
            return None;
        }
        *connections += 1;
        Some(Guest { clients: Arc::clone(self), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut clients = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = clients.get_mut(&self.address) {
            *connections -= 1;
            if *connections == 0 {
                clients.remove(&self.address);
            }
        }
    }
}
