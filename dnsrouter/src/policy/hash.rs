//! Hashes that draws are made of: the same on every node and after every restart.

use std::net::IpAddr;

/// A bijective mixer of 64 bits (the finaliser of SplitMix64, Steele et al. 2014).
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The draw of a client subnet: equal inside a prefix, new in each time slot.
pub fn subnet_draw(policy_key: u64, prefix: IpAddr, slot: u64) -> u64 {
    prefix_hash(policy_key ^ slot, prefix)
}

/// What a prefix sticks to: equal inside it, for ever.
pub fn prefix_stick(policy_key: u64, prefix: IpAddr) -> u64 {
    // No slot of time is so late: it is no subnet's draw.
    prefix_hash(!policy_key, prefix)
}

pub(super) fn fold(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0x9e37_79b9_7f4a_7c15, |state, byte| mix(state ^ u64::from(byte)))
}

/// Of a prefix alone; each use has a salt of its own.
pub(super) fn prefix_hash(salt: u64, prefix: IpAddr) -> u64 {
    let bits = match prefix {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    mix(mix(mix(salt).wrapping_add(high)).wrapping_add(low))
}
