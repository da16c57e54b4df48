//! What the far end answers to what we asked for.

use std::time::Instant;

use super::Ua;
use super::client::{Purpose, Verdict};
use super::event::Action;
use super::outgoing::client_key;
use super::settings::Flow;
use crate::message::Message;

impl Ua {
    pub(super) fn response(&mut self, now: Instant, _flow: Flow, response: &Message, out: &mut Vec<Action>) {
        let (Ok(via), Ok((_, method)), Some(code)) = (response.via(), response.cseq(), response.code()) else { return };
        let Some(id) = self.client.find(&client_key(&via, Some(&method))) else { return };
        let to_tag = response.to_tag().unwrap_or_default();
        let Some(transaction) = self.client_mut(id) else { return };
        if transaction.response(now, code, &to_tag, out) == Verdict::Known {
            return;
        }
        match transaction.purpose.clone() {
            Purpose::Bye(call) if code >= 200 => self.forget(call),
            _ => {}
        }
    }

    /// A request of ours got no answer.
    pub(super) fn unanswered(&mut self, _now: Instant, id: u64, _out: &mut Vec<Action>) {
        let Some(transaction) = self.client_mut(id) else { return };
        if let Purpose::Bye(call) = transaction.purpose {
            self.forget(call);
        }
    }
}
