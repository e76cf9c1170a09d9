//! Goes back in time.

use std::io;
use std::time::SystemTime;

use super::{Segments, read};
use crate::history::{Moment, Unknown, decode};

/// Reads what was kept; from any thread, while it is written.
#[derive(Debug, Clone)]
pub struct Reader(Segments);

/// Why a moment cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// It is not in the history.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The disk does not give it.
    #[error("the history cannot be read: {0}")]
    Disk(#[from] io::Error),
}

impl Reader {
    pub(super) fn new(segments: Segments) -> Self {
        Self(segments)
    }

    /// Everything as it was at `at`. Reads up to two segments: not for a thread that others wait
    /// for.
    ///
    /// # Errors
    ///
    /// Why it is not known, with what is.
    pub fn moment(&self, at: SystemTime) -> Result<Moment, Missing> {
        let segments = self.0.list()?;
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            return Err(Unknown::Empty.into());
        };
        let after = segments.partition_point(|segment| segment.from <= at);
        if after == 0 {
            let to = self.end_of(last.from)?;
            return Err(Unknown::Outside { at, from: first.from, to }.into());
        }
        let mut records: Vec<_> = decode(&read(&self.0.file(segments[after - 1].from))?).collect();
        if let Some(next) = segments.get(after) {
            // Its first record says whether anything is missing between the two.
            records.extend(decode(&read(&self.0.file(next.from))?).next());
        }
        Moment::find(records, at).map_err(|unknown| {
            match unknown {
                // Of these segments; people want to know of all.
                Unknown::Outside { at, to, .. } => Unknown::Outside { at, from: first.from, to },
                other => other,
            }
            .into()
        })
    }

    /// The time of a segment's last record.
    fn end_of(&self, from: SystemTime) -> io::Result<SystemTime> {
        let octets = read(&self.0.file(from))?;
        Ok(decode(&octets).last().map_or(from, |record| record.at))
    }
}
