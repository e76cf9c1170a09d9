//! Which zone a file is by its name. Pure.

use std::path::Path;

use dns::name::Name;

/// Ends of file names that are no part of the zone's name, with their dot.
const ENDS: [&str; 7] = [".zone", ".zones", ".db", ".dns", ".txt", ".signed", ".master"];

/// Beginnings, as in BIND's `db.example.com`.
const BEGINNINGS: [&str; 4] = ["db.", "zone.", "pri.", "master."];

/// `example.com.zone`, `db.example.com` and `example.com` are example.com. A bare word is a zone
/// only if something around it says that it is one: `com.zone` is com, `hosts` is nothing.
pub(super) fn of_file(path: &Path) -> Option<Name> {
    let file = path.file_name()?.to_str()?;
    let mut name = file;
    while let Some(rest) = ENDS.iter().find_map(|end| strip_end(name, end)) {
        name = rest;
    }
    if let Some(rest) = BEGINNINGS.iter().find_map(|beginning| name.strip_prefix(beginning)) {
        name = rest;
    }
    let told = name.len() < file.len() || name.trim_end_matches('.').contains('.');
    name.parse().ok().filter(|_| told)
}

/// Without the end, if something is left.
fn strip_end<'a>(name: &'a str, end: &str) -> Option<&'a str> {
    name.strip_suffix(end).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_which_zone_they_are() {
        let of = |path: &str| of_file(Path::new(path)).map(|name| name.to_string());
        for path in [
            "example.com.zone",
            "/etc/zones/example.com.zone.signed",
            "db.example.com",
            "example.com",
            "zones.d/example.com.",
            "example.com.db",
        ] {
            assert_eq!(of(path).as_deref(), Some("example.com."), "{path}");
        }
        assert_eq!(of("com.zone").as_deref(), Some("com."));
        assert_eq!(of("2.0.192.in-addr.arpa.zone").as_deref(), Some("2.0.192.in-addr.arpa."));
        for path in ["hosts", ".zone", "..", "/", "a b", "a..b.zone"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
