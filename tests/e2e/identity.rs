//! Who is let in: nobody without the right papers reaches a handler, everybody hears why, and
//! papers are replaced without a lost call.
#![expect(clippy::disallowed_methods, reason = "waits and writes files")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tests::artifact;
use tests::authority::{Authority, Odd};
use tests::geoip::Geoip;
use tests::name_server::{Endpoint, NameServerPlan, Service};
use tests::region::{Region, RegionPlan};
use tests::scrape::Metrics;
use tests::scratch::Scratch;
use tests::stranger::{Refusal, Stranger};
use tests::wait;
use tests::world::NAME;

const SOON: Duration = Duration::from_secs(10);

/// What is wrong, in a word that the server's log must have, and how far it gets.
struct Case {
    odd: Odd,
    logged: &'static str,
    /// What `geoip` must print.
    told: &'static str,
    refused: At,
}

/// Where the server refuses.
#[derive(PartialEq, Eq)]
enum At {
    /// The handshake: TLS knows what is wrong.
    Handshake,
    /// The call: the certificate is sound, and names nobody who may call.
    Call,
}

const CASES: [Case; 10] = [
    Case {
        odd: Odd::OtherAuthority,
        logged: "authority",
        told: "another authority",
        refused: At::Handshake,
    },
    Case { odd: Odd::Expired, logged: "expired", told: "expired", refused: At::Handshake },
    Case {
        odd: Odd::NotYetValid,
        logged: "not valid before",
        told: "not yet valid",
        refused: At::Handshake,
    },
    Case { odd: Odd::Revoked, logged: "revoked", told: "revoked", refused: At::Handshake },
    Case { odd: Odd::ServerOnly, logged: "usage", told: "purpose", refused: At::Handshake },
    Case { odd: Odd::NoUriSan, logged: "no URI", told: "no URI SAN", refused: At::Handshake },
    Case { odd: Odd::CommonNameOnly, logged: "no URI", told: "no URI SAN", refused: At::Handshake },
    Case { odd: Odd::TwoUriSans, logged: "two URI SANs", told: "two URI SANs", refused: At::Call },
    Case {
        odd: Odd::ForeignTrustDomain,
        logged: "trust domain",
        told: "another trust domain",
        refused: At::Call,
    },
    Case {
        odd: Odd::SuffixTrick,
        logged: "trust domain",
        told: "another trust domain",
        refused: At::Call,
    },
];

#[test]
fn odd_papers_never_reach_the_handler_and_everybody_is_told_why() {
    let scratch = Scratch::new("identity");
    let authority = Authority::create(&scratch, "pki");
    assert!(Odd::ALL.iter().all(|odd| CASES.iter().any(|case| case.odd == *odd)));
    for case in &CASES {
        let name = format!("{:?}", case.odd);
        let papers = authority.odd(&scratch, case.odd);
        // A server per case, so that its whole log is of this case.
        let files = Scratch::new(&name);
        let mut region = RegionPlan::new("us-central1").with_crl().start(&files, &authority);

        let refusal = Stranger::new(Some(&papers)).ping(region.grpc()).expect_err(&name);

        match (&case.refused, &refusal) {
            (At::Handshake, Refusal::Connection(_)) => {}
            (At::Call, Refusal::Call(tonic::Code::PermissionDenied, message)) => {
                let message = message.to_lowercase();
                assert!(message.contains(&case.logged.to_lowercase()), "{name}: {message}");
            }
            _ => panic!("{name}: refused in another way than it should be: {refusal:?}"),
        }
        wait::until(&format!("the log of {name} to say {:?}", case.logged), SOON, || {
            let log = region.process().log().to_lowercase();
            log.contains(&case.logged.to_lowercase())
        });
        let geoip = Geoip::new(&scratch, &name, &authority, Some(&papers));
        told(&geoip, &region, &name, case.told);
        assert_eq!(region.requests(), 0.0, "{name}: the handler ran");
        welcome(&authority, &scratch, &region);
    }
}

#[test]
fn without_papers_nobody_reaches_the_handler() {
    let scratch = Scratch::new("no-papers");
    let authority = Authority::create(&scratch, "pki");
    let mut region = RegionPlan::new("us-central1").start(&scratch, &authority);

    let refusal = Stranger::new(None).ping(region.grpc()).expect_err("no papers");

    assert!(
        matches!(&refusal, Refusal::Connection(why) if why.contains("CertificateRequired")
        || why.to_lowercase().contains("certificate required")),
        "{refusal:?}"
    );
    wait::until("the log to say that there was no certificate", SOON, || {
        region.process().log().to_lowercase().contains("no client certificate")
    });
    let geoip = Geoip::new(&scratch, "nobody", &authority, None);
    let printed = geoip.run(["ping", "-u", &region.grpc().to_string()]);
    assert!(matches!(printed.code, Some(1 | 2)), "{printed:?}");
    assert!(printed.stderr.contains("--cert"), "it says what to give: {printed:?}");
    assert_eq!(region.requests(), 0.0, "the handler ran");
    welcome(&authority, &scratch, &region);
}

#[test]
fn a_client_does_not_believe_a_server_that_is_somebody_else() {
    let scratch = Scratch::new("somebody-else");
    let authority = Authority::create(&scratch, "pki");
    let other = Authority::create(&scratch, "other");
    let geoip = Geoip::new(&scratch, "ada", &authority, Some(&authority.user("ada")));
    // What a server may not show: a name server's papers, and those of another authority.
    let name_server = authority.name_server("us-central1", "ns1");
    for (name, trusted, papers) in [
        ("name-server", &authority, name_server),
        ("stranger", &other, other.region("us-central1")),
    ] {
        let files = Scratch::new(name);
        let region = RegionPlan::new("us-central1").papers(papers).start(&files, trusted);

        told(&geoip, &region, name, "the server's certificate");

        assert_eq!(region.requests(), 0.0, "{name}: nothing was asked");
    }
}

#[test]
fn a_region_that_answers_for_another_is_never_up() {
    let scratch = Scratch::new("wrong-region");
    let authority = Authority::create(&scratch, "pki");
    let region = RegionPlan::new("us-central1").start(&scratch, &authority);
    let endpoint = Endpoint {
        region: "europe-west3".to_owned(),
        addresses: vec![region.address()],
        ping: Some(region.grpc()),
    };
    let service = Service {
        name: NAME.to_owned(),
        ttl: 1,
        route: "[\"healthy\", \"nearest\"]".to_owned(),
        endpoints: vec![endpoint],
    };
    let server = NameServerPlan::new("ns1").service(service).start(&scratch, &authority);
    let papers = authority.user("ada");
    let geoip = Geoip::new(&scratch, "ada", &authority, Some(&papers));
    let geoip = geoip.asking(&[server.control()], &[server.dns()]);

    wait::until("the status to say who answers there", SOON, || {
        let printed = geoip.run(["status"]);
        printed.code == Some(1)
            && printed.stdout.contains("spiffe://test-net.io/region/us-central1/geoping")
    });

    assert_eq!(server.metrics().sum("dnsrouter_target_up"), 0.0);
    assert_eq!(region.requests(), 0.0, "nothing was asked of it");
}

#[test]
fn replacing_papers_under_load_fails_no_call() {
    let scratch = Scratch::new("rotation");
    let authority = Authority::create(&scratch, "pki");
    let region = RegionPlan::new("us-central1").with_crl().start(&scratch, &authority);
    let geoip = Geoip::new(&scratch, "ada", &authority, Some(&authority.user("ada")));
    let url = region.grpc().to_string();
    let load = geoip
        .command()
        .args(["ping", "-u", &url, "-i", "10ms", "-c", "600", "--output", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("geoip starts");
    wait::until("the load to arrive", SOON, || region.requests() > 10.0);

    for lifetime in 2..6 {
        let before = expiry(&region);
        authority.renew(region.papers(), lifetime);
        wait::until("the new certificate to be used", SOON, || expiry(&region) > before);
        // Connections that begin now, with the new papers.
        assert_eq!(geoip.run(["ping", "-u", &url]).json()["region"], "us-central1");
    }

    let printed = load.wait_with_output().expect("geoip ends");
    let lines = String::from_utf8_lossy(&printed.stdout).into_owned();
    let answered = lines.lines().filter(|line| line.contains("\"region\":\"us-central1\"")).count();
    let summary = lines.lines().last();
    assert_eq!((answered, printed.status.code()), (600, Some(0)), "none was lost: {summary:?}");
}

#[test]
fn a_node_renews_its_own_papers_in_time() {
    let scratch = Scratch::new("renewal");
    let authority = Authority::create(&scratch, "pki");
    let papers = authority.region("us-central1");
    // Valid since a minute ago and for another: a few seconds from now more than half is over.
    authority.renew_for(&papers, Duration::from_secs(60));
    let command = [
        artifact::program("geoip").display().to_string(),
        "pki".to_owned(),
        "renew".to_owned(),
        "--dir".to_owned(),
        scratch.join("pki").display().to_string(),
        "--lifetime".to_owned(),
        "1h".to_owned(),
        papers.certificate.display().to_string(),
    ];
    let more = format!("[tls.renew]\ncommand = {command:?}\nat = 0.53\n");
    let region = RegionPlan::new("us-central1").papers(papers).more(&more);
    let region = region.start(&scratch, &authority);
    let short = expiry(&region);

    wait::until("the node to have renewed its papers", Duration::from_secs(30), || {
        expiry(&region) > short + 1800.0
    });

    welcome(&authority, &scratch, &region);
}

#[test]
fn papers_that_are_broken_are_not_taken() {
    let scratch = Scratch::new("broken-papers");
    let authority = Authority::create(&scratch, "pki");
    let mut region = RegionPlan::new("us-central1").with_crl().start(&scratch, &authority);
    let geoip = Geoip::new(&scratch, "ada", &authority, Some(&authority.user("ada")));
    let other = Authority::create(&scratch, "other");
    let (papers, crl) = (region.papers().clone(), authority.crl());
    let breaks: [(&str, &Path, Vec<u8>); 5] = [
        ("an empty key", &papers.key, Vec::new()),
        ("somebody else's key", &papers.key, read(&authority.user("eve").key)),
        ("half a certificate", &papers.certificate, half(&papers.certificate)),
        (
            "another authority's certificate",
            &papers.certificate,
            read(&other.region("r").certificate),
        ),
        ("half a CRL", &crl, half(&crl)),
    ];
    for (what, file, content) in breaks {
        let (good, failures, until) = (read(file), failures(&region), expiry(&region));

        std::fs::write(file, content).expect("the scratch folder can be written");
        region.process().signal(Signal::HUP);

        wait::until(&format!("{what} to be refused"), SOON, || self::failures(&region) > failures);
        assert_eq!(expiry(&region), until, "{what}: the old one is kept");
        let printed = geoip.run(["ping", "-u", &region.grpc().to_string()]);
        assert_eq!(printed.json()["status"], "OK", "{what}: and serves");
        let file_name = file.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(region.process().log().contains(&file_name), "{what}: the log names the file");
        std::fs::write(file, good).expect("the scratch folder can be written");
    }
}

/// `geoip ping` fails with one line that says why; it does so by itself or by the server's word.
fn told(geoip: &Geoip, region: &Region, name: &str, words: &str) {
    let printed = geoip.run(["ping", "-u", &region.grpc().to_string(), "-W", "3s"]);
    assert_eq!(printed.code, Some(1), "{name}: {printed:?}");
    assert_eq!(printed.stdout, "", "{name}");
    assert_eq!(printed.stderr.lines().count(), 1, "{name}: one line: {}", printed.stderr);
    println!("{name}: {}", printed.stderr.trim_end());
    assert!(printed.stderr.contains(words), "{name}: {}", printed.stderr);
}

/// With the right papers all is well: it was not the server that was broken.
fn welcome(authority: &Authority, scratch: &Scratch, region: &Region) {
    let geoip = Geoip::new(scratch, "welcome", authority, Some(&authority.user("welcome")));
    let printed = geoip.run(["ping", "-u", &region.grpc().to_string()]);
    assert_eq!(printed.json()["region"], region.name());
    assert_eq!(region.requests(), 1.0);
}

/// When the certificate in use ends.
fn expiry(region: &Region) -> f64 {
    Metrics::scrape(region.admin()).sum("tls_certificate_not_after_seconds")
}

fn failures(region: &Region) -> f64 {
    Metrics::scrape(region.admin()).sum("tls_reload_failures_total")
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).expect("it is there")
}

fn half(file: &Path) -> Vec<u8> {
    let mut content = read(file);
    content.truncate(content.len() / 2);
    content
}
