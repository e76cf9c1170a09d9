//! `[identity]`, `[cookie]`, `[rate_limit]`, `[access]`, and `allow` of a `[[zone]]`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;

use daemon::config::Spanned;
use dns::edns::cookie::MAX_SECRETS;
use ipnet::IpNet;

use super::{Checker, raw};
use crate::guard::access::{DenyAction, Rules};
use crate::guard::identity::{Chaos, Identity};
use crate::guard::limit::{Kind, MAX_ENTRIES, MAX_FILL, MAX_RATE, MAX_SLIP, MIN_ENTRIES, Settings};

/// Networks of one list: a generated file a hundred times too large is refused.
pub const MAX_NETWORKS: usize = 100_000;
/// What a server says of itself at most: with the longest question, a cookie and a client subnet it
/// still fits the 512 octets that every client takes.
const MAX_TEXT: usize = 128;
/// Seconds' worth of answers that a bucket holds unless told otherwise.
const USUAL_BURST: u32 = 2;
/// One limited response in two is an empty one, so that whoever shares a prefix with a flood has a
/// way through; no more, since it is as long as the query, and forgers get it reflected.
const USUAL_SLIP: u8 = 2;
/// Buckets unless told otherwise: 1 MiB.
const USUAL_ENTRIES: usize = 1 << 17;

/// What guards the answers, as far as one file can tell.
#[derive(Debug, Clone)]
pub struct Guard {
    /// `[identity]`.
    pub identity: Identity,
    /// `[cookie]`.
    pub cookies: Cookies,
    /// `[rate_limit]`; none: everybody gets everything.
    pub limit: Option<Settings>,
    /// `[access]`.
    pub access: Rules,
}

/// Where server cookies come from.
#[derive(Debug, Clone)]
pub enum Cookies {
    /// From nowhere: none are given.
    Off,
    /// From secrets of this process alone.
    Rolling,
    /// From secrets in files, with where each is named. The first makes cookies; there is one.
    Shared(Vec<(PathBuf, Range<usize>)>),
}

impl Checker<'_> {
    pub(super) fn guard(&mut self, raw: &raw::Raw) -> Guard {
        Guard {
            identity: self.identity(&raw.identity, &raw.node.name),
            cookies: self.cookies(&raw.cookie),
            limit: raw.rate_limit.as_ref().map(|limit| self.rate_limit(limit)),
            access: Rules {
                allow: self.allowed(raw.access.allow.as_ref()).unwrap_or_default(),
                deny: raw.access.deny.as_ref().map(|list| self.networks(list)).unwrap_or_default(),
                action: match raw.access.deny_action {
                    raw::DenyAction::Refuse => DenyAction::Refuse,
                    raw::DenyAction::Drop => DenyAction::Drop,
                },
            },
        }
    }

    fn identity(&mut self, raw: &raw::Identity, node: &Spanned<String>) -> Identity {
        if node.get_ref().len() > MAX_TEXT {
            let message = format!("a name of {} octets; at most {MAX_TEXT}", node.get_ref().len());
            self.error(node.span(), message, None);
        }
        let node = node.get_ref();
        let nsid = self.text(raw.nsid.as_ref(), node).map(|text| text.into_bytes().into());
        let version = concat!("dnsrouter ", env!("CARGO_PKG_VERSION"));
        let chaos = Chaos {
            version: self.text(raw.version.as_ref(), version),
            id: self.text(raw.id.as_ref(), node),
        };
        if !raw.chaos {
            for text in [&raw.version, &raw.id].into_iter().flatten() {
                let help = Some("add chaos = true");
                self.error(text.span(), "nobody is told: names of class CHAOS are off", help);
            }
        }
        Identity { nsid, chaos: raw.chaos.then_some(chaos) }
    }

    /// What was written, or `usual`; none for `false`.
    fn text(&mut self, raw: Option<&Spanned<raw::Text>>, usual: &str) -> Option<String> {
        let Some(raw) = raw else { return Some(usual.to_owned()) };
        match raw.get_ref() {
            raw::Text::Switch(on) => on.then(|| usual.to_owned()),
            raw::Text::Given(text) => {
                if text.is_empty() {
                    self.error(raw.span(), "an empty text", Some("false says nothing"));
                } else if text.len() > MAX_TEXT {
                    let message = format!("{} octets; at most {MAX_TEXT}", text.len());
                    self.error(raw.span(), message, None);
                }
                Some(text.clone())
            }
        }
    }

    fn cookies(&mut self, raw: &raw::Cookie) -> Cookies {
        let files = raw.secret.as_ref().map(Spanned::get_ref).map_or(&[][..], Vec::as_slice);
        if let Some(first_too_many) = files.get(MAX_SECRETS) {
            let message = format!("{} secrets; at most {MAX_SECRETS}", files.len());
            let help = Some("the active one, and those that are going or coming");
            self.error(first_too_many.span(), message, help);
        }
        let path = |file: &Spanned<PathBuf>| (self.folder.join(file.get_ref()), file.span());
        match (raw.enabled, files) {
            (false, _) => Cookies::Off,
            (true, []) => Cookies::Rolling,
            (true, files) => Cookies::Shared(files.iter().map(path).collect()),
        }
    }

    fn rate_limit(&mut self, raw: &raw::RateLimit) -> Settings {
        let usual = self.rate(&raw.responses_per_second);
        let mut kind = |rate: Option<&Spanned<u32>>| rate.map_or(usual, |rate| self.rate(rate));
        let mut rates = [usual; Kind::ALL.len()];
        rates[Kind::NoData as usize] = kind(raw.nodata_per_second.as_ref());
        rates[Kind::NxDomain as usize] = kind(raw.nxdomain_per_second.as_ref());
        rates[Kind::Referral as usize] = kind(raw.referral_per_second.as_ref());
        rates[Kind::Error as usize] = kind(raw.error_per_second.as_ref());
        Settings {
            rates,
            burst: self.burst(raw.burst.as_ref(), usual),
            slip: self.within(raw.slip.as_ref(), USUAL_SLIP, 0..=MAX_SLIP),
            prefix_v4: self.within(raw.prefix_v4.as_ref(), 24, 8..=32),
            prefix_v6: self.within(raw.prefix_v6.as_ref(), 56, 16..=128),
            exempt: raw.exempt.as_ref().map(|list| self.networks(list)).unwrap_or_default(),
            entries: self.within(raw.table.as_ref(), USUAL_ENTRIES, MIN_ENTRIES..=MAX_ENTRIES),
        }
    }

    fn rate(&mut self, raw: &Spanned<u32>) -> NonZeroU32 {
        let rate = NonZeroU32::new(*raw.get_ref()).filter(|rate| rate.get() <= MAX_RATE);
        rate.unwrap_or_else(|| {
            let help = Some("leave [rate_limit] out to limit nobody");
            self.error(raw.span(), format!("from 1 to {MAX_RATE} responses per second"), help);
            NonZeroU32::MIN
        })
    }

    fn burst(&mut self, raw: Option<&Spanned<u32>>, rate: NonZeroU32) -> NonZeroU32 {
        let seconds = MAX_FILL.as_secs() as u32;
        let most = rate.get().saturating_mul(seconds);
        let usual = rate.saturating_mul(NonZeroU32::new(USUAL_BURST).unwrap_or(NonZeroU32::MIN));
        let Some(raw) = raw else { return usual };
        let burst = NonZeroU32::new(*raw.get_ref()).filter(|burst| burst.get() <= most);
        burst.unwrap_or_else(|| {
            let message = format!("from 1 to {most}: {seconds} seconds' worth of responses");
            self.error(raw.span(), message, None);
            usual
        })
    }

    pub(super) fn within<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        raw: Option<&Spanned<T>>,
        usual: T,
        range: std::ops::RangeInclusive<T>,
    ) -> T {
        let Some(raw) = raw else { return usual };
        if !range.contains(raw.get_ref()) {
            let message = format!("from {} to {}", range.start(), range.end());
            self.error(raw.span(), message, None);
            return usual;
        }
        *raw.get_ref()
    }

    /// Those who may, when not everybody may.
    pub(super) fn allowed(&mut self, raw: Option<&raw::Networks>) -> Option<Vec<IpNet>> {
        let raw = raw?;
        if raw.get_ref().is_empty() {
            let help = Some("leave allow out to let everybody ask");
            self.error(raw.span(), "an empty list lets nobody ask", help);
        }
        Some(self.networks(raw))
    }

    /// Networks, or single addresses.
    pub(super) fn networks(&mut self, raw: &raw::Networks) -> Vec<IpNet> {
        if raw.get_ref().len() > MAX_NETWORKS {
            let message = format!("{} networks; the limit is {MAX_NETWORKS}", raw.get_ref().len());
            self.error(raw.span(), message, None);
        }
        let mut networks = Vec::with_capacity(raw.get_ref().len());
        for text in raw.get_ref() {
            let address = text.get_ref().parse::<IpAddr>().map(IpNet::from);
            let network = address.or_else(|_| text.get_ref().parse::<IpNet>()).ok();
            match network.filter(|network| network.addr() == network.network()) {
                Some(network) => networks.push(geo::canonical(network)),
                None => {
                    let message = format!("{:?} is not a network", text.get_ref());
                    let help = "an address, or address/length without bits past the length, e.g. \
                                \"192.0.2.0/24\"";
                    self.error(text.span(), message, Some(help));
                }
            }
        }
        networks
    }
}
