//! Overrides on disk: `overrides.json` in `[state] dir`, and `overrides.json.last`, the one before.
//!
//! Two lines: what it is, with a sum of the second; and the overrides. A file that was damaged is
//! put aside and the one before counts, which is said: it may lack what was said last.

use std::fs;
use std::hash::Hasher;
use std::io;

use daemon::files::{self, ReadError};
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use crate::io::state::{Folder, StateError};
use crate::overrides::{Override, Overrides};

const FILE: &str = "overrides.json";
const LAST: &str = "overrides.json.last";
/// 256 overrides of at most a kilobyte; a larger file is not ours.
const MAX_SIZE: u64 = 4 << 20;
/// Raised when the form changes; a file of another version is put aside.
const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    /// Of the second line, in hexadecimal digits.
    sum: String,
}

/// What the last run left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The overrides.
    pub overrides: Overrides,
    /// What is wrong with the files, in words.
    pub alarm: Option<String>,
}

/// Reads what was kept; nothing on the first run.
pub fn read(folder: &Folder) -> Kept {
    let reason = match read_one(folder, FILE) {
        Ok(Some(overrides)) => return Kept { overrides, alarm: None },
        Ok(None) if !folder.path().join(LAST).exists() => return Kept::default(),
        // Put aside by an earlier run, and nobody has said anything since.
        Ok(None) => "it is missing".to_owned(),
        Err(reason) => reason,
    };
    let file = folder.path().join(FILE);
    let aside = folder.path().join(format!("{FILE}.unreadable"));
    let moved = fs::rename(&file, &aside).is_ok();
    let (overrides, counts) = match read_one(folder, LAST) {
        Ok(Some(overrides)) => (overrides, "those before the last change count"),
        Ok(None) | Err(_) => (Overrides::default(), "there are none now"),
    };
    tracing::error!(
        file = %file.display(), reason, moved, aside = %aside.display(),
        "the kept overrides cannot be read; {counts}"
    );
    let alarm = format!(
        "the kept overrides could not be read ({reason}): {counts}; look with `geoip overrides`, and \
         say again what is missing"
    );
    Kept { overrides, alarm: Some(alarm) }
}

/// Replaces the file; on disk when this returns.
///
/// # Errors
///
/// Those of the system; the old file is then still whole.
pub fn write(folder: &Folder, overrides: &Overrides) -> Result<(), StateError> {
    let octets = encode(overrides).map_err(|error| folder.error(error.into()))?;
    folder.keep_as(FILE, LAST)?;
    folder.replace(FILE, &octets)
}

fn encode(overrides: &Overrides) -> Result<Vec<u8>, serde_json::Error> {
    let all: Vec<&Override> = overrides.iter().collect();
    let second = serde_json::to_string(&all)?;
    let head = Head { version: VERSION, sum: sum(second.as_bytes()) };
    Ok(format!("{}\n{second}\n", serde_json::to_string(&head)?).into_bytes())
}

fn read_one(folder: &Folder, name: &str) -> Result<Option<Overrides>, String> {
    let octets = match files::read(&folder.path().join(name), MAX_SIZE) {
        Ok(content) => content.octets,
        Err(ReadError::System(missing)) if missing.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error.to_string()),
    };
    let text = String::from_utf8(octets).map_err(|error| error.to_string())?;
    let (head, second) = text.split_once('\n').ok_or("its end is missing")?;
    let head: Head = serde_json::from_str(head).map_err(|error| error.to_string())?;
    if head.version != VERSION {
        return Err(format!("version {} instead of {VERSION}", head.version));
    }
    let second = second.strip_suffix('\n').ok_or("its end is missing")?;
    if sum(second.as_bytes()) != head.sum {
        return Err("its sum is wrong".into());
    }
    let all = serde_json::from_str(second).map_err(|error| error.to_string())?;
    Overrides::restored(all).map(Some).map_err(|error| error.to_string())
}

/// Guards against what disks do, not against people.
fn sum(octets: &[u8]) -> String {
    let mut hasher = SipHasher13::new();
    hasher.write(octets);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::overrides::{Order, Subject};

    fn overrides(regions: &[&str]) -> Overrides {
        let one = |region: &&str| Override {
            subject: Subject::Region((*region).into()),
            order: Order::Drain { from: SystemTime::UNIX_EPOCH, over: Duration::from_secs(9) },
            who: "spiffe://test-net.io/user/ada".into(),
            why: "line\n\"two\"".into(),
            made: SystemTime::UNIX_EPOCH,
            until: None,
        };
        Overrides::restored(regions.iter().map(one).collect()).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        assert_eq!(read(&folder), Kept::default());
        for regions in [&["a", "b"][..], &["b"], &[]] {
            write(&folder, &overrides(regions)).unwrap();
            assert_eq!(read(&folder), Kept { overrides: overrides(regions), alarm: None });
        }
    }

    #[test]
    fn of_a_damaged_file_the_one_before_counts_and_it_is_said() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let file = place.path().join(FILE);
        write(&folder, &overrides(&["a"])).unwrap();
        write(&folder, &overrides(&["a", "b"])).unwrap();
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&file, &damaged).unwrap();
            let kept = read(&folder);
            assert_eq!(kept.overrides, overrides(&["a"]), "octet {at}");
            assert!(kept.alarm.unwrap().contains("those before the last change count"));
            assert!(!file.exists() && place.path().join("overrides.json.unreadable").exists());
        }
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(read(&folder).overrides, overrides(&["a"]), "cut at {length}");
        }
        let again = read(&folder);
        assert_eq!(again.overrides, overrides(&["a"]), "also after the next start");
        assert!(again.alarm.unwrap().contains("it is missing"));
        write(&folder, &overrides(&["a", "c"])).unwrap();
        assert_eq!(read(&folder), Kept { overrides: overrides(&["a", "c"]), alarm: None });
        fs::write(place.path().join(LAST), "also").unwrap();
        fs::write(&file, "damaged").unwrap();
        let kept = read(&folder);
        assert!(kept.overrides.is_empty() && kept.alarm.unwrap().contains("there are none now"));
    }

    #[test]
    fn a_crash_while_writing_leaves_the_old_or_the_new() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        write(&folder, &overrides(&["a"])).unwrap();
        // As a crash leaves them: half of a new file beside, half of a copy beside.
        fs::write(place.path().join("overrides.json.new"), "half").unwrap();
        fs::write(place.path().join("overrides.json.last.new"), "half").unwrap();
        assert_eq!(read(&folder).overrides, overrides(&["a"]));
        write(&folder, &overrides(&["b"])).unwrap();
        assert_eq!(read(&folder).overrides, overrides(&["b"]));
    }
}
