use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a call ended, as in CALL's `endReason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The caller, or his side of the line, hung up.
    CallerHangup,
    /// The model's `hang_up` tool.
    ModelHangup,
    /// An operator's command.
    OperatorHangup,
    /// The call went on elsewhere.
    Transferred,
    /// The media socket went and none came back in time, or its audio stopped.
    MediaLost,
    /// Announced, but no media ever came.
    NoMedia,
    /// The reaper: longer than `calls.max_duration`.
    MaxDuration,
    /// The model did not come back within the fallback's time.
    FallbackExhausted,
    /// The service stopped and the call outlived the drain.
    Drained,
    /// No route for this number, or one that rejects.
    Rejected,
    /// A fault of ours.
    Internal,
}

impl EndReason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::CallerHangup,
        Self::ModelHangup,
        Self::OperatorHangup,
        Self::Transferred,
        Self::MediaLost,
        Self::NoMedia,
        Self::MaxDuration,
        Self::FallbackExhausted,
        Self::Drained,
        Self::Rejected,
        Self::Internal,
    ];

    /// The reason as it stands in JSON, log and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallerHangup => "caller_hangup",
            Self::ModelHangup => "model_hangup",
            Self::OperatorHangup => "operator_hangup",
            Self::Transferred => "transferred",
            Self::MediaLost => "media_lost",
            Self::NoMedia => "no_media",
            Self::MaxDuration => "max_duration",
            Self::FallbackExhausted => "fallback_exhausted",
            Self::Drained => "drained",
            Self::Rejected => "rejected",
            Self::Internal => "internal",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn result(self) -> CallResult {
        match self {
            Self::CallerHangup
            | Self::ModelHangup
            | Self::OperatorHangup
            | Self::Transferred
            // A call may well take that long; the ceiling did what it is set for.
            | Self::MaxDuration => CallResult::Success,
            Self::MediaLost | Self::NoMedia | Self::Rejected => CallResult::ClientError,
            // Draining cuts a caller off in mid-call: planned, but of our doing.
            Self::Drained | Self::Internal => CallResult::ServerError,
            Self::FallbackExhausted => CallResult::UpstreamError,
        }
    }
}

impl EndReason {
    /// Whether somebody wanted this end, so that the caller is not to be connected again by himself. Of a drained call it is
    /// true only if it was said goodbye.
    #[must_use]
    pub const fn is_planned(self) -> bool {
        match self {
            Self::ModelHangup
            | Self::OperatorHangup
            | Self::Transferred
            | Self::MaxDuration
            | Self::FallbackExhausted
            | Self::Drained
            | Self::Rejected => true,
            Self::CallerHangup | Self::MediaLost | Self::NoMedia | Self::Internal => false,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a call went, by whose side failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// It ended as someone wanted.
    Success,
    /// The connecting side: no media, no route.
    ClientError,
    /// This service.
    ServerError,
    /// The model.
    UpstreamError,
}

impl CallResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Success, Self::ClientError, Self::ServerError, Self::UpstreamError];

    /// The result as it stands in JSON, log and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::UpstreamError => "upstream_error",
        }
    }
}

impl fmt::Display for CallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The one ending every call has; log line, admin JSON and metric share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Termination {
    /// Whose side failed, if any.
    pub result: CallResult,
    /// What happened.
    pub reason: EndReason,
}

impl Termination {
    /// The ending that belongs to `reason`.
    #[must_use]
    pub const fn new(reason: EndReason) -> Self {
        Self { result: reason.result(), reason }
    }
}

impl From<EndReason> for Termination {
    fn from(reason: EndReason) -> Self {
        Self::new(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_name_and_result() {
        let table = [
            ("caller_hangup", CallResult::Success),
            ("model_hangup", CallResult::Success),
            ("operator_hangup", CallResult::Success),
            ("transferred", CallResult::Success),
            ("media_lost", CallResult::ClientError),
            ("no_media", CallResult::ClientError),
            ("max_duration", CallResult::Success),
            ("fallback_exhausted", CallResult::UpstreamError),
            ("drained", CallResult::ServerError),
            ("rejected", CallResult::ClientError),
            ("internal", CallResult::ServerError),
        ];
        assert_eq!(table.len(), EndReason::ALL.len());
        for (reason, (name, result)) in EndReason::ALL.into_iter().zip(table) {
            assert_eq!(reason.as_str(), name);
            assert_eq!(reason.to_string(), name);
            assert_eq!(Termination::from(reason), Termination { result, reason });
            assert_eq!(serde_json::to_value(reason).unwrap(), name);
            assert_eq!(serde_json::from_value::<EndReason>(name.into()).unwrap(), reason);
        }
    }

    #[test]
    fn results_have_one_name_everywhere() {
        for result in CallResult::ALL {
            assert_eq!(serde_json::to_value(result).unwrap(), result.as_str());
            assert_eq!(result.to_string(), result.as_str());
        }
    }
}
