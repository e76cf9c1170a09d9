//! All processes of the system: started together, each death noticed, ended together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use pki::Program;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::child::{Child, End, Exited, tail};
use super::control::{MemberState, MemberStatus};
use super::layout::{Layout, Node};

/// From start to serving. Generous: debug builds read databases slowly.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often a ready file is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// From SIGTERM to SIGKILL.
const END_WITHIN: Duration = Duration::from_secs(8);

/// From SIGKILL to giving up: only a process stuck in the kernel takes longer.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// A process that ended by itself, or never served, with the end of its log.
#[derive(Debug, thiserror::Error)]
#[error("{node} {what}; its log is {}", log.display())]
pub(crate) struct Death {
    node: String,
    what: String,
    log: PathBuf,
    /// The last lines, ready to print below.
    pub(crate) tail: String,
}

impl Death {
    fn of(node: &Node, what: String) -> Self {
        Self { node: node.name.clone(), what, log: node.log.clone(), tail: tail(&node.log) }
    }
}

/// The directory of the programs.
#[derive(Debug, Clone)]
pub(crate) struct BinDir(pub(crate) PathBuf);

impl BinDir {
    pub(crate) fn program(&self, program: Program) -> PathBuf {
        self.0.join(program.as_str())
    }
}

/// The processes and what became of them.
pub(crate) struct Fleet {
    bin: BinDir,
    members: BTreeMap<String, Member>,
    exits: mpsc::UnboundedReceiver<Exited>,
    tell_exit: mpsc::UnboundedSender<Exited>,
}

struct Member {
    node: Node,
    life: Life,
}

enum Life {
    NotStarted,
    Running(Child),
    /// By `geoip dev kill`.
    Killed,
    /// By itself.
    Died(String),
}

impl Fleet {
    pub(crate) fn new(layout: &Layout, bin: BinDir) -> Self {
        let (tell_exit, exits) = mpsc::unbounded_channel();
        let members = layout
            .nodes()
            .map(|node| (node.name.clone(), Member { node: node.clone(), life: Life::NotStarted }));
        Self { bin, members: members.collect(), exits, tell_exit }
    }

    /// Starts all and waits until all are ready.
    ///
    /// # Errors
    /// The first that does not get ready, with the end of its log. What was started goes on
    /// until [`Fleet::stop`].
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        let names: Vec<String> = self.members.keys().cloned().collect();
        for name in &names {
            self.spawn(name)?;
        }
        self.ready(&names).await
    }

    fn spawn(&mut self, name: &str) -> anyhow::Result<()> {
        let member = self.members.get_mut(name).context("no such node")?;
        let program = self.bin.program(member.node.program);
        let child = Child::start(&program, &member.node, self.tell_exit.clone())?;
        member.life = Life::Running(child);
        Ok(())
    }

    /// Waits for the ready files, and ends at once when one of these dies instead.
    async fn ready(&mut self, names: &[String]) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let mut waiting = None;
            for member in names.iter().filter_map(|name| self.members.get(name)) {
                if let Life::Died(how) = &member.life {
                    return Err(Death::of(&member.node, format!("did not start: {how}")).into());
                }
                if !says_ready(&member.node) {
                    waiting = Some(&member.node);
                }
            }
            let Some(node) = waiting else { return Ok(()) };
            let now = Instant::now();
            if now >= deadline {
                let what = format!("is not ready after {READY_WITHIN:?}");
                return Err(Death::of(node, what).into());
            }
            tokio::select! {
                Some(exited) = self.exits.recv() => { self.note(exited); }
                () = sleep_until(now + LOOK_EVERY) => {}
            }
        }
    }

    /// Waits for the next process to end by itself.
    pub(crate) async fn death(&mut self) -> Death {
        loop {
            match self.exits.recv().await {
                Some(exited) => {
                    if let Some(death) = self.note(exited) {
                        return death;
                    }
                }
                // The fleet holds a sender itself, so the channel never closes.
                None => std::future::pending().await,
            }
        }
    }

    /// Books an exit. `Some`: it was not asked for.
    fn note(&mut self, exited: Exited) -> Option<Death> {
        let member = self.members.get_mut(&exited.node)?;
        // The file speaks of a process that is gone; one that is missing already is as good.
        let _ = std::fs::remove_file(&member.node.ready);
        match &member.life {
            Life::Running(child) if child.pid == exited.pid => {}
            _ => return None,
        }
        let how = match exited.status {
            Ok(status) => status.to_string(),
            Err(error) => format!("it could not be watched: {error}"),
        };
        let death = Death::of(&member.node, format!("(pid {}) died: {how}", exited.pid));
        member.life = Life::Died(how);
        Some(death)
    }

    /// Kills the GeoPing of a region as a power cut would, and returns when it is gone.
    ///
    /// # Errors
    /// When there is no such region, or it does not run.
    pub(crate) async fn kill(&mut self, region: &str) -> anyhow::Result<String> {
        let name = self.geoping_of(region)?;
        let member = self.members.get_mut(&name).context("no such node")?;
        let Life::Running(child) = std::mem::replace(&mut member.life, Life::Killed) else {
            bail!("{name} does not run: `geoip dev revive {region}` starts it");
        };
        child.end(End::AtOnce);
        let deadline = Instant::now() + KILL_WITHIN;
        loop {
            match timeout_at(deadline, self.exits.recv()).await {
                Ok(Some(exited)) => {
                    let ours = exited.pid == child.pid;
                    self.note(exited);
                    if ours {
                        return Ok(format!("killed {name} (pid {})", child.pid));
                    }
                }
                _ => bail!("{name} (pid {}) does not die of SIGKILL", child.pid),
            }
        }
    }

    /// Starts the GeoPing of a region again, and returns when it serves.
    ///
    /// # Errors
    /// When there is no such region, it runs already, or does not get ready.
    pub(crate) async fn revive(&mut self, region: &str) -> anyhow::Result<String> {
        let name = self.geoping_of(region)?;
        if let Life::Running(child) = &self.members[&name].life {
            bail!("{name} runs already (pid {})", child.pid);
        }
        self.spawn(&name)?;
        self.ready(std::slice::from_ref(&name)).await?;
        match &self.members[&name].life {
            Life::Running(child) => Ok(format!("revived {name} (pid {})", child.pid)),
            _ => bail!("{name} died right after it was ready"),
        }
    }

    fn geoping_of(&self, region: &str) -> anyhow::Result<String> {
        let geopings =
            || self.members.values().map(|m| &m.node).filter(|n| n.program == Program::Geoping);
        match geopings().find(|node| node.region == region) {
            Some(node) => Ok(node.name.clone()),
            None => {
                let known: Vec<&str> = geopings().map(|node| node.region.as_str()).collect();
                bail!("no region \"{region}\" here; there are: {}", known.join(", "))
            }
        }
    }

    /// What runs, for `geoip dev status` and the table at the start.
    pub(crate) fn status(&self) -> Vec<MemberStatus> {
        let mut members: Vec<&Member> = self.members.values().collect();
        members.sort_by_key(|member| (member.node.program, member.node.address));
        members.into_iter().map(Member::status).collect()
    }

    /// Ends all: SIGTERM, and SIGKILL to what is left after the deadline or when `hurry` is ready.
    /// Returns what had to be killed.
    pub(crate) async fn stop(&mut self, hurry: impl Future<Output = ()>) -> Vec<String> {
        self.end_all(End::Gracefully);
        tokio::select! {
            () = self.wait_until_gone(Instant::now() + END_WITHIN) => {}
            () = hurry => {}
        }
        let stubborn = self.end_all(End::AtOnce);
        self.wait_until_gone(Instant::now() + KILL_WITHIN).await;
        for member in self.members.values() {
            // Removed already when its process was seen to end.
            let _ = std::fs::remove_file(&member.node.ready);
        }
        stubborn
    }

    fn end_all(&self, how: End) -> Vec<String> {
        let mut running = Vec::new();
        for (name, member) in &self.members {
            if let Life::Running(child) = &member.life {
                child.end(how);
                running.push(name.clone());
            }
        }
        running
    }

    async fn wait_until_gone(&mut self, deadline: Instant) {
        let running = |member: &Member| matches!(member.life, Life::Running(_));
        while self.members.values().any(running) {
            match timeout_at(deadline, self.exits.recv()).await {
                Ok(Some(exited)) => {
                    self.note(exited);
                }
                _ => return,
            }
        }
    }
}

impl Member {
    fn status(&self) -> MemberStatus {
        let (state, pid, detail) = match &self.life {
            Life::NotStarted => (MemberState::Starting, None, String::new()),
            Life::Running(child) => (MemberState::Running, Some(child.pid), String::new()),
            Life::Killed => (MemberState::Killed, None, String::new()),
            Life::Died(how) => (MemberState::Died, None, how.clone()),
        };
        let listens = self.node.listens.iter().map(|l| format!("{} {}", l.what, l.at));
        MemberStatus {
            program: self.node.program.as_str().to_owned(),
            region: self.node.region.clone(),
            node: self.node.name.clone(),
            listens: listens.collect(),
            state,
            pid,
            detail,
        }
    }
}

/// The file is there and whole: what is not JSON yet is being written.
fn says_ready(node: &Node) -> bool {
    std::fs::read(&node.ready)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .is_some_and(|value| value.is_object())
}
