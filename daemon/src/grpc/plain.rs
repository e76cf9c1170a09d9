//! The calling end without TLS: for servers that are not ours, whose URL says `http`.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};

use crate::dial::{self, DialError};

/// The largest header list accepted from a server, in bytes.
const HEADER_LIST: u32 = 16 * 1024;

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// HTTP/2 did not start.
    #[error("no HTTP/2: {0}")]
    Http2(#[from] tonic::transport::Error),
}

/// Connects once; the channel ends with its connection. Each RPC may take `timeout`; connecting is
/// given up by dropping.
///
/// # Errors
///
/// [`PlainError`].
pub async fn connect_plain(
    host: &str,
    port: u16,
    timeout: Duration,
) -> Result<Channel, PlainError> {
    let (socket, _) = dial::tcp(host, port).await?;
    let first = Arc::new(Mutex::new(Some(socket)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let socket = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let socket = socket.map(TokioIo::new);
        async move { socket.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let authority =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let channel = Endpoint::from_shared(format!("http://{authority}"))?
        .timeout(timeout)
        .http2_max_header_list_size(HEADER_LIST)
        .connect_with_connector(connector)
        .await?;
    Ok(channel)
}
