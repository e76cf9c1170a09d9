//! What a public client of a server would see, told apart: it answers, it is somebody else, it is
//! no server of this kind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a server on loopback")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daemon::dial::DialError;
use daemon::https::{self, GetError, Request, Response, Trust};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Longer than any of these takes, shorter than anybody waits.
const DEADLINE: Duration = Duration::from_secs(30);

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn trust(issuer: &Issuer) -> Trust {
    Trust::in_pem(issuer.pem().as_bytes()).unwrap()
}

/// Answers one connection after the other with these octets, and then ends it.
async fn server(issuer: &Issuer, names: &[&str], answer: Vec<u8>) -> SocketAddr {
    ending(issuer, names, answer, true).await
}

/// The same; whether it says so before it ends a connection.
async fn ending(issuer: &Issuer, names: &[&str], answer: Vec<u8>, says_so: bool) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let Ok(octet) = stream.read_u8().await else { return };
                    asked.push(octet);
                }
                // What is asked comes back where the answer says so.
                let asked = String::from_utf8(asked).unwrap().replace("\r\n", " ");
                let answer = String::from_utf8(answer).unwrap().replace("{asked}", &asked);
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.flush().await;
                match says_so {
                    true => _ = stream.shutdown().await,
                    // A FIN without TLS' close_notify.
                    false => _ = stream.get_mut().0.shutdown().await,
                }
            });
        }
    });
    address
}

async fn get(trust: &Trust, to: SocketAddr, name: &str, body: usize) -> Result<Response, GetError> {
    let host = to.ip().to_string();
    let (path, user_agent) = ("/healthz?deep=1", "a-test/1");
    let request = Request { host: &host, port: to.port(), name, path, user_agent, body };
    tokio::time::timeout(DEADLINE, https::get(trust, &request)).await.unwrap()
}

#[tokio::test]
async fn a_server_of_the_right_name_and_authority_answers() {
    let issuer = authority();
    let answer = b"HTTP/1.1 503 Down\r\nConnection: close\r\n\r\n{asked}".to_vec();
    let server = server(&issuer, &["www.example", "127.0.0.1"], answer).await;
    let response = get(&trust(&issuer), server, "www.example", 1000).await.unwrap();
    assert_eq!(response.status, 503, "any status is a response");
    let asked = String::from_utf8(response.body).unwrap();
    let port = server.port();
    assert!(asked.starts_with("GET /healthz?deep=1 HTTP/1.1 "), "{asked}");
    for header in [&*format!("host: www.example:{port} "), "user-agent: a-test/1 "] {
        assert!(asked.contains(header), "{header} in {asked}");
    }
    assert!(get(&trust(&issuer), server, "127.0.0.1", 0).await.is_ok(), "an address is a name");
}

#[tokio::test]
async fn of_a_body_no_more_is_read_than_asked_for() {
    let issuer = authority();
    // Its end is never reached: the length is a lie.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    let answer = format!("{head}{}", "x".repeat(200_000)).into_bytes();
    let server = server(&issuer, &["a.example"], answer).await;
    for most in [0, 1, 10_000] {
        let response = get(&trust(&issuer), server, "a.example", most).await.unwrap();
        assert_eq!((response.status, response.body), (200, vec![b'x'; most]));
    }
}

#[tokio::test]
async fn who_hangs_up_without_close_notify_is_no_stranger_to_http() {
    let issuer = authority();
    let trust = trust(&issuer);
    let of = async |answer: &str, most: usize| {
        let server = ending(&issuer, &["a.example"], answer.as_bytes().to_vec(), false).await;
        get(&trust, server, "a.example", most).await
    };
    for early in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-"] {
        let answer = of(early, 100).await;
        assert!(matches!(answer, Err(GetError::Closed)), "{early:?}: {answer:?}");
    }
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    for (body, is_cut) in [
        ("Content-Length: 4\r\n\r\nwell", false),
        ("Content-Length: 9\r\n\r\nwell", true),
        ("\r\nwell", true),
    ] {
        let answer = of(&format!("{head}{body}"), 100).await.unwrap();
        assert_eq!(answer, Response { status: 200, body: b"well".to_vec(), is_cut }, "{body:?}");
        assert!(of(&format!("{head}{body}"), 0).await.is_ok(), "a status is one, whatever follows");
    }
}

#[tokio::test]
async fn somebody_else_is_an_identity_fault() {
    let issuer = authority();
    let server = server(&issuer, &["a.example"], b"HTTP/1.1 200 OK\r\n\r\n".to_vec()).await;
    for (trust, name) in [(trust(&issuer), "b.example"), (trust(&authority()), "a.example")] {
        match get(&trust, server, name, 0).await {
            Err(GetError::Tls { is_identity: true, words }) => assert!(!words.is_empty()),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn no_tls_no_http_and_nobody_are_told_apart() {
    let issuer = authority();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = plain.accept().await {
            let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await;
            // Read until they hang up: a reset would overtake what was written.
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let trust = trust(&issuer);
    let spoke = get(&trust, address, "a.example", 0).await;
    assert!(matches!(spoke, Err(GetError::Tls { is_identity: false, .. })), "{spoke:?}");
    let other = server(&issuer, &["a.example"], b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()).await;
    let spoke = get(&trust, other, "a.example", 0).await;
    assert!(matches!(spoke, Err(GetError::Http(_))), "{spoke:?}");
    let silent = server(&issuer, &["a.example"], Vec::new()).await;
    let spoke = get(&trust, silent, "a.example", 0).await;
    assert!(matches!(spoke, Err(GetError::Closed)), "{spoke:?}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = get(&trust, free, "a.example", 0).await;
    assert!(matches!(refused, Err(GetError::Dial(DialError::Refused))), "{refused:?}");
}

#[test]
fn what_is_no_authority_is_refused() {
    for pem in ["", "certainly", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Trust::in_pem(pem.as_bytes()).is_err(), "{pem:?}");
    }
}
