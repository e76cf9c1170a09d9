//! What stands between strangers and the answers: who may ask, whose address is proven, how much a
//! network may have, and what this server says of itself.
//!
//! ```text
//!   query ─▶ Access ── denied ─▶ REFUSED │ silence
//!              │
//!              ▼
//!           cookie ── valid, or over TCP ──────────────────────────────┐
//!              │ absent, invalid                                       ▼
//!              └─▶ answer ─▶ its Kind ─▶ Limiter ── pass ──────────▶ reply
//!                                           └─ slip: TC │ drop
//! ```
//!
//! | part | is | RFC |
//! |---|---|---|
//! | [`Access`] | networks that may ask, at all and about a zone | 8914 |
//! | [`Secrets`] | server cookies | 7873, 9018 |
//! | [`Limiter`] | response rate limiting | |
//! | [`Identity`] | NSID, and names of class CHAOS | 5001, 4892 |
//!
//! Everything here is pure, and on the way of a query it locks and allocates nothing. It is
//! published with the other inputs; the limiter's table outlives a reload that changes none of its
//! settings, or every reload would be a holiday for floods.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use dns::edns::Cookie;
use dns::edns::cookie::{self, Secrets};

pub use access::Access;
pub use identity::Identity;
pub use limit::Limiter;

pub mod access;
pub mod identity;
pub mod limit;

/// Everything that guards; see the module.
#[derive(Debug)]
pub struct Guard {
    /// What this server says of itself.
    pub identity: Identity,
    /// Who may ask.
    pub access: Access,
    /// Server cookies; none: cookies are ignored, as if the query had none.
    pub cookies: Option<Secrets>,
    /// Rate limits; none: everybody gets everything.
    pub limit: Option<Arc<Limiter>>,
}

impl Guard {
    /// What a query's cookie proves of its address, and the server cookie that its reply carries:
    /// the client's own while that is fresh. None if this server gives no cookies.
    pub fn cookie(
        &self,
        cookie: &Cookie<'_>,
        peer: IpAddr,
        now: SystemTime,
    ) -> Option<(cookie::Verdict, [u8; cookie::LEN])> {
        let secrets = self.cookies.as_ref()?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // RFC 9018 §4.3: modulo 2³².
        let now = since.as_secs() as u32;
        let verdict = secrets.verify(cookie, peer, now);
        let kept = cookie.server.try_into().ok().filter(|_| verdict == cookie::Verdict::Valid);
        Some((verdict, kept.unwrap_or_else(|| secrets.server_cookie(cookie.client, peer, now))))
    }

    /// What becomes of a response of this kind to a peer whose address nothing proves.
    pub fn limit(&self, peer: IpAddr, kind: limit::Kind, now: SystemTime) -> limit::Verdict {
        self.limit.as_ref().map_or(limit::Verdict::Pass, |limiter| limiter.check(peer, kind, now))
    }
}
