//! What a message costs whose signature is nobody's: as the one thread that verifies reads it, and
//! before that, as a thread that must not wait tells whom it waits with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use divan::{Bencher, black_box};
use dns::tsig::{self, TsigError, Variables};
use dns::wire;
use dnsrouter::answer::{Lane, Query, Reply, Transport, Worker, answer};
use dnsrouter::counters::Counters;
use dnsrouter::io::load::Loader;
use dnsrouter::plan::{Generation, Published};
use dnsrouter::signed::{Rejected, verify};
use dnsrouter::verdicts::Health;

fn main() {
    divan::main();
}

const NOW: u64 = 1_800_000_000;
/// An update of one record, but for its signature.
const UPDATE: &[u8] = b"\x47\x11\x28\0\0\x01\0\0\0\x01\0\0\x07example\0\0\x06\0\x01\
                        \x03www\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

fn plan() -> Published {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = ["sha256", "sha512"].map(|word| {
        format!(
            "[[key]]\nname = '{word}'\nalgorithm = 'hmac-{word}'\n\
             secret_base64 = 'YSBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M='\n"
        )
    });
    let config = format!(
        "[node]\nname = 'bench'\nregion = 'us-central1'\n[listen]\ndns = ['127.0.0.1:0']\n{}\
         [[zone]]\nname = 'example'\nfile = 'zone'\n",
        keys.concat()
    );
    let file = folder.path().join("dnsrouter.toml");
    std::fs::write(&file, config).expect("a temporary file");
    let zone = "@ 300 SOA ns hostmaster 1 7200 900 1209600 60\n@ 300 NS ns\nns 300 A 192.0.2.53\n";
    std::fs::write(folder.path().join("zone"), zone).expect("a temporary file");
    let loaded = Loader::default().load(&file, &[]).unwrap_or_else(|e| panic!("{}", e.report()));
    Published::new(loaded.inputs(Generation(1)), Health::default())
}

/// An update that this key's holder has not signed.
fn bogus(key: &str) -> Vec<u8> {
    let (algorithm, length) =
        if key == "sha512" { ("hmac-sha512", 64) } else { ("hmac-sha256", 32) };
    let variables = Variables {
        key: key.parse().expect("a name"),
        algorithm: algorithm.parse().expect("a name"),
        time: NOW,
        fudge: 300,
        error: TsigError::NONE,
        other: Vec::new(),
    };
    let mut message = UPDATE.to_vec();
    variables.write(&mut message, &vec![0x5a; length]);
    message
}

/// Two keys of the server, which are called like their algorithms, and none.
const KEYS: [&str; 3] = ["sha256", "sha512", "stranger"];

/// Read, verified, refused, and the reply's record made.
#[divan::bench(args = KEYS)]
fn refused(bencher: Bencher<'_, '_>, key: &str) {
    let (published, message) = (plan(), bogus(key));
    let snapshot = published.load();
    bencher.bench_local(|| {
        let request = wire::Request::parse(black_box(&message)).expect("well-formed");
        let signature = tsig::Request::read(&request).expect("well-formed").expect("signed");
        let rejected = verify(&signature, &snapshot.inputs.updates, 0, NOW);
        let Err(Rejected::Error(_, seal)) = rejected else { panic!("the code is wrong") };
        let mut reply = Vec::with_capacity(512);
        reply.extend_from_slice(&UPDATE[..12]);
        seal.put_on(&mut reply, NOW);
        reply
    });
}

/// Told apart.
#[divan::bench(args = KEYS)]
fn told_apart(bencher: Bencher<'_, '_>, key: &str) {
    let (published, message) = (plan(), bogus(key));
    let snapshot = published.load();
    let mut worker = Worker::new(Arc::new(Counters::default()));
    let mut out = [0; 1232];
    let lane = if key == "stranger" { Lane::Stranger } else { Lane::Udp };
    bencher.bench_local(|| {
        let query = Query {
            bytes: black_box(&message),
            peer: SocketAddr::from(([198, 51, 100, 1], 4242)),
            local: SocketAddr::from(([127, 0, 0, 1], 53)),
            transport: Transport::Udp,
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        };
        assert_eq!(answer(&snapshot, &mut worker, query, &mut out), Reply::Deferred(lane));
    });
}
