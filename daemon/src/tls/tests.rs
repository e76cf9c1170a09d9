#![expect(clippy::disallowed_methods, reason = "swaps the files that are reloaded")]

use super::*;
use pki::authority::{Authority, Extra, Revoked, Validity};
use pki::{Reason, Serial};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::{AlertDescription, ClientConnection, Error, ServerConnection};
use rustls_pki_types::{ServerName, UnixTime};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

const DAY: u64 = 24 * 3600;
const START: u64 = 1_800_000_000;

/// A clock that stands where it is put.
#[derive(Debug)]
struct Clock(AtomicU64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::SeqCst))))
    }
}

struct World {
    dir: TempDir,
    authority: Authority,
    clock: Arc<Clock>,
    crl_number: AtomicU64,
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn ours() -> TrustDomain {
    "test-net.io".parse().unwrap()
}

fn node(program: Program, name: &str) -> Identity {
    Identity::node(&ours(), "us-central1", program, name).unwrap()
}

impl World {
    fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            authority: Authority::create(&ours(), &Validity::default(), at(START)).unwrap(),
            clock: Arc::new(Clock(AtomicU64::new(START))),
            crl_number: AtomicU64::new(0),
        };
        fs::write(world.path("ca.crt"), world.authority.cert_pem()).unwrap();
        world.revoke(&[]);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn set_clock(&self, seconds: u64) {
        self.clock.0.store(seconds, Ordering::SeqCst);
    }

    /// Issues at the clock's time, for a day, into NAME.crt and NAME.key.
    fn issue(&self, name: &str, identity: &Identity) -> (config::Tls, Serial) {
        let now = at(self.clock.0.load(Ordering::SeqCst));
        let lifetime = Validity::default().leaf;
        let issued = self.authority.issue(identity, &Extra::default(), lifetime, now).unwrap();
        (self.write(name, &issued.cert_pem, &issued.key_pem), issued.serial)
    }

    /// A certificate with whatever in it, signed by our authority.
    fn issue_odd(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> config::Tls {
        let key = KeyPair::from_pem(&self.authority.key_pem()).unwrap();
        let issuer = Issuer::from_ca_cert_pem(self.authority.cert_pem(), key).unwrap();
        let mut params = CertificateParams::default();
        params.not_before = at(START - 60).into();
        params.not_after = at(START + DAY).into();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri("spiffe://test-net.io/user/ada")];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        self.write(name, &cert.pem(), &key.serialize_pem())
    }

    fn write(&self, name: &str, cert: &str, key: &str) -> config::Tls {
        let config = self.config(name);
        fs::write(&config.cert, cert).unwrap();
        fs::write(&config.key, key).unwrap();
        config
    }

    fn config(&self, name: &str) -> config::Tls {
        config::Tls {
            cert: self.path(&format!("{name}.crt")),
            key: self.path(&format!("{name}.key")),
            ca: self.path("ca.crt"),
            crl: Some(self.path("ca.crl")),
            renew: None,
        }
    }

    /// Writes a new list of everything taken back.
    fn revoke(&self, serials: &[Serial]) {
        let number = self.crl_number.fetch_add(1, Ordering::SeqCst) + 1;
        fs::write(self.path("ca.crl"), self.list(serials, number)).unwrap();
    }

    fn list(&self, serials: &[Serial], number: u64) -> String {
        let line = |&serial| Revoked { serial, at: at(START), reason: Some(Reason::Superseded) };
        let lines: Vec<_> = serials.iter().map(line).collect();
        let lifetime = Validity::default().crl;
        self.authority.crl_pem(&lines, number, lifetime, at(START)).unwrap()
    }

    fn load(&self, config: &config::Tls) -> Result<Arc<Tls>, TlsError> {
        Tls::load(config, Some(&ours()), self.clock.clone())
    }

    fn server(&self) -> Arc<Tls> {
        let (config, _) = self.issue("server", &node(Program::Geoping, "server"));
        self.load(&config).unwrap()
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// Both ends' outcome of a handshake in memory.
fn handshake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> (Result<(), Error>, Result<(), Error>) {
    let mut server = ServerConnection::new(server).unwrap();
    let name = ServerName::try_from("anything.invalid").unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let (mut server_said, mut client_said) = (Ok(()), Ok(()));
    for _ in 0..10 {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        feed(&flight, &mut server_said, |bytes| {
            server.read_tls(bytes).unwrap();
            server.process_new_packets().map(|_| ())
        });
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        feed(&flight, &mut client_said, |bytes| {
            client.read_tls(bytes).unwrap();
            client.process_new_packets().map(|_| ())
        });
    }
    let open = server.is_handshaking() || client.is_handshaking();
    assert!(!open || server_said.is_err() || client_said.is_err(), "the handshake never ended");
    if server_said.is_ok() && client_said.is_ok() {
        assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(server.alpn_protocol(), Some(ALPN_H2));
        let group = server.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
        assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
    (server_said, client_said)
}

fn feed(
    mut flight: &[u8],
    outcome: &mut Result<(), Error>,
    mut process: impl FnMut(&mut &[u8]) -> Result<(), Error>,
) {
    while outcome.is_ok() && !flight.is_empty() {
        *outcome = process(&mut flight);
    }
}

fn anybody(tls: &Tls) -> Arc<ClientConfig> {
    tls.client_config(&Expect::default())
}

/// The server refuses, for `kind`, in these words; the client hears `alert`.
#[track_caller]
fn assert_refused(
    server: &Tls,
    client: Arc<ClientConfig>,
    kind: &str,
    words: &str,
    alert: AlertDescription,
) {
    let (server_said, client_said) = handshake(server.server_config(), client);
    let refusal = refusal_in_words(&server_said.expect_err("the server accepts"));
    assert_eq!((refusal.0, refusal.1.as_str()), (kind, words));
    assert_eq!(client_said, Err(Error::AlertReceived(alert)));
}

#[test]
fn good_certificates_are_accepted_on_both_sides() {
    let world = World::new();
    let server = world.server();
    let client = world.load(&world.issue("ada", &Identity::user(&ours(), "ada").unwrap()).0);
    let client = client.unwrap();
    let both = handshake(server.server_config(), anybody(&client));
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(client.identity().to_string(), "spiffe://test-net.io/user/ada");
    assert_eq!(client.not_after(), at(START + DAY));
    assert_eq!(client.time_left(), Duration::from_secs(DAY));
}

#[test]
fn no_certificate_is_refused() {
    let world = World::new();
    let server = world.server();
    let mut client = ClientConfig::clone(&anybody(&server));
    client.client_auth_cert_resolver = Arc::new(NoCertificate);
    assert_refused(
        &server,
        Arc::new(client),
        "no_certificate",
        "no client certificate",
        AlertDescription::CertificateRequired,
    );
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn dates_are_checked_to_the_second() {
    let world = World::new();
    let (client, _) = world.issue("ada", &Identity::user(&ours(), "ada").unwrap());
    let client = world.load(&client).unwrap();
    let accepts_at = |seconds: u64| {
        world.set_clock(seconds);
        // The server's own certificate is always in date.
        let config = world.issue("server", &node(Program::Geoping, "server")).0;
        (world.load(&config).unwrap(), anybody(&client))
    };
    for good in [START - 60, START, START + DAY] {
        let (server, client) = accepts_at(good);
        assert_eq!(handshake(server.server_config(), client).0, Ok(()), "at {good}");
    }
    let (server, config) = accepts_at(START + DAY + 1);
    let expired = AlertDescription::CertificateExpired;
    assert_refused(&server, config, "expired", "certificate expired 1s ago", expired);
    let (server, config) = accepts_at(START - 61);
    let words = "certificate is not valid before 2027-01-15T07:59:00Z, in 1s";
    assert_refused(&server, config, "not_yet_valid", words, expired);
}

#[test]
fn certificates_of_another_authority_are_refused() {
    let (world, other) = (World::new(), World::new());
    let server = world.server();
    let (stranger, _) = other.issue("ada", &Identity::user(&ours(), "ada").unwrap());
    // It trusts our authority, so that only its own certificate is wrong.
    fs::write(other.path("ca.crt"), both_authorities(&world, &other)).unwrap();
    let lists = [world.list(&[], 1), other.list(&[], 1)].concat();
    fs::write(other.path("ca.crl"), lists).unwrap();
    let stranger = other.load(&stranger).unwrap();
    assert_refused(
        &server,
        anybody(&stranger),
        "other_authority",
        "certificate is issued by another authority",
        AlertDescription::UnknownCA,
    );
}

fn both_authorities(one: &World, other: &World) -> String {
    format!("{}{}", one.authority.cert_pem(), other.authority.cert_pem())
}

#[test]
fn an_authority_that_only_bears_our_name_is_refused() {
    let world = World::new();
    let server = world.server();
    // The same distinguished name, another key.
    let issuer_key = KeyPair::generate().unwrap();
    let forged = Issuer::from_ca_cert_pem(world.authority.cert_pem(), issuer_key).unwrap();
    let mut params = CertificateParams::default();
    params.not_before = at(START - 60).into();
    params.not_after = at(START + DAY).into();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri("spiffe://test-net.io/user/ada")];
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, &forged).unwrap();
    let config = with_certificate(&server, &cert.pem(), &key.serialize_pem());
    assert_refused(
        &server,
        config,
        "other_authority",
        "certificate is issued by another authority",
        AlertDescription::UnknownCA,
    );
}

/// A client that trusts as `tls` does and presents something that `Tls` itself would not load.
fn with_certificate(tls: &Tls, cert: &str, key: &str) -> Arc<ClientConfig> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let certified = rustls::sign::CertifiedKey::from_der(chain, key, &tls.provider).unwrap();
    let mut config = ClientConfig::clone(&anybody(tls));
    config.client_auth_cert_resolver =
        Arc::new(rustls::sign::SingleCertAndKey::from(Arc::new(certified)));
    Arc::new(config)
}

fn presenting(server: &Tls, files: &config::Tls) -> Arc<ClientConfig> {
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    with_certificate(server, &read(&files.cert), &read(&files.key))
}

#[test]
fn the_purpose_must_be_written_in_the_certificate() {
    let world = World::new();
    let server = world.server();
    for (name, purposes) in [
        ("server-only", vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ("code", vec![ExtendedKeyUsagePurpose::CodeSigning]),
        ("silent", vec![]),
    ] {
        let files = world.issue_odd(name, |params| params.extended_key_usages = purposes);
        assert_refused(
            &server,
            presenting(&server, &files),
            "wrong_purpose",
            "certificate is not meant for this purpose (extended key usage)",
            AlertDescription::UnsupportedCertificate,
        );
    }
    // And the other way round: a client does not talk to a server that is none.
    let only_client = world.issue_odd("client-only", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let pretender = world.load(&only_client).unwrap();
    let (server_said, client_said) = handshake(pretender.server_config(), anybody(&server));
    assert_eq!(refusal_in_words(&client_said.unwrap_err()).0, "wrong_purpose");
    let heard = Err(Error::AlertReceived(AlertDescription::UnsupportedCertificate));
    assert_eq!(server_said, heard);
}

#[test]
fn a_revoked_certificate_is_refused_on_both_sides() {
    let world = World::new();
    let server = world.server();
    let (ada_files, ada) = world.issue("ada", &Identity::user(&ours(), "ada").unwrap());
    let ada_tls = world.load(&ada_files).unwrap();
    let (revoked_server, serial) = world.issue("old", &node(Program::Geoping, "old"));
    let revoked_server = world.load(&revoked_server).unwrap();
    assert_eq!(handshake(server.server_config(), anybody(&ada_tls)).0, Ok(()));

    world.revoke(&[ada, serial]);
    let old_list = handshake(server.server_config(), anybody(&ada_tls)).0;
    assert_eq!(old_list, Ok(()), "until it is reloaded");
    assert_eq!(server.reload().unwrap(), Reloaded::Changed);
    assert_refused(
        &server,
        anybody(&ada_tls),
        "revoked",
        "certificate is revoked",
        AlertDescription::CertificateRevoked,
    );
    let (_, client_said) = handshake(revoked_server.server_config(), anybody(&server));
    assert_eq!(refusal_in_words(&client_said.unwrap_err()).0, "revoked");

    // A revoked node starts, so that it can get another certificate, and its peers refuse it.
    let started = world.load(&ada_files).unwrap();
    assert_refused(
        &server,
        anybody(&started),
        "revoked",
        "certificate is revoked",
        AlertDescription::CertificateRevoked,
    );
    // One that runs keeps the others out and goes on.
    assert_eq!(ada_tls.reload().unwrap(), Reloaded::Changed);
    let (_, client_said) = handshake(revoked_server.server_config(), anybody(&ada_tls));
    assert_eq!(refusal_in_words(&client_said.unwrap_err()).0, "revoked");
}

#[test]
fn a_certificate_that_names_nobody_is_refused_and_one_that_names_badly_is_not() {
    let world = World::new();
    let server = world.server();
    let nameless = world.issue_odd("nameless", |params| {
        params.subject_alt_names = vec![SanType::DnsName("ns1.test-net.io".try_into().unwrap())];
    });
    assert_refused(
        &server,
        presenting(&server, &nameless),
        "no_uri_san",
        "certificate carries no URI SAN, so it names nobody",
        AlertDescription::AccessDenied,
    );
    for (name, uris) in [
        ("two", vec!["spiffe://test-net.io/user/ada", "spiffe://test-net.io/user/bob"]),
        ("foreign", vec!["spiffe://test-net.io.evil.example/user/ada"]),
        ("malformed", vec!["spiffe://test-net.io/user/a%64a"]),
    ] {
        let files = world.issue_odd(name, |params| {
            params.subject_alt_names = uris.iter().copied().map(uri).collect();
        });
        let both = handshake(server.server_config(), presenting(&server, &files));
        assert_eq!(both, (Ok(()), Ok(())), "{name} is for the RPC layer to refuse");
    }
}

#[test]
fn a_client_talks_only_to_whom_it_expects() {
    let world = World::new();
    let server = world.server();
    let client = world.load(&world.issue("ada", &Identity::user(&ours(), "ada").unwrap()).0);
    let client = client.unwrap();
    let attempt = |server: &Tls, expect: &Expect| {
        let said = handshake(server.server_config(), client.client_config(expect)).1;
        said.map_err(|error| refusal_in_words(&error).1)
    };
    let geoping = Expect::program(Program::Geoping);
    for good in [Expect::default(), geoping.clone(), geoping.clone().in_region("us-central1")] {
        assert_eq!(attempt(&server, &good), Ok(()));
    }
    for (bad, expected) in [
        (Expect::program(Program::Dnsrouter), "dnsrouter in any region"),
        (geoping.in_region("europe-west3"), "geoping in europe-west3"),
    ] {
        let words = format!(
            "certificate is not acceptable: it is \
             spiffe://test-net.io/region/us-central1/geoping/server, but {expected} was expected"
        );
        assert_eq!(attempt(&server, &bad), Err(words));
    }
    for (name, uris, why) in [
        ("foreign", vec!["spiffe://a.test-net.io/region/r/geoping/n"], "another trust domain"),
        ("two", vec!["spiffe://test-net.io/user/a", "spiffe://test-net.io/user/b"], "two URI"),
        ("none", vec![], "no URI SAN"),
        ("malformed", vec!["spiffe://test-net.io"], "not a known identity path"),
    ] {
        let files = world.issue_odd(name, |params| {
            params.subject_alt_names = uris.iter().copied().map(uri).collect();
        });
        let mut config = ServerConfig::clone(&server.server_config());
        config.cert_resolver = presenting_server(&server, &files);
        let said = handshake(Arc::new(config), anybody(&client)).1;
        let words = refusal_in_words(&said.expect_err(name)).1;
        assert!(words.contains(why), "{name}: {words}");
    }
}

fn presenting_server(
    tls: &Tls,
    files: &config::Tls,
) -> Arc<dyn rustls::server::ResolvesServerCert> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(&files.cert).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let certified = rustls::sign::CertifiedKey::from_der(chain, key, &tls.provider).unwrap();
    Arc::new(rustls::sign::SingleCertAndKey::from(Arc::new(certified)))
}

#[test]
fn a_session_is_never_resumed() {
    let world = World::new();
    let server = world.server();
    let mut client = ClientConfig::clone(&anybody(&server));
    client.resumption = Resumption::in_memory_sessions(16); // a client that would like to
    let client = Arc::new(client);
    for _ in 0..3 {
        let both = handshake(server.server_config(), client.clone()); // asserts a full one
        assert_eq!(both, (Ok(()), Ok(())));
    }
}

mod files;
