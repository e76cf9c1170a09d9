//! Arbitrary octets as a query, from anybody, over UDP and TCP.

#![no_main]

use fuzz::{reply, world};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: world::load(), |data: &[u8]| {
    let Some((peer, query)) = data.split_first_chunk() else { return };
    reply::check(query, world::peer(*peer));
});
