//! Arbitrary record data: what is well-formed is printed and read back to the same octets, and
//! what is read is well-formed.

#![no_main]

use dns::name::Name;
use dns::rdata::{self, Rdata};
use dns::rr::Rtype;
use libfuzzer_sys::fuzz_target;

/// Types over 127 with a form of their own, and one without.
const HIGH: [u16; 12] = [256, 257, 258, 259, 260, 261, 262, 128, 32_768, 32_769, 65_280, 250];

fuzz_target!(|data: &[u8]| {
    let Some((&rtype, octets)) = data.split_first() else { return };
    let rtype = match rtype.checked_sub(128) {
        None => Rtype(rtype.into()),
        Some(high) => Rtype(HIGH[usize::from(high) % HIGH.len()]),
    };
    shown(rtype, octets);
    if let Ok(text) = str::from_utf8(octets) {
        read(rtype, text);
    }
});

fn shown(rtype: Rtype, octets: &[u8]) {
    let text = Rdata { rtype, octets }.to_string();
    assert!(text.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{text:?}");
    let again = rdata::parse(rtype, &text, &Name::root());
    match rdata::check(rtype, octets) {
        Ok(()) => assert_eq!(again.as_deref(), Ok(octets), "{rtype} {text}"),
        Err(_) => assert!(again.is_err(), "{rtype} {text}"),
    }
}

fn read(rtype: Rtype, text: &str) {
    let origin = "Origin.example.".parse().expect("a name");
    match rdata::parse(rtype, text, &origin) {
        Ok(octets) => {
            assert_eq!(rdata::check(rtype, &octets), Ok(()), "{rtype} {text}");
            shown(rtype, &octets);
        }
        Err(error) => {
            let column = error.column as usize;
            assert!(column >= 1 && column <= text.len() + 1, "{error:?} of {text:?}");
            assert!(!error.message.is_empty());
        }
    }
}
