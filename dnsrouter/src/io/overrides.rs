//! The one owner of this node's overrides: judges what people say, writes it down, has the keeper
//! publish it, and only then says yes.
//!
//! ```text
//!  control ──say──▶ Store: find, judge ──▶ disk (synced) ──▶ keeper: next snapshot ──▶ "yes"
//!                     ▲ tick: what is over is taken out
//! ```
//!
//! A caller that goes away in between changes nothing about that: each change is carried through.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki::Identity;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::overrides::last::{self, Emptied};
use crate::overrides::subject::{self, Subject};
use crate::overrides::{Invalid, Kind, Order, Override, Overrides};

use super::keeper::Shared;
use super::state::{Folder, StateError};

pub mod file;

/// How often is looked whether one is over. It stops to count at its second whatever this says.
const TICK: Duration = Duration::from_secs(1);
/// Services that are named in one message; the rest is counted.
const MAX_NAMED: usize = 3;

/// Overrides for the keeper to publish.
pub struct Said {
    /// All of them.
    pub overrides: Arc<Overrides>,
    /// Told when they are in force.
    pub done: oneshot::Sender<()>,
}

/// What somebody says.
#[derive(Debug, Clone)]
pub struct Sentence {
    /// As it was written.
    pub subject: String,
    /// What of it.
    pub order: Order,
    /// From its beginning to its end; none: until it is lifted.
    pub lasts: Option<Duration>,
    /// In their words.
    pub why: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    /// The override as it is now, or was.
    pub one: Override,
    /// Whose place it took.
    pub replaced: Option<Override>,
    /// What should be known.
    pub notes: Vec<String>,
}

/// Whether to do it, and how insistently.
#[derive(Debug, Clone, Copy, Default)]
pub struct Insistence {
    /// Also when it takes from a service the last that is usable.
    pub force_last: bool,
    /// Say what would be; change nothing.
    pub check_only: bool,
}

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nothing is called so.
    #[error(transparent)]
    Unknown(#[from] subject::Unknown),
    /// It makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It would take the last.
    #[error("nothing usable would be left of {}: it would fail open", listed(.0))]
    Last(Vec<Emptied>),
    /// There is nothing to lift.
    #[error("there is no {0} of {1} here")]
    NotSaid(&'static str, String),
    /// It could not be written down.
    #[error("it could not be kept, and is not in force: {0}")]
    Disk(#[from] StateError),
    /// The node is going down.
    #[error("this node is being stopped")]
    Stopping,
}

fn listed(emptied: &[Emptied]) -> String {
    let named: Vec<String> = emptied.iter().take(MAX_NAMED).map(Emptied::to_string).collect();
    match emptied.len().saturating_sub(MAX_NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more services", named.join(", ")),
    }
}

/// The overrides and where they are kept.
pub struct Store {
    overrides: Overrides,
    folder: Option<Folder>,
    keeper: mpsc::Sender<Said>,
    shared: Shared,
    alarm: Option<String>,
}

impl Store {
    /// Takes up what the last run left, and puts it in force: before anything is answered.
    pub fn open(folder: Option<Folder>, keeper: mpsc::Sender<Said>, shared: Shared) -> Self {
        let file::Kept { mut overrides, alarm } =
            folder.as_ref().map(file::read).unwrap_or_default();
        let now = SystemTime::now();
        for over in overrides.expire(now) {
            tracing::info!(what = %over, "an override ended while nobody was here");
        }
        for one in overrides.iter() {
            tracing::warn!(what = %one, "an override of the last run is in force");
        }
        if let Some(alarm) = &alarm {
            shared.raise_alarm(alarm.clone());
        }
        shared.begin_with(Arc::new(overrides.clone()), now);
        Self { overrides, folder, keeper, shared, alarm }
    }

    /// Takes in what `who` says.
    ///
    /// # Errors
    ///
    /// Why not; nothing changed.
    pub async fn say(
        &mut self,
        sentence: Sentence,
        who: &Identity,
        how: Insistence,
    ) -> Result<Done, Refused> {
        let now = whole_ms(SystemTime::now());
        let snapshot = Arc::clone(&self.shared.plan.load());
        let services = &snapshot.inputs.services;
        let subject = Subject::find(&sentence.subject, services)?;
        let begins = match sentence.order {
            Order::Drain { from, .. } => from.max(now),
            Order::Up | Order::Down => now,
        };
        let until = sentence.lasts.map(|lasts| begins.checked_add(lasts));
        let until = until.map(|until| until.ok_or(Invalid::FarAhead)).transpose()?;
        let Sentence { order, why, .. } = sentence;
        let who = who.to_string();
        let one = Override { subject, order, who, why, made: now, until };
        let mut next = self.overrides.clone();
        let replaced = next.set(one.clone(), now)?;
        let emptied = match one.order {
            Order::Up => Vec::new(),
            _ => last::emptied(services, &snapshot.health, &self.overrides, &one, now),
        };
        let mut notes = self.notes(&last::untouched(services, &one));
        match (emptied.is_empty(), how.force_last) {
            (true, _) => {}
            (false, false) => return Err(Refused::Last(emptied)),
            (false, true) => notes.push(format!(
                "nothing usable is left of {}: it fails open (what is drained is answered, or else \
                 everything as if it were up)",
                listed(&emptied)
            )),
        }
        if !how.check_only {
            self.publish(next).await?;
            tracing::warn!(what = %one, replaced = replaced.is_some(), "an override is in force");
        }
        Ok(Done { one, replaced, notes })
    }

    /// Ends a drain or a force.
    ///
    /// # Errors
    ///
    /// Why not; nothing changed.
    pub async fn lift(
        &mut self,
        subject: &str,
        kind: Kind,
        who: &Identity,
        how: Insistence,
    ) -> Result<Done, Refused> {
        // What was said may be about what has left the plan since.
        let named = self.overrides.iter().find(|one| one.subject.to_string() == subject);
        let found = match named {
            Some(one) => one.subject.clone(),
            None => Subject::find(subject, &self.shared.plan.load().inputs.services)?,
        };
        let mut next = self.overrides.clone();
        let Some(one) = next.lift(&found, kind) else {
            let what = match kind {
                Kind::Drain => "drain",
                Kind::Force => "force",
            };
            return Err(Refused::NotSaid(what, found.to_string()));
        };
        if !how.check_only {
            self.publish(next).await?;
            tracing::warn!(what = %one, lifted_by = %who, "an override was lifted");
        }
        Ok(Done { one, replaced: None, notes: self.notes(&[]) })
    }

    /// On disk first, then in force.
    async fn publish(&mut self, next: Overrides) -> Result<(), Refused> {
        if let Some(folder) = self.folder.clone() {
            let copy = next.clone();
            let written = tokio::task::spawn_blocking(move || file::write(&folder, &copy)).await;
            written.map_err(|_| Refused::Stopping)??;
            // What is there now is whole.
            if let Some(alarm) = self.alarm.take() {
                self.shared.clear_alarm(&alarm);
            }
        }
        self.overrides = next;
        let (done, published) = oneshot::channel();
        let overrides = Arc::new(self.overrides.clone());
        let said = self.keeper.send(Said { overrides, done }).await;
        said.map_err(|_| Refused::Stopping)?;
        published.await.map_err(|_| Refused::Stopping)
    }

    async fn expire(&mut self) {
        let mut next = self.overrides.clone();
        let over = next.expire(SystemTime::now());
        if over.is_empty() {
            return;
        }
        match self.publish(next).await {
            Ok(()) => {
                for one in over {
                    tracing::info!(what = %one, "an override has ended");
                }
            }
            // It does not count any more whatever the file says, and is tried again.
            Err(error) => tracing::error!(%error, "overrides that ended could not be taken out"),
        }
    }

    fn notes(&self, untouched: &[&dns::name::Name]) -> Vec<String> {
        let mut notes = Vec::new();
        if self.folder.is_none() {
            notes.push("this node has no [state] dir: a restart forgets it".to_owned());
        }
        if let Some(first) = untouched.first() {
            let more = match untouched.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            notes.push(format!(
                "no effect on {first}{more}: a route without \"healthy\" looks at no override"
            ));
        }
        notes
    }
}

/// Takes out what is over until told to stop.
pub async fn run(store: Arc<Mutex<Store>>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => store.lock().await.expire().await,
            () = stop.cancelled() => return,
        }
    }
}

/// What the disk can hold of a time.
fn whole_ms(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(time)
}
