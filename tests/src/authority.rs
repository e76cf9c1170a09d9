//! Everybody's certificates, and the ones nobody should accept.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::scratch::Scratch;

const HOUR: Duration = Duration::from_secs(3600);

/// Who may sign for the trust domain test-net.io, and what it has signed.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
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

/// The trust domain of all tests.
const TRUST_DOMAIN: &str = "test-net.io";

impl Authority {
    /// A fresh authority whose files are in the folder `name`.
    pub fn create(scratch: &Scratch, name: &str) -> Authority {
        let folder = scratch.join(name);
        std::fs::create_dir_all(&folder).expect("the scratch folder can be written");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("{TRUST_DOMAIN} ({name})"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = new_key();
        let certificate = params.self_signed(&key).expect("an authority signs itself");
        write(&folder.join("ca.crt"), &certificate.pem());
        let authority = Authority { folder, issuer: Issuer::new(params, key) };
        authority.publish(&[]);
        authority
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> &'static str {
        TRUST_DOMAIN
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The list of revoked certificates.
    pub fn crl(&self) -> PathBuf {
        self.folder.join("ca.crl")
    }

    /// Fresh papers for the GeoPing of a region.
    pub fn region(&self, region: &str) -> Papers {
        self.issue(&format!("geoping-{region}"), &format!("region/{region}/geoping/{region}-a"))
    }

    /// Fresh papers for a name server.
    pub fn name_server(&self, region: &str, node: &str) -> Papers {
        self.issue(node, &format!("region/{region}/dnsrouter/{node}"))
    }

    /// Fresh papers for a person.
    pub fn user(&self, name: &str) -> Papers {
        self.issue(name, &format!("user/{name}"))
    }

    /// Papers as [`user`](Self::user) gives them, but for one thing.
    pub fn odd(&self, scratch: &Scratch, odd: Odd) -> Papers {
        let mut leaf = Leaf::user("ada");
        let file = format!("{odd:?}");
        match odd {
            Odd::OtherAuthority => {
                return Authority::create(scratch, "other").sign(&file, leaf);
            }
            Odd::Expired => leaf.not_after = SystemTime::now() - Duration::from_secs(2),
            Odd::NotYetValid => {
                leaf.not_before = SystemTime::now() + HOUR;
                leaf.not_after = SystemTime::now() + 2 * HOUR;
            }
            Odd::Revoked => {
                leaf.serial = Some(SerialNumber::from(REVOKED));
                self.publish(&[SerialNumber::from(REVOKED)]);
            }
            Odd::ForeignTrustDomain => leaf.sans = vec![uri("spiffe://example.com/user/ada")],
            Odd::SuffixTrick => {
                leaf.sans = vec![uri("spiffe://test-net.io.example.com/user/ada")];
            }
            Odd::NoUriSan => leaf.sans = vec![dns("ada.test-net.io")],
            Odd::TwoUriSans => leaf.sans.push(uri("spiffe://test-net.io/user/eve")),
            Odd::CommonNameOnly => leaf.sans = Vec::new(),
            Odd::ServerOnly => leaf.usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        }
        self.sign(&file, leaf)
    }

    /// Replaces papers by fresh ones for the identity at `path`, good for so many hours.
    pub fn renew(&self, papers: &Papers, path: &str, hours: u32) {
        let mut leaf = Leaf::new(path);
        leaf.not_after = SystemTime::now() + HOUR * hours;
        let file = papers.certificate.file_stem().expect("a file").to_string_lossy().into_owned();
        assert_eq!(&self.sign(&file, leaf), papers, "written over");
    }

    fn issue(&self, file: &str, path: &str) -> Papers {
        self.sign(file, Leaf::new(path))
    }

    /// Signs, and writes the certificate and a fresh key. Writing over papers replaces each file
    /// by a rename, as careful tools do.
    fn sign(&self, file: &str, leaf: Leaf) -> Papers {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "spiffe://test-net.io/user/ada");
        params.not_before = OffsetDateTime::from(leaf.not_before);
        params.not_after = OffsetDateTime::from(leaf.not_after);
        params.subject_alt_names = leaf.sans;
        params.serial_number = leaf.serial;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = leaf.usages;
        let key = new_key();
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are sound");
        let papers = Papers {
            certificate: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
        };
        write(&papers.key, &key.serialize_pem());
        write(&papers.certificate, &certificate.pem());
        papers
    }

    fn publish(&self, revoked: &[SerialNumber]) {
        let now = OffsetDateTime::now_utc();
        let revoked = revoked
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: serial.clone(),
                revocation_time: now,
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
            .collect();
        let crl = CertificateRevocationListParams {
            this_update: now - HOUR,
            next_update: now + HOUR,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = crl.signed_by(&self.issuer).expect("the parameters are sound");
        write(&self.crl(), &crl.pem().expect("a CRL prints as PEM"));
    }
}

/// The serial number of the certificate that is revoked.
const REVOKED: u64 = 0x0bad_0bad;

/// What a certificate says.
struct Leaf {
    sans: Vec<SanType>,
    not_before: SystemTime,
    not_after: SystemTime,
    usages: Vec<ExtendedKeyUsagePurpose>,
    serial: Option<SerialNumber>,
}

impl Leaf {
    fn new(path: &str) -> Leaf {
        let now = SystemTime::now();
        Leaf {
            sans: vec![uri(&format!("spiffe://{TRUST_DOMAIN}/{path}"))],
            not_before: now - HOUR,
            not_after: now + HOUR,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            serial: None,
        }
    }

    fn user(name: &str) -> Leaf {
        Leaf::new(&format!("user/{name}"))
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("a URI is ASCII"))
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("a name is ASCII"))
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the machine has randomness")
}

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("the scratch folder can be written");
    std::fs::rename(&new, path).expect("the scratch folder can be written");
}
