//! What errors of connecting and calling mean: whose fault, and which.

use daemon::dial::DialError;
use daemon::grpc::{self, ConnectError};
use tonic::Code;

use crate::health::Fault;

use super::NoReply;

pub(super) fn of_dialling(error: &DialError) -> NoReply {
    if error.is_ours() {
        return NoReply::Ours(error.to_string());
    }
    let fault = match error {
        DialError::Resolve(_) => Fault::Resolve,
        DialError::Refused => Fault::Refused,
        DialError::Unreachable(_) => Fault::Unreachable,
    };
    NoReply::Theirs(fault, error.to_string())
}

pub(super) fn of_connecting(error: &ConnectError) -> NoReply {
    if error.is_ours() {
        return NoReply::Ours(error.to_string());
    }
    let fault = match error {
        ConnectError::Resolve { .. } => Fault::Resolve,
        ConnectError::Refused { .. } => Fault::Refused,
        ConnectError::Unreachable { .. } => Fault::Unreachable,
        ConnectError::TimedOut { .. } => Fault::Timeout,
        ConnectError::Tls { is_identity: true, .. } => Fault::Identity,
        ConnectError::Tls { .. } => Fault::Tls,
        ConnectError::Closed { .. } => Fault::Closed,
        ConnectError::Http2 { .. } => Fault::Version,
    };
    NoReply::Theirs(fault, error.to_string())
}

/// Of an RPC that was sent.
pub(super) fn of_status(status: &tonic::Status) -> NoReply {
    let transport = std::error::Error::source(status).is_some();
    let fault = match status.code() {
        // tonic's own time-out is a cancellation.
        Code::DeadlineExceeded | Code::Cancelled => Fault::Timeout,
        Code::Unauthenticated | Code::PermissionDenied => Fault::Identity,
        // A reply that cannot be decoded is `Internal`; no such method is `Unimplemented`.
        Code::Unimplemented | Code::Internal | Code::OutOfRange | Code::DataLoss if !transport => {
            Fault::Version
        }
        _ if transport => Fault::Closed,
        _ => Fault::Unavailable,
    };
    NoReply::Theirs(fault, grpc::explain(status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    fn fault(reply: &NoReply) -> Option<Fault> {
        match reply {
            NoReply::Theirs(fault, _) => Some(*fault),
            NoReply::Ours(_) => None,
        }
    }

    #[test]
    fn what_a_refused_call_means() {
        let of = |code| fault(&of_status(&tonic::Status::new(code, "m")));
        assert_eq!(of(Code::DeadlineExceeded), Some(Fault::Timeout));
        assert_eq!(of(Code::PermissionDenied), Some(Fault::Identity));
        assert_eq!(of(Code::Unimplemented), Some(Fault::Version));
        assert_eq!(of(Code::Unavailable), Some(Fault::Unavailable));
        let cut = tonic::Status::from_error(Box::new(std::io::Error::other("cut")));
        assert_eq!(fault(&of_status(&cut)), Some(Fault::Closed));
    }

    #[test]
    fn what_this_machine_lacks_is_no_fault_of_theirs() {
        let dialled = |error: DialError| fault(&of_dialling(&error));
        assert_eq!(dialled(DialError::Unreachable(Errno::MFILE.into())), None);
        let unreachable = DialError::Unreachable(Errno::HOSTUNREACH.into());
        assert_eq!(dialled(unreachable), Some(Fault::Unreachable));
        assert_eq!(dialled(DialError::Refused), Some(Fault::Refused));
    }
}
