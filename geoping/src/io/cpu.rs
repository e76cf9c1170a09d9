//! Samples `/proc/stat`, where there is one. Other systems report no processor load.

use std::path::Path;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::load::{CpuTimes, Load};

/// How often the processors are sampled: also the time over which the share is an average.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// The figure that Linux keeps for the whole machine.
pub const PROC_STAT: &str = "/proc/stat";

/// Keeps the processor share of `load` up to date from `stat` until dropped. Ends, successfully,
/// where there is no such file.
///
/// # Errors
///
/// None; the type suits the supervisor.
pub async fn sample(load: Load, stat: &Path) -> std::io::Result<()> {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut earlier: Option<CpuTimes> = None;
    loop {
        ticks.tick().await;
        let text = match tokio::fs::read_to_string(stat).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            // Out of file descriptors, perhaps: the last share stands until the next try.
            Err(_) => continue,
        };
        let now = CpuTimes::parse(&text);
        if let (Some(earlier), Some(now)) = (earlier, now)
            && let Some(share) = now.share_since(earlier)
        {
            load.set_cpu(share);
        }
        earlier = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_share_follows_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let stat = folder.path().join("stat");
        tokio::fs::write(&stat, "cpu 100 0 0 100\n").await.unwrap();
        let load = Load::new();
        let sampler = tokio::spawn({
            let (load, stat) = (load.clone(), stat.clone());
            async move { sample(load, &stat).await }
        });
        // Virtual time: the sampler has taken its first sample when the half interval is over.
        tokio::time::sleep(INTERVAL / 2).await;
        tokio::fs::write(&stat, "cpu 175 0 0 125\n").await.unwrap();
        let deadline = tokio::time::Instant::now() + INTERVAL * 10;
        while load.cpu() == 0.0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(INTERVAL / 4).await;
        }
        assert!((load.cpu() - 0.75).abs() < 1e-9, "{}", load.cpu());
        tokio::fs::remove_file(&stat).await.unwrap();
        sampler.await.unwrap().unwrap();
    }
}
