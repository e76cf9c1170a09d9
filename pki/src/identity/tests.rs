use super::*;
use rcgen::{CertificateParams, KeyPair, SanType};

#[test]
fn what_parses_prints_back() {
    for text in [
        "spiffe://test-net.io/region/us-central1/dnsrouter/ns1",
        "spiffe://test-net.io/region/us-central1/geoping/us-central1-a",
        "spiffe://a/region/R_2/directory/D.1",
        "spiffe://test-net.io/user/Ada.Lovelace",
        "spiffe://test-net.io/member/7f3a9c",
        "spiffe://x_y.example/user/...",
    ] {
        let identity: Identity = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(identity.to_string(), text);
        assert_eq!(identity.clone().checked().unwrap(), identity);
    }
}

#[test]
fn every_other_spelling_is_refused() {
    let long = format!("spiffe://test-net.io/user/{}", "a".repeat(MAX_URI));
    for text in [
        "",
        "spiffe://",
        "spiffe:///user/ada",
        "SPIFFE://test-net.io/user/ada",
        "https://test-net.io/user/ada",
        "spiffe:test-net.io/user/ada",
        " spiffe://test-net.io/user/ada",
        "spiffe://test-net.io/user/ada ",
        "spiffe://test-net.io/user/ada\n",
        "spiffe://test-net.io/user/ada\0",
        "spiffe://Test-net.io/user/ada",
        "spiffe://test-net.io:443/user/ada",
        "spiffe://root@test-net.io/user/ada",
        "spiffe://test-net.io./user/ada",
        "spiffe://.test-net.io/user/ada",
        "spiffe://-test.io/user/ada",
        "spiffe://test-net.io",
        "spiffe://test-net.io/",
        "spiffe://test-net.io/user",
        "spiffe://test-net.io/user/",
        "spiffe://test-net.io/user/ada/",
        "spiffe://test-net.io//user/ada",
        "spiffe://test-net.io/user//ada",
        "spiffe://test-net.io/./user/ada",
        "spiffe://test-net.io/user/.",
        "spiffe://test-net.io/user/..",
        "spiffe://test-net.io/user/a%64a",
        "spiffe://test-net.io/user/ada?x=1",
        "spiffe://test-net.io/user/ada#x",
        "spiffe://test-net.io/user/ad a",
        "spiffe://test-net.io/user/äda",
        "spiffe://test-net.io/User/ada",
        "spiffe://test-net.io/region/r/dnsrouter",
        "spiffe://test-net.io/region/r/dnsrouter/n/x",
        "spiffe://test-net.io/region/r/Dnsrouter/n",
        "spiffe://test-net.io/region/r/sshd/n",
        "spiffe://test-net.io/region//dnsrouter/n",
        "spiffe://test-net.io/region/../dnsrouter/n",
        &long,
    ] {
        assert!(text.parse::<Identity>().is_err(), "{text:?} was accepted");
    }
}

#[test]
fn fields_filled_by_hand_are_checked() {
    let trust_domain: TrustDomain = "test-net.io".parse().unwrap();
    let slash = Identity::user(&trust_domain, "ada/../root");
    assert!(matches!(slash, Err(IdentityError::BadSegment { .. })), "{slash:?}");
    let long = Identity::member(&trust_domain, &"a".repeat(MAX_URI));
    assert!(matches!(long, Err(IdentityError::TooLong(_))), "{long:?}");
}

#[test]
fn trust_domains_have_no_suffix_tricks() {
    let ours: TrustDomain = "test-net.io".parse().unwrap();
    for other in ["a.test-net.io", "test-net.io.example", "test-net.i", "xtest-net.io"] {
        assert_ne!(ours, other.parse().unwrap());
    }
    for bad in ["", ".", "a..b", "a.", "A", "a-.b", "ä", "a b", "a/b", "a:1", &"a".repeat(64)] {
        assert!(bad.parse::<TrustDomain>().is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn a_certificate_names_exactly_one() {
    let ada = "spiffe://test-net.io/user/ada";
    let bob = "spiffe://test-net.io/user/bob";
    let of = |uris: &[&str]| Identity::of_certificate(&certificate(uris, "ns1.test-net.io"));

    assert_eq!(of(&[ada]).unwrap().to_string(), ada);
    assert_eq!(of(&[]), Err(IdentityError::NoUriSan));
    assert_eq!(of(&[ada, bob]), Err(IdentityError::SeveralUriSans(2)));
    assert_eq!(of(&[ada, ada]), Err(IdentityError::SeveralUriSans(2)));
    assert!(matches!(of(&["https://test-net.io"]), Err(IdentityError::NotSpiffe(_))));
    assert_eq!(
        of(&[ada, bob]).unwrap_err().to_string(),
        "certificate carries two URI SANs, exactly one is allowed"
    );
}

#[test]
fn a_broken_certificate_names_nobody() {
    let whole = certificate(&["spiffe://test-net.io/user/ada"], "x.example");
    let mut longer = whole.to_vec();
    longer.push(0);
    let cut = &whole[..whole.len() - 1];
    for bytes in [&b""[..], b"junk", cut, &longer] {
        let read = Identity::of_certificate(&CertificateDer::from(bytes));
        assert!(matches!(read, Err(IdentityError::BadCertificate(_))), "{read:?}");
    }
}

#[test]
fn a_strangers_text_cannot_forge_log_lines() {
    let error = "spiffe://x/user/a\nWARN forged".parse::<Identity>().unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
}

fn certificate(uris: &[&str], dns: &str) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec![dns.to_owned()]).unwrap();
    params
        .subject_alt_names
        .extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().into()
}
