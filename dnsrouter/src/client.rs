//! Who is asking, and how wide an answer to them is good.
//!
//! A resolver that sends a client subnet (RFC 7871) asks for somebody in that prefix; any other
//! asks for itself, and its own address is the best guess of where its clients are.
//!
//! | query carries | located by | scope returned |
//! |---|---|---|
//! | no subnet | the resolver's address | none |
//! | a subnet | the subnet | what the answer depends on ([`crate::policy`]) |
//! | SOURCE /0: "do not use my address" | the resolver's address | /0 (§7.1.3, §7.3.1) |
//! | a private or loopback subnet, in no explicit network | the resolver's address | that block |
//!
//! The last line deserves its reason. A private address says nothing about a place, so it is
//! ignored; but a scope of /0 would let the resolver reuse the answer, which was made for *its*
//! place, for every client in the world. The scope of the special block, a leaf of the address
//! table like any other, is both true (every address in it gets this answer) and harmless.
//!
//! A draw is as binding as a place: wherever a scope goes out with the answer, it is made
//! from a prefix and the time, so that a second query from inside the scope is answered alike. Only
//! who asks for itself gets a fresh one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geo::{Hit, ScopeCap, Source};

use crate::plan::Geo;
use crate::policy::{Client, Policy, prefix_stick, subnet_draw};
use crate::service::Form;

/// Who is asking, looked up.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The address that was looked up: of the subnet, or of the resolver.
    pub address: IpAddr,
    /// What the address table knows of it.
    pub hit: Hit,
    basis: Basis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// The client subnet; its scope is the answer's.
    Subnet,
    /// The resolver, for itself: nobody else is promised the answer.
    Resolver,
    /// The resolver, for the special block of this length that holds the client subnet.
    Block { scope: u8 },
}

/// What decides for a resolver that asks for itself: nobody else is promised its answer.
#[derive(Debug, Clone, Copy)]
pub struct Own {
    /// A new random number for each query.
    pub draw: u64,
    /// A count of the queries for what is asked.
    pub turn: u64,
}

impl Asker {
    /// Looks up who a query is asked for. `subnet` is the option's address and SOURCE length.
    pub fn of_query(geo: &Geo, resolver: IpAddr, subnet: Option<(IpAddr, u8)>) -> Self {
        let basis = match subnet {
            None | Some((_, 0)) => Basis::Resolver,
            Some((address, _)) => {
                let hit = geo.table.lookup_subnet(address);
                if hit.source != Source::Special {
                    return Self { address, hit, basis: Basis::Subnet };
                }
                Basis::Block { scope: hit.scope }
            }
        };
        let address = resolver.to_canonical();
        let hit = geo.table.lookup_source(address);
        Self { address, hit, basis }
    }

    /// As a service's route sees it that asks for a form. `own` is for who asks for itself, and `now` the time in
    /// seconds, of which draws for subnets use the slot of one TTL: an answer for a subnet must be
    /// the same for every address inside its scope, for as long as it may be cached. In a special
    /// block that is the draw of the resolver's own prefix.
    #[inline]
    pub fn client<'a>(
        &self,
        geo: &'a Geo,
        policy: &Policy,
        form: Form,
        now: impl FnOnce() -> u64,
        own: Own,
    ) -> Client<'a> {
        let cap = cap_of(geo.cap, self.address);
        let Hit { place, slot, scope: leaf, .. } = self.hit;
        let (address, is_subnet) = (self.address, self.basis != Basis::Resolver);
        let Own { draw, turn } = own;
        let client =
            Client { geo, place, address, slot, is_subnet, leaf, cap, draw, stick: 0, turn };
        // Most answers depend on the place alone.
        if policy.draws(form) { self.drawn(client, policy, now()) } else { client }
    }

    /// The same with what decides in draws.
    fn drawn<'a>(&self, client: Client<'a>, policy: &Policy, now: u64) -> Client<'a> {
        let prefix = truncate(self.address, client.cap);
        let stick = prefix_stick(policy.key(), prefix);
        match self.basis {
            Basis::Resolver => Client { stick, ..client },
            Basis::Subnet | Basis::Block { .. } => {
                let slot = now / u64::from(policy.ttl(false).max(1));
                let draw = subnet_draw(policy.key(), prefix, slot);
                Client { draw, stick, turn: stick.wrapping_add(slot), ..client }
            }
        }
    }

    /// The scope to return with an answer of this policy.
    pub fn scope(&self, policy: &Policy, form: Form, client: &Client<'_>) -> u8 {
        match self.basis {
            Basis::Subnet => policy.scope(form, client),
            Basis::Resolver => 0,
            Basis::Block { scope } => scope,
        }
    }
}

fn cap_of(cap: ScopeCap, address: IpAddr) -> u8 {
    if address.is_ipv4() { cap.v4() } else { cap.v6() }
}

/// The address with only its first `length` bits.
pub fn truncate(address: IpAddr, length: u8) -> IpAddr {
    let cut = |bits: u32| bits.saturating_sub(u32::from(length));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(cut(32)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(cut(128)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation() {
        let cut = |address: &str, length| truncate(address.parse().unwrap(), length).to_string();
        assert_eq!(cut("203.0.113.77", 24), "203.0.113.0");
        assert_eq!(cut("203.0.113.77", 32), "203.0.113.77");
        assert_eq!(cut("203.0.113.77", 0), "0.0.0.0");
        assert_eq!(cut("2001:db8:1:2::3", 48), "2001:db8:1::");
        assert_eq!(cut("2001:db8::", 0), "::");
    }
}
