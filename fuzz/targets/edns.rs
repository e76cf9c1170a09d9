//! Good questions with OPT records that are good or not: who is refused, and what comes back.

#![no_main]

use fuzz::opt::{Query, Subnet, Verdict};
use fuzz::{reply, world};
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use libfuzzer_sys::fuzz_target;

// By number: hickory has two names for 16.
const FORMERR: u16 = 1;
const BADVERS: u16 = 16;

fuzz_target!(init: world::load(), |query: Query| {
    let wire = query.wire();
    let Some(reply) = reply::check(&wire, world::peer(query.peer)) else {
        panic!("silence");
    };
    let code = u16::from(reply.metadata.response_code);
    match query.judge() {
        Verdict::Malformed => assert_eq!(code, FORMERR, "{query:02x?}"),
        Verdict::Version => assert_eq!(code, BADVERS, "{query:02x?}"),
        Verdict::Fine(subnet) => {
            // OPT must not be asked for; everything else is no matter of form.
            let forbidden = matches!(query.question[..], [.., 0, 41, _, _]);
            assert_eq!(code == FORMERR, forbidden, "{query:02x?}");
            assert_ne!(code, BADVERS, "{query:02x?}");
            if !forbidden {
                echoed(&reply, subnet);
            }
        }
    }
});

/// The subnet comes back as it was (RFC 7871 §7.2.1), and none unasked.
fn echoed(reply: &Message, asked: Option<Subnet>) {
    let edns = reply.edns.as_ref();
    let Some(EdnsOption::Subnet(got)) = edns.and_then(|edns| edns.option(EdnsCode::Subnet)) else {
        assert_eq!(asked, None, "the subnet is missing");
        return;
    };
    let asked = asked.expect("a subnet unasked");
    assert_eq!(asked.address(), got.addr(), "the address");
    assert_eq!(asked.source, got.source_prefix(), "the source prefix");
    let cap = if got.addr().is_ipv4() { 24 } else { 48 };
    let most = if asked.source == 0 { 0 } else { cap };
    assert!(got.scope_prefix() <= most, "a scope of /{}", got.scope_prefix());
}
