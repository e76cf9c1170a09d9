//! Drains and forces over gRPC: what was asked becomes a sentence of whoever the certificate names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::tls::Peer;
use pki::Identity;
use proto::dnsrouter::v1 as wire;
use tonic::{Request, Response, Status};

use crate::io::overrides::{Done, Insistence, Refused, Sentence};
use crate::monitor::unix_ms;
use crate::overrides::{Kind, Order, Override, Progress};
use crate::plan::Services;

use super::Service;

impl Service {
    pub(super) async fn take_drain(
        &self,
        request: Request<wire::DrainRequest>,
    ) -> Result<Response<wire::OverrideReply>, Status> {
        let who = caller(&request)?;
        let asked = request.into_inner();
        let from = match asked.from_unix_ms {
            0 => SystemTime::now(),
            ms => time(ms)?,
        };
        let over = Duration::from_millis(asked.over_ms);
        let sentence = Sentence {
            subject: asked.subject,
            order: Order::Drain { from, over },
            lasts: lasts(asked.for_ms),
            why: asked.why,
        };
        let how = Insistence { force_last: asked.force_last, check_only: asked.check_only };
        self.say(sentence, who, how).await
    }

    pub(super) async fn take_force(
        &self,
        request: Request<wire::ForceRequest>,
    ) -> Result<Response<wire::OverrideReply>, Status> {
        let who = caller(&request)?;
        let asked = request.into_inner();
        let sentence = Sentence {
            subject: asked.subject,
            order: if asked.up { Order::Up } else { Order::Down },
            lasts: lasts(asked.for_ms),
            why: asked.why,
        };
        let how = Insistence { force_last: asked.force_last, check_only: asked.check_only };
        self.say(sentence, who, how).await
    }

    async fn say(
        &self,
        sentence: Sentence,
        who: Identity,
        how: Insistence,
    ) -> Result<Response<wire::OverrideReply>, Status> {
        let store = Arc::clone(&self.overrides);
        // A caller that goes away does not leave it half done.
        let saying = tokio::spawn(async move { store.lock().await.say(sentence, &who, how).await });
        self.reply(saying.await.map_err(stopped)?)
    }

    pub(super) async fn take_lift(
        &self,
        request: Request<wire::LiftRequest>,
    ) -> Result<Response<wire::OverrideReply>, Status> {
        let who = caller(&request)?;
        let asked = request.into_inner();
        let kind = if asked.drain { Kind::Drain } else { Kind::Force };
        let how = Insistence { check_only: asked.check_only, ..Insistence::default() };
        let store = Arc::clone(&self.overrides);
        let lifting =
            tokio::spawn(
                async move { store.lock().await.lift(&asked.subject, kind, &who, how).await },
            );
        self.reply(lifting.await.map_err(stopped)?)
    }

    fn reply(&self, done: Result<Done, Refused>) -> Result<Response<wire::OverrideReply>, Status> {
        let Done { one, replaced, notes } = done.map_err(|refused| refusal(&refused))?;
        let shown = |one: &Override| self.shown(one, SystemTime::now());
        Ok(Response::new(wire::OverrideReply {
            node: self.node.clone(),
            r#override: Some(shown(&one)),
            replaced: replaced.as_ref().map(shown),
            notes,
        }))
    }

    /// All that count or will.
    pub(super) fn list(&self) -> Vec<wire::Override> {
        let now = SystemTime::now();
        let bound = self.shared.overrides();
        let there = bound.overrides().iter().filter(|one| !one.is_over(now));
        // As far as they have come in the answers.
        let reckoned = self.shared.reckoned();
        there.map(|one| self.shown(one, reckoned)).collect()
    }

    fn shown(&self, one: &Override, now: SystemTime) -> wire::Override {
        wire_form(one, &self.shared.plan.load().inputs.services, now)
    }
}

fn wire_form(one: &Override, services: &Services, now: SystemTime) -> wire::Override {
    let (announced, gone) = match one.progress(now) {
        Progress::Announced(_) => (true, 0.0),
        Progress::Gone(gone) => (false, f64::from(gone) / f64::from(u16::MAX)),
    };
    let over = match one.order {
        Order::Drain { over, .. } => over,
        Order::Up | Order::Down => Duration::ZERO,
    };
    wire::Override {
        subject: one.subject.to_string(),
        order: one.order.word().into(),
        who: one.who.clone(),
        why: one.why.clone(),
        made_unix_ms: unix_ms(one.made),
        from_unix_ms: unix_ms(one.begins()),
        over_ms: u64::try_from(over.as_millis()).unwrap_or(u64::MAX),
        until_unix_ms: one.until.map_or(0, unix_ms),
        gone: if matches!(one.order, Order::Drain { .. }) { gone } else { 0.0 },
        announced,
        absent: !one.subject.is_in(services),
    }
}

/// Whom the certificate names; the layer before has asked whether they may.
fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    let peer = request.extensions().get::<Peer>();
    match peer.map(|peer| &peer.identity) {
        Some(Ok(identity)) => Ok(identity.clone()),
        _ => Err(Status::unauthenticated("the caller is not known")),
    }
}

fn lasts(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

/// A time of the wire.
pub(super) fn time(ms: u64) -> Result<SystemTime, Status> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms));
    time.ok_or_else(|| Status::invalid_argument("a time that never comes"))
}

fn refusal(refused: &Refused) -> Status {
    let words = refused.to_string();
    match refused {
        Refused::Unknown(_) | Refused::Invalid(_) => Status::invalid_argument(words),
        Refused::Last(_) => Status::failed_precondition(words),
        Refused::NotSaid(..) => Status::not_found(words),
        Refused::Disk(_) => Status::internal(words),
        Refused::Stopping => Status::unavailable(words),
    }
}

fn stopped(_: tokio::task::JoinError) -> Status {
    refusal(&Refused::Stopping)
}
