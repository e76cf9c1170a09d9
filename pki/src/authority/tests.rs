use super::*;
use crate::crl::{CrlError, CrlInfo};
use rustls_pki_types::CertificateRevocationListDer;
use x509_parser::prelude::CertificateRevocationList;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn ours() -> TrustDomain {
    "test-net.io".parse().unwrap()
}

fn authority() -> Authority {
    Authority::create(&ours(), &Validity::default(), now()).unwrap()
}

fn ada() -> Identity {
    Identity::user(&ours(), "ada").unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn crl_der(pem: &str) -> CertificateRevocationListDer<'static> {
    CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn an_authority_may_sign_and_do_nothing_else() {
    let authority = authority();
    let der = der(authority.cert_pem());
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let basic = parsed.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0), "no authority below it");
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
    assert!(parsed.extended_key_usage().unwrap().is_none());
    assert_eq!(SystemTime::from(parsed.validity().not_before.to_datetime()), now() - CLOCK_SKEW);
    assert_eq!(authority.not_after(), now() + DAY * 3652);
    assert_eq!(TrustDomain::of_authority(&der), Ok(ours()));
    assert!(Identity::of_certificate(&der).is_err(), "the authority is nobody's peer");
    assert!(parsed.verify_signature(None).is_ok());
}

#[test]
fn a_certificate_says_exactly_what_it_should() {
    let authority = authority();
    let extra = Extra {
        dns: vec!["ns1.test-net.io".to_owned()],
        ip: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
    };
    let node = Identity::node(&ours(), "us-central1", crate::Program::Dnsrouter, "ns1").unwrap();
    let issued = authority.issue(&node, &extra, DAY, now()).unwrap();
    assert_eq!(issued.not_before, now() - CLOCK_SKEW);
    assert_eq!(issued.not_after, now() + DAY);

    let (ca, leaf) = (der(authority.cert_pem()), der(&issued.cert_pem));
    assert_eq!(Identity::of_certificate(&leaf), Ok(node));
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert!(leaf.verify_signature(Some(ca.public_key())).is_ok());
    assert_eq!(leaf.issuer(), ca.subject());
    assert_eq!(leaf.raw_serial(), der_serial(&issued.serial).to_bytes_with_sign());
    assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
    let usage = leaf.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.any);
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names.len(), 4);
    let key = KeyPair::from_pem(&issued.key_pem).unwrap();
    assert_eq!(key.public_key_raw(), leaf.public_key().subject_public_key.data.as_ref());
    assert!(!format!("{issued:?} {authority:?}").contains("PRIVATE"));
}

trait WithSign {
    fn to_bytes_with_sign(&self) -> Vec<u8>;
}

impl WithSign for SerialNumber {
    /// As DER writes a positive integer.
    fn to_bytes_with_sign(&self) -> Vec<u8> {
        let bytes = self.to_bytes();
        let zero = (bytes[0] & 0x80 != 0).then_some(0);
        zero.into_iter().chain(bytes).collect()
    }
}

#[test]
fn nobody_else_gets_a_certificate() {
    let authority = authority();
    let issue = |identity: Identity| authority.issue(&identity, &Extra::default(), DAY, now());
    for foreign in ["other.io", "a.test-net.io", "test-net.io.evil.example"] {
        let refused = issue(Identity::user(&foreign.parse().unwrap(), "ada").unwrap());
        assert!(matches!(refused, Err(AuthorityError::ForeignTrustDomain { .. })), "{refused:?}");
    }
    let by_hand = Identity { trust_domain: ours(), role: Role::User("a/../b".to_owned()) };
    assert!(matches!(issue(by_hand), Err(AuthorityError::BadIdentity(_))));
}

#[test]
fn lifetimes_have_bounds() {
    let authority = authority();
    let issue = |lifetime, now| {
        authority.issue(&ada(), &Extra::default(), lifetime, now).map(|i| i.not_after)
    };
    assert_eq!(issue(DAY * 36500, now()).unwrap(), authority.not_after(), "cut to the authority's");
    assert!(matches!(issue(DAY, now() + DAY * 3653), Err(AuthorityError::Expired)));
    assert!(matches!(issue(Duration::ZERO, now()), Err(AuthorityError::BadTime(_))));
    assert!(matches!(issue(DAY, SystemTime::UNIX_EPOCH), Err(AuthorityError::BadTime(_))));
    assert!(matches!(issue(Duration::MAX, now()), Err(AuthorityError::BadTime(_))));
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 45);
    let created = Authority::create(&ours(), &Validity::default(), far);
    assert!(matches!(created, Err(AuthorityError::BadTime(_))));
}

#[test]
fn additional_names_are_checked() {
    let issue = |dns: Vec<&str>, ips: usize| {
        let dns = dns.into_iter().map(str::to_owned).collect();
        let extra = Extra { dns, ip: vec![[127, 0, 0, 1].into(); ips] };
        authority().issue(&ada(), &extra, DAY, now())
    };
    for bad in ["", "a b", "ä.example", "a..b", "-"] {
        let refused = issue(vec![bad], 0);
        assert!(matches!(refused, Err(AuthorityError::BadExtraName(..))), "{bad}: {refused:?}");
    }
    assert!(issue(vec!["a.example"; 8], 8).is_ok());
    assert!(issue(vec!["a.example"; 9], 8).is_err());
    assert!(issue(vec![], 17).is_err());
}

#[test]
fn an_authority_opens_only_with_its_own_key_and_certificate() {
    let (one, other) = (authority(), authority());
    let leaf = one.issue(&ada(), &Extra::default(), DAY, now()).unwrap();
    let open = Authority::from_pem;
    assert_eq!(open(one.cert_pem(), &one.key_pem()).unwrap().trust_domain(), &ours());
    let cross = open(one.cert_pem(), &other.key_pem());
    assert!(matches!(cross, Err(AuthorityError::KeyMismatch)));
    let a_leaf = open(&leaf.cert_pem, &leaf.key_pem);
    assert!(matches!(a_leaf, Err(AuthorityError::NotAnAuthority)));
    assert!(matches!(open("", &one.key_pem()), Err(AuthorityError::BadCertificate(_))));
    assert!(matches!(open(one.cert_pem(), "junk"), Err(AuthorityError::BadKey(_))));
}

fn request(names: &[&str], key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.iter().map(|name| uri(name).unwrap()).collect();
    // Whatever else it asks for is not granted.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn a_request_gets_its_key_signed_and_nothing_else() {
    let authority = authority();
    for kind in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519]
    {
        let key = KeyPair::generate_for(kind).unwrap();
        for names in [&[][..], &["spiffe://test-net.io/user/ada"]] {
            let csr = request(names, &key);
            let signed = authority.sign_csr(&csr, &ada(), &Extra::default(), DAY, now()).unwrap();
            let der = der(&signed.cert_pem);
            assert_eq!(Identity::of_certificate(&der), Ok(ada()));
            let (_, parsed) = X509Certificate::from_der(&der).unwrap();
            let data = &parsed.public_key().subject_public_key.data;
            assert_eq!(data.as_ref(), key.public_key_raw());
            assert!(!parsed.is_ca());
            assert!(!parsed.key_usage().unwrap().unwrap().value.key_cert_sign());
        }
    }
}

#[test]
fn bad_requests_are_refused() {
    let authority = authority();
    let sign = |csr: &str| authority.sign_csr(csr, &ada(), &Extra::default(), DAY, now());
    let key = KeyPair::generate().unwrap();

    let for_bob = sign(&request(&["spiffe://test-net.io/user/bob"], &key));
    assert!(matches!(for_bob, Err(AuthorityError::OtherIdentity { .. })), "{for_bob:?}");
    let for_both = ["spiffe://test-net.io/user/ada", "spiffe://test-net.io/region/r/dnsrouter/n"];
    assert!(matches!(sign(&request(&for_both, &key)), Err(AuthorityError::OtherIdentity { .. })));
    let weak = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let rsa = sign(&request(&[], &weak.unwrap()));
    assert!(matches!(rsa, Err(AuthorityError::BadRequest(_))), "{rsa:?}");
    assert!(matches!(sign("junk"), Err(AuthorityError::BadRequest(_))));

    // Somebody who holds another key changes the request: its signature no longer fits.
    let csr = request(&[], &key);
    let mut der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(csr.as_bytes())
        .unwrap()
        .to_vec();
    let public = key.public_key_raw();
    let at = der.windows(public.len()).position(|window| window == public).unwrap();
    der[at + 5] ^= 1;
    let forged = pem_of("CERTIFICATE REQUEST", &der);
    assert!(matches!(sign(&forged), Err(AuthorityError::BadRequest(_))));
}

/// PEM without a crate for it.
fn pem_of(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut body = String::new();
    for chunk in der.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            body.push(char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
        }
        body.push_str(&"=".repeat(3 - chunk.len()));
    }
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

#[test]
fn a_list_takes_back_what_it_says() {
    let authority = authority();
    let serial = Serial::random().unwrap();
    let other = Serial::random().unwrap();
    let lines = [
        Revoked { serial, at: now() - DAY, reason: Some(Reason::KeyCompromise) },
        Revoked { serial: other, at: now(), reason: None },
    ];
    let pem = authority.crl_pem(&lines, 258, DAY * 7, now()).unwrap();
    let der = crl_der(&pem);
    let info = CrlInfo::verify(&der, &[self::der(authority.cert_pem())]).unwrap();
    assert_eq!(info.number, [1, 2]);
    assert_eq!((info.this_update, info.next_update), (now(), Some(now() + DAY * 7)));
    assert_eq!(info.revoked, 2);
    assert!(!info.is_stale(now() + DAY * 7) && info.is_stale(now() + DAY * 8));

    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    let listed: Vec<_> = list
        .iter_revoked_certificates()
        .map(|line| (Serial::of_der_integer(line.raw_serial()).unwrap(), line.reason_code()))
        .collect();
    assert_eq!(listed[0].0, serial);
    assert_eq!(listed[0].1.unwrap().1.0, 1, "keyCompromise");
    assert_eq!(listed[1].0, other);
    assert!(listed[1].1.is_none());
}

#[test]
fn lists_of_others_and_damaged_lists_are_refused() {
    let (one, other) = (authority(), authority());
    let ca = [der(one.cert_pem())];
    let pem = one.crl_pem(&[], 1, DAY, now()).unwrap();
    let good = crl_der(&pem).to_vec();
    assert!(CrlInfo::verify(&good.clone().into(), &ca).is_ok());
    assert_eq!(CrlInfo::verify(&good.clone().into(), &[]), Err(CrlError::NotOurs));

    let foreign = crl_der(&other.crl_pem(&[], 2, DAY, now()).unwrap());
    assert_eq!(CrlInfo::verify(&foreign, &ca), Err(CrlError::NotOurs));
    for cut in [0, 1, good.len() / 2, good.len() - 1] {
        assert!(CrlInfo::verify(&good[..cut].into(), &ca).is_err(), "cut at {cut}");
    }
    // Every bit matters, but for the unsigned copy of the algorithm's name between the signed
    // part and the signature: it can be spelled in a way that this parser reads all the same.
    let algorithm = [0x30, 0x0a, 0x06, 0x08];
    let copy = good.windows(4).rposition(|window| window == algorithm).unwrap();
    for at in (0..good.len()).filter(|at| !(copy..copy + 12).contains(at)) {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        assert!(CrlInfo::verify(&flipped.into(), &ca).is_err(), "bit flipped at {at}");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(CrlInfo::verify(&longer.into(), &ca).is_err());
}

#[test]
fn list_numbers_order_lists() {
    let authority = authority();
    let info = |number| {
        let pem = authority.crl_pem(&[], number, DAY, now()).unwrap();
        CrlInfo::verify(&crl_der(&pem), &[der(authority.cert_pem())]).unwrap()
    };
    for (older, newer) in [(1, 2), (255, 256), (0, 1), (65535, 65536)] {
        assert!(info(older).is_older_than(&info(newer)), "{older} {newer}");
        assert!(!info(newer).is_older_than(&info(older)), "{newer} {older}");
        assert!(!info(newer).is_older_than(&info(newer)), "{newer} {newer}");
    }
    let other = self::authority();
    let pem = other.crl_pem(&[], 9, DAY, now()).unwrap();
    let theirs = CrlInfo::verify(&crl_der(&pem), &[der(other.cert_pem())]).unwrap();
    assert!(!info(1).is_older_than(&theirs), "of another authority");
}
