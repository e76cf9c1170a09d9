//! What name servers make of real targets: those that flap are damped, those that come back do so
//! little by little, and each checker tells what is wrong.
#![expect(clippy::disallowed_methods, reason = "a server on loopback")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tests::authority::Authority;
use tests::geoip::Geoip;
use tests::name_server::{NameServer, NameServerPlan};
use tests::query::Ask;
use tests::region::{Region, RegionPlan};
use tests::scratch::Scratch;
use tests::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What a busy machine may take for anything that is waited for.
const SOON: Duration = Duration::from_secs(60);

const NAME: &str = "geo.test-net.io";
const HERE: &str = "us-central1";
const THERE: &str = "europe-west3";
const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));

/// A service of two endpoints, of which one is pinged.
fn service(route: &str, more: &str, region: &Region) -> String {
    format!(
        "\n[[service]]\nname = \"{NAME}\"\nttl = 1\nroute = {route}\n{more}\n\
         [[service.endpoint]]\nregion = \"{HERE}\"\naddresses = [\"{OURS}\"]\nping = \"https://{}\"\n\
         [[service.endpoint]]\nregion = \"{THERE}\"\naddresses = [\"{THEIRS}\"]\n",
        region.grpc()
    )
}

fn geoip(scratch: &Scratch, authority: &Authority, server: &NameServer) -> Geoip {
    let papers = authority.user("ada");
    Geoip::new(scratch, "ada", authority, Some(&papers))
        .asking(&[server.control()], &[server.dns()])
}

/// What the name server tells of its targets, also while it raises alarms.
fn targets(geoip: &Geoip) -> Vec<serde_json::Value> {
    let printed = geoip.run(["status", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&printed.stdout)
        .unwrap_or_else(|error| panic!("{error}: {printed:?}"));
    told[0]["targets"].as_array().unwrap_or_else(|| panic!("no targets: {told}")).clone()
}

fn explained(geoip: &Geoip) -> String {
    geoip.run(["explain", "--client", "198.51.100.1", NAME, "--type", "A"]).stdout
}

#[test]
fn a_target_that_flaps_is_kept_out_until_it_was_quiet() {
    let scratch = Scratch::new("flapping");
    let authority = Authority::create(&scratch, "pki");
    let mut region = RegionPlan::new(HERE).start(&scratch, &authority);
    // The second fall within a minute damps, for ten seconds.
    let damping = "{ half_life = \"60s\", suppress = 1500, reuse = 1400, longest = \"10s\" }";
    let server = NameServerPlan::new("ns1")
        .damping(damping)
        .more(&service("[\"healthy\", \"failover\"]", "", &region))
        .start(&scratch, &authority);
    let geoip = geoip(&scratch, &authority, &server);
    let ask = Ask::a(server.dns(), NAME);
    let answered = |address| move |ask: &Ask| ask.expect().addresses() == [address];
    let state = |state: &str| targets(&geoip)[0]["state"] == state;
    wait::until("it to be up", SOON, || state("up"));
    region.kill();
    wait::until("the first fall", SOON, || answered(THEIRS)(&ask));
    region.revive();
    wait::until("its return", SOON, || answered(OURS)(&ask));
    region.kill();
    wait::until("the second fall", SOON, || answered(THEIRS)(&ask));
    region.revive();

    let target = wait::some("it to answer again", SOON, || {
        targets(&geoip).into_iter().find(|target| target["successes"].as_u64() > Some(2))
    });
    assert_eq!((&target["state"], &target["damped"]), (&"down".into(), &true.into()), "{target}");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let left = u128::from(target["damped_until_unix_ms"].as_u64().unwrap_or_default())
        .checked_sub(now.as_millis());
    assert!(
        left.is_some_and(|left| left <= 10_000),
        "{left:?} ms of at most ten seconds: {target}"
    );
    let status = geoip.run(["status"]).stdout;
    assert!(status.contains("down, damped for "), "{status}");
    let why = explained(&geoip);
    assert!(why.contains("down, damped"), "{why}");
    assert_eq!(ask.expect().addresses(), [THEIRS]);
    wait::until("it to be believed again", SOON, || answered(OURS)(&ask));
    assert!(!explained(&geoip).contains("damped"));
}

#[test]
fn what_comes_back_gets_its_share_little_by_little() {
    let scratch = Scratch::new("slow-start");
    let authority = Authority::create(&scratch, "pki");
    let mut region = RegionPlan::new(HERE).start(&scratch, &authority);
    let route = "[\"healthy\", \"weighted\"]";
    let server = NameServerPlan::new("ns1")
        .more(&service(route, "slow_start = \"40s\"", &region))
        .start(&scratch, &authority);
    let geoip = geoip(&scratch, &authority, &server);
    let ask = Ask::a(server.dns(), NAME);
    let ours = || (0..200).filter(|_| ask.expect().addresses() == [OURS]).count();
    let state = |state: &str| targets(&geoip)[0]["state"] == state;
    wait::until("it to be up", SOON, || state("up"));
    region.kill();
    wait::until("it to be down", SOON, || state("down"));
    region.revive();
    wait::until("it to be up again", SOON, || state("up"));

    // Of 100: what it counts for now; none: all of it.
    let counts = || {
        let why = explained(&geoip);
        let (_, behind) = why.split_once("its own 100, as ")?;
        let digits = behind.split_once(" for now").map(|(digits, _)| digits.parse::<u32>());
        Some(digits.unwrap_or_else(|| panic!("{why}")).unwrap_or_else(|_| panic!("{why}")))
    };
    let first = counts().expect("it starts slowly");
    // A tenth at once.
    assert!((9..100).contains(&first), "{first}");
    let early = ours();
    let after = counts().unwrap_or(100);
    assert!(after >= first, "{after} after {first}");
    // Half of 200 in the end; six standard errors more than it could be on the way.
    let most = 200.0 * f64::from(after) / f64::from(100 + after);
    assert!((early as f64) < most + 6.0 * most.sqrt(), "{early} of 200 with {after} of 100");
    wait::until("it to count for more", SOON, || counts().unwrap_or(100) > after.min(99));
    wait::until("all of it to count", SOON, || counts().is_none());
    // Of 200, half: four standard errors are 28.
    let whole = ours();
    assert!((60..=140).contains(&whole), "{whole} of 200");
}

/// A server of HTTPS that answers everything with this; returns where it is, and who vouches for it.
fn https(runtime: &tokio::runtime::Runtime, answer: &'static str) -> (SocketAddr, String) {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key");
    let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let own = key();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])
        .and_then(|params| params.signed_by(&own, &issuer))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(own.serialize_der()).into(),
        )
        .expect("the key is the certificate's");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("it listens");
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let Ok(octet) = stream.read_u8().await else { return };
                    asked.push(octet);
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, issuer.pem())
}

#[test]
fn every_checker_tells_real_servers_apart() {
    let scratch = Scratch::new("checkers");
    let authority = Authority::create(&scratch, "pki");
    let region = RegionPlan::new(HERE).start(&scratch, &authority);
    let strangers = Authority::create(&scratch, "strangers");
    let stranger = RegionPlan::new(THERE).start(&scratch, &strangers);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (page, pem) = https(&runtime, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall is well");
    let ca = scratch.write("public.pem", pem);
    let (ours, theirs) = (region.grpc(), stranger.grpc());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let nobody = nobody.expect("a port that was free a moment ago");
    let page_of = |more: &str| format!("https = \"https://{page}/\"{more}");
    let trusting = |more: &str| page_of(&format!(", ca = {ca:?}, {more}"));
    let of_ca = format!("ca {}", ca.display());
    // Where it should be, what is written, what it is called, and what is made of it.
    let checks = [
        (HERE, format!("grpc = \"https://{ours}\""), format!("grpcs://{ours}/"), "up", ""),
        (
            HERE,
            format!("grpc = \"https://{ours}\", service = \"geoping.v1.GeoPing\""),
            format!("grpcs://{ours}/geoping.v1.GeoPing"),
            "up",
            "",
        ),
        (THERE, format!("grpc = \"https://{ours}\""), format!("grpcs://{ours}/"), "down", "region"),
        (
            THERE,
            format!("grpc = \"https://{theirs}\""),
            format!("grpcs://{theirs}/"),
            "down",
            "identity",
        ),
        (
            HERE,
            format!("grpc = \"https://{ours}\", service = \"nobody\""),
            format!("grpcs://{ours}/nobody"),
            "down",
            "version",
        ),
        (
            HERE,
            trusting("body = \"is well\""),
            format!("https://{page}/ body \"is well\" {of_ca}"),
            "up",
            "",
        ),
        (
            HERE,
            trusting("body = \"is ill\""),
            format!("https://{page}/ body \"is ill\" {of_ca}"),
            "down",
            "body",
        ),
        (
            HERE,
            trusting("status = [204]"),
            format!("https://{page}/ status 204 {of_ca}"),
            "down",
            "status",
        ),
        (HERE, page_of(""), format!("https://{page}/"), "down", "identity"),
        (HERE, format!("tcp = \"{ours}\""), format!("tcp://{ours}"), "up", ""),
        (HERE, format!("tcp = \"{nobody}\""), format!("tcp://{nobody}"), "down", "refused"),
    ];
    let mut services = String::new();
    for (at, (region, check, ..)) in checks.iter().enumerate() {
        services += &format!(
            "\n[[service]]\nname = \"s{at}.test-net.io\"\nttl = 1\nroute = [\"healthy\"]\n\
             [[service.endpoint]]\nregion = \"{region}\"\naddresses = [\"203.0.113.{at}\"]\n\
             check = {{ {check} }}\n"
        );
    }
    let server = NameServerPlan::new("ns1").more(&services).start(&scratch, &authority);
    let geoip = geoip(&scratch, &authority, &server);
    for (region, _, address, state, fault) in &checks {
        let what = format!("{address} of {region} to be {state} {fault}");
        wait::until(&what, SOON, || {
            let of = |target: &serde_json::Value| {
                target["address"] == **address && target["region"] == *region
            };
            let targets = targets(&geoip);
            let known = targets.iter().find(|target| of(target));
            let known = known.unwrap_or_else(|| panic!("no {address}: {targets:?}"));
            known["state"] == *state && known["fault"] == *fault
        });
    }
}
