//! The newest state, on disk a moment after it came to be.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::io::state::{Folder, State};

/// A disk that refused is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Between two writings: a large fleet is megabytes, and a crash costs a second of news at most.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what `collect` gives each time that it has `changed`, at most once a second, until told
/// to stop; then once more if there is anything newer.
pub async fn keep_on_disk(
    folder: Folder,
    collect: Arc<dyn Fn() -> State + Send + Sync>,
    mut changed: watch::Receiver<()>,
    stop: CancellationToken,
) {
    loop {
        changed.mark_unchanged();
        let saved = save(&folder, &collect).await;
        let pause = if saved { PAUSE } else { RETRY };
        let next = async {
            tokio::time::sleep(pause).await;
            if saved { changed.changed().await } else { Ok(()) }
        };
        tokio::select! {
            changed = next => if changed.is_err() { return },
            () = stop.cancelled() => {
                if !saved || changed.has_changed().unwrap_or(true) {
                    save(&folder, &collect).await;
                }
                return;
            }
        }
    }
}

async fn save(folder: &Folder, collect: &Arc<dyn Fn() -> State + Send + Sync>) -> bool {
    let (to, collect) = (folder.clone(), Arc::clone(collect));
    let written = tokio::task::spawn_blocking(move || to.write(&collect())).await;
    let failed = match written {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panicked) => Some(panicked.to_string()),
    };
    metrics::gauge!("dnsrouter_state_unsaved").set(f64::from(u8::from(failed.is_some())));
    if let Some(error) = &failed {
        tracing::error!(error, "the state was not kept; serving goes on, a restart would lose it");
    }
    failed.is_none()
}
