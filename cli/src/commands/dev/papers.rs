//! The certificates of a development system: its own authority, one for each node, one for you.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use pki::folder::Target;
use pki::{Extra, Folder, Identity};

use super::layout::Layout;
use crate::rpc::Credentials;

/// The user that the context `dev` is.
const USER: &str = "dev";

/// Opens or makes the authority, and issues a fresh certificate to every node and to the user.
/// Returns the user's.
///
/// # Errors
/// When the directory holds the authority of another trust domain, or cannot be written.
pub(crate) fn issue(layout: &Layout) -> anyhow::Result<Credentials> {
    let now = SystemTime::now();
    let dir = layout.pki();
    let folder = match dir.join("ca.key").exists() {
        true => Folder::open(&dir)?,
        false => Folder::create(&dir, &layout.trust_domain, now)?,
    };
    if *folder.trust_domain() != layout.trust_domain {
        bail!(
            "{} is the authority of {}, not of {}: choose another --dir",
            dir.display(),
            folder.trust_domain(),
            layout.trust_domain
        );
    }
    // A list from an earlier run may have become stale.
    folder.refresh_crl(now)?;
    for node in layout.nodes() {
        let who = Identity::node(&layout.trust_domain, &node.region, node.program, &node.name)?;
        fresh(&folder, &who, &Target { cert: node.certificate(), key: node.key() }, now)?;
    }
    let target = Target::named(&layout.dir, USER);
    fresh(&folder, &Identity::user(&layout.trust_domain, USER)?, &target, now)?;
    Ok(Credentials::new(&target.cert, &target.key, &folder.ca_cert()))
}

fn fresh(folder: &Folder, who: &Identity, target: &Target, now: SystemTime) -> anyhow::Result<()> {
    for file in [&target.cert, &target.key] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("{}: cannot replace", file.display()));
            }
            _ => {}
        }
    }
    folder.issue(who, &Extra::default(), None, target, now)?;
    Ok(())
}

/// The command by which a node renews its certificate.
pub(crate) fn renewal(geoip: &Path, pki: &Path, certificate: &Path) -> Vec<String> {
    let words = [geoip.display(), pki.display(), certificate.display()].map(|w| w.to_string());
    let [geoip, pki, certificate] = words;
    let fixed = |word: &str| word.to_owned();
    vec![geoip, fixed("pki"), fixed("renew"), fixed("--dir"), pki, certificate]
}
