//! Everybody's certificates, and the ones nobody should accept.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pki::folder::{Folder, Target};
use pki::{Extra, Identity, Program, TrustDomain};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use time::OffsetDateTime;

use crate::scratch::Scratch;

const HOUR: Duration = Duration::from_secs(3600);

/// The trust domain of all tests.
const TRUST_DOMAIN: &str = "test-net.io";

/// Who may sign for the trust domain test-net.io: a folder of crate `pki`, and a forger that signs
/// with its key what that crate refuses to.
pub struct Authority {
    dir: PathBuf,
    folder: Folder,
    trust_domain: TrustDomain,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Papers {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Odd {
    /// Signed by another authority, for the same identity.
    OtherAuthority,
    /// Its time ended two seconds ago.
    Expired,
    /// Its time begins in an hour.
    NotYetValid,
    /// On the list of revoked certificates.
    Revoked,
    /// It identifies somebody of another trust domain.
    ForeignTrustDomain,
    /// It identifies somebody of a trust domain that ours is a suffix or prefix of.
    SuffixTrick,
    /// It has a DNS name, and no URI.
    NoUriSan,
    /// It identifies two.
    TwoUriSans,
    /// It has no subject alternative name at all, and a common name that would be right.
    CommonNameOnly,
    /// It may be a server, not a client.
    ServerOnly,
}

impl Odd {
    /// All of them.
    pub const ALL: [Odd; 10] = [
        Odd::OtherAuthority,
        Odd::Expired,
        Odd::NotYetValid,
        Odd::Revoked,
        Odd::ForeignTrustDomain,
        Odd::SuffixTrick,
        Odd::NoUriSan,
        Odd::TwoUriSans,
        Odd::CommonNameOnly,
        Odd::ServerOnly,
    ];
}

impl Authority {
    /// A fresh authority whose files are in the folder `name`.
    pub fn create(scratch: &Scratch, name: &str) -> Authority {
        let dir = scratch.join(name);
        let trust_domain: TrustDomain = TRUST_DOMAIN.parse().expect("a trust domain");
        let folder = Folder::create(&dir, &trust_domain, SystemTime::now())
            .unwrap_or_else(|error| panic!("no authority: {error}"));
        Authority { dir, folder, trust_domain }
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &'static str {
        TRUST_DOMAIN
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.ca_cert()
    }

    /// The list of revoked certificates.
    pub fn crl(&self) -> PathBuf {
        self.folder.ca_crl()
    }

    /// Papers for the GeoPing of a region.
    pub fn region(&self, region: &str) -> Papers {
        let node = format!("{region}-a");
        self.node(&format!("geoping-{region}"), region, Program::Geoping, &node)
    }

    /// Papers for a name server.
    pub fn name_server(&self, region: &str, node: &str) -> Papers {
        self.node(node, region, Program::Dnsrouter, node)
    }

    /// Papers for a person.
    pub fn user(&self, name: &str) -> Papers {
        self.issue(name, &self.person(name), HOUR, SystemTime::now())
    }

    /// Replaces papers by fresh ones for the same identity, good for so many hours.
    pub fn renew(&self, papers: &Papers, hours: u32) {
        self.renew_for(papers, HOUR * hours);
    }

    /// Replaces papers by fresh ones for the same identity, good for so long.
    pub fn renew_for(&self, papers: &Papers, lifetime: Duration) {
        let target = Target { cert: papers.certificate.clone(), key: papers.key.clone() };
        self.folder
            .renew(&target, Some(lifetime), SystemTime::now())
            .unwrap_or_else(|error| panic!("not renewed: {error}"));
    }

    /// Papers as [`user`](Self::user) gives them, but for one thing.
    pub fn odd(&self, scratch: &Scratch, odd: Odd) -> Papers {
        let file = format!("{odd:?}");
        let ada = self.person("ada");
        let now = SystemTime::now();
        let ours = || vec![uri("spiffe://test-net.io/user/ada")];
        match odd {
            Odd::OtherAuthority => {
                Authority::create(scratch, "other").issue(&file, &ada, HOUR, now)
            }
            Odd::Expired => self.issue(&file, &ada, HOUR, now - HOUR - Duration::from_secs(2)),
            Odd::NotYetValid => self.issue(&file, &ada, HOUR, now + HOUR),
            Odd::Revoked => {
                let papers = self.issue(&file, &ada, HOUR, now);
                self.revoke(&papers);
                papers
            }
            Odd::ForeignTrustDomain => {
                self.forge(&file, vec![uri("spiffe://example.com/user/ada")], &BOTH)
            }
            Odd::SuffixTrick => {
                self.forge(&file, vec![uri("spiffe://test-net.io.example.com/user/ada")], &BOTH)
            }
            Odd::NoUriSan => self.forge(&file, vec![dns("ada.test-net.io")], &BOTH),
            Odd::TwoUriSans => {
                let two = vec![uri("spiffe://test-net.io/user/eve")];
                self.forge(&file, [ours(), two].concat(), &BOTH)
            }
            Odd::CommonNameOnly => self.forge(&file, Vec::new(), &BOTH),
            Odd::ServerOnly => self.forge(&file, ours(), &[ExtendedKeyUsagePurpose::ServerAuth]),
        }
    }

    fn node(&self, file: &str, region: &str, program: Program, node: &str) -> Papers {
        let identity = Identity::node(&self.trust_domain, region, program, node);
        self.issue(file, &identity.expect("a well-formed identity"), HOUR, SystemTime::now())
    }

    fn person(&self, name: &str) -> Identity {
        Identity::user(&self.trust_domain, name).expect("a well-formed identity")
    }

    /// Papers in files of this name; those that are there, if they are.
    fn issue(&self, file: &str, who: &Identity, lifetime: Duration, now: SystemTime) -> Papers {
        let target = Target::named(&self.dir, file);
        if !target.cert.exists() {
            self.folder
                .issue(who, &Extra::default(), Some(lifetime), &target, now)
                .unwrap_or_else(|error| panic!("nothing issued for {who}: {error}"));
        }
        Papers { certificate: target.cert, key: target.key }
    }

    fn revoke(&self, papers: &Papers) {
        let entries = self.folder.list().unwrap_or_else(|error| panic!("no index: {error}"));
        let newest = entries.last().expect("something was issued");
        self.folder
            .revoke(&newest.serial, None, SystemTime::now())
            .unwrap_or_else(|error| panic!("{papers:?} not revoked: {error}"));
    }

    /// Signs with the authority's key what the authority would not.
    fn forge(&self, file: &str, sans: Vec<SanType>, usages: &[ExtendedKeyUsagePurpose]) -> Papers {
        let read = |path: PathBuf| std::fs::read_to_string(path).expect("the authority is there");
        let key = KeyPair::from_pem(&read(self.folder.ca_key())).expect("the key is PEM");
        let issuer = Issuer::from_ca_cert_pem(&read(self.certificate()), key)
            .expect("the certificate is an authority's");
        let now = OffsetDateTime::now_utc();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "spiffe://test-net.io/user/ada");
        params.not_before = now - HOUR;
        params.not_after = now + HOUR;
        params.subject_alt_names = sans;
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = usages.to_vec();
        let key = KeyPair::generate().expect("the machine has randomness");
        let certificate = params.signed_by(&key, &issuer).expect("the parameters are sound");
        let target = Target::named(&self.dir, file);
        write(&target.key, &key.serialize_pem());
        write(&target.cert, &certificate.pem());
        Papers { certificate: target.cert, key: target.key }
    }
}

/// What ordinary papers are good for.
const BOTH: [ExtendedKeyUsagePurpose; 2] =
    [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("a URI is ASCII"))
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("a name is ASCII"))
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the scratch folder can be written");
}
