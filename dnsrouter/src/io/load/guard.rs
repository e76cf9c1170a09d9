//! What the guard needs from files and from the system's randomness, and what of it outlives a
//! reload.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

use daemon::config::Problem;
use daemon::files;
use dns::edns::cookie::{Secret, SecretError, Secrets};
use dns::name::NameRef;
use dns::zone::Zones;
use ipnet::IpNet;

use super::Loader;
use crate::config::Config;
use crate::config::guard::Cookies;
use crate::guard::{Access, Guard, Limiter, limit};

/// The largest file of a secret: 32 digits and a generous end of line.
const MAX_SECRET_FILE: u64 = 64;

/// What outlives a reload.
#[derive(Default)]
pub(super) struct Kept {
    /// Of rolling secrets: with another one all clients' cookies would be wrong at once.
    master: Option<Secret>,
    /// Those of guards that somebody has, published or about to be: with an empty table everybody
    /// would begin with a full bucket. A rejected load leaves nothing.
    limiters: Vec<Weak<Limiter>>,
}

impl Loader {
    /// `zones` is what the configuration's zones became.
    /// What is allowed but should be known joins the configuration's warnings.
    pub(super) fn guard(
        &mut self,
        config: &mut Config,
        zones: &Zones,
        problems: &mut Vec<Problem>,
    ) -> Option<Guard> {
        let known = problems.len();
        let mut warnings = Vec::new();
        let cookies = match &config.guard.cookies {
            Cookies::Off => None,
            Cookies::Rolling => self.master(config, problems).map(Secrets::rolling),
            Cookies::Shared(files) => {
                let mut secrets = Vec::with_capacity(files.len());
                for (file, span) in files {
                    self.about_to_read(file);
                    match read_secret(file, &mut warnings) {
                        Ok(secret) => secrets.push(secret),
                        // Its text is not shown: errors go to the log.
                        Err(why) => {
                            let message = format!("{}: {why}", file.display());
                            let help = Some("128 random bits as 32 hexadecimal digits");
                            problems.push(config.source.error(span.clone(), message, help));
                        }
                    }
                }
                let active = secrets.first().copied();
                active.map(|active| Secrets::configured(active, secrets.into_iter().skip(1)))
            }
        };
        let limit = config.guard.limit.as_ref();
        let limit = limit.and_then(|settings| self.limiter(config, settings, problems));
        config.warnings.append(&mut warnings);
        (problems.len() == known).then(|| Guard {
            identity: config.guard.identity.clone(),
            access: access(config, zones),
            cookies,
            limit,
        })
    }

    fn master(&mut self, config: &Config, problems: &mut Vec<Problem>) -> Option<Secret> {
        if self.kept.master.is_none() {
            self.kept.master = random(config, problems).map(Secret::new);
        }
        self.kept.master
    }

    /// The one that is in use, if it was made with the same settings.
    fn limiter(
        &mut self,
        config: &Config,
        settings: &limit::Settings,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<Limiter>> {
        let limiters = &mut self.kept.limiters;
        limiters.retain(|limiter| limiter.strong_count() > 0);
        let mut in_use = limiters.iter().filter_map(Weak::upgrade);
        if let Some(same) = in_use.find(|limiter| limiter.settings() == settings) {
            return Some(same);
        }
        let key = u128::from_ne_bytes(random(config, problems)?);
        let limiter = Limiter::new(settings.clone(), [(key >> 64) as u64, key as u64]);
        let limiter = Arc::new(limiter);
        limiters.push(Arc::downgrade(&limiter));
        Some(limiter)
    }
}

/// Lists by number of the zone: zones are numbered by name, not as they are configured.
fn access(config: &Config, zones: &Zones) -> Access {
    let lists: HashMap<&[u8], &[IpNet]> = config
        .zones
        .iter()
        .filter_map(|zone| Some((zone.name.lower(), zone.allow.as_deref()?)))
        .collect();
    let list = |apex: NameRef<'_>| lists.get(apex.to_name().lower()).copied();
    Access::new(&config.guard.access, zones.zones().map(|zone| list(zone.apex())))
}

/// What nobody can guess: else strangers could make our cookies, and choose whom the limiter
/// mistakes for whom.
fn random(config: &Config, problems: &mut Vec<Problem>) -> Option<[u8; 16]> {
    let mut octets = [0; 16];
    match getrandom::fill(&mut octets) {
        Ok(()) => Some(octets),
        Err(error) => {
            let message = format!("the system gives no random numbers: {error}");
            problems.push(config.source.error(0..0, message, None));
            None
        }
    }
}

fn read_secret(file: &Path, warnings: &mut Vec<String>) -> Result<Secret, String> {
    let content = files::read(file, MAX_SECRET_FILE).map_err(|error| error.to_string())?;
    // It works, so it is no error; but it is no secret either.
    if content.mode & 0o007 != 0 {
        warnings.push(format!(
            "{}: everybody on this machine can read or write this secret; chmod 600",
            file.display()
        ));
    }
    let text = str::from_utf8(&content.octets).map_err(|_| "it is not text")?;
    text.trim_end().parse().map_err(|error: SecretError| error.to_string())
}
