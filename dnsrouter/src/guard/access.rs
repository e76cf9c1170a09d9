//! Who may ask, at all and about a zone.

use std::net::IpAddr;

use dns::zone::ZoneId;
use geo::Networks;
use ipnet::IpNet;

/// What becomes of a client's queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// They are answered.
    Allow,
    /// They are answered with REFUSED and the extended error 18 (Prohibited).
    Refuse,
    /// Nothing is said.
    Drop,
}

/// What is done with who may not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DenyAction {
    /// REFUSED: who asks by mistake learns of it.
    #[default]
    Refuse,
    /// Silence: nothing for those who scan.
    Drop,
}

/// `[access]` without mistakes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Who may ask; empty: everybody who is not denied.
    pub allow: Vec<IpNet>,
    /// Who may not.
    pub deny: Vec<IpNet>,
    /// What is done with them.
    pub action: DenyAction,
}

/// Lists of networks, sorted for the query path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    networks: Networks,
    /// For who is in no network.
    otherwise: Permission,
    denied: Permission,
    /// By number of the zone; none: everybody may ask about it. Empty if all are so.
    zones: Box<[Option<Networks>]>,
    is_open: bool,
}

const ALLOW: u8 = 0;
/// The higher mark wins where networks are equal.
const DENY: u8 = 1;

impl Access {
    /// `zones` gives for each zone, in the order of their numbers, who may ask about it; none:
    /// everybody.
    pub fn new<'a>(rules: &Rules, zones: impl IntoIterator<Item = Option<&'a [IpNet]>>) -> Self {
        let allow = rules.allow.iter().map(|network| (*network, ALLOW));
        let deny = rules.deny.iter().map(|network| (*network, DENY));
        let denied = match rules.action {
            DenyAction::Refuse => Permission::Refuse,
            DenyAction::Drop => Permission::Drop,
        };
        let only = |list: &[IpNet]| Networks::new(list.iter().map(|network| (*network, ALLOW)));
        let mut zones: Vec<_> = zones.into_iter().map(|list| list.map(only)).collect();
        if zones.iter().all(Option::is_none) {
            zones.clear();
        }
        Self {
            networks: Networks::new(allow.chain(deny)),
            otherwise: if rules.allow.is_empty() { Permission::Allow } else { denied },
            denied,
            is_open: zones.is_empty() && rules.allow.is_empty() && rules.deny.is_empty(),
            zones: zones.into(),
        }
    }

    /// Whether everybody may ask everything.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether `peer` may ask anything: the longest network it is in decides, of equal ones the
    /// denying; who is in none may if no networks are allowed in particular.
    pub fn verdict(&self, peer: IpAddr) -> Permission {
        match self.networks.find(peer) {
            Some(DENY) => self.denied,
            Some(_) => Permission::Allow,
            None => self.otherwise,
        }
    }

    /// Whether `peer` may ask about this zone. Who may not gets REFUSED with the extended error 18
    /// (Prohibited), whatever [`Rules::action`] says: the zone's existence is no secret, its
    /// delegation is public.
    pub fn may_ask(&self, zone: ZoneId, peer: IpAddr) -> bool {
        let list = self.zones.get(zone.index()).and_then(Option::as_ref);
        list.is_none_or(|networks| networks.find(peer).is_some())
    }
}

impl Default for Access {
    /// Everybody may ask everything.
    fn default() -> Self {
        Self::new(&Rules::default(), [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Vec<IpNet> {
        list.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn verdicts(allow: &[&str], deny: &[&str], action: DenyAction) -> impl Fn(&str) -> Permission {
        let rules = Rules { allow: networks(allow), deny: networks(deny), action };
        let access = Access::new(&rules, []);
        move |peer| access.verdict(peer.parse().unwrap())
    }

    #[test]
    fn without_rules_everybody_may_ask() {
        let access = Access::default();
        for peer in ["192.0.2.1", "::1"] {
            assert_eq!(access.verdict(peer.parse().unwrap()), Permission::Allow);
        }
    }

    #[test]
    fn the_most_specific_network_decides_and_denial_wins_ties() {
        let verdict = verdicts(
            &["192.0.2.0/24", "192.0.2.128/26", "2001:db8::/32", "198.51.100.0/24"],
            &["192.0.2.128/25", "198.51.100.0/24", "2001:db8:1::/48"],
            DenyAction::Refuse,
        );
        for (peer, permission) in [
            ("192.0.2.1", Permission::Allow),
            ("192.0.2.129", Permission::Allow),
            ("192.0.2.193", Permission::Refuse),
            ("198.51.100.1", Permission::Refuse),
            ("2001:db8::1", Permission::Allow),
            ("2001:db8:1::1", Permission::Refuse),
            ("203.0.113.1", Permission::Refuse),
            ("2001:db9::1", Permission::Refuse),
            ("::ffff:192.0.2.1", Permission::Allow),
        ] {
            assert_eq!(verdict(peer), permission, "{peer}");
        }
    }

    #[test]
    fn denying_some_allows_the_rest() {
        let verdict = verdicts(&[], &["0.0.0.0/0"], DenyAction::Drop);
        assert_eq!(verdict("192.0.2.1"), Permission::Drop);
        assert_eq!(verdict("2001:db8::1"), Permission::Allow);
    }

    #[test]
    fn allowing_some_denies_the_rest_in_the_way_that_was_set() {
        let verdict = verdicts(&["2001:db8::/32"], &[], DenyAction::Drop);
        assert_eq!(verdict("2001:db8::1"), Permission::Allow);
        assert_eq!(verdict("192.0.2.1"), Permission::Drop);
    }
}
