//! Every name server at once: which they are, and what each of them said.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use daemon::tls::{Caller, Expect};
use pki::Program;
use proto::dnsrouter::v1::control_client::ControlClient;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::args::Invocation;
use crate::endpoint::HostPort;
use crate::exit::{Exit, one_line, usage};
use crate::rpc::{self, CredentialFlags, NoAnswer};

/// How long one name server may take; all are asked at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Name servers asked at once; an installation has a handful.
const MAX_SERVERS: usize = 64;

/// Which name servers, and who we are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerFlags {
    /// Control endpoint of a dnsrouter; may be repeated [default: the context's]
    #[arg(long = "server", value_name = "HOST:PORT")]
    servers: Vec<HostPort>,
    #[command(flatten)]
    credentials: CredentialFlags,
}

/// The name servers of a context or of flags, and what we show them.
pub(crate) struct Servers {
    list: Vec<HostPort>,
    tls: Arc<Caller>,
}

/// What one of them said.
#[derive(Debug, Clone)]
pub(crate) struct Said<T> {
    /// Which one.
    pub(crate) server: HostPort,
    /// What.
    pub(crate) outcome: Outcome<T>,
}

/// An answer, a no, or nothing.
#[derive(Debug, Clone)]
pub(crate) enum Outcome<T> {
    /// It did as asked.
    Answer(T),
    /// It understood, and did not.
    Refusal(Code, String),
    /// Why there is none, in words.
    Nothing(String),
}

impl<T> Outcome<T> {
    /// The answer, or why there is none.
    pub(crate) fn answer(self) -> Result<T, String> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Refusal(_, cause) | Self::Nothing(cause) => Err(cause),
        }
    }
}

/// What cannot be seen is worse than what was refused. Nothing to lift on some is no failure.
pub(crate) fn exit<T>(said: &[Said<T>]) -> Exit {
    let count = |of: fn(&Outcome<T>) -> bool| said.iter().filter(|one| of(&one.outcome)).count();
    let refusals = |outcome: &Outcome<T>| matches!(outcome, Outcome::Refusal(code, _) if *code != Code::NotFound);
    if count(|outcome| matches!(outcome, Outcome::Nothing(_))) > 0 {
        return Exit::Unreachable;
    }
    match count(refusals) > 0 || count(|outcome| matches!(outcome, Outcome::Answer(_))) == 0 {
        true => Exit::Failed,
        false => Exit::Ok,
    }
}

impl ServerFlags {
    /// Flags win over the context.
    ///
    /// # Errors
    /// A usage error that names what to give; or what is wrong with our credentials.
    pub(crate) fn resolve(self, invocation: &Invocation) -> anyhow::Result<Servers> {
        let context = invocation.context()?;
        let list = match self.servers.is_empty() {
            true => context.servers.clone(),
            false => self.servers,
        };
        if list.is_empty() {
            return usage("no server to ask: give --server HOST:PORT or choose a context");
        }
        if list.len() > MAX_SERVERS {
            return usage(format!("{} servers: at most {MAX_SERVERS} at once", list.len()));
        }
        Ok(Servers { list, tls: self.credentials.resolve(&context)?.load()? })
    }
}

impl Servers {
    /// Keeps those that `wanted` accepts.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&HostPort) -> bool) {
        self.list.retain(|server| wanted(server));
    }

    /// Calls all at once; the result keeps their order.
    pub(crate) async fn ask_all<T, F>(
        &self,
        call: impl Fn(ControlClient<Channel>) -> F + Clone + Send + 'static,
    ) -> Vec<Said<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<Response<T>, Status>> + Send,
    {
        self.ask_all_within(PATIENCE, call).await
    }

    /// The same for what takes longer.
    pub(crate) async fn ask_all_within<T, F>(
        &self,
        patience: Duration,
        call: impl Fn(ControlClient<Channel>) -> F + Clone + Send + 'static,
    ) -> Vec<Said<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<Response<T>, Status>> + Send,
    {
        let mut tasks = JoinSet::new();
        for (index, server) in self.list.iter().cloned().enumerate() {
            let (tls, call) = (Arc::clone(&self.tls), call.clone());
            tasks.spawn(async move {
                let outcome = match timeout(patience, ask(&server, &tls, patience, call)).await {
                    Ok(outcome) => outcome,
                    Err(_elapsed) => {
                        Outcome::Nothing(NoAnswer::timed_out(patience, None).to_string())
                    }
                };
                (index, Said { server, outcome })
            });
        }
        let mut all = tasks.join_all().await;
        all.sort_by_key(|(index, _)| *index);
        all.into_iter().map(|(_, said)| said).collect()
    }
}

async fn ask<T, F>(
    server: &HostPort,
    tls: &Arc<Caller>,
    patience: Duration,
    call: impl Fn(ControlClient<Channel>) -> F,
) -> Outcome<T>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let expect = Expect::program(Program::Dnsrouter);
    let channel = match rpc::connect(server, tls, &expect, patience).await {
        Ok(channel) => channel,
        Err(cause) => return Outcome::Nothing(cause.to_string()),
    };
    match call(ControlClient::new(channel)).await {
        Ok(answer) => Outcome::Answer(answer.into_inner()),
        Err(status) => {
            let cause = rpc::cause(&status, patience).to_string();
            match status.code() {
                // What the server decided, in its words.
                Code::InvalidArgument
                | Code::NotFound
                | Code::FailedPrecondition
                | Code::ResourceExhausted
                | Code::OutOfRange => Outcome::Refusal(status.code(), one_line(status.message())),
                Code::PermissionDenied | Code::Unauthenticated => {
                    Outcome::Refusal(status.code(), cause)
                }
                _ => Outcome::Nothing(cause),
            }
        }
    }
}
