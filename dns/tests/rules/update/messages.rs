//! How updates are read: names in data, whole and compressed, and what is none.

use super::*;

#[test]
fn rfc2136_2_messages_are_read_with_names_whole() {
    let head = b"\0\x07\x28\0\0\x01\0\x01\0\x03\0\0\x07example\0\0\x06\0\x01";
    let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\x05\0\x1a\xc0\x35\x01h\xc0\x0c";
    let bytes = [
        &head[..],
        b"\x01a\xc0\x0c\0\xff\0\xff\0\0\0\0\0\0",
        b"\xc0\x19\0\x0f\0\x01\0\0\0\x3c\0\x06\0\x0a\x01m\xc0\x0c",
        b"\xc0\x19\0\x10\0\xfe\0\0\0\0\0\x03\x02\xc0\x0c",
        &soa[..],
        &[0; 20],
    ];
    let bytes = bytes.concat();
    let request = dns::wire::Request::parse(&bytes);
    let Ok(request) = request else { panic!("{request:?}") };
    let message = Message::read(&request).unwrap();
    let a = name("a");
    let entry = |owner: &Name, rtype, class, ttl, rdata: &[u8]| Entry {
        owner: owner.clone(),
        rtype,
        class,
        ttl,
        rdata: rdata.into(),
    };
    assert_eq!(message.prerequisites, [entry(&a, Rtype::ANY, Class::ANY, 0, b"")]);
    assert_eq!(
        message.changes[..2],
        [
            entry(&a, Rtype::MX, Class::IN, 60, b"\0\x0a\x01m\x07example\0"),
            entry(&a, Rtype::TXT, Class::NONE, 0, b"\x02\xc0\x0c"),
        ]
    );
    let soa = [&b"\x01m\x07example\0\x01h\x07example\0"[..], &[0; 20]].concat();
    assert_eq!(*message.changes[2].rdata, *soa);
}

/// What senders of before RFC 3597 compressed is taken, and stored uncompressed.
#[test]
fn rfc3597_4_compressed_names_of_every_type_that_had_them() {
    let head = b"\0\x07\x28\0\0\x01\0\0\0\x01\0\0\x07example\0\0\x06\0\x01\xc0\x0c";
    let fixed = b"\0\x01\x08\x02\0\0\0\x3c\0\0\0\x02\0\0\0\x01\0\x07";
    for (rtype, before, names, after) in [
        (Rtype::NAPTR, &b"\0\x01\0\x02\x01s\x07SIP+D2U\0"[..], 1, &b""[..]),
        (Rtype::PX, b"\0\x0a", 2, b""),
        (Rtype::NXT, b"", 1, b"\x62\x01"),
        (Rtype::SIG, fixed, 1, b"\x01\x02\x03"),
        (Rtype::RT, b"\0\x0a", 1, b""),
        (Rtype::AFSDB, b"\0\x01", 1, b""),
        (Rtype::RP, b"", 2, b""),
        (Rtype::SRV, b"\0\x01\0\x02\0\x35", 1, b""),
    ] {
        let data = |name: &[u8]| [before, &name.repeat(names), after].concat();
        let read = |rdata: &[u8]| {
            let length = (rdata.len() as u16).to_be_bytes();
            let fixed = [&rtype.0.to_be_bytes()[..], b"\0\x01\0\0\0\x05", &length].concat();
            let bytes = [&head[..], &fixed, rdata].concat();
            Message::read(&dns::wire::Request::parse(&bytes).unwrap())
        };
        let (whole, short) = (data(b"\x01m\x07example\0"), data(b"\x01m\xc0\x0c"));
        for sent in [&short, &whole] {
            let message = read(sent).unwrap_or_else(|| panic!("{rtype}"));
            assert_eq!(*message.changes[0].rdata, *whole, "{rtype}");
            let read = Changes::read(&name("example."), message.changes);
            assert!(read.is_ok(), "{rtype}: {read:?}");
        }
        // Cut anywhere before the end of its names, and at a pointer that leads nowhere.
        for end in 1..short.len() - after.len() {
            assert!(read(&short[..end]).is_none(), "{rtype} {end}");
        }
        assert!(read(&data(b"\x01m\xc0\xff")).is_none(), "{rtype}");
    }
}

#[test]
fn names_in_data_that_are_none() {
    let head = b"\0\x07\x28\0\0\x01\0\0\0\x01\0\0\x07example\0\0\x06\0\x01\xc0\x0c";
    let read = |tail: &[u8]| {
        let bytes = [&head[..], tail].concat();
        dns::wire::Request::parse(&bytes).ok().and_then(|request| Message::read(&request))
    };
    assert!(read(b"\0\x02\0\x01\0\0\0\x05\0\x02\xc0\x0c").is_some());
    for (what, tail) in [
        ("forward", &b"\0\x02\0\x01\0\0\0\x05\0\x02\xc0\x7f"[..]),
        ("to itself", b"\0\x02\0\x01\0\0\0\x05\0\x02\xc0\x25"),
        ("past the end", b"\0\x02\0\x01\0\0\0\x05\0\x02\x05a"),
        ("one of two", b"\0\x06\0\x01\0\0\0\x05\0\x02\xc0\x0c"),
        ("no preference", b"\0\x0f\0\x01\0\0\0\x05\0\x01\0"),
    ] {
        assert!(read(tail).is_none(), "{what}");
    }
}
