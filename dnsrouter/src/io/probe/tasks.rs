//! One task per target, started, ended and started again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::target::Target;

/// A task that panicked pauses for so long: one that always does is a log line a second.
const RESTART: Duration = Duration::from_secs(1);

/// The tasks that check, one per target, made by `probe` from a target and a pause before it starts.
pub(super) struct Probes<F> {
    probe: F,
    tasks: JoinSet<()>,
    running: HashMap<Arc<Target>, AbortHandle>,
    targets: HashMap<Id, Arc<Target>>,
}

impl<F, P> Probes<F>
where
    F: Fn(Arc<Target>, Duration) -> P,
    P: Future<Output = ()> + Send + 'static,
{
    pub(super) fn new(probe: F) -> Self {
        let (running, targets) = (HashMap::new(), HashMap::new());
        Self { probe, tasks: JoinSet::new(), running, targets }
    }

    /// Ends when nobody publishes targets, or takes reports, any more.
    pub(super) async fn follow(mut self, mut wanted: watch::Receiver<Arc<[Arc<Target>]>>) {
        wanted.mark_changed();
        loop {
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = Arc::clone(&wanted.borrow_and_update());
                    self.retarget(&now);
                }
                Some(ended) = self.tasks.join_next_with_id() => match ended {
                    Ok((_, ())) => return,
                    Err(error) => self.restart(&error),
                },
            }
        }
    }

    fn retarget(&mut self, wanted: &[Arc<Target>]) {
        let wanted: HashSet<&Arc<Target>> = wanted.iter().collect();
        self.running.retain(|target, task| {
            let stays = wanted.contains(target);
            if !stays {
                self.targets.remove(&task.id());
                task.abort();
            }
            stays
        });
        for target in wanted {
            if !self.running.contains_key(target) {
                self.start(Arc::clone(target), Duration::ZERO);
            }
        }
    }

    fn start(&mut self, target: Arc<Target>, pause: Duration) {
        let task = self.tasks.spawn((self.probe)(Arc::clone(&target), pause));
        self.targets.insert(task.id(), Arc::clone(&target));
        self.running.insert(target, task);
    }

    /// Of a task whose target was not taken away, this is a panic.
    fn restart(&mut self, error: &JoinError) {
        let Some(target) = self.targets.remove(&error.id()) else { return };
        metrics::counter!("dnsrouter_probe_panics_total").increment(1);
        tracing::error!(
            target = %target.check, region = target.region, %error, pause = ?RESTART,
            "checking a target failed by a defect of ours, restarting"
        );
        self.start(target, RESTART);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Check, HostPort};
    use tokio::sync::mpsc;

    /// Longer than it takes, shorter than anybody waits.
    const DEADLINE: Duration = Duration::from_secs(30);

    fn target(host: &str) -> Arc<Target> {
        let check = Check::GeoPing(HostPort { host: host.into(), port: 443 });
        Arc::new(Target { check, region: "r".into() })
    }

    #[tokio::test]
    async fn a_probe_that_panics_is_started_again_and_only_it() {
        let (started, mut starts) = mpsc::unbounded_channel();
        let probes = Probes::new(move |target: Arc<Target>, pause| {
            let started = started.clone();
            async move {
                started.send((target.check.at().host.clone(), pause)).unwrap();
                assert!(target.check.at().host != "bad" || !pause.is_zero(), "a defect");
                std::future::pending::<()>().await;
            }
        });
        let (_publish, wanted) = watch::channel(Arc::from([target("bad"), target("good")]));
        let following = tokio::spawn(probes.follow(wanted));
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(tokio::time::timeout(DEADLINE, starts.recv()).await.unwrap().unwrap());
        }
        seen.sort();
        let at_once = |host: &str| (host.to_owned(), Duration::ZERO);
        assert_eq!(seen, [at_once("bad"), ("bad".to_owned(), RESTART), at_once("good")]);
        assert!(!following.is_finished());
    }

    #[tokio::test]
    async fn a_target_that_goes_is_pinged_no_more_and_may_come_back() {
        // A probe that ends drops its part of the channel.
        let (started, mut starts) = mpsc::unbounded_channel();
        let probes = Probes::new(move |target: Arc<Target>, _| {
            let (alive, dropped) = mpsc::channel::<()>(1);
            started.send((target.check.at().host.clone(), dropped)).unwrap();
            async move {
                std::future::pending::<()>().await;
                drop(alive);
            }
        });
        let (publish, wanted) = watch::channel(Arc::from([target("a")]));
        let following = tokio::spawn(probes.follow(wanted));
        for round in 0..3 {
            let start = tokio::time::timeout(DEADLINE, starts.recv()).await.unwrap();
            let (host, mut a) = start.unwrap();
            assert_eq!(host, "a", "in round {round}");
            publish.send_replace(Arc::from([]));
            assert_eq!(tokio::time::timeout(DEADLINE, a.recv()).await, Ok(None));
            publish.send_replace(Arc::from([target("a")]));
        }
        drop(publish);
        tokio::time::timeout(DEADLINE, following).await.unwrap().unwrap();
    }
}
