//! What went wrong in a handshake, in words for a log line or a person.

use std::time::{Duration, SystemTime};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use rustls_pki_types::UnixTime;

/// Why we refused the peer: a short name for a metric, and words.
///
/// The words complete "the client was refused: …" or "the server's …".
pub fn refusal_in_words(error: &Error) -> (&'static str, String) {
    let (kind, words) = match error {
        Error::NoCertificatesPresented => ("no_certificate", "no client certificate".to_owned()),
        Error::InvalidCertificate(error) => return certificate_in_words(error),
        Error::AlertReceived(alert) => {
            ("refused_by_peer", format!("the peer refuses us: {}", alert_in_words(*alert)))
        }
        Error::NoApplicationProtocol => ("no_http2", "it does not speak HTTP/2".to_owned()),
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => ("no_tls13", "it does not speak TLS 1.3".to_owned()),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            ("no_tls", "it does not speak TLS".to_owned())
        }
        other => ("malformed", format!("TLS failed: {other}")),
    };
    (kind, words)
}

/// What an alert from the other side says about us.
pub fn alert_in_words(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let words = match alert {
        A::CertificateRequired => "a client certificate is required (certificate_required)",
        A::CertificateExpired => {
            "our certificate is expired or not yet valid (certificate_expired)"
        }
        A::UnknownCA => "our certificate is issued by another authority (unknown_ca)",
        A::CertificateRevoked => "our certificate is revoked (certificate_revoked)",
        A::BadCertificate => "our certificate is malformed (bad_certificate)",
        A::UnsupportedCertificate => {
            "our certificate is not meant for this purpose (unsupported_certificate)"
        }
        A::AccessDenied => "our certificate carries no URI SAN, so it names nobody (access_denied)",
        A::CertificateUnknown => {
            "our certificate is not acceptable, or we are not whom it expects (certificate_unknown)"
        }
        A::ProtocolVersion => "no common version of TLS, 1.3 is needed (protocol_version)",
        A::NoApplicationProtocol => "no HTTP/2 (no_application_protocol)",
        A::HandshakeFailure => "no common algorithms (handshake_failure)",
        other => return format!("TLS alert {other:?}"),
    };
    words.to_owned()
}

fn certificate_in_words(error: &CertificateError) -> (&'static str, String) {
    use CertificateError as C;
    let (kind, words) = match error {
        C::ExpiredContext { time, not_after } => {
            let ago = Duration::from_secs(time.as_secs().saturating_sub(not_after.as_secs()));
            return ("expired", format!("certificate expired {} ago", span(ago)));
        }
        C::NotValidYetContext { time, not_before } => {
            let wait = Duration::from_secs(not_before.as_secs().saturating_sub(time.as_secs()));
            let words = format!(
                "certificate is not valid before {}, in {}",
                humantime::format_rfc3339_seconds(system_time(*not_before)),
                span(wait)
            );
            return ("not_yet_valid", words);
        }
        C::UnknownIssuer => ("other_authority", "certificate is issued by another authority"),
        C::Revoked => ("revoked", "certificate is revoked"),
        C::InvalidPurpose => {
            ("wrong_purpose", "certificate is not meant for this purpose (extended key usage)")
        }
        C::ApplicationVerificationFailure => {
            ("no_uri_san", "certificate carries no URI SAN, so it names nobody")
        }
        C::UnknownRevocationStatus => {
            ("no_list", "no revocation list covers the certificate's authority")
        }
        C::BadEncoding => ("malformed", "certificate is malformed"),
        C::BadSignature => ("malformed", "the peer does not hold its certificate's key"),
        C::Other(other) => return ("other", format!("certificate is not acceptable: {}", other.0)),
        other => return ("other", format!("certificate is not acceptable: {other:?}")),
    };
    (kind, words.to_owned())
}

fn span(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn system_time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}
