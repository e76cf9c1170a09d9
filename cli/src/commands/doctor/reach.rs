//! Questions of the doctor on their way: detours, patience, and a limit on all of them together.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use dns::name::Name;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;

use super::detour::Detours;
use super::observed::Trouble;
use crate::dns::exchange::{AskError, Patience, Way, ask};
use crate::dns::{Question, theirs};

/// Questions about one zone: a dozen servers take a hundred. A web of delegations that lead from
/// one to the next ends here.
const MAX_QUESTIONS: usize = 5_000;

/// How the doctor asks.
#[derive(Debug)]
pub(super) struct Reach {
    detours: Detours,
    patience: Patience,
    left: AtomicUsize,
}

impl Reach {
    pub(super) fn new(detours: Detours, patience: Patience) -> Self {
        Self { detours, patience, left: AtomicUsize::new(MAX_QUESTIONS) }
    }

    /// Asks as a resolver asks: without recursion, UDP and then TCP if truncated.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn iteratively(
        &self,
        at: SocketAddr,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Message, Trouble> {
        let question = Question { recursion_desired: false, ..question(name, record_type) };
        self.ask(at, &question, Way::Either).await
    }

    /// Asks a resolver to find out.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn recursively(
        &self,
        at: SocketAddr,
        name: &Name,
        record_type: RecordType,
    ) -> Result<Message, Trouble> {
        self.ask(at, &question(name, record_type), Way::Either).await
    }

    /// Asks just so.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(
        &self,
        at: SocketAddr,
        question: &Question,
        way: Way,
    ) -> Result<Message, Trouble> {
        let take = |left: usize| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            let gave_up = format!("not asked: {MAX_QUESTIONS} questions were asked already");
            return Err(Trouble::Other(gave_up));
        }
        let reply = ask(self.detours.to(at), question, self.patience, way).await;
        reply.map(|reply| reply.message).map_err(|error| trouble(&error))
    }
}

fn question(name: &Name, record_type: RecordType) -> Question {
    Question::new(theirs(name), record_type)
}

fn trouble(error: &AskError) -> Trouble {
    match error {
        AskError::TimedOut { .. } => Trouble::Silent,
        AskError::Refused { .. } => Trouble::Closed,
        AskError::Io { cause, .. } => match cause.kind() {
            ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => Trouble::NoRoute,
            _ => Trouble::Other(cause.to_string()),
        },
        AskError::Malformed { cause, .. } => Trouble::Other(format!("answers nonsense: {cause}")),
        other => Trouble::Other(other.to_string()),
    }
}
