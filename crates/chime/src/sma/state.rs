use std::collections::BTreeMap;

use crate::command::{OutboundCall, is_e164, speakable};

/// Longest request id that is remembered, in characters.
const MAX_REQUEST_ID: usize = 64;

const PHASE: &str = "state";
const ATTEMPT: &str = "attempt";
const REQUEST_ID: &str = "requestId";
const TRANSFER_TO: &str = "transferTo";
const TRANSFER_TEXT: &str = "transferText";
const PLAIN: &str = "plain";
const LOST_LEG: &str = "lostLeg";

/// What is remembered of a call, in its `TransactionAttributes`: with those of [`OutboundCall`] ten keys at most, and
/// mostly none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CallState {
    pub(super) phase: Phase,
    /// How often it was bridged again.
    pub(super) attempt: u32,
    /// What came along with a call that the service placed.
    pub(super) outbound: Option<OutboundCall>,
    /// The last command that was carried out.
    pub(super) request_id: Option<String>,
    /// A bridge was refused for its parameters: only those that cannot be wrong are given from then on.
    pub(super) plain: bool,
    /// The leg whose loss was answered; it may be told twice.
    pub(super) lost_leg: Option<String>,
}

/// Where a call stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Bridged to the service, or about to be for the first time.
    #[default]
    Bridged,
    /// About to be bridged again after a loss.
    Rebridging,
    /// About to be bridged again after a transfer that failed.
    Returning,
    /// The next loss of the service's leg is on purpose.
    Ending,
    /// The actions that end it are under way.
    HangingUp,
    /// The service's leg is being hung up, to transfer the caller.
    Transferring(Transfer),
    /// The transfer rings.
    Dialling(Transfer),
    /// The caller speaks with whom the call was transferred to.
    Transferred,
}

/// Where to, and what to say before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) to: String,
    pub(super) text: Option<String>,
}

impl CallState {
    /// Reads what [`CallState::write`] wrote. Other keys are ignored; what cannot be ours is the default, except that a
    /// count that cannot be read is the highest, so that attempts stay bounded.
    pub(super) fn read(attributes: &BTreeMap<String, String>) -> Self {
        Self {
            phase: Phase::read(attributes),
            attempt: attributes.get(ATTEMPT).map_or(0, |count| count.parse().unwrap_or(u32::MAX)),
            outbound: OutboundCall::from_arguments(attributes).ok(),
            request_id: attributes.get(REQUEST_ID).and_then(|id| request_id(id)),
            plain: attributes.get(PLAIN).is_some_and(|plain| plain == "true"),
            lost_leg: attributes.get(LOST_LEG).filter(|leg| leg.len() <= 128).cloned(),
        }
    }

    pub(super) fn write(&self) -> BTreeMap<String, String> {
        // Read or made by `OutboundCall`, which checks alike on both ways.
        let mut map = self.outbound.as_ref().and_then(|call| call.to_arguments().ok()).unwrap_or_default();
        let mut put = |key: &str, value: Option<String>| map.extend(value.map(|value| (key.to_owned(), value)));
        put(PHASE, self.phase.name().map(str::to_owned));
        put(ATTEMPT, (self.attempt > 0).then(|| self.attempt.to_string()));
        put(REQUEST_ID, self.request_id.clone());
        put(PLAIN, self.plain.then(|| "true".to_owned()));
        put(LOST_LEG, self.lost_leg.clone());
        if let Phase::Transferring(transfer) | Phase::Dialling(transfer) = &self.phase {
            put(TRANSFER_TO, Some(transfer.to.clone()));
            put(TRANSFER_TEXT, transfer.text.clone());
        }
        map
    }
}

impl Phase {
    fn read(attributes: &BTreeMap<String, String>) -> Self {
        let transfer = || {
            let to = attributes.get(TRANSFER_TO).filter(|to| is_e164(to))?.clone();
            let text = attributes.get(TRANSFER_TEXT).map(|text| speakable(text)).filter(|text| !text.is_empty());
            Some(Transfer { to, text })
        };
        match attributes.get(PHASE).map_or("", String::as_str) {
            "rebridging" => Self::Rebridging,
            "returning" => Self::Returning,
            "ending" => Self::Ending,
            "hangup" => Self::HangingUp,
            "transferring" => transfer().map_or(Self::Bridged, Self::Transferring),
            "dialling" => transfer().map_or(Self::Bridged, Self::Dialling),
            "transferred" => Self::Transferred,
            _ => Self::Bridged,
        }
    }

    const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Bridged => None,
            Self::Rebridging => Some("rebridging"),
            Self::Returning => Some("returning"),
            Self::Ending => Some("ending"),
            Self::HangingUp => Some("hangup"),
            Self::Transferring(_) => Some("transferring"),
            Self::Dialling(_) => Some("dialling"),
            Self::Transferred => Some("transferred"),
        }
    }
}

/// A request id as it is remembered and compared.
pub(super) fn request_id(id: &str) -> Option<String> {
    Some(id.chars().take(MAX_REQUEST_ID).collect()).filter(|id: &String| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        let transfer = Transfer { to: "+15550100077".to_owned(), text: Some("One moment.".to_owned()) };
        let phases = [
            Phase::Bridged,
            Phase::Rebridging,
            Phase::Returning,
            Phase::Ending,
            Phase::HangingUp,
            Phase::Transferring(transfer.clone()),
            Phase::Dialling(Transfer { text: None, ..transfer }),
            Phase::Transferred,
        ];
        let outbound = OutboundCall {
            call_id: "out-1".to_owned(),
            route: Some("support".to_owned()),
            metadata: Some("{}".to_owned()),
        };
        for phase in phases {
            let state = CallState {
                phase,
                attempt: 2,
                outbound: Some(outbound.clone()),
                request_id: Some("r-1".to_owned()),
                plain: true,
                lost_leg: Some("d18f4a63".to_owned()),
            };
            let written = state.write();
            assert!(written.len() <= 10, "{written:?}");
            assert_eq!(CallState::read(&written), state);
        }
        assert!(CallState::default().write().is_empty());
    }

    #[test]
    fn a_transfer_without_its_number_is_none_and_a_count_that_is_no_number_is_used_up() {
        let attributes = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(CallState::read(&attributes(&[("state", "dialling")])).phase, Phase::Bridged);
        assert_eq!(CallState::read(&attributes(&[("attempt", "-1")])).attempt, u32::MAX);
        let somebody_elses = attributes(&[("state", "bridged"), ("gatewayCallId", "7c2e5f80"), ("attempt", "0")]);
        assert_eq!(CallState::read(&somebody_elses), CallState::default());
    }
}
