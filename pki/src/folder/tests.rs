#![expect(clippy::disallowed_methods, reason = "reads back the files that were written")]

use super::*;
use crate::crl::CrlInfo;
use crate::identity::Program;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustls_pki_types::{CertificateRevocationListDer, PrivateKeyDer};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use x509_parser::prelude::CertificateRevocationList;

const DAY: Duration = Duration::from_secs(24 * 3600);

struct Scratch {
    _dir: TempDir,
    dir: PathBuf,
    folder: Folder,
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn scratch() -> Scratch {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("pki");
    let folder = Folder::create(&dir, &"test-net.io".parse().unwrap(), now()).unwrap();
    Scratch { _dir: temporary, dir, folder }
}

impl Scratch {
    fn issue(&self, name: &str) -> (Entry, Target) {
        let target = Target::named(&self.dir, name);
        let identity =
            Identity::node(self.folder.trust_domain(), "r", Program::Geoping, name).unwrap();
        let entry = self.folder.issue(&identity, &Extra::default(), None, &target, now()).unwrap();
        (entry, target)
    }

    /// The serials in ca.crl, which must verify.
    fn listed(&self) -> (CrlInfo, Vec<Serial>) {
        let der = |file| CertificateDer::from_pem_file(file).unwrap();
        let crl = CertificateRevocationListDer::from_pem_file(self.folder.ca_crl()).unwrap();
        let info = CrlInfo::verify(&crl, &[der(self.folder.ca_cert())]).unwrap();
        let (_, list) = CertificateRevocationList::from_der(&crl).unwrap();
        let serials = list
            .iter_revoked_certificates()
            .map(|line| Serial::of_der_integer(line.raw_serial()).unwrap());
        (info, serials.collect())
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Whether a key file and a certificate file belong together.
fn is_pair(target: &Target) -> bool {
    let key = rcgen::KeyPair::from_pem(&fs::read_to_string(&target.key).unwrap()).unwrap();
    let cert = CertificateDer::from_pem_file(&target.cert).unwrap();
    let (_, cert) = X509Certificate::from_der(&cert).unwrap();
    key.public_key_raw() == cert.public_key().subject_public_key.data.as_ref()
}

#[test]
fn a_new_folder_has_everything_with_the_right_modes() {
    let scratch = scratch();
    let (_, ns1) = scratch.issue("ns1");
    let expected = ["ca.crl", "ca.crt", "ca.key", "index.json", "lock", "ns1.crt", "ns1.key"];
    assert_eq!(scratch.files(), expected);
    assert_eq!(mode(&scratch.dir), 0o700);
    for (file, bits) in [
        (scratch.folder.ca_key(), 0o600),
        (scratch.folder.ca_cert(), 0o644),
        (scratch.folder.ca_crl(), 0o644),
        (scratch.dir.join("index.json"), 0o600),
        (ns1.key.clone(), 0o600),
        (ns1.cert.clone(), 0o644),
    ] {
        assert_eq!(mode(&file), bits, "{}", file.display());
    }
    assert!(is_pair(&ns1));
    assert!(PrivateKeyDer::from_pem_file(&ns1.key).is_ok());
    assert_eq!(scratch.listed().1, []);
}

#[test]
fn an_authority_is_never_overwritten() {
    let scratch = scratch();
    let before = fs::read(scratch.folder.ca_key()).unwrap();
    let again = Folder::create(&scratch.dir, &"other.io".parse().unwrap(), now());
    assert!(matches!(&again, Err(FolderError::Exists(file)) if file.ends_with("ca.key")));
    assert_eq!(fs::read(scratch.folder.ca_key()).unwrap(), before);

    let (_, ns1) = scratch.issue("ns1");
    let before = fs::read(&ns1.key).unwrap();
    let ada = Identity::user(scratch.folder.trust_domain(), "ada").unwrap();
    let again = scratch.folder.issue(&ada, &Extra::default(), None, &ns1, now());
    assert!(matches!(again, Err(FolderError::Exists(_))));
    assert_eq!(fs::read(&ns1.key).unwrap(), before);
    assert_eq!(scratch.folder.list().unwrap().len(), 1);
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let scratch = scratch();
    let chmod = |file: &Path, bits| fs::set_permissions(file, fs::Permissions::from_mode(bits));
    chmod(&scratch.folder.ca_key(), 0o640).unwrap();
    let refused = Folder::open(&scratch.dir).unwrap_err();
    assert!(refused.to_string().contains("ca.key"), "{refused}");
    assert!(matches!(refused, FolderError::OpenKey(_)));
    chmod(&scratch.folder.ca_key(), 0o600).unwrap();
    chmod(&scratch.dir, 0o755).unwrap();
    assert!(matches!(Folder::open(&scratch.dir), Err(FolderError::OpenFolder(_))));
    chmod(&scratch.dir, 0o700).unwrap();
    assert!(Folder::open(&scratch.dir).is_ok());
}

#[test]
fn what_was_issued_is_remembered_with_its_state() {
    let scratch = scratch();
    let (ns1, _) = scratch.issue("ns1");
    let (ns2, _) = scratch.issue("ns2");
    scratch.folder.revoke(&ns1.serial, Some(Reason::KeyCompromise), now()).unwrap();

    let reopened = Folder::open(&scratch.dir).unwrap();
    let list = reopened.list().unwrap();
    assert_eq!(list.iter().map(|e| e.serial).collect::<Vec<_>>(), [ns1.serial, ns2.serial]);
    let revocation = Revocation { at: now(), reason: Some(Reason::KeyCompromise) };
    assert_eq!(list[0].status(now()), Status::Revoked(revocation));
    assert_eq!(list[1].status(now()), Status::Valid { left: DAY });
    assert_eq!(list[1].status(now() + DAY * 3), Status::Expired { ago: DAY * 2 });
    assert_eq!(list[1], ns2);
}

#[test]
fn a_revoked_certificate_is_in_the_list_until_it_no_longer_matters() {
    let scratch = scratch();
    let (ns1, target) = scratch.issue("ns1");
    let first = scratch.listed().0;
    let revoked = scratch.folder.revoke(&ns1.serial, None, now() + DAY / 2).unwrap();
    assert_eq!(revoked.revoked, Some(Revocation { at: now() + DAY / 2, reason: None }));
    let (second, serials) = scratch.listed();
    assert_eq!(serials, [ns1.serial]);
    assert!(first.is_older_than(&second));

    let again = scratch.folder.revoke(&ns1.serial, None, now());
    assert!(matches!(again, Err(FolderError::RevokedAlready(_))));
    let unknown = scratch.folder.revoke(&Serial::random().unwrap(), None, now());
    assert!(matches!(unknown, Err(FolderError::UnknownSerial(_))));
    let renewed = scratch.folder.renew(&target, None, now());
    assert!(matches!(renewed, Err(FolderError::NotRenewed(_))));

    scratch.folder.refresh_crl(now() + DAY * 7).unwrap();
    assert_eq!(scratch.listed().1, [ns1.serial], "expired, but for one more list");
    scratch.folder.refresh_crl(now() + DAY * 9).unwrap();
    assert_eq!(scratch.listed().1, []);
    assert!(second.is_older_than(&scratch.listed().0));
}

#[test]
fn issuing_renews_a_list_that_is_past_half_of_its_time() {
    let scratch = scratch();
    let ada = Identity::user(scratch.folder.trust_domain(), "ada").unwrap();
    let before = scratch.listed().0;
    let issue_at = |name: &str, at| {
        let target = Target::named(&scratch.dir, name);
        scratch.folder.issue(&ada, &Extra::default(), None, &target, at).unwrap();
    };
    issue_at("one", now() + DAY * 3);
    assert_eq!(scratch.listed().0, before);
    issue_at("two", now() + DAY * 4);
    let after = scratch.listed().0;
    assert!(before.is_older_than(&after));
    assert_eq!(after.next_update, Some(now() + DAY * 11));
}

#[test]
fn renewal_keeps_the_identity_and_changes_the_key() {
    let scratch = scratch();
    let target = Target::named(&scratch.dir, "ns1");
    let identity =
        Identity::node(scratch.folder.trust_domain(), "r", Program::Dnsrouter, "ns1").unwrap();
    let extra = Extra {
        dns: vec!["ns1.test-net.io".to_owned()],
        ip: vec!["127.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
    };
    let old = scratch.folder.issue(&identity, &extra, None, &target, now()).unwrap();
    let old_key = fs::read(&target.key).unwrap();

    let later = now() + DAY * 2; // it has expired meanwhile
    let new = scratch.folder.renew(&target, Some(DAY * 3), later).unwrap();
    assert_ne!(new.serial, old.serial);
    assert_eq!(new.identity, identity);
    assert_eq!(new.not_after, later + DAY * 3);
    assert_ne!(fs::read(&target.key).unwrap(), old_key);
    assert!(is_pair(&target));
    assert_eq!((mode(&target.key), mode(&target.cert)), (0o600, 0o644));
    assert_eq!(Old::read(&target.cert, &scratch.folder.authority).unwrap().extra, extra);
    assert_eq!(scratch.folder.list().unwrap().len(), 2);
    assert_eq!(scratch.files().iter().filter(|name| name.starts_with('.')).count(), 0);
}

#[test]
fn only_our_own_certificates_are_renewed() {
    let (ours, other) = (scratch(), scratch());
    let (_, target) = other.issue("ns1");
    let before = fs::read(&target.cert).unwrap();
    let refused = ours.folder.renew(&target, None, now());
    assert!(matches!(refused, Err(FolderError::NotOurs { .. })), "{refused:?}");
    let authority = Target { cert: ours.folder.ca_cert(), key: ours.folder.ca_key() };
    assert!(matches!(ours.folder.renew(&authority, None, now()), Err(FolderError::NotOurs { .. })));
    let missing = ours.folder.renew(&Target::named(&ours.dir, "none"), None, now());
    assert!(matches!(missing, Err(FolderError::Read { .. })));
    assert_eq!(fs::read(&target.cert).unwrap(), before);
}

/// Nobody is waited for: a name may lead to a FIFO that nobody writes.
#[test]
fn what_is_no_file_is_not_read() {
    let scratch = scratch();
    let target = Target::named(&scratch.dir, "fifo");
    mknodat(CWD, &target.cert, FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let (done, renewed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let refused = scratch.folder.renew(&target, None, now());
        let _ = done.send(refused.map(|_| ()).unwrap_err().to_string());
    });
    let said = renewed.recv_timeout(Duration::from_secs(20)).expect("it comes back");
    assert!(said.ends_with("fifo.crt, nothing was changed: it is not a regular file"), "{said}");
}

/// What lies beside the key is unsigned paper until the authority's own signature is on it.
#[test]
fn a_certificate_that_only_says_our_serial_and_identity_is_not_renewed() {
    let scratch = scratch();
    let target = Target::named(&scratch.dir, "ada");
    let ada = Identity::user(scratch.folder.trust_domain(), "ada").unwrap();
    let entry = scratch.folder.issue(&ada, &Extra::default(), None, &target, now()).unwrap();
    let index = || fs::read(scratch.dir.join("index.json")).unwrap();
    let before = index();

    let mut forged = rcgen::CertificateParams::new(["bank.example".to_owned()]).unwrap();
    forged.serial_number = Some(rcgen::SerialNumber::from_slice(entry.serial.as_bytes()));
    let uri = ada.to_string().as_str().try_into().unwrap();
    forged.subject_alt_names.push(rcgen::SanType::URI(uri));
    let key = rcgen::KeyPair::generate().unwrap();
    let ca_cert = fs::read_to_string(scratch.folder.ca_cert()).unwrap();
    let in_our_name = rcgen::Issuer::from_ca_cert_pem(&ca_cert, &key).unwrap();
    for cert in [forged.self_signed(&key), forged.signed_by(&key, &in_our_name)] {
        let pem = cert.unwrap().pem();
        fs::write(&target.cert, &pem).unwrap();
        let refused = scratch.folder.renew(&target, None, now()).unwrap_err().to_string();
        assert!(refused.contains("ada.crt: this certificate was not issued by this authority"));
        assert!(refused.contains("nothing was changed"), "{refused}");
        assert_eq!(fs::read_to_string(&target.cert).unwrap(), pem);
        assert_eq!(index(), before);
    }
}

#[test]
fn a_certificate_with_a_changed_name_is_not_renewed() {
    let scratch = scratch();
    let target = Target::named(&scratch.dir, "ada");
    let ada = Identity::user(scratch.folder.trust_domain(), "ada").unwrap();
    let extra = Extra { dns: vec!["fine.example".to_owned()], ip: vec![] };
    scratch.folder.issue(&ada, &extra, None, &target, now()).unwrap();
    let mut der = CertificateDer::from_pem_file(&target.cert).unwrap().to_vec();
    let at = der.windows(12).position(|bytes| bytes == b"fine.example").unwrap();
    der[at..at + 4].copy_from_slice(b"bank");
    let parsed = X509Certificate::from_der(&der).unwrap().1;
    assert_eq!(extra_names(&parsed).dns, ["bank.example"]);
    assert!(!scratch.folder.authority.has_signed(&parsed));
}

#[test]
fn requests_are_signed_into_the_folder() {
    let scratch = scratch();
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    let bob = Identity::user(scratch.folder.trust_domain(), "bob").unwrap();
    let cert = scratch.dir.join("bob.crt");
    let sign = || {
        let csr = request.pem().unwrap();
        scratch.folder.sign_csr(&csr, &bob, &Extra::default(), None, &cert, now())
    };
    let entry = sign().unwrap();
    assert_eq!((entry.key.as_ref(), entry.cert.as_ref()), (None, Some(&cert)));
    let der = CertificateDer::from_pem_file(&cert).unwrap();
    assert_eq!(Identity::of_certificate(&der), Ok(bob.clone()));
    assert!(matches!(sign(), Err(FolderError::Exists(_))));
    assert_eq!(scratch.folder.list().unwrap(), [entry]);
}

#[test]
fn a_failed_write_leaves_the_old_files_and_says_what_happened() {
    let scratch = scratch();
    let ada = Identity::user(scratch.folder.trust_domain(), "ada").unwrap();
    let target = Target::named(&scratch.dir.join("missing"), "ada");
    let error = scratch.folder.issue(&ada, &Extra::default(), None, &target, now()).unwrap_err();
    assert!(error.to_string().contains("missing/ada.key; nothing was changed"), "{error}");
    assert_eq!(scratch.folder.list().unwrap(), []);

    let (entry, _) = scratch.issue("ns1");
    fs::write(scratch.dir.join("index.json"), "{").unwrap();
    let damaged = scratch.folder.revoke(&entry.serial, None, now()).unwrap_err();
    assert!(matches!(damaged, FolderError::BadIndex { .. }));
    assert!(damaged.to_string().contains("index.json"), "{damaged}");
    assert_eq!(scratch.listed().1, []);
    let newer = r#"{"version":2,"crl_number":1,"crl_next_update":"2027-01-01T00:00:00Z","certificates":[]}"#;
    fs::write(scratch.dir.join("index.json"), newer).unwrap();
    assert!(matches!(scratch.folder.list(), Err(FolderError::BadIndex { .. })));
}

#[test]
fn writers_take_turns() {
    let scratch = scratch();
    let names: Vec<String> = (0..16).map(|i| format!("n{i}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| {
                let folder = Folder::open(&scratch.dir).unwrap();
                let identity = Identity::member(folder.trust_domain(), name).unwrap();
                let target = Target::named(&scratch.dir, name);
                folder.issue(&identity, &Extra::default(), None, &target, now()).unwrap();
            });
        }
    });
    let mut listed: Vec<_> = scratch
        .folder
        .list()
        .unwrap()
        .into_iter()
        .map(|entry| entry.cert.unwrap().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    listed.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(listed, expected, "no write was lost");
}

#[test]
fn old_certificates_are_forgotten() {
    let scratch = scratch();
    let (old, _) = scratch.issue("old");
    let ada = Identity::user(scratch.folder.trust_domain(), "ada").unwrap();
    let later = now() + index::REMEMBERED + DAY * 2;
    let target = Target::named(&scratch.dir, "new");
    let new = scratch.folder.issue(&ada, &Extra::default(), None, &target, later).unwrap();
    let list = scratch.folder.list().unwrap();
    assert!(!list.contains(&old));
    assert_eq!(list, [new]);
}
