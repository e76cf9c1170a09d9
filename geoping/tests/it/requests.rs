//! The requests of a service beside this program, from its own count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use geoping::Load;
use geoping::check::Checks;
use geoping::counter::Counter;
use geoping::io::requests::follow;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::harness::eventually;

#[tokio::test]
async fn the_rate_is_told_while_the_count_can_be_read() {
    let status = Arc::new(AtomicU16::new(200));
    let address = metrics(Arc::clone(&status)).await;
    let counter = Counter::new(&format!("http://{address}/metrics"), "requests_total").unwrap();
    let (checks, asked) = watch::channel(Checks { counter: Some(counter), ..Checks::default() });
    let load = Load::new();
    tokio::spawn(follow(asked, None, load.clone()));
    let rate = || load.rate(std::time::Instant::now());
    // Each reading finds a thousand more, every two seconds or, on a busy machine, later.
    let told = eventually("a rate", async || rate()).await;
    assert!((10.0..=510.0).contains(&told), "{told}");
    status.store(503, Ordering::Relaxed);
    eventually("no rate once there is no count", async || rate().is_none().then_some(())).await;
    status.store(200, Ordering::Relaxed);
    eventually("the rate again", async || rate()).await;
    checks.send_replace(Checks::default());
    eventually("no rate where no counter is named", async || rate().is_none().then_some(())).await;
}

/// A server whose count of requests grows by a thousand with each look at it.
async fn metrics(status: Arc<AtomicU16>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = AtomicU64::new(0);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n")
                && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0)
            {}
            let count = count.fetch_add(500, Ordering::Relaxed);
            let body =
                format!("requests_total{{m=\"a\"}} {count}\nrequests_total{{m=\"b\"}} {count}\n");
            let (status, length) = (status.load(Ordering::Relaxed), body.len());
            let reply = format!("HTTP/1.1 {status} Word\r\nContent-Length: {length}\r\n\r\n{body}");
            drop(stream.write_all(reply.as_bytes()).await);
        }
    });
    address
}
