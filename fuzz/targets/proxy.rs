//! Arbitrary octets at the beginning of a connection, as a PROXY header: what is decided early
//! stays decided, and nothing behind the header plays a part.

#![no_main]

use dnsrouter::io::proxy::{MAX_LENGTH, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let whole = parse(octets);
    for cut in 0..octets.len() {
        match (parse(&octets[..cut]), &whole) {
            // More may come.
            (Ok(None), _) => {}
            (Ok(Some(early)), Ok(Some(late))) => assert_eq!(early, *late),
            (Err(early), Err(late)) => assert_eq!(early, *late),
            (early, late) => panic!("{early:?} after {cut} octets, {late:?} after all"),
        }
    }
    if let Ok(Some((_, length))) = whole {
        assert!((16..=MAX_LENGTH.min(octets.len())).contains(&length));
        assert_eq!(parse(&octets[..length - 1]), Ok(None));
    } else if whole == Ok(None) {
        assert!(octets.len() < MAX_LENGTH, "it would wait for ever");
    }
});
