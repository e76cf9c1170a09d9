//! TSIG records on the wire, by RFC 8945 §4; what they are computed over, octet by octet.

use dns::tsig::{Malformed, Request, TsigError, Variables, time_octets};
use dns::wire;

const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\x07example\0\0\x01\0\x01";
/// Owner `K.` and class, TTL; then what is after the length of RDATA.
const HEAD: &[u8] = b"\x01K\0\0\xfa\0\xff\0\0\0\0";
const RDATA: &[u8] = b"\x0bHMAC-sha256\0\0\x01\x02\x03\x04\x05\x01\x2c\0\x04mac!\x56\x78\0\0\0\0";

fn message(head: &[u8], rdata: &[u8]) -> Vec<u8> {
    [QUERY, head, &(rdata.len() as u16).to_be_bytes(), rdata].concat()
}

fn read(bytes: &[u8]) -> Result<Option<Request<'_>>, Malformed> {
    Request::read(&wire::Request::parse(bytes).unwrap())
}

#[test]
fn rfc8945_4_2_fields() {
    let bytes = message(HEAD, RDATA);
    let request = read(&bytes).unwrap().unwrap();
    let variables = &request.variables;
    assert_eq!(variables.key, "k.".parse().unwrap());
    assert_eq!(variables.algorithm, "hmac-sha256.".parse().unwrap());
    assert_eq!((variables.time, variables.fudge), (0x0001_0203_0405, 300));
    assert_eq!((request.mac, request.original_id), (&b"mac!"[..], 0x5678));
    assert_eq!((variables.error, &variables.other[..]), (TsigError::NONE, &[][..]));
    assert_eq!(time_octets(variables.time), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn rfc8945_4_3_3_what_is_signed() {
    let bytes = message(HEAD, RDATA);
    let request = read(&bytes).unwrap().unwrap();
    let variables = b"\x01k\0\0\xff\0\0\0\0\x0bhmac-sha256\0\0\x01\x02\x03\x04\x05\x01\x2c\0\0\0\0";
    // The id that was signed, one record less, names in lower case.
    let unsigned = b"\x56\x78\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
    assert_eq!(request.signed(), [&unsigned[..], variables].concat());
    assert_eq!(request.unsigned()[..4], *b"\x12\x34\x01\0", "the message's own id");
    // A reply: the request's code first.
    let reply = b"\x12\x34\x81\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
    let signed = request.variables.signed(request.mac, reply);
    assert_eq!(signed, [b"\0\x04mac!", &reply[..], variables].concat());
}

#[test]
fn rfc8945_4_2_what_is_written_is_read() {
    let bytes = message(HEAD, RDATA);
    let request = read(&bytes).unwrap().unwrap();
    let variables = Variables {
        error: TsigError::BADTIME,
        other: time_octets(77).to_vec(),
        ..request.variables.clone()
    };
    let mut message = request.unsigned();
    let before = message.len();
    variables.write(&mut message, b"four");
    assert_eq!(message.len() - before, variables.encoded_len(4));
    let again = read(&message).unwrap().unwrap();
    assert_eq!(again.variables, variables);
    assert_eq!((again.mac, again.original_id), (&b"four"[..], 0x1234));
    assert_eq!(again.unsigned(), request.unsigned());
}

#[test]
fn rfc8945_5_2_what_cannot_be_read() {
    for length in 0..RDATA.len() {
        assert_eq!(read(&message(HEAD, &RDATA[..length])).unwrap_err(), Malformed, "{length}");
    }
    let longer = [RDATA, &[0]].concat();
    assert!(read(&message(HEAD, &longer)).is_err(), "octets behind");
    let class_in = [&HEAD[..5], &[0, 1], &HEAD[7..]].concat();
    assert!(read(&message(&class_in, RDATA)).is_err(), "class IN");
    let ttl = [&HEAD[..10], &[1]].concat();
    assert!(read(&message(&ttl, RDATA)).is_err(), "a TTL");
    let compressed = [b"\xc0\x0e", &RDATA[13..]].concat();
    assert!(read(&message(HEAD, &compressed)).is_err(), "a compressed algorithm");
    // The owner may be compressed: here it is the question's `example.`.
    let pointer = [b"\xc0\x0e", &HEAD[3..]].concat();
    let bytes = message(&pointer, RDATA);
    assert_eq!(read(&bytes).unwrap().unwrap().variables.key, "example.".parse().unwrap());
}

#[test]
fn other_signatures_are_none() {
    let sig = [b"\0\0\x18\0\xff\0\0\0\0".as_slice()].concat();
    assert!(read(&message(&sig, b"x")).unwrap().is_none(), "SIG(0)");
    let plain = [&QUERY[..11], &[0], &QUERY[12..]].concat();
    assert!(read(&plain).unwrap().is_none());
}

#[test]
fn names_are_read_from_whatever_else_is_wrong() {
    let names = |head: &[u8], rdata: &[u8]| {
        let bytes = message(head, rdata);
        let request = wire::Request::parse(&bytes).unwrap();
        let names = dns::tsig::names(&request);
        names.map(|(key, algorithm)| (key.as_name().to_string(), algorithm.to_string()))
    };
    let both = Some(("k.".to_owned(), "HMAC-sha256.".to_owned()));
    assert_eq!(names(HEAD, RDATA), both);
    assert_eq!(names(HEAD, &RDATA[..13]), both, "nothing but the name");
    // Compressed: to the question's name, in lower case.
    let compressed = [b"\xc0\x0c", &HEAD[3..]].concat();
    assert_eq!(names(&compressed, RDATA).unwrap().0, "a.example.");
    assert_eq!(names(HEAD, &RDATA[..12]), None);
    assert_eq!(names(HEAD, b""), None);
    let sig = [&HEAD[..3], b"\0\x18", &HEAD[5..]].concat();
    assert_eq!(names(&sig, RDATA), None, "SIG(0)");
}
