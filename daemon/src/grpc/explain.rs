//! What happened, dug out of a chain of errors.

use std::error::Error;
use std::io;

use super::client::ConnectError;
use crate::tls::{alert_in_words, refusal_in_words};

/// The longest chain of causes followed.
const MAX_DEPTH: usize = 16;

/// What happened, in words: digs TLS alerts and system errors out of a `tonic::Status` or
/// `tonic::transport::Error`.
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| texts.len() < MAX_DEPTH) {
        if let Some(words) = precise(error) {
            return words;
        }
        let text = match error.downcast_ref::<tonic::Status>() {
            Some(status) => format!("{:?}: {}", status.code(), status.message()),
            None => error.to_string(),
        };
        // Many errors print their cause as well; say it once.
        if !texts.iter().any(|said| said.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

/// Whether a call never left us, because its connection was just ending (its age, a drain): it
/// can be made again at once, whatever it does, and says nothing about the server.
///
/// gRPC asks clients to repeat such calls by themselves; `tonic` does not. A prober that counts
/// them would see a server fail each time a connection comes of age.
pub fn unsent(status: &tonic::Status) -> bool {
    let mut next = Error::source(status);
    for _ in 0..MAX_DEPTH {
        let Some(error) = next else { return false };
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        next = error.source();
    }
    false
}

/// What a TLS error says about who refused whom.
pub(super) fn tls_error_in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::AlertReceived(alert) => {
            format!("the server says: {}", alert_in_words(*alert))
        }
        rustls::Error::InvalidCertificate(_) => {
            format!("the server's {}", refusal_in_words(error).1)
        }
        _ => refusal_in_words(error).1,
    }
}

/// What a failed handshake says, and whether it is about the server's certificate; none when the
/// connection just ended.
pub(crate) fn tls_words(error: &io::Error) -> Option<(String, bool)> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some((tls_error_in_words(tls), is_identity(tls)))
}

/// Whether a TLS error is about certificates, theirs or ours.
pub(super) fn is_identity(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as A;
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => true,
        rustls::Error::AlertReceived(alert) => matches!(
            alert,
            A::CertificateRequired
                | A::CertificateExpired
                | A::UnknownCA
                | A::CertificateRevoked
                | A::BadCertificate
                | A::UnsupportedCertificate
                | A::AccessDenied
                | A::CertificateUnknown
        ),
        _ => false,
    }
}

/// An error that says it all by itself.
fn precise(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(connect) = error.downcast_ref::<ConnectError>() {
        return Some(connect.to_string());
    }
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls_error_in_words(tls));
    }
    // An io::Error's source is its inner error's source: the inner one must be asked for.
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    precise(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;

    #[derive(Debug, thiserror::Error)]
    #[error("transport error")]
    struct Outer(#[source] io::Error);

    #[test]
    fn an_alert_is_found_however_deep() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        let wrapped = Outer(io::Error::new(io::ErrorKind::InvalidData, alert));
        let twice = Outer(io::Error::other(wrapped));
        assert_eq!(
            explain(&twice),
            "the server says: our certificate is expired or not yet valid (certificate_expired)"
        );
    }

    #[test]
    fn who_somebody_is_and_how_to_speak_are_told_apart() {
        let alert = |alert| is_identity(&rustls::Error::AlertReceived(alert));
        assert!(alert(AlertDescription::CertificateRevoked) && alert(AlertDescription::UnknownCA));
        assert!(!alert(AlertDescription::ProtocolVersion));
        let unknown = rustls::CertificateError::UnknownIssuer;
        assert!(is_identity(&rustls::Error::InvalidCertificate(unknown)));
        assert!(!is_identity(&rustls::Error::DecryptError));
    }

    #[test]
    fn without_a_precise_cause_the_chain_is_told_once() {
        let plain = Outer(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset"));
        assert_eq!(explain(&plain), "transport error: connection reset");
        let status = tonic::Status::permission_denied("spiffe://x/user/a may not call /b");
        assert_eq!(explain(&status), "PermissionDenied: spiffe://x/user/a may not call /b");
    }
}
