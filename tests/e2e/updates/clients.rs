//! Every client, every algorithm, and how long it takes.

use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};
use tests::figures;
use tests::query::Ask;
use tests::scratch::Scratch;

use crate::hickory::Hickory;
use crate::nsupdate::{Nsupdate, Tool};
use crate::server::{ALGORITHMS, KEY, SECRET, SECRET_OCTETS, by, start, txt};

#[test]
fn every_client_and_algorithm_adds_and_deletes() {
    let scratch = Scratch::new("updates");
    let server = start(&scratch, 0);
    let dns = server.dns();
    let name = "_acme-challenge.dyn.example";
    let add = format!("update add {name} 60 TXT token");
    let delete = format!("update delete {name} TXT");
    for algorithm in ALGORITHMS {
        let key = format!("{algorithm}:{algorithm}:{SECRET}");
        for tool in Tool::ALL {
            for tcp in [false, true] {
                let by = Nsupdate { tool, key: Some(&key), tcp, server: dns };
                by.send("dyn.example", &[&add]).unwrap_or_else(|why| panic!("{by:?}: {why}"));
                // Told is served: nothing is waited for.
                assert_eq!(txt(dns, name), Ok(vec!["token".to_owned()]), "{by:?}");
                by.send("dyn.example", &[&delete]).unwrap_or_else(|why| panic!("{by:?}: {why}"));
                assert_eq!(txt(dns, name), Err(ResponseCode::NXDomain), "{by:?}");
            }
        }
    }
    let soa = Ask::new(dns, "dyn.example", RecordType::SOA).expect();
    let RData::SOA(soa) = &soa.message.answers[0].data else { panic!("{soa}") };
    assert_eq!(soa.serial as usize, 1 + ALGORITHMS.len() * 2 * 2 * 2);
}

#[test]
fn hickorys_client_signs_and_verifies() {
    let scratch = Scratch::new("updates-hickory");
    let server = start(&scratch, 0);
    let dns = server.dns();
    let name = "h.dyn.example.";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for tcp in [false, true] {
            let mut client = Hickory::connect(dns, tcp, "acme-key.", SECRET_OCTETS).await;
            assert_eq!(client.create(name, "one").await, Ok(ResponseCode::NoError));
            assert_eq!(txt(dns, name), Ok(vec!["one".to_owned()]));
            assert_eq!(client.create(name, "one").await, Ok(ResponseCode::YXRRSet));
            assert_eq!(client.delete(name).await, Ok(ResponseCode::NoError));
            assert_eq!(txt(dns, name), Err(ResponseCode::NXDomain));
            let mut stranger = Hickory::connect(dns, tcp, "acme-key.", b"another secret").await;
            // Its client takes no reply that is not signed.
            assert!(stranger.create(name, "one").await.is_err());
        }
    });
    assert_eq!(txt(dns, name), Err(ResponseCode::NXDomain));
}

/// From the client's first octet to the last: signed, verified, on disk, frozen, served, signed.
#[test]
fn how_long_an_update_takes() {
    const UPDATES: usize = 20;
    for names in [10, 10_000] {
        let scratch = Scratch::new("updates-timed");
        let server = start(&scratch, names);
        let by = by(server.dns(), Some(KEY));
        let began = Instant::now();
        for i in 0..UPDATES {
            let line = format!("update add new{i}.dyn.example 60 TXT x");
            by.send("dyn.example", &[&line]).expect("a good update");
        }
        let took = began.elapsed() / UPDATES as u32;
        let sum = server.metrics().sum("dnsrouter_update_seconds_sum");
        let mean = Duration::from_secs_f64(sum / UPDATES as f64);
        figures::show(&format!(
            "updates of a zone with {names} names: {mean:?} from the message to the plan, {took:?} \
             with nsupdate's own start (unoptimised, with the disk's sync)"
        ));
    }
}
