//! Why a session was lost, and whether trying again can help.

use thiserror::Error;

/// Why a session is lost.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Loss {
    /// The upgrade was answered with another HTTP status than 101.
    #[error("model refused the connection with http status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// No connection came about: name resolution, TCP, TLS.
    #[error("model unreachable: {what}")]
    Unreachable {
        /// What went wrong, without secrets.
        what: String,
    },
    /// Not set up within the connect timeout.
    #[error("model session was not set up in time")]
    ConnectTimeout,
    /// The socket closed.
    #[error("model closed the connection (code {}, reason {reason:?})", code.map_or_else(|| "none".to_owned(), |code| code.to_string()))]
    Closed {
        /// The close code, if a close frame came.
        code: Option<u16>,
        /// The reason given with it, possibly empty.
        reason: String,
    },
    /// Neither a frame nor a pong for the stall timeout.
    #[error("model connection stalled")]
    Stalled,
    /// The session reached its maximum duration.
    #[error("model session expired")]
    Expired,
    /// The caller waited for an answer and none came, twice.
    #[error("model gave no answer in time")]
    Mute,
    /// Too many frames that cannot be read.
    #[error("model sent too many frames that cannot be read")]
    Garbage,
    /// Responses failed, and the retries too.
    #[error("model responses keep failing: {code}")]
    ResponsesFailing {
        /// The code of the last failure.
        code: String,
    },
    /// The session speaks another audio format than was asked for.
    #[error("model took audio format {got} instead of {asked}")]
    FormatMismatch {
        /// What was asked for.
        asked: String,
        /// What the model echoed.
        got: String,
    },
    /// The account, the address or the session's settings were refused.
    #[error("model refused the session: {code}: {message}")]
    SetupRefused {
        /// The model's error code.
        code: String,
        /// The model's words.
        message: String,
    },
}

impl Loss {
    /// Whether the same settings can never succeed, so that trying again only keeps the caller waiting.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Refused { status } => matches!(status, 400 | 401 | 403 | 404),
            Self::FormatMismatch { .. } => true,
            Self::SetupRefused { code, .. } => !is_passing(code),
            _ => false,
        }
    }

    /// Every [`Loss::name`].
    pub const NAMES: [&'static str; 11] = [
        "refused",
        "unreachable",
        "connect_timeout",
        "closed",
        "stalled",
        "expired",
        "mute",
        "garbage",
        "responses_failing",
        "format_mismatch",
        "setup_refused",
    ];

    /// A label for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Closed { .. } => "closed",
            Self::Stalled => "stalled",
            Self::Expired => "expired",
            Self::Mute => "mute",
            Self::Garbage => "garbage",
            Self::ResponsesFailing { .. } => "responses_failing",
            Self::FormatMismatch { .. } => "format_mismatch",
            Self::SetupRefused { .. } => "setup_refused",
        }
    }
}

/// Errors of load and of the service itself: the next try may well succeed.
pub(crate) fn is_passing(code: &str) -> bool {
    code.ends_with("rate_limit_exceeded") || matches!(code, "server_error" | "rate_limit_error" | "internal_error")
}

/// Errors of the account or the address: no retry helps.
pub(crate) fn is_fatal(code: &str) -> bool {
    matches!(code, "insufficient_quota" | "invalid_api_key" | "model_not_found" | "beta_api_shape_disabled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_change_by_itself_is_permanent() {
        let refused = |status| Loss::Refused { status }.is_permanent();
        assert!([400, 401, 403, 404].into_iter().all(refused));
        assert!(![429, 500, 503].into_iter().any(refused));
        let setup = |code: &str| Loss::SetupRefused { code: code.to_owned(), message: String::new() }.is_permanent();
        assert!(setup("unknown_parameter") && setup("beta_api_shape_disabled") && setup("invalid_api_key"));
        assert!(!setup("rate_limit_exceeded") && !setup("inference_rate_limit_exceeded") && !setup("server_error"));
        assert!(!Loss::Mute.is_permanent() && !Loss::Expired.is_permanent());
        assert!(Loss::FormatMismatch { asked: "a".into(), got: "b".into() }.is_permanent());
    }

    #[test]
    fn every_name_is_in_the_list() {
        let all = [
            Loss::Refused { status: 503 },
            Loss::Unreachable { what: String::new() },
            Loss::ConnectTimeout,
            Loss::Closed { code: None, reason: String::new() },
            Loss::Stalled,
            Loss::Expired,
            Loss::Mute,
            Loss::Garbage,
            Loss::ResponsesFailing { code: String::new() },
            Loss::FormatMismatch { asked: String::new(), got: String::new() },
            Loss::SetupRefused { code: String::new(), message: String::new() },
        ];
        assert_eq!(all.map(|loss| loss.name()), Loss::NAMES);
    }

    #[test]
    fn says_what_happened_in_one_line() {
        let closed = Loss::Closed { code: Some(1011), reason: "oops".into() };
        assert_eq!(closed.to_string(), "model closed the connection (code 1011, reason \"oops\")");
        assert_eq!(Loss::Refused { status: 503 }.to_string(), "model refused the connection with http status 503");
    }
}
