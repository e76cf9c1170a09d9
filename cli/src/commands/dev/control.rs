//! How `geoip dev kill`, `revive` and `status` reach a running `dev up`: one line of JSON each
//! way, over a unix socket that only the same user can open.

use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// A request is a word and a region.
const MAX_REQUEST: u64 = 1024;

/// A reply lists twenty processes; a report carries the tail of a log.
const MAX_REPLY: u64 = 256 * 1024;

/// Connections served at once: people type one command at a time.
const MAX_CONNECTIONS: usize = 8;

/// For the request to arrive, once connected.
const REQUEST_WITHIN: Duration = Duration::from_secs(2);

/// For the reply: a revived node may take its time to get ready.
const REPLY_WITHIN: Duration = Duration::from_secs(90);

/// sun_path of unix(7), with its final zero.
const MAX_SOCKET_PATH: usize = 107;

/// What is asked of a running system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    Kill { region: String },
    Revive { region: String },
    Status,
}

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    pub(crate) ok: bool,
    pub(crate) message: String,
    pub(crate) members: Vec<MemberStatus>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberStatus {
    pub(crate) program: String,
    pub(crate) region: String,
    pub(crate) node: String,
    pub(crate) listens: Vec<String>,
    pub(crate) state: MemberState,
    pub(crate) pid: Option<u32>,
    pub(crate) detail: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MemberState {
    Starting,
    Running,
    /// By `geoip dev kill`.
    Killed,
    /// By itself.
    Died,
}

/// A request with the place for its reply.
pub(crate) type Asked = (Request, oneshot::Sender<Reply>);

/// The listening side; the socket file goes away with it.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    pub(crate) asked: mpsc::Receiver<Asked>,
    serving: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Binds the socket and serves it. The caller holds the directory's lock, so that a socket
    /// file that is there already is left over and may go.
    ///
    /// # Errors
    /// When the path is too long for a socket, or cannot be bound.
    pub(crate) fn bind(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            bail!("{shown} is too long for a unix socket: choose a shorter --dir");
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{shown}: cannot remove it"));
            }
            _ => {}
        }
        let listener = UnixListener::bind(path).with_context(|| format!("{shown}: cannot bind"))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .with_context(|| format!("{shown}: cannot make it private"))?;
        let (tell, asked) = mpsc::channel(MAX_CONNECTIONS);
        let serving = tokio::spawn(serve(listener, tell));
        Ok(Self { path: path.to_owned(), asked, serving })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
        // It may be gone with its directory, which is what is wanted.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, tell: mpsc::Sender<Asked>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let tell = tell.clone();
                tokio::spawn(async move {
                    // The one at the other end sees its connection closed; nobody else cares.
                    let _ = converse(stream, tell).await;
                    drop(slot);
                });
            }
            // Out of descriptors, most likely: give the others time to give some back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(mut stream: UnixStream, tell: mpsc::Sender<Asked>) -> io::Result<()> {
    let us = rustix::process::geteuid().as_raw();
    let them = stream.peer_cred()?.uid();
    if them != us {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "another user"));
    }
    let line = timeout(REQUEST_WITHIN, read_line(&mut stream, MAX_REQUEST)).await??;
    let reply = match serde_json::from_str::<Request>(&line) {
        Err(error) => refusal(format!("the request is not understood: {error}")),
        Ok(request) => {
            let (sender, receiver) = oneshot::channel();
            match tell.send((request, sender)).await {
                Ok(()) => receiver.await.unwrap_or_else(|_| refusal("it is ending".to_owned())),
                Err(_) => refusal("it is ending".to_owned()),
            }
        }
    };
    let mut text = serde_json::to_string(&reply)?;
    text.push('\n');
    timeout(REQUEST_WITHIN, stream.write_all(text.as_bytes())).await?
}

fn refusal(message: String) -> Reply {
    Reply { ok: false, message, members: Vec::new() }
}

/// A line of at most `limit` bytes.
async fn read_line(stream: impl AsyncRead + Unpin, limit: u64) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(limit)).read_line(&mut line).await?;
    match line.ends_with('\n') {
        true => Ok(line),
        false => Err(io::Error::new(ErrorKind::InvalidData, "no whole line within the limit")),
    }
}

/// Asks the system that runs in `dir`.
///
/// # Errors
/// When none runs there, or it does not answer.
pub(crate) async fn ask(socket: &Path, request: &Request) -> anyhow::Result<Reply> {
    let mut stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => bail!(
                "no `geoip dev up` runs in {}: start it, or name its directory by --dir",
                socket.parent().unwrap_or(socket).display()
            ),
            _ => return Err(error).with_context(|| format!("{}", socket.display())),
        },
    };
    let exchange = async {
        let mut text = serde_json::to_string(request)?;
        text.push('\n');
        stream.write_all(text.as_bytes()).await?;
        let line = read_line(&mut stream, MAX_REPLY).await?;
        anyhow::Ok(serde_json::from_str(&line)?)
    };
    timeout(REPLY_WITHIN, exchange)
        .await
        .with_context(|| format!("`geoip dev up` did not answer within {REPLY_WITHIN:?}"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_one_word_and_a_region() {
        let text = r#"{"command":"kill","region":"us-central1"}"#;
        let request = Request::Kill { region: "us-central1".into() };
        assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        assert!(serde_json::from_str::<Request>(r#"{"command":"format-disk"}"#).is_err());
    }

    #[tokio::test]
    async fn a_request_gets_its_reply_and_the_socket_is_private_and_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.sock");
        let mut control = Control::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let answer = async {
            let (request, reply) = control.asked.recv().await.unwrap();
            assert_eq!(request, Request::Status);
            reply.send(Reply { ok: true, message: "fine".into(), members: vec![] }).unwrap();
        };
        let (reply, ()) = tokio::join!(ask(&path, &Request::Status), answer);
        assert_eq!(reply.unwrap().message, "fine");
        drop(control);
        assert!(!path.exists());
        let error = ask(&path, &Request::Status).await.unwrap_err().to_string();
        assert!(error.starts_with("no `geoip dev up` runs in "), "{error}");
    }

    #[tokio::test]
    async fn nonsense_is_refused_and_an_endless_line_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dev.sock");
        let _control = Control::bind(&path).unwrap();
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        let reply = read_line(&mut stream, MAX_REPLY).await.unwrap();
        assert!(reply.contains("the request is not understood"), "{reply}");
        let mut endless = UnixStream::connect(&path).await.unwrap();
        // The other side may hang up while we still write.
        let _ = endless.write_all(&vec![b'x'; 64 * 1024]).await;
        let mut rest = Vec::new();
        let end = endless.read_to_end(&mut rest).await;
        assert!(end.is_err() || rest.is_empty(), "{rest:?}");
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_said() {
        let path = PathBuf::from("/").join("d".repeat(200));
        let error = Control::bind(&path).unwrap_err().to_string();
        assert!(error.contains("choose a shorter --dir"), "{error}");
    }
}
