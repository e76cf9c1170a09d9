//! Master files that come out of an import.

use std::fmt::Write as _;

use dns::name::Name;

/// A zone's master file.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) apex: Name,
    /// As in the configuration.
    pub(crate) file: String,
    pub(crate) text: String,
}

impl Zone {
    pub(crate) fn new(apex: Name, text: String) -> Self {
        let file = file_name(&apex);
        Self { apex, file, text }
    }
}

/// Writes records, the owner's name only where it changes.
#[derive(Debug, Default)]
pub(crate) struct Records {
    text: String,
    owner: Option<Name>,
    /// The last record: an RRset has each once, and repetitions follow each other.
    last: Option<(Name, String)>,
}

impl Records {
    pub(crate) fn add(&mut self, owner: &Name, ttl: u32, rtype: &str, rdata: &str) {
        let this = (owner.clone(), format!("{rtype} {rdata}"));
        if self.last.as_ref() == Some(&this) {
            return;
        }
        self.last = Some(this);
        let same = self.owner.as_ref() == Some(owner);
        let shown = if same { String::new() } else { owner.to_string() };
        let _ = writeln!(self.text, "{shown:<32} {ttl:>6} {rtype:<6} {rdata}");
        if !same {
            self.owner = Some(owner.clone());
        }
    }

    pub(crate) fn text(self) -> String {
        self.text
    }
}

/// `example.com.zone`; a name that is none for a file is escaped.
fn file_name(apex: &Name) -> String {
    let text = apex.to_string();
    let stem = match text.trim_end_matches('.') {
        "" => "root",
        stem => stem,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let stem: String = stem.chars().map(|c| if plain(c) { c } else { '@' }).collect();
    format!("{}.zone", stem.trim_start_matches('.'))
}
