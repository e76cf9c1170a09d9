//! Signals reach whole processes, so these tests have one of their own.

use std::time::Duration;

use daemon::reload::{Trigger, Watch};
use rustix::process::{Signal, getpid, kill_process};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn sighup_reads_everything_again_and_sigterm_stops() {
    let folder = tempfile::tempdir().unwrap();
    let stop = daemon::shutdown::on_signals().unwrap();
    let mut watch = Watch::new([folder.path().join("a")]).unwrap();

    kill_process(getpid(), Signal::HUP).unwrap();
    let trigger = tokio::time::timeout(SOON, watch.changed()).await.unwrap();
    assert_eq!(trigger, Trigger::Signal);
    assert!(!stop.is_cancelled());

    kill_process(getpid(), Signal::TERM).unwrap();
    tokio::time::timeout(SOON, stop.cancelled()).await.unwrap();
}
