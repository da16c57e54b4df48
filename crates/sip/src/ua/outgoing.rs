//! What we ask for: calls, keep-alives, refreshes, transfers.

use std::time::Instant;

use super::Ua;
use super::client::{ClientTransaction, Purpose};
use super::event::Action;
use super::settings::Flow;
use crate::message::{Message, Method, Name, Via};

impl Ua {
    /// Sends a request and waits for its answer. One without a Via gets ours.
    pub(super) fn send(
        &mut self,
        now: Instant,
        purpose: Purpose,
        mut request: Message,
        flow: Flow,
        out: &mut Vec<Action>,
    ) -> u64 {
        if request.value(Name::Via).is_none() {
            let branch = self.branch(flow);
            request.push_front(Name::Via, branch);
            request.push(Name::UserAgent, &self.settings.user_agent);
        }
        let key = request.via().map(|via| client_key(&via, request.method())).unwrap_or_default();
        let is_invite = request.method() == Some(&Method::Invite);
        let bytes = request.to_bytes();
        let id = self.next_id();
        self.client.insert(id, key, ClientTransaction::new(now, purpose, request, bytes, flow, is_invite, out));
        self.client_mut(id);
        id
    }

    /// A Via of ours, with a branch of its own.
    pub(super) fn branch(&mut self, flow: Flow) -> String {
        let token = self.token();
        let host = self.settings.contact_host.of(flow.transport);
        format!("SIP/2.0/{} {host};branch={}{token};rport", flow.transport.as_str(), Via::MAGIC)
    }

    pub(super) fn refresh(&mut self, _now: Instant, id: u64, _out: &mut Vec<Action>) {
        if let Some(session) = self.call_mut(id).and_then(|call| call.session.as_mut()) {
            session.refreshing();
        }
    }
}

/// Names the client transaction of a request of ours, in it and in its answers.
pub(super) fn client_key(via: &Via, method: Option<&Method>) -> String {
    format!("{} {}", via.branch.as_deref().unwrap_or_default(), method.map_or("", Method::as_str))
}
