//! `[clients]`: whether answers are counted by the client's prefix.

use std::time::Duration;

use daemon::config::Spanned;
use geo::MAX_PREFIXES;

use super::{Checker, raw};
use crate::census::Settings;

/// Prefixes unless told otherwise.
const USUAL_PREFIXES: usize = 1_000_000;
/// With less room, one busy hour's clients crowd each other out.
const MIN_PREFIXES: usize = 1_000;
/// As often as people are awake.
const USUAL_HALF_LIFE: Duration = Duration::from_secs(86_400);
/// Shorter, and a night's quiet would forget the day; longer, and the picture would be of another year.
const HALF_LIVES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(600)..=Duration::from_secs(90 * 86_400);

impl Checker<'_> {
    /// None: nothing is recorded.
    pub(super) fn recording(
        &mut self,
        raw: Option<&raw::Recording>,
        kept: bool,
    ) -> Option<Settings> {
        let raw = raw?;
        let most = raw.max_prefixes.as_ref();
        let settings = Settings {
            most: self.within(most, USUAL_PREFIXES, MIN_PREFIXES..=MAX_PREFIXES),
            half_life: raw.half_life.as_ref().map_or(USUAL_HALF_LIFE, |text| self.half_life(text)),
        };
        if raw.record && !kept {
            self.warnings.push(
                "[clients] record without [state] dir: counts of client prefixes are lost with \
                 this process"
                    .into(),
            );
        }
        raw.record.then_some(settings)
    }

    fn half_life(&mut self, text: &Spanned<String>) -> Duration {
        match humantime::parse_duration(text.get_ref()) {
            Ok(half_life) if HALF_LIVES.contains(&half_life) => return half_life,
            Ok(_) => self.error(text.span(), "from 10m to 90d", None),
            Err(error) => {
                self.error(text.span(), error.to_string(), Some("a duration such as \"24h\""));
            }
        }
        USUAL_HALF_LIFE
    }
}
