//! `[[key]]`, and what `[[zone]] update` permits their holders.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use daemon::config::Spanned;
use dns::name::Name;
use dns::rr::Rtype;

use super::{Checker, raw};
use crate::keyfile::KeyFile;
use crate::updates::{self, Algorithm, Key, MAX_KEY_NAME, Permission};

/// Keys of one node: one per client would be many, one per zone is enough.
const MAX_KEYS: usize = 10_000;
/// Entries of each list of a zone's permission: they are looked through for each change.
const MAX_ENTRIES: usize = 100;

/// `[[key]]`, its secret perhaps still on disk.
pub struct KeyConfig {
    /// As clients name it.
    pub name: Name,
    /// None: the file's, else HMAC-SHA256.
    pub algorithm: Option<Algorithm>,
    /// Where its octets come from.
    pub secret: SecretSource,
    /// Where the secret, or its file, is named.
    pub span: Range<usize>,
}

/// Where a secret comes from.
pub enum SecretSource {
    /// A file of its own.
    File(PathBuf),
    /// The configuration itself.
    Given(Box<[u8]>),
}

impl KeyConfig {
    /// The key, with what its file says besides.
    ///
    /// # Errors
    ///
    /// File and configuration contradict each other.
    pub fn complete(&self, file: KeyFile) -> Result<Key, String> {
        if let Some(name) = file.name.filter(|name| *name != self.name) {
            return Err(format!("the file holds key {name}, not {}", self.name));
        }
        let algorithm = match (self.algorithm, file.algorithm) {
            (Some(given), Some(in_file)) if given != in_file => {
                return Err(format!("the file says {in_file}, the configuration {given}"));
            }
            (given, in_file) => given.or(in_file).unwrap_or(Algorithm::HmacSha256),
        };
        Ok(Key { name: self.name.clone(), algorithm, secret: file.secret })
    }
}

impl Checker<'_> {
    pub(super) fn keys(&mut self, raw: &[raw::Key]) -> Vec<KeyConfig> {
        if raw.len() > MAX_KEYS {
            self.error(0..0, format!("{} keys; the limit is {MAX_KEYS}", raw.len()), None);
        }
        let mut seen = HashSet::new();
        raw.iter().filter_map(|key| self.key(key, &mut seen)).collect()
    }

    fn key(&mut self, raw: &raw::Key, seen: &mut HashSet<Name>) -> Option<KeyConfig> {
        let name = self.name(&raw.name)?;
        if name.wire().len() > MAX_KEY_NAME {
            let message = format!("a key's name has at most {MAX_KEY_NAME} octets");
            self.error(raw.name.span(), message, None);
        }
        if !seen.insert(name.clone()) {
            self.error(raw.name.span(), format!("key {name} is listed twice"), None);
        }
        let algorithm =
            raw.algorithm.as_ref().and_then(|text| match text.get_ref().parse::<Algorithm>() {
                Ok(algorithm) => Some(algorithm),
                Err(unknown) => {
                    let message = format!("{:?} is no algorithm", text.get_ref());
                    self.error(text.span(), message, Some(&unknown.to_string()));
                    None
                }
            });
        let (secret, span) = match (&raw.secret, &raw.secret_base64) {
            (Some(file), None) => {
                (SecretSource::File(self.folder.join(file.get_ref())), file.span())
            }
            (None, Some(text)) => (self.given(text)?, text.span()),
            (Some(_), Some(twice)) => {
                let help = Some("keep secret, the file");
                self.error(twice.span(), "a key has one secret", help);
                return None;
            }
            (None, None) => {
                let help = Some("add secret = \"FILE\", as `tsig-keygen NAME > FILE` writes it");
                self.error(raw.name.span(), "a key without a secret", help);
                return None;
            }
        };
        Some(KeyConfig { name, algorithm, secret, span })
    }

    fn given(&mut self, text: &Spanned<String>) -> Option<SecretSource> {
        match updates::secret(text.get_ref()) {
            Ok(secret) => Some(SecretSource::Given(secret)),
            Err(_) => {
                let help = Some("16 octets or more, as `openssl rand -base64 32` writes them");
                self.error(text.span(), "this is no base64 of a secret", help);
                None
            }
        }
    }

    /// What a zone permits. `has_state`: there is a place for its journal.
    pub(super) fn update(
        &mut self,
        zone: &Name,
        raw: &Spanned<raw::Update>,
        keys: &HashSet<Name>,
        has_state: bool,
    ) -> Permission {
        let span = raw.span();
        let raw = raw.get_ref();
        if !has_state {
            let help = Some("add [state] with dir: the zone's journal is kept there");
            self.error(span.clone(), "updates are durable, and there is no [state] dir", help);
        }
        if raw.networks.as_ref().is_some_and(|networks| networks.get_ref().is_empty()) {
            self.error(span.clone(), "an empty list of networks lets nobody change the zone", None);
        }
        if raw.keys.get_ref().is_empty() {
            let help = Some("name a [[key]], or leave update out: then nobody changes the zone");
            self.error(raw.keys.span(), "nobody changes a zone without a key", help);
        }
        let lists = [raw.keys.get_ref(), &raw.names, &raw.types];
        if let Some(list) = lists.into_iter().find(|list| list.len() > MAX_ENTRIES) {
            let message = format!("{} entries; the limit is {MAX_ENTRIES}", list.len());
            self.error(list[0].span(), message, None);
        }
        Permission {
            keys: self.named_keys(raw.keys.get_ref(), keys),
            networks: raw.networks.as_ref().map(|raw| self.networks(raw)).unwrap_or_default(),
            names: raw.names.iter().filter_map(|text| self.inside(text, zone)).collect(),
            types: raw.types.iter().filter_map(|text| self.data_type(text)).collect(),
        }
    }

    fn named_keys(&mut self, raw: &[Spanned<String>], known: &HashSet<Name>) -> Vec<Name> {
        let mut named = Vec::with_capacity(raw.len());
        for text in raw {
            match self.name(text) {
                Some(name) if known.contains(&name) => named.push(name),
                Some(name) => {
                    let help = Some("add a [[key]] with this name");
                    self.error(text.span(), format!("there is no key {name}"), help);
                }
                None => {}
            }
        }
        named
    }

    fn inside(&mut self, text: &Spanned<String>, zone: &Name) -> Option<Name> {
        let name = self.name(text)?;
        if name.is_subdomain_of(zone) {
            return Some(name);
        }
        let help = format!("write it out: \"www.{zone}\"");
        self.error(text.span(), format!("{name} is not inside {zone}"), Some(&help));
        None
    }

    fn data_type(&mut self, text: &Spanned<String>) -> Option<Rtype> {
        match text.get_ref().parse::<Rtype>() {
            Ok(rtype) if !rtype.is_meta() => Some(rtype),
            _ => {
                let help = Some("such as \"TXT\", or \"TYPE65280\"");
                let message =
                    format!("{:?} is no type of record that is known here", text.get_ref());
                self.error(text.span(), message, help);
                None
            }
        }
    }
}
