//! `[probe]`: how targets are checked, and how checks become verdicts.

use std::num::NonZeroU32;
use std::time::Duration;

use daemon::config::Spanned;

use super::{Checker, raw};
use crate::health::damping::Damping;
use crate::health::{Rules, Thresholds};
use crate::monitor::Settings;
use crate::removal::Limit;

/// Points and percentages that mean something: a ceiling that a handful of falls reaches.
const MAX_POINTS: u32 = 1_000_000;

/// `[probe]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// From one check to the next.
    pub interval: Duration,
    /// A check without a reply for so long has failed; at most `interval`.
    pub timeout: Duration,
    /// The most that is added to an interval.
    pub jitter: Duration,
    /// What is made of them.
    pub settings: Settings,
}

impl Checker<'_> {
    pub(super) fn probe(&mut self, raw: &raw::Probe) -> Probe {
        let interval = self.duration(&raw.interval);
        let timeout = self.duration(&raw.timeout);
        if timeout > interval {
            let message = "a ping may not outlast the interval to the next";
            self.error(raw.timeout.span(), message, Some("lower timeout, or raise interval"));
        }
        let thresholds = Thresholds { rise: self.count(&raw.rise), fall: self.count(&raw.fall) };
        Probe {
            jitter: self.jitter(&raw.jitter, interval),
            settings: Settings {
                rules: Rules { thresholds, damping: self.damping(&raw.damping) },
                removal: self.removal(&raw.removal),
            },
            interval,
            timeout,
        }
    }

    pub(super) fn duration(&mut self, text: &Spanned<String>) -> Duration {
        const LEAST: Duration = Duration::from_millis(10);
        const MOST: Duration = Duration::from_secs(3600);
        match humantime::parse_duration(text.get_ref()) {
            Ok(duration) if (LEAST..=MOST).contains(&duration) => duration,
            Ok(_) => {
                self.error(text.span(), "from 10ms to 1h", None);
                LEAST
            }
            Err(error) => {
                self.error(text.span(), error.to_string(), Some("a duration such as \"5s\""));
                LEAST
            }
        }
    }

    /// "10%" of the interval, or a duration.
    fn jitter(&mut self, text: &Spanned<String>, interval: Duration) -> Duration {
        let percent = text.get_ref().trim().strip_suffix('%').map(|n| n.trim().parse::<f64>());
        let jitter = match percent {
            Some(Ok(percent)) if (0.0..=100.0).contains(&percent) => {
                Some(interval.mul_f64(percent / 100.0))
            }
            Some(_) => None,
            None => humantime::parse_duration(text.get_ref()).ok().filter(|j| *j <= interval),
        };
        jitter.unwrap_or_else(|| {
            let help = Some("\"10%\", or a duration up to the interval");
            self.error(text.span(), format!("{:?} is no jitter", text.get_ref()), help);
            Duration::ZERO
        })
    }

    fn count(&mut self, count: &Spanned<u32>) -> NonZeroU32 {
        NonZeroU32::new(*count.get_ref()).unwrap_or_else(|| {
            self.error(count.span(), "at least 1 ping makes a verdict", None);
            NonZeroU32::MIN
        })
    }

    fn damping(&mut self, raw: &Spanned<raw::Switch<raw::Damping>>) -> Option<Damping> {
        let usual = Damping::default();
        let raw::Damping { half_life, suppress, reuse, longest } = match raw.get_ref() {
            raw::Switch::Is(on) => return on.then_some(usual),
            raw::Switch::Given(given) => given,
        };
        let damping = Damping {
            half_life: half_life.as_ref().map_or(usual.half_life, |text| self.duration(text)),
            suppress: suppress.unwrap_or(usual.suppress),
            reuse: reuse.unwrap_or(usual.reuse),
            longest: longest.as_ref().map_or(usual.longest, |text| self.duration(text)),
        };
        let Damping { suppress, reuse, .. } = damping;
        if reuse == 0 || reuse >= suppress || suppress > MAX_POINTS {
            let message = format!("reuse {reuse} and suppress {suppress}: 0 < reuse < suppress");
            self.error(raw.span(), message, Some("a fall is 1000 points; 750 and 2000 are usual"));
        } else if damping.ceiling() < f64::from(suppress) {
            let message = format!(
                "no target would ever be damped: in {:?} no more than {:.0} points decay to {reuse}",
                damping.longest,
                damping.ceiling()
            );
            self.error(raw.span(), message, Some("raise longest, or lower half_life"));
        }
        Some(damping)
    }

    fn removal(&mut self, raw: &Spanned<raw::Switch<raw::Removal>>) -> Option<Limit> {
        let usual = Limit::default();
        let raw::Removal { percent, per } = match raw.get_ref() {
            raw::Switch::Is(on) => return on.then_some(usual),
            raw::Switch::Given(given) => given,
        };
        let percent = percent.unwrap_or(usual.percent);
        if percent > 100 {
            self.error(raw.span(), format!("{percent} % is more than all"), None);
        }
        Some(Limit { percent, per: per.as_ref().map_or(usual.per, |text| self.duration(text)) })
    }
}
