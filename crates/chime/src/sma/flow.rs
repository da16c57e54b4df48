use crate::command::{Command, OutboundCall, speakable};

use super::event::{Invocation, Lost, Participant, SmaEvent};
use super::headers;
use super::response::{Action, BridgeEndpoint, SmaResponse};
use super::settings::SmaSettings;
use super::state::{CallState, Phase, Transfer, request_id};

/// How long each key sounds, in milliseconds: 40 are needed (ITU-T Q.24), AWS takes 50 to 24,000.
const TONE_MS: u32 = 100;

/// AWS takes a user part of 1 to 36 characters.
const MAX_URI_LEN: usize = 36;

/// Most legs beside the caller's that are hung up at once: with a word and the caller's leg, ten actions.
const MAX_OTHERS: usize = 8;

/// See [`super::respond`].
pub(super) fn respond(settings: &SmaSettings, event: &SmaEvent) -> SmaResponse {
    let before = CallState::read(&event.attributes);
    let mut flow = Flow { settings, event, state: before.clone(), actions: Vec::new() };
    flow.run();
    let attributes = (flow.state != before).then(|| flow.state.write());
    SmaResponse { actions: flow.actions, attributes }
}

struct Flow<'a> {
    settings: &'a SmaSettings,
    event: &'a SmaEvent,
    state: CallState,
    actions: Vec<Action>,
}

impl Flow<'_> {
    fn run(&mut self) {
        match self.event.invocation {
            Invocation::NewInboundCall => {
                self.state = CallState::default();
                self.bridge();
            }
            // Actions are ignored now, what is remembered is not.
            Invocation::NewOutboundCall => {
                let outbound = OutboundCall::from_arguments(&self.event.action.arguments()).ok();
                self.state = CallState { outbound, ..CallState::default() };
            }
            Invocation::CallAnswered => self.answered(),
            Invocation::CallUpdateRequested => self.updated(),
            Invocation::Hangup => self.hung_up(),
            Invocation::ActionSuccessful => self.succeeded(),
            Invocation::ActionFailed => self.failed(),
            Invocation::InvalidLambdaResponse => self.not_understood(),
            Invocation::Ringing
            | Invocation::ActionInterrupted
            | Invocation::DigitsReceived
            | Invocation::Unknown(_) => {}
        }
    }

    fn answered(&mut self) {
        match self.state.phase {
            // Asked for while it rang.
            Phase::Ending | Phase::HangingUp => self.over(),
            _ if self.is_bridged() => {}
            _ => self.bridge(),
        }
    }

    fn updated(&mut self) {
        let arguments = self.event.action.arguments();
        let request = arguments.get("requestId").and_then(|id| request_id(id));
        let Ok(command) = Command::from_arguments(&arguments) else { return };
        if request.is_some() && request == self.state.request_id {
            return;
        }
        if self.caller().is_none() {
            return self.hang_up_others();
        }
        self.state.request_id = request;
        // What is under way before and in other phases must not be replaced.
        let somebody = self.event.participants.iter().any(|leg| leg.tag != "LEG-A" && leg.connected != Some(false));
        let bridged = somebody && matches!(self.state.phase, Phase::Bridged | Phase::Ending);
        match command {
            Command::KeepAlive { text, pause_ms } if bridged => {
                self.speak(&text);
                self.pause(pause_ms);
            }
            Command::Resume if bridged => {
                self.state.phase = Phase::Bridged;
                // Replaces what is left: a running pause is interrupted, a running sentence ends.
                self.pause(1);
            }
            Command::Dtmf { digits } if bridged => self.send_digits(digits),
            Command::Ending if matches!(self.state.phase, Phase::Bridged | Phase::Rebridging | Phase::Returning) => {
                self.state.phase = Phase::Ending;
            }
            Command::HangUp { text } => self.end(text),
            Command::Transfer { to, text } if bridged => self.transfer(Transfer { to, text }),
            Command::KeepAlive { .. }
            | Command::Resume
            | Command::Dtmf { .. }
            | Command::Ending
            | Command::Transfer { .. } => {}
        }
    }

    fn end(&mut self, text: Option<String>) {
        let speaking = self.state.phase == Phase::HangingUp;
        match text {
            // The goodbye is being spoken already.
            Some(_) if speaking => return,
            Some(text) => self.speak(&text),
            None => {}
        }
        self.over();
    }

    /// The service's leg first, for a caller has one bridge at a time.
    fn transfer(&mut self, transfer: Transfer) {
        if self.is_bridged() {
            self.state.phase = Phase::Transferring(transfer);
            self.hang_up_others();
        }
    }

    fn hung_up(&mut self) {
        let Lost::Other(leg) = self.event.lost() else { return self.hang_up_others() };
        let told_before = leg.is_some() && leg == self.state.lost_leg.as_deref();
        // An older leg, or this one once more.
        if told_before || self.event.others().any(|other| Some(other.call_id.as_str()) != leg) {
            return;
        }
        self.state.lost_leg = leg.map(str::to_owned);
        match self.state.phase.clone() {
            Phase::Transferring(transfer) => self.dial(&transfer, true),
            Phase::Dialling(_) => self.come_back(),
            Phase::Ending | Phase::HangingUp | Phase::Transferred => self.over(),
            Phase::Bridged | Phase::Rebridging | Phase::Returning if self.event.action.declined() => self.over(),
            Phase::Bridged | Phase::Rebridging | Phase::Returning => self.bridge_again(),
        }
    }

    fn succeeded(&mut self) {
        let action = &self.event.action;
        match (action.kind.as_str(), self.state.phase.clone()) {
            ("Hangup", Phase::Transferring(transfer)) => self.taken_back(&transfer),
            ("Hangup", _) => {}
            _ if self.caller().is_none() => self.hang_up_others(),
            ("CallAndBridge", Phase::Rebridging | Phase::Returning) if action.to_telephone() != Some(true) => {
                self.state.phase = Phase::Bridged;
            }
            ("CallAndBridge", Phase::Dialling(_)) if action.to_telephone() != Some(false) => {
                self.state.phase = Phase::Transferred;
            }
            _ => {}
        }
    }

    fn failed(&mut self) {
        match self.event.action.kind.as_str() {
            "Hangup" => self.hang_up_failed(),
            _ if self.caller().is_none() => self.hang_up_others(),
            "CallAndBridge" => self.bridge_failed(),
            "Speak" => self.speak_failed(),
            _ => {}
        }
    }

    fn hang_up_failed(&mut self) {
        match self.state.phase.clone() {
            Phase::Transferring(_) if self.is_bridged() => self.state.phase = Phase::Bridged,
            Phase::Transferring(transfer) => self.taken_back(&transfer),
            // The other leg was gone already, and with it the rest of the list. Only then, or two legs that cannot be
            // hung up would follow each other for ever.
            Phase::HangingUp => {
                let failed = self.event.action_leg();
                if let Some(caller) = self.caller().filter(|caller| Some(caller.call_id.as_str()) != failed) {
                    self.hang_up(caller);
                }
            }
            _ => {}
        }
    }

    fn bridge_failed(&mut self) {
        let action = &self.event.action;
        match self.state.phase.clone() {
            Phase::HangingUp => self.over(),
            _ if self.is_bridged() => {}
            Phase::Ending => self.over(),
            Phase::Transferring(transfer) => self.dial(&transfer, true),
            Phase::Dialling(_) if action.to_telephone() != Some(false) => self.come_back(),
            Phase::Dialling(_) | Phase::Transferred => {}
            Phase::Bridged | Phase::Rebridging | Phase::Returning => {
                if action.to_telephone() == Some(true) || self.is_stale() {
                    return;
                }
                if action.declined() {
                    return self.over();
                }
                self.state.plain |= action.error_type == "InvalidActionParameter";
                self.bridge_again();
            }
        }
    }

    /// Whether a bridge that failed is one before the last. Not all events repeat the headers.
    fn is_stale(&self) -> bool {
        let action = &self.event.action;
        let ours = action.header(headers::TRANSACTION).is_some();
        let attempt = action.header(headers::ATTEMPT).map_or(Ok(0), str::parse);
        ours && attempt != Ok(self.state.attempt)
    }

    /// The rest of a list is dropped with the word that failed: what was to follow it is done without words.
    fn speak_failed(&mut self) {
        match self.state.phase.clone() {
            Phase::HangingUp => self.over(),
            _ if self.is_bridged() => {}
            Phase::Ending => self.over(),
            Phase::Rebridging | Phase::Returning => self.bridge(),
            Phase::Dialling(transfer) => self.dial(&transfer, false),
            Phase::Bridged | Phase::Transferring(_) | Phase::Transferred => {}
        }
    }

    /// What was answered last is void. Two who speak with each other are let be; nobody is left alone.
    fn not_understood(&mut self) {
        if !self.is_bridged() || self.state.phase == Phase::HangingUp {
            self.hang_up_others();
            self.hang_up_caller();
        }
    }

    /// The service's leg was hung up in order to transfer.
    fn taken_back(&mut self, transfer: &Transfer) {
        let Some(caller) = self.caller() else { return };
        let leg = self.event.action_leg().filter(|leg| *leg != caller.call_id);
        self.state.lost_leg = leg.map(str::to_owned);
        self.dial(transfer, true);
    }

    fn dial(&mut self, transfer: &Transfer, with_words: bool) {
        let Some(caller) = self.caller() else { return };
        if let Some(text) = transfer.text.as_deref().filter(|_| with_words) {
            self.speak(text);
        }
        self.actions.push(Action::CallAndBridge {
            call_timeout_seconds: self.settings.transfer_timeout_s.clamp(1, 120),
            caller_id_number: shown_number(caller.own_number(), &caller.from),
            endpoints: [BridgeEndpoint::Telephone { uri: transfer.to.clone() }],
            sip_headers: Default::default(),
        });
        self.state.phase = Phase::Dialling(transfer.clone());
    }

    /// After a transfer that failed. The model, told by a header, says so itself.
    fn come_back(&mut self) {
        self.state.phase = Phase::Returning;
        if self.next_attempt() {
            self.bridge();
        }
    }

    fn bridge_again(&mut self) {
        if self.state.phase != Phase::Returning {
            self.state.phase = Phase::Rebridging;
        }
        if self.next_attempt() {
            self.speak(&self.settings.reconnecting);
            self.bridge();
        }
    }

    /// Counts an attempt; if none is left, apologises and ends the call.
    fn next_attempt(&mut self) -> bool {
        let left = self.state.attempt < self.settings.max_rebridges;
        if left {
            self.state.attempt += 1;
        } else {
            self.speak(&self.settings.apology);
            self.over();
        }
        left
    }

    fn bridge(&mut self) {
        let Some(caller) = self.caller() else { return };
        let own_number = caller.own_number();
        let preferred = if self.state.plain { own_number } else { &caller.from };
        let transaction = self.event.transaction_id.chars().filter(|c| is_uri_char(*c));
        let uri: String = transaction.take(MAX_URI_LEN).collect();
        self.actions.push(Action::CallAndBridge {
            call_timeout_seconds: self.settings.bridge_timeout_s.clamp(1, 120),
            caller_id_number: shown_number(preferred, own_number),
            endpoints: [BridgeEndpoint::VoiceConnector {
                arn: self.settings.voice_connector_arn.clone(),
                uri: if uri.is_empty() { "trunkline".to_owned() } else { uri },
            }],
            sip_headers: headers::of_bridge(self.event, &self.state),
        });
    }

    fn speak(&mut self, text: &str) {
        let text = speakable(text);
        let Some(caller) = self.caller().filter(|caller| caller.can_hear() && !text.is_empty()) else { return };
        let voice = &self.settings.voice;
        self.actions.push(Action::Speak {
            call_id: caller.call_id.clone(),
            text,
            engine: voice.engine,
            language_code: voice.language.clone(),
            text_type: "text",
            voice_id: voice.voice_id.clone(),
        });
    }

    fn pause(&mut self, duration_in_milliseconds: u64) {
        if let Some(caller) = self.caller().filter(|caller| caller.can_hear() && duration_in_milliseconds > 0) {
            self.actions.push(Action::Pause { call_id: caller.call_id.clone(), duration_in_milliseconds });
        }
    }

    fn send_digits(&mut self, digits: String) {
        if let Some(caller) = self.caller().filter(|caller| caller.can_hear()) {
            let call_id = caller.call_id.clone();
            self.actions.push(Action::SendDigits { call_id, digits, tone_duration_in_milliseconds: TONE_MS });
        }
    }

    /// Everybody is hung up, the caller last.
    fn over(&mut self) {
        self.state.phase = Phase::HangingUp;
        self.hang_up_others();
        self.hang_up_caller();
    }

    fn hang_up_others(&mut self) {
        for leg in self.event.others().take(MAX_OTHERS) {
            self.hang_up(leg);
        }
    }

    fn hang_up_caller(&mut self) {
        if let Some(caller) = self.caller() {
            self.hang_up(caller);
        }
    }

    fn hang_up(&mut self, leg: &Participant) {
        let spoken = self.actions.iter().any(|action| matches!(action, Action::Speak { .. }));
        // Nobody answered who called: "temporarily unavailable". A word answers.
        let unanswered = leg.connected.is_none() && !leg.outbound && !spoken;
        let sip_response_code = if unanswered { "480" } else { "0" };
        self.actions.push(Action::Hangup { call_id: leg.call_id.clone(), sip_response_code });
    }
}

impl<'a> Flow<'a> {
    /// The caller's leg, unless it is gone.
    fn caller(&self) -> Option<&'a Participant> {
        self.event.caller().filter(|caller| caller.connected != Some(false))
    }

    /// Whether somebody is there for the caller.
    fn is_bridged(&self) -> bool {
        self.event.others().next().is_some()
    }
}

/// The number to show: `preferred`, or `else_`, as far as they can be shown.
fn shown_number(preferred: &str, else_: &str) -> String {
    let numbers = [preferred, else_].map(headers::number);
    numbers.into_iter().find(|number| !number.is_empty()).unwrap_or_else(|| "anonymous".to_owned())
}

/// Of a Request-URI's user part, as AWS takes it.
fn is_uri_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "&=+$/%-_!~*().".contains(c)
}
