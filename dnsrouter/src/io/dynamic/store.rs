//! The owner of zones that updates change: it judges an update, keeps it, and makes the next plan.
//!
//! ```text
//!   updates of one zone ─▶ judge each on a copy ─▶ freeze the zone ──▶ journal ─▶ publish ─▶ results
//!                              │ REFUSED, NXRRSET, …    │ REFUSED          │ SERVFAIL
//!                              ▼                        ▼                  ▼
//!                          nothing is changed, nothing is written
//! ```
//!
//! What waits for the same zone is taken together: one freezing, one write to disk, one plan. If
//! what comes of all of them together cannot be frozen, they are taken one by one, so that one bad
//! update spoils no other.
//!
//! A reload and an update cannot pass each other: whoever publishes holds the lock of the store.
//! What a reload read meanwhile is brought up to date under that lock ([`Store::adopt`]), and
//! generations are given under it, so none is refused for being late.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::config::ConfigError;
use dns::name::{LowerName, Name};
use dns::rr::{Rcode, Rtype};
use dns::update::{Changes, Fault, Prerequisites, Skipped};
use dns::zone::{Edit, Edited, Record, ZoneData, ZoneError};
use rustix::fs::FlockOperation;
use tokio::sync::{mpsc, oneshot};

use super::catalogue::Asked;
use super::journal::{self, Journal, JournalError, Kept, Prepared};
use super::replay::Replays;
use crate::io::background;
use crate::io::keeper::{Apply, Shared};
use crate::io::load::{Loaded, outdated};
use crate::monitor::Settings;
use crate::mould::Mould;
use crate::plan::{Generation, Inputs, Refused};
use crate::updates::{Denied, Permission};

/// Records of one zone that updates may change: each update freezes all its names anew.
pub const MAX_RECORDS: usize = 200_000;
/// Journals that are open at a time, each with up to three files.
const MAX_OPEN: usize = 64;
/// A journal of fewer records is begun by the first update itself, within 15 ms.
const PREPARED_FROM: usize = 5_000;
/// Records that are written beforehand at start, which takes about half a second; the zones after that have
/// to wait for it at their first update.
const MOST_PREPARED: usize = 400_000;
/// Files that open journals take.
pub(crate) const JOURNALS: usize = 3 * MAX_OPEN;

/// See the module.
pub struct Store {
    state: Option<PathBuf>,
    /// Locked for as long as this process runs.
    folder: Option<Folder>,
    /// None: no zone can be changed.
    mould: Option<Mould>,
    held: HashMap<Name, Held>,
    /// A zone as it was, which takes a while to free.
    replaced: Option<Arc<ZoneData>>,
    /// What is served, but for what the next plan changes.
    inputs: Inputs,
    settings: Settings,
    replays: Replays,
    keeper: mpsc::Sender<Apply>,
    shared: Shared,
    /// Alarms that are up: files that changed and are not read.
    outdated: BTreeSet<String>,
}

struct Folder {
    path: PathBuf,
    _lock: File,
}

/// What is known of one zone besides its records, which are in the mould.
struct Held {
    /// Of its master file at the time of its first update, or now if there was none.
    origin: u64,
    /// Whether there is a journal: then it holds the zone.
    updated: bool,
    /// Opened by the first update of this run.
    journal: Option<Journal>,
    /// For the first update of all, with the zone that was written.
    prepared: Option<(Prepared, Arc<ZoneData>)>,
    /// The alarm that is up because the last update could not be kept.
    unkept: Option<String>,
}

/// Why a configuration is not adopted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotAdopted {
    /// It does not go with what updates made of the zones.
    #[error("{}", .0.report())]
    Config(ConfigError),
    /// The journals' folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The plan was not applied.
    #[error(transparent)]
    Plan(#[from] Refused),
    /// Nobody publishes any more.
    #[error("the plan's keeper is gone")]
    Gone,
}

/// The folder of the journals cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{folder}: {message}")]
pub struct FolderError {
    folder: String,
    message: String,
}

/// What came of one update.
pub(super) struct Outcome {
    /// For the client.
    pub(super) rcode: Rcode,
    /// For the log; none if it was carried out.
    pub(super) why: Option<String>,
    /// What was left out of what was carried out.
    pub(super) skipped: Option<Skipped>,
}

/// What came of several updates of one zone.
pub(super) struct Carried {
    /// One for each.
    pub(super) outcomes: Vec<Outcome>,
    /// The next plan, to be published before anybody is told.
    pub(super) inputs: Option<Inputs>,
}

impl Store {
    /// Takes over what was loaded; its plan is published already.
    ///
    /// # Errors
    ///
    /// Another process has the journals, or they have no place.
    pub fn new(
        loaded: &Loaded,
        keeper: mpsc::Sender<Apply>,
        shared: Shared,
    ) -> Result<Self, FolderError> {
        let mut store = Self {
            state: loaded.config.state_dir.clone(),
            folder: None,
            mould: None,
            held: HashMap::new(),
            replaced: None,
            inputs: loaded.inputs(Generation::default()),
            settings: loaded.config.probe.settings,
            replays: Replays::default(),
            keeper,
            shared,
            outdated: BTreeSet::new(),
        };
        store.open_folder(loaded)?;
        store.take(loaded);
        store.prepare();
        Ok(store)
    }

    /// Writes what the first update of a large zone would have to write, a whole zone, before anybody waits
    /// for it.
    fn prepare(&mut self) {
        let (Some(folder), Some(mould)) = (&self.folder, &self.mould) else { return };
        let mut left = MOST_PREPARED;
        for (name, held) in self.held.iter_mut().filter(|(_, held)| !held.updated).take(MAX_OPEN) {
            let Some(data) = mould.zone(name) else { continue };
            let length = data.records().len();
            if length < PREPARED_FROM || length > left {
                continue;
            }
            left -= length;
            let path = journal::path_of(&folder.path, name);
            match path.and_then(|path| Journal::prepare(&path, data)) {
                Ok(prepared) => held.prepared = Some((prepared, Arc::clone(data))),
                // If it is still so at the first update, that is told.
                Err(error) => tracing::warn!(zone = %name, %error, "no journal was prepared"),
            }
        }
    }

    /// Zones that updates have changed, as they are now: for a load that begins.
    pub fn kept(&self) -> HashMap<Name, Kept> {
        let updated = self.held.iter().filter(|(_, held)| held.updated);
        let kept = updated.filter_map(|(name, held)| {
            let data = Arc::clone(self.mould.as_ref()?.zone(name)?);
            Some((name.clone(), Kept { data, origin: held.origin }))
        });
        kept.collect()
    }

    /// Makes what was loaded the basis of the next plans, with what updates changed since it was
    /// read; to be published.
    ///
    /// # Errors
    ///
    /// Nothing was changed.
    pub fn adopt(&mut self, loaded: &mut Loaded) -> Result<(), NotAdopted> {
        self.open_folder(loaded)?;
        let Some(mould) = loaded.mould() else { return Ok(()) };
        let kept = self.kept().into_iter().map(|(name, kept)| (mould.zone(&name), kept.data));
        let newer: Vec<_> = kept
            .filter(|(read, data)| read.is_some_and(|read| !Arc::ptr_eq(read, data)))
            .map(|(_, data)| data)
            .collect();
        loaded.recast(newer).map_err(NotAdopted::Config)
    }

    /// Publishes what was adopted, and goes on from it.
    ///
    /// # Errors
    ///
    /// The plan was not applied; nothing was changed.
    pub async fn publish_loaded(&mut self, loaded: &Loaded) -> Result<(), NotAdopted> {
        let settings = loaded.config.probe.settings;
        self.publish(loaded.inputs(Generation::default()), settings).await?;
        self.take(loaded);
        Ok(())
    }

    /// Publishes the plan that updates made.
    ///
    /// # Errors
    ///
    /// The plan was not applied. The journal holds what it would have shown.
    pub(super) async fn publish_updated(&self, inputs: Inputs) -> Result<(), NotAdopted> {
        self.publish(inputs, self.settings).await
    }

    async fn publish(&self, inputs: Inputs, settings: Settings) -> Result<(), NotAdopted> {
        let Generation(applied) = self.shared.plan.load().inputs.generation;
        let inputs = Inputs { generation: Generation(applied.saturating_add(1)), ..inputs };
        let (done, result) = oneshot::channel();
        let apply = Apply { inputs, settings, done };
        self.keeper.send(apply).await.map_err(|_| NotAdopted::Gone)?;
        result.await.map_err(|_| NotAdopted::Gone)?.map_err(NotAdopted::Plan)
    }

    /// Goes on from what was loaded and published.
    fn take(&mut self, loaded: &Loaded) {
        let inputs = std::mem::replace(&mut self.inputs, loaded.inputs(Generation::default()));
        let mould = std::mem::replace(&mut self.mould, loaded.mould().cloned());
        background::free((inputs, mould));
        self.settings = loaded.config.probe.settings;
        let mut before = std::mem::take(&mut self.held);
        let mut now = BTreeSet::new();
        for about in loaded.dynamic() {
            let known = before.remove(&about.zone);
            // Updated while it was loaded: what it began with is what the store knew.
            let held = match known {
                Some(held) if held.updated => held,
                known => {
                    let prepared = known.and_then(|held| held.prepared);
                    let (origin, updated) = (about.origin, about.updated);
                    let prepared = prepared.filter(|_| !updated);
                    let prepared = prepared.and_then(|(prepared, written)| {
                        let data = self.mould.as_ref()?.zone(&about.zone)?;
                        is_same(&written, data).then(|| (prepared, Arc::clone(data)))
                    });
                    Held { origin, updated, journal: None, prepared, unkept: None }
                }
            };
            if held.updated && held.origin != about.file {
                now.insert(outdated(&about.zone));
            }
            self.held.insert(about.zone.clone(), held);
        }
        for alarm in before.into_values().filter_map(|held| held.unkept) {
            self.shared.clear_alarm(&alarm);
        }
        for alarm in self.outdated.difference(&now) {
            self.shared.clear_alarm(alarm);
        }
        for alarm in &now {
            self.shared.raise_alarm(alarm.clone());
        }
        self.outdated = now;
    }

    fn open_folder(&mut self, loaded: &Loaded) -> Result<(), FolderError> {
        let needed = !loaded.dynamic().is_empty() && self.folder.is_none();
        if let Some(state) = self.state.as_ref().filter(|_| needed) {
            self.folder = Some(Folder::open(&folder_of(state))?);
        }
        Ok(())
    }

    /// Carries out updates of one zone in their order; `now` is in seconds since 1970. What is
    /// changed is on disk when this returns, and not served yet.
    pub(super) fn carry_out(&mut self, zone: &Name, asked: &[Asked], now: u64) -> Carried {
        if let Some(carried) = self.together(zone, asked, now) {
            return carried;
        }
        let mut all = Carried { outcomes: Vec::with_capacity(asked.len()), inputs: None };
        for one in asked.chunks(1) {
            let Some(carried) = self.together(zone, one, now) else { continue };
            all.outcomes.extend(carried.outcomes);
            // The last plan shows what all of them made.
            all.inputs = carried.inputs.or(all.inputs);
        }
        all
    }

    /// Carries several updates out as one; none if they cannot be, and there is more than one.
    fn together(&mut self, zone: &Name, asked: &[Asked], now: u64) -> Option<Carried> {
        let Some(trial) = self.trial(zone, asked) else {
            let rcode = self.not_dynamic(zone);
            let outcomes =
                asked.iter().map(|_| Outcome::refused(rcode, "no zone that can be changed"));
            return Some(Carried { outcomes: outcomes.collect(), inputs: None });
        };
        let Trial { mut outcomes, edits, data, first } = trial;
        let mut inputs = None;
        if let Some(data) = data {
            match self.make(zone, data, &edits) {
                Ok(made) => inputs = Some(made),
                Err(NotMade::Frozen(_)) if asked.len() > 1 => return None,
                // What was found after the first change was found in a zone that is none.
                Err(not_made) => {
                    let (rcode, why) = not_made.told();
                    for outcome in &mut outcomes[first..] {
                        *outcome = Outcome::refused(rcode, &why);
                    }
                }
            }
        }
        for (asked, outcome) in asked.iter().zip(&outcomes) {
            self.replays.remember(&asked.mac, outcome.rcode, now);
        }
        Some(Carried { outcomes, inputs })
    }

    /// Judges each on a copy of the zone that has what those before it changed.
    fn trial(&self, zone: &Name, asked: &[Asked]) -> Option<Trial> {
        let mould = self.mould.as_ref().filter(|_| self.held.contains_key(zone))?;
        let permission = self.inputs.updates.permission(zone)?;
        let mut data = Cow::Borrowed(&**mould.zone(zone)?);
        let (mut outcomes, mut edits) = (Vec::<Outcome>::with_capacity(asked.len()), Vec::new());
        let mut first = asked.len();
        for (i, one) in asked.iter().enumerate() {
            let twin = asked[..i].iter().position(|other| other.mac == one.mac);
            let known = self.replays.result(&one.mac).or(twin.map(|twin| outcomes[twin].rcode));
            if let Some(rcode) = known {
                outcomes.push(Outcome::refused(rcode, "it came before, and has its result again"));
                continue;
            }
            match judge(mould, permission, &data, one) {
                Ok(Edited { edit, skipped }) => {
                    if let Some(edit) = edit {
                        first = first.min(i);
                        data.to_mut().apply(&edit);
                        edits.push(edit);
                    }
                    outcomes.push(Outcome::done(skipped));
                }
                Err(refusal) => {
                    outcomes.push(Outcome::refused(refusal.rcode(), &refusal.to_string()));
                }
            }
        }
        let data = match data {
            Cow::Borrowed(_) => None,
            Cow::Owned(changed) => Some(changed),
        };
        Some(Trial { outcomes, data, edits, first })
    }

    /// What an update of a zone is told that is not ours, or not to be changed.
    fn not_dynamic(&self, zone: &Name) -> Rcode {
        match self.inputs.zones.zone_at(&LowerName::from(zone)) {
            Some(_) => Rcode::REFUSED,
            None => Rcode::NOTAUTH,
        }
    }

    /// The next plan, once the changes are on disk.
    fn make(&mut self, zone: &Name, data: ZoneData, edits: &[Edit]) -> Result<Inputs, NotMade> {
        let Some(mould) = &self.mould else { return Err(NotMade::Gone) };
        let next = mould.next(Arc::new(data)).map_err(NotMade::Frozen)?;
        let kept = self.keep(zone, edits);
        self.tell(zone, kept.as_ref().err());
        kept?;
        let Some(mould) = &mut self.mould else { return Err(NotMade::Gone) };
        self.replaced = mould.take(next);
        self.inputs.zones = Arc::clone(mould.frozen());
        self.inputs.fingerprint = mould.fingerprint();
        Ok(self.inputs.clone())
    }

    /// Writes the changes to the zone's journal, which it begins if there is none.
    fn keep(&mut self, zone: &Name, edits: &[Edit]) -> Result<(), NotMade> {
        let (Some(folder), Some(held)) = (&self.folder, self.held.get_mut(zone)) else {
            return Err(NotMade::Gone);
        };
        let path = journal::path_of(&folder.path, zone)?;
        if !held.updated {
            let data = self.mould.as_ref().and_then(|mould| mould.zone(zone));
            let data = data.ok_or(NotMade::Gone)?;
            let prepared = held.prepared.take().filter(|(_, written)| Arc::ptr_eq(written, data));
            // Where something is wrong with what was prepared, all is written anew.
            let begun = prepared.and_then(|(prepared, _)| prepared.begin(held.origin, edits).ok());
            held.journal = Some(match begun {
                Some(journal) => journal,
                None => Journal::begin(&path, data, held.origin, edits)?,
            });
            held.updated = true;
        } else {
            let journal = match &mut held.journal {
                Some(journal) => journal,
                none => none.insert(Journal::open(&path)?),
            };
            if let Err(error) = journal.append(edits) {
                // Opened anew the next time: what is wrong may be with the open file.
                held.journal = None;
                return Err(error.into());
            }
        }
        self.close_some(zone);
        Ok(())
    }

    /// Keeps the number of open files bounded.
    fn close_some(&mut self, but: &Name) {
        let open = self.held.iter().filter(|(_, held)| held.journal.is_some()).count();
        let others =
            self.held.iter_mut().filter(|(name, held)| held.journal.is_some() && *name != but);
        for (_, held) in others.take(open.saturating_sub(MAX_OPEN)) {
            held.journal = None;
        }
    }

    /// Raises an alarm for a zone whose updates cannot be kept, and ends it when they can.
    fn tell(&mut self, zone: &Name, error: Option<&NotMade>) {
        let Some(held) = self.held.get_mut(zone) else { return };
        let alarm = error.map(|error| format!("zone {zone}: updates cannot be kept: {error}"));
        if held.unkept == alarm {
            return;
        }
        if let Some(before) = held.unkept.take() {
            self.shared.clear_alarm(&before);
        }
        if let Some(alarm) = &alarm {
            tracing::error!(alarm, "the zone stays as it is");
            self.shared.raise_alarm(alarm.clone());
        }
        held.unkept = alarm;
    }

    /// The serial of a zone that updates may change.
    pub(super) fn serial(&self, zone: &Name) -> Option<u32> {
        self.mould.as_ref()?.zone(zone).map(|zone| zone.serial())
    }

    /// What can wait until nobody does: the zone as it was is freed, and the journal shortened if it
    /// has grown long, and measured.
    pub(super) fn tidy(&mut self, zone: &Name) {
        self.replaced = None;
        let data = self.mould.as_ref().and_then(|mould| mould.zone(zone));
        let journal = self.held.get_mut(zone).and_then(|held| held.journal.as_mut());
        let (Some(data), Some(journal)) = (data, journal) else { return };
        match journal.shorten(data) {
            Ok(false) => {}
            Ok(true) => tracing::info!(%zone, "the journal was written anew, without what is over"),
            // Nothing is lost: the journal is longer than it need be.
            Err(error) => tracing::warn!(%zone, %error, "the journal could not be shortened"),
        }
        let size = journal.size() as f64;
        metrics::gauge!("dnsrouter_journal_bytes", "zone" => zone.to_string()).set(size);
    }
}

/// What would come of updates.
struct Trial {
    outcomes: Vec<Outcome>,
    /// The zone with what was changed; none if nothing was.
    data: Option<ZoneData>,
    edits: Vec<Edit>,
    /// From here on an outcome depends on changes.
    first: usize,
}

/// Why one update changes nothing.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("{0} belongs to the zone {1}")]
    Elsewhere(Name, Name),
    #[error("the zone would have {0} records; {MAX_RECORDS} are the limit")]
    TooLarge(usize),
}

impl Refusal {
    fn rcode(&self) -> Rcode {
        match self {
            Refusal::Denied(_) | Refusal::TooLarge(_) => Rcode::REFUSED,
            Refusal::Fault(fault) => fault.rcode(),
            Refusal::Elsewhere(..) => Rcode::NOTZONE,
        }
    }
}

/// What an update comes to, in the order of RFC 2136 §3.
fn judge(
    mould: &Mould,
    permission: &Permission,
    zone: &ZoneData,
    asked: &Asked,
) -> Result<Edited, Refusal> {
    let apex = zone.apex();
    permission.admits(&asked.key, asked.peer)?;
    let prerequisites = Prerequisites::read(apex, asked.message.prerequisites.clone())?;
    prerequisites.hold(zone, &|name| mould.service(name))?;
    let changes = Changes::read(apex, asked.message.changes.clone())?;
    for (name, rtype) in changes.touched() {
        if let Some(other) = mould.below(apex, name) {
            // The zone above has a delegation, and nothing else (RFC 1034 §4.2.1).
            let delegates = matches!(rtype, Some(Rtype::NS | Rtype::DS)) && *name == other;
            if !delegates {
                return Err(Refusal::Elsewhere(name.clone(), other));
            }
        }
        match rtype {
            Some(rtype) => permission.touches(name, rtype)?,
            None => {
                permission.touches_all(name, zone.at(name).iter().map(|record| record.rtype))?;
            }
        }
    }
    let edited = zone.edit(&changes)?;
    if let Some(edit) = &edited.edit {
        let length = zone.records().len() + edit.added().len() - edit.removed().len();
        if length > MAX_RECORDS {
            return Err(Refusal::TooLarge(length));
        }
    }
    Ok(edited)
}

/// Why changes that are allowed are not made.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    /// With the services and the other zones.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Frozen(Vec<ZoneError>),
    /// On disk.
    #[error(transparent)]
    Kept(#[from] JournalError),
    /// The zone went away.
    #[error("the zone has no journal any more")]
    Gone,
}

impl NotMade {
    fn told(&self) -> (Rcode, String) {
        let rcode = match self {
            NotMade::Frozen(_) => Rcode::REFUSED,
            NotMade::Kept(_) | NotMade::Gone => Rcode::SERVFAIL,
        };
        (rcode, self.to_string())
    }
}

impl Outcome {
    fn done(skipped: Option<Skipped>) -> Self {
        Self { rcode: Rcode::NOERROR, why: None, skipped }
    }

    fn refused(rcode: Rcode, why: &str) -> Self {
        Self { rcode, why: Some(why.to_owned()), skipped: None }
    }
}

impl Folder {
    /// Makes the folder when it is not there, for this user only, and keeps others out.
    fn open(path: &Path) -> Result<Self, FolderError> {
        let error = |message: String| FolderError { folder: path.display().to_string(), message };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|failed| error(failed.to_string()))?;
        let lock = File::open(path).map_err(|failed| error(failed.to_string()))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(error(
                "another process uses these journals: a [state] dir is one node's".into(),
            )),
            Err(failed) => Err(error(failed.to_string())),
        }
    }
}

/// Whether two zones have the same records, in the same order.
fn is_same(one: &ZoneData, other: &ZoneData) -> bool {
    let same = |(a, b): (&Record, &Record)| {
        (a.owner.as_name().wire(), a.rtype, a.ttl, &a.rdata)
            == (b.owner.as_name().wire(), b.rtype, b.ttl, &b.rdata)
    };
    let (records, others) = (one.records(), other.records());
    records.len() == others.len() && records.iter().zip(others).all(same)
}

/// Where journals are.
pub(super) fn folder_of(state: &Path) -> PathBuf {
    state.join("zones")
}
