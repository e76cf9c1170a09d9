//! The yardstick: grpc.health.v1 of tonic over rustls, with nothing of ours in between. It asks for a
//! client certificate of the same authority, has no limits, and hands out tickets for resumption.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use clap::Args;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tests::authority::{Authority, Papers};
use tests::process::Process;
use tests::scratch::Scratch;
use tests::{artifact, port, wait};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// How long it may take until it listens.
const READY: Duration = Duration::from_secs(60);
/// Connections that are ready and not yet taken up.
const READY_QUEUE: usize = 16;

/// Where it listens, and what it shows.
#[derive(Args)]
pub struct Arguments {
    /// The port, on 127.0.0.1.
    port: u16,
    /// Its certificate, in PEM.
    certificate: PathBuf,
    /// Its key.
    key: PathBuf,
    /// Whose certificates clients must have.
    authority: PathBuf,
}

/// Starts it on the core that this thread is on, and waits until it listens.
///
/// # Panics
///
/// When it does not.
pub(super) fn start(
    papers: &Papers,
    authority: &Authority,
    scratch: &Scratch,
) -> (Process, SocketAddr) {
    let us = std::env::current_exe().expect("a program knows its own path");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
    let mut command: Command = artifact::ending_with_us(&us);
    command.args(["plain", &address.port().to_string()]);
    command.args([&papers.certificate, &papers.key, &authority.certificate()]);
    let log = scratch.write("plain.log", "");
    let mut process = Process::spawn("the plain server", command, &log);
    wait::until("the plain server to listen", READY, || {
        assert!(process.exited().is_none(), "the plain server has ended:\n{}", process.log());
        std::net::TcpStream::connect(address).is_ok()
    });
    (process, address)
}

/// Serves until the process ends.
///
/// # Errors
///
/// Those of the system, and of files that are not what they should be.
pub fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let tls = TlsAcceptor::from(Arc::new(config(arguments)?));
    // As geoping's: as many threads as there are cores for it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
        let (ready, connections) = mpsc::channel(READY_QUEUE);
        tokio::spawn(accept(listener, tls, ready));
        let (_, health) = tonic_health::server::health_reporter();
        let incoming = ReceiverStream::new(connections);
        Server::builder().add_service(health).serve_with_incoming(incoming).await?;
        Ok(())
    })
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            // Slower without, but right.
            let _ = socket.set_nodelay(true);
            if let Ok(stream) = tls.accept(socket).await {
                let _ = ready.send(Ok(Connection(stream))).await;
            }
        });
    }
}

fn config(arguments: &Arguments) -> anyhow::Result<ServerConfig> {
    let certificates = |file| CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&arguments.authority)?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            certificates(&arguments.certificate)?,
            PrivateKeyDer::from_pem_file(&arguments.key)?,
        )?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.ticketer = Ticketer::new()?;
    Ok(config)
}

struct Connection(TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, octets)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
