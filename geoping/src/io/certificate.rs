//! Whether our certificate is in date, for `/readyz`: with one that is not, every peer refuses us.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::admin::Condition;
use daemon::tls::Tls;

/// How often the clock is looked at. It may be set, or the machine may sleep, so nothing waits
/// for a moment far away. Certificates of minutes are looked at more often, up to the shortest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

/// So many looks in a certificate's lifetime, at least.
const LOOKS: u32 = 50;

/// Our certificate, and the condition that it is in date.
#[derive(Clone, Debug)]
pub struct Certificate {
    tls: Arc<Tls>,
    in_date: Condition,
}

impl Certificate {
    /// `in_date` holds as long as the certificate of `tls` is valid, from the first look on.
    pub fn new(tls: Arc<Tls>, in_date: Condition) -> Certificate {
        Certificate { tls, in_date }
    }

    /// Looks now and then until dropped.
    ///
    /// # Errors
    ///
    /// None; the type suits the supervisor.
    pub async fn follow(self) -> Result<(), Infallible> {
        loop {
            self.look();
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Compares dates and clock, and says what follows.
    pub fn look(&self) {
        let (from, until) = (self.tls.not_before(), self.tls.not_after());
        match self.tls.now().map(|now| out_of_date(from, until, now)) {
            Some(None) => self.in_date.set_ready(),
            Some(Some(why)) => self.in_date.set_unready(why),
            None => self.in_date.set_unready("the clock is before 1970"),
        }
    }

    fn pause(&self) -> Duration {
        let (from, until) = (self.tls.not_before(), self.tls.not_after());
        let lifetime = until.duration_since(from).unwrap_or_default();
        (lifetime / LOOKS).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

/// Why a certificate with these dates is worth nothing `now`; `None` when it is in date.
fn out_of_date(from: SystemTime, until: SystemTime, now: SystemTime) -> Option<String> {
    let at = humantime::format_rfc3339_seconds;
    if now < from {
        Some(format!("not valid before {}; is the clock right?", at(from)))
    } else if now > until {
        Some(format!("expired at {}; peers refuse us until it is renewed", at(until)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_counts_from_its_first_second_to_its_last() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let state = |now| out_of_date(at(100), at(200), at(now));
        assert_eq!([100, 150, 200].map(state), [None, None, None]);
        assert!(state(99).unwrap().starts_with("not valid before 1970-01-01T00:01:40Z"));
        assert!(state(201).unwrap().starts_with("expired at 1970-01-01T00:03:20Z"));
    }
}
