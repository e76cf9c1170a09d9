//! Files with authorities that HTTPS checks trust.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use daemon::config::Problem;
use daemon::files;
use daemon::https::Trust;

use crate::config::Config;
use crate::target::Check;

use super::Loader;

/// A bundle of all public authorities is a quarter of this.
const MAX_SIZE: u64 = 1 << 20;

impl Loader {
    /// Reads each once, and hands it to the checks that name it.
    pub(super) fn authorities(&mut self, config: &mut Config, problems: &mut Vec<Problem>) {
        let mut read: HashMap<PathBuf, Arc<[u8]>> = HashMap::new();
        for (file, span) in &config.authorities {
            self.about_to_read(file);
            let pem = files::read(file, MAX_SIZE).map_err(|error| error.to_string());
            let checked = pem.and_then(|content| {
                Trust::in_pem(&content.octets).map_err(|error| error.to_string())?;
                Ok(Arc::from(content.octets))
            });
            match checked {
                Ok(pem) => {
                    read.insert(file.clone(), pem);
                }
                Err(why) => {
                    let message = format!("{}: {why}", file.display());
                    problems.push(config.source.error(span.clone(), message, None));
                }
            }
        }
        let services = config.services.iter_mut();
        for endpoint in services.flat_map(|(service, _)| &mut service.endpoints) {
            let Some(Check::Https(https)) = &mut endpoint.check else { continue };
            let Some(ca) = &mut https.ca else { continue };
            if let Some(pem) = read.get(&ca.file) {
                ca.pem = Arc::clone(pem);
            }
        }
    }
}
