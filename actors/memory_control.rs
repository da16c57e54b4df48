//! The in-memory twin of the SIP media application's side: answers by a script, and keeps what it was asked and when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::ports::{CallControl, ControlError, OutgoingCall};

/// One update as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedUpdate {
    /// When it was sent.
    pub at: Instant,
    /// The call.
    pub transaction_id: String,
    /// `command`, `text`, ...
    pub arguments: BTreeMap<String, String>,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<(Duration, Result<(), ControlError>)>,
    otherwise: Option<(Duration, Result<(), ControlError>)>,
    updates: Vec<AskedUpdate>,
    creates: Vec<OutgoingCall>,
    created: VecDeque<Result<String, ControlError>>,
}

/// A [`CallControl`] that takes everything at once unless it is told otherwise. Clones share the script.
#[derive(Clone, Default)]
pub struct MemoryControl(Arc<Mutex<Script>>);

impl MemoryControl {
    /// The next update is answered so, after `delay`.
    pub fn then(&self, delay: Duration, answer: Result<(), ControlError>) -> &Self {
        self.script().answers.push_back((delay, answer));
        self
    }

    /// Every update that nothing else is said of is answered so.
    pub fn otherwise(&self, delay: Duration, answer: Result<(), ControlError>) -> &Self {
        self.script().otherwise = Some((delay, answer));
        self
    }

    /// The next call that is placed goes so; without a word it gets the transaction `transaction-N`.
    pub fn then_create(&self, answer: Result<String, ControlError>) -> &Self {
        self.script().created.push_back(answer);
        self
    }

    /// What was asked for so far.
    pub fn updates(&self) -> Vec<AskedUpdate> {
        self.script().updates.clone()
    }

    /// The commands among it, in order.
    pub fn commands(&self) -> Vec<String> {
        self.script().updates.iter().map(|asked| asked.arguments.get("command").cloned().unwrap_or_default()).collect()
    }

    /// Whom we were asked to ring up.
    pub fn creates(&self) -> Vec<OutgoingCall> {
        self.script().creates.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallControl for MemoryControl {
    fn update(
        &self,
        transaction_id: &str,
        arguments: BTreeMap<String, String>,
    ) -> LocalBoxFuture<'static, Result<(), ControlError>> {
        let mut script = self.script();
        script.updates.push(AskedUpdate { at: Instant::now(), transaction_id: transaction_id.to_owned(), arguments });
        let answer = script.answers.pop_front().or_else(|| script.otherwise.clone());
        let (delay, answer) = answer.unwrap_or((Duration::ZERO, Ok(())));
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            answer
        })
    }

    fn create(&self, call: OutgoingCall) -> LocalBoxFuture<'static, Result<String, ControlError>> {
        let mut script = self.script();
        script.creates.push(call);
        let number = script.creates.len();
        let answer = script.created.pop_front().unwrap_or_else(|| Ok(format!("transaction-{number}")));
        Box::pin(std::future::ready(answer))
    }
}
