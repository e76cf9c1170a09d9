//! Good questions with OPT records that are good or not: who is refused, and what comes back.

#![no_main]

use fuzz::opt::{Query, Subnet, Verdict, Wanted};
use fuzz::{reply, world};
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use libfuzzer_sys::fuzz_target;

// By number: hickory has two names for 16.
const FORMERR: u16 = 1;
const BADVERS: u16 = 16;

fuzz_target!(init: world::load(), |query: Query| {
    let Some(replies) = reply::check(&query.wire(), world::peer(query.peer)) else {
        panic!("silence");
    };
    let verdict = query.judge();
    for (reply, over_tcp) in [(&replies.udp, false), (&replies.tcp, true)] {
        let code = u16::from(reply.metadata.response_code);
        match verdict {
            Verdict::Malformed => assert_eq!(code, FORMERR, "{query:02x?}"),
            Verdict::Version => assert_eq!(code, BADVERS, "{query:02x?}"),
            Verdict::Fine(wanted) => {
                // OPT must not be asked for; everything else is no matter of form.
                let forbidden = matches!(query.question[..], [.., 0, 41, _, _]);
                assert_eq!(code == FORMERR, forbidden, "{query:02x?}");
                assert_ne!(code, BADVERS, "{query:02x?}");
                if !forbidden {
                    let keepalive = wanted.keepalive && over_tcp;
                    answered(reply, &Wanted { keepalive, ..wanted });
                }
            }
        }
    }
});

/// The reply says what is wanted, and nothing of it unasked.
fn answered(reply: &Message, wanted: &Wanted) {
    let option = |code| reply.edns.as_ref().and_then(|edns| edns.option(code));
    match (option(EdnsCode::Subnet), wanted.subnet) {
        (None, None) => {}
        (Some(EdnsOption::Subnet(got)), Some(asked)) => echoed(&asked, got),
        (got, asked) => panic!("{got:?} for {asked:?}"),
    }
    let data = |code| match option(code)? {
        EdnsOption::Unknown(_, data) => Some(data.clone()),
        other => Vec::try_from(other).ok(),
    };
    let cookie = data(EdnsCode::Cookie);
    assert_eq!(cookie.is_some(), wanted.cookie.is_some(), "{cookie:?}");
    if let (Some(cookie), Some(client)) = (cookie, wanted.cookie) {
        assert!(cookie.len() == 24 && cookie.starts_with(&client), "{cookie:02x?}");
    }
    assert_eq!(data(EdnsCode::NSID), wanted.nsid.then(|| b"ns1".to_vec()));
    let idle = data(EdnsCode::Keepalive).map(|idle| idle.len());
    assert_eq!(idle, wanted.keepalive.then_some(2));
}

/// The subnet comes back as it was (RFC 7871 §7.2.1), with a scope that caches can bear (§11.3).
fn echoed(asked: &Subnet, got: &ClientSubnet) {
    let address = got.addr();
    assert_eq!(asked.address(), address, "the address");
    assert_eq!(asked.source, got.source_prefix(), "the source prefix");
    let cap = if address.is_ipv4() { 24 } else { 48 };
    let most = if asked.source == 0 { 0 } else { cap };
    assert!(got.scope_prefix() <= most, "a scope of /{}", got.scope_prefix());
}
