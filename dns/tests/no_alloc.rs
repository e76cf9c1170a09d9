//! From a query's octets to its reply's octets nothing is allocated: not for hits, misses, chains,
//! redirections, referrals, errors or truncation.
#![allow(clippy::unwrap_used, reason = "tests")]

use dns::edns;
use dns::name::{LowerName, Name};
use dns::resolve::Resolution;
use dns::rr::{Rcode, Rtype, Ttl};
use dns::wire::{Malformed, Request, Writer};
use dns::zone::{ServiceId, ServiceNode, Zones};
use dns::zonefile::{self, Source};

#[path = "counting/allocator.rs"]
mod allocator;

use allocator::allocations;

fn zones() -> Zones {
    let mut text = String::from(
        "$TTL 300\n@ SOA ns h 1 2 3 4 60\n@ NS ns\n@ MX 10 geo\nns A 192.0.2.1\n\
         www CNAME geo\n*.w CNAME www\nd DNAME w\nloop DNAME loop.loop\n\
         c NS ns.c\nns.c A 192.0.2.2\nc0 CNAME c1\n",
    );
    for i in 1..20 {
        text += &format!("c{i} CNAME c{}\nbig TXT {:0>200}\n", i + 1, i);
    }
    let apex: Name = "example.".parse().unwrap();
    let source = Source { name: "example.zone", text: text.as_bytes() };
    let zone = zonefile::parse(&apex, source, &mut |_, _| Err(String::new())).unwrap().zone;
    let service = ServiceNode {
        name: "geo.example.".parse().unwrap(),
        id: ServiceId(1),
        types: vec![Rtype::A, Rtype::AAAA],
    };
    Zones::freeze([&zone], &[service], [1, 2]).unwrap()
}

fn query(name: &str, rtype: Rtype) -> Vec<u8> {
    let name: Name = name.parse().unwrap();
    let mut bytes = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01".to_vec();
    bytes.extend_from_slice(name.wire());
    bytes.extend_from_slice(&[rtype.0.to_be_bytes(), [0, 1]].concat());
    bytes.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\x80\0\0\x17");
    bytes.extend_from_slice(b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02\0\x0a\0\x08abcdefgh");
    bytes
}

fn answer(zones: &Zones, name: &mut LowerName, bytes: &[u8], out: &mut [u8]) -> (usize, Rcode) {
    let request = match Request::parse(bytes) {
        Ok(request) => request,
        Err(Malformed::Drop(_)) => return (0, Rcode::NOERROR),
        Err(Malformed::Refuse(refusal)) => return (refusal.write(out, 1232), refusal.rcode),
    };
    let question = request.question.unwrap();
    name.read(question.name);
    let mut found = Resolution::new();
    zones.resolve(name, question.qtype, &mut found);
    let opt = request.edns.as_ref().map(|edns| edns::Reply {
        payload: 1232,
        do_bit: edns.do_bit,
        subnet: edns.subnet,
        cookie: edns.cookie,
        ..edns::Reply::default()
    });
    let reserve = opt.as_ref().map_or(0, edns::Reply::encoded_len);
    let mut writer = Writer::reply(out, 1232, &request.header, Some(&question), reserve).unwrap();
    found.write(&mut writer, |writer, section, owner, _, rtype| {
        let addresses: [&[u8]; 2] = match rtype {
            Rtype::A => [&[192, 0, 2, 1], &[192, 0, 2, 2]],
            _ => [&[1; 16], &[2; 16]],
        };
        let _ = writer.rrset_with(section, owner, rtype, Ttl::from_secs(60), addresses);
    });
    (writer.finish(found.rcode(), opt.as_ref()), found.rcode())
}

#[test]
fn the_answer_path_allocates_nothing() {
    let zones = zones();
    let mut queries: Vec<(Vec<u8>, Rcode)> = [
        ("geo.example.", Rtype::A, Rcode::NOERROR),
        ("geo.example.", Rtype::ANY, Rcode::NOERROR),
        ("example.", Rtype::MX, Rcode::NOERROR),
        ("x.y.w.example.", Rtype::AAAA, Rcode::NOERROR),
        ("a.b.d.example.", Rtype::A, Rcode::NOERROR),
        ("a.loop.example.", Rtype::A, Rcode::NOERROR),
        ("x.c.example.", Rtype::A, Rcode::NOERROR),
        ("c0.example.", Rtype::A, Rcode::NOERROR),
        ("big.example.", Rtype::TXT, Rcode::NOERROR),
        ("gone.example.", Rtype::A, Rcode::NXDOMAIN),
        ("1.2.3.4.5.6.7.8.9.10.11.12.gone.example.", Rtype::A, Rcode::NXDOMAIN),
        ("other.", Rtype::A, Rcode::REFUSED),
        ("geo.example.", Rtype::NXNAME, Rcode::FORMERR),
    ]
    .into_iter()
    .map(|(name, rtype, rcode)| (query(name, rtype), rcode))
    .collect();
    let mut cut = query("geo.example.", Rtype::A);
    cut.pop();
    queries.push((cut, Rcode::FORMERR));

    let mut name = LowerName::new();
    let mut out = [0; 1232];
    let before = allocations();
    assert!(before > 0, "the counter counts");
    for (bytes, rcode) in &queries {
        let (length, found) = answer(&zones, &mut name, bytes, &mut out);
        assert!(length > 12 && found == *rcode);
    }
    assert_eq!(allocations() - before, 0);
}
