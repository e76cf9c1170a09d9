//! One task per target, started, ended and started again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::target::{Target, Targets};
use crate::verdicts::TargetId;

/// A task that panicked pauses for so long: one that always does is a log line a second.
const RESTART: Duration = Duration::from_secs(1);

/// So many targets that come at once are checked without a pause, as many more [`STEP`] later, and so on:
/// 1,000 a second. A handshake takes both ends most of a millisecond, and ten thousand under way at a
/// time are all over time.
const TOGETHER: usize = 250;
const STEP: Duration = Duration::from_millis(250);

/// The tasks that check, one per target, made by `probe` from a target and a pause before it starts.
pub(super) struct Probes<F> {
    probe: F,
    tasks: JoinSet<()>,
    /// What was published last.
    known: Targets,
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
        Self { probe, tasks: JoinSet::new(), known: Targets::default(), running, targets }
    }

    /// Ends when nobody publishes targets, or takes reports, any more.
    pub(super) async fn follow(mut self, mut wanted: watch::Receiver<Targets>) {
        wanted.mark_changed();
        loop {
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = wanted.borrow_and_update().clone();
                    self.retarget(now);
                }
                Some(ended) = self.tasks.join_next_with_id() => match ended {
                    Ok((_, ())) => return,
                    Err(error) => self.restart(&error),
                },
            }
        }
    }

    /// What stays is not looked at.
    fn retarget(&mut self, wanted: Targets) {
        let before = std::mem::replace(&mut self.known, wanted);
        let changed: Vec<TargetId> = self.known.changed_since(&before).collect();
        for target in changed.iter().filter_map(|id| before.get(*id)) {
            // It may have another number.
            if self.known.find(target).is_none()
                && let Some(task) = self.running.remove(target)
            {
                self.targets.remove(&task.id());
                task.abort();
            }
        }
        let coming = changed.iter().filter_map(|id| self.known.get(*id)).map(Arc::clone);
        let coming = coming.filter(|target| !self.running.contains_key(target));
        for (place, target) in coming.collect::<Vec<_>>().into_iter().enumerate() {
            self.start(target, pause(place));
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

/// Before the first check of the target that comes at this place.
fn pause(place: usize) -> Duration {
    STEP * u32::try_from(place / TOGETHER).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Check, HostPort, Numbering, Watched};
    use tokio::sync::mpsc;

    /// Longer than it takes, shorter than anybody waits.
    const DEADLINE: Duration = Duration::from_secs(30);

    fn watched(host: &&str) -> Watched {
        let check = Check::GeoPing(HostPort { host: (*host).into(), port: 443 });
        Watched { first: Target { check, region: "r".into() }, second: None }
    }

    /// Those of one plan.
    fn targets(hosts: &[&str]) -> Targets {
        next(Targets::default(), hosts, &[])
    }

    /// Those of the next: these hosts come, and these go.
    fn next(before: Targets, come: &[&str], go: &[&str]) -> Targets {
        let gone = go.iter().filter_map(|host| before.find(&watched(host).first));
        let gone: Vec<TargetId> = gone.collect();
        let mut numbering = Numbering::new(before, come.iter().map(watched));
        come.iter().for_each(|host| _ = numbering.take(&watched(host)));
        numbering.finish(gone.into_iter())
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
        let (_publish, wanted) = watch::channel(targets(&["bad", "good"]));
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
    async fn many_targets_are_not_asked_all_at_once() {
        let (started, mut starts) = mpsc::unbounded_channel();
        let mut probes = Probes::new(move |_, pause: Duration| {
            started.send(pause).unwrap();
            std::future::pending()
        });
        let hosts: Vec<String> = (0..10_000).map(|n| format!("h{n}")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        probes.retarget(targets(&hosts));
        let mut pauses = Vec::new();
        while let Ok(pause) = starts.try_recv() {
            pauses.push(pause);
        }
        pauses.sort();
        assert_eq!(pauses.len(), hosts.len());
        let within = |second| pauses.iter().filter(|it| it.as_secs() == second).count();
        assert!((0..10).all(|second| within(second) == 1000), "1,000 in each second");
        probes.retarget(next(probes.known.clone(), &["one more"], &[]));
        assert_eq!(starts.try_recv(), Ok(Duration::ZERO), "who comes alone waits for nobody");
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
        let (publish, wanted) = watch::channel(targets(&["a"]));
        let following = tokio::spawn(probes.follow(wanted));
        for round in 0..3 {
            let start = tokio::time::timeout(DEADLINE, starts.recv()).await.unwrap();
            let (host, mut a) = start.unwrap();
            assert_eq!(host, "a", "in round {round}");
            publish.send_replace(Targets::default());
            assert_eq!(tokio::time::timeout(DEADLINE, a.recv()).await, Ok(None));
            publish.send_replace(targets(&["a"]));
        }
        drop(publish);
        tokio::time::timeout(DEADLINE, following).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn nobody_is_probed_twice_and_nobody_left_out_whatever_changes() {
        let mut probes = Probes::new(|_, _| std::future::pending());
        let mut plan = Targets::default();
        let hosts = ["a", "b", "c", "d", "e"];
        for round in 0..60_usize {
            let is_there = |host: &&str| plan.find(&watched(host).first).is_some();
            let pick = |at: &(usize, &&str)| (round * 7 + at.0 * 3) % 5 < 2;
            let (go, come): (Vec<&str>, Vec<&str>) =
                hosts.iter().enumerate().filter(pick).map(|(_, host)| *host).partition(is_there);
            plan = match round % 9 {
                // As a plan that is compiled whole: everything has another number.
                8 => targets(&hosts[round % 3..]),
                _ => next(plan, &come, &go),
            };
            probes.retarget(plan.clone());
            let mut running: Vec<&Arc<Target>> = probes.running.keys().collect();
            running.sort();
            let mut wanted: Vec<&Arc<Target>> = plan.iter().collect();
            wanted.sort();
            assert_eq!(running, wanted, "in round {round}");
            assert_eq!(probes.targets.len(), plan.len());
            // Those that were aborted end.
            while probes.tasks.len() > plan.len() {
                probes.tasks.join_next().await;
            }
        }
    }
}
