//! The SIP user agent of a process (RFC 3261): all its calls and transactions as one machine.
//!
//! It answers INVITE to BYE, places calls, and keeps them alive; sends again what may be lost; and forgets everything in
//! the end. Sockets are the shell's: what comes is handed to [`Ua::receive`], what is to be done is an [`Action`]. Who
//! may speak to it at all is the shell's matter too.
//!
//! Every server transaction is keyed by branch, sent-by and method, every call by its tags. Requests that make no call
//! (OPTIONS, what is refused) are answered and forgotten: a flood of them leaves nothing behind.

mod answer;
mod call;
mod client;
mod dialog;
mod event;
mod hangup;
mod incoming;
mod inside;
mod outgoing;
mod reply;
mod responses;
mod schedule;
mod server;
mod session;
mod settings;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::time::Instant;

use self::call::{Call, Origin};
use self::client::ClientTransaction;
pub use self::event::{Action, CallKey, Ended, Invite, OptionsTarget, OutgoingInvite, Party, UaEvent};
use self::schedule::{Owner, Schedule};
use self::server::ServerTransaction;
pub use self::settings::{ContactHosts, DigestAccount, Flow, Transport, UaSettings};
use self::table::{Census, Table};
use crate::message::digest::DigestGuard;

/// The user agent. See the [module](self).
#[derive(Debug)]
pub struct Ua {
    settings: UaSettings,
    rng: fastrand::Rng,
    /// Makes tags of answers that leave nothing behind.
    secret: u64,
    last_id: u64,
    calls: BTreeMap<u64, Call>,
    /// By our tag.
    tags: HashMap<String, u64>,
    origins: HashMap<Origin, u64>,
    /// Calls by the address they came from or went to.
    sources: Census<IpAddr>,
    server: Table<ServerTransaction>,
    /// Server transactions by the address of their request.
    askers: Census<IpAddr>,
    client: Table<ClientTransaction>,
    schedule: Schedule,
    /// Asks callers for a password; its seconds count from that moment.
    guard: Option<(DigestGuard, Instant)>,
    /// Who may have something else due than before.
    touched: Vec<Owner>,
}

impl Ua {
    /// An agent without calls. What must not be guessed (tags, branches) is drawn from `rng`.
    #[must_use]
    pub fn new(settings: UaSettings, mut rng: fastrand::Rng) -> Self {
        Self {
            settings,
            secret: rng.u64(..),
            rng,
            last_id: 0,
            calls: BTreeMap::new(),
            tags: HashMap::new(),
            origins: HashMap::new(),
            sources: Census::new(),
            server: Table::new(),
            askers: Census::new(),
            client: Table::new(),
            schedule: Schedule::default(),
            guard: None,
            touched: Vec::new(),
        }
    }

    /// Whoever calls from now on has to know a password (RFC 3261 section 22).
    pub fn ask_for_password(&mut self, now: Instant, guard: DigestGuard) {
        self.guard = Some((guard, now));
    }

    /// How many calls there are, those included whose BYE is not answered.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// How many transactions there are, those included that only wait for copies of what they answered.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.server.len() + self.client.len()
    }

    /// When [`Ua::on_timer`] wants to be called.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// Does what is due at `now`; called early it does nothing.
    pub fn on_timer(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(owner) = self.schedule.pop(now) {
            self.touched.push(owner);
            match owner {
                Owner::Server(id) => {
                    if let Some(transaction) = self.server.get_mut(id) {
                        transaction.on_timer(now, out);
                    }
                }
                Owner::Client(id) => {
                    if self.client.get_mut(id).is_some_and(|transaction| transaction.on_timer(now, out)) {
                        self.unanswered(now, id, false, out);
                    }
                }
                Owner::Call(id) => self.call_due(now, id, out),
            }
            self.settle();
        }
    }

    /// A connection is closed: what waits for an answer on it has failed, what we have to say goes another way.
    pub fn connection_closed(&mut self, now: Instant, connection: u64, out: &mut Vec<Action>) {
        for id in self.server.ids(|transaction| transaction.flow().connection == Some(connection)) {
            let Some(transaction) = self.server_mut(id) else { continue };
            let flow = transaction.reroute();
            for call in self.calls.values_mut() {
                if let Some(unacked) = call.unacked.as_mut().filter(|unacked| unacked.tx == id) {
                    unacked.flow = flow;
                }
            }
        }
        let has_lost = |call: &Call| call.dialog.flow.connection == Some(connection);
        let lost: Vec<_> = self.calls.iter().filter(|(_, call)| has_lost(call)).map(|(&id, _)| id).collect();
        for id in lost {
            let Some(call) = self.call_mut(id) else { continue };
            call.dialog.flow.connection = None;
            if call.is_up() && !call.dialog.has_another_way() {
                self.lose(now, id, out);
            }
        }
        for id in self.client.ids(|transaction| transaction.flow.connection == Some(connection)) {
            self.fail(now, id, out);
        }
        self.settle();
    }

    /// Nothing can be sent that way: no connection could be opened, or the network refuses.
    pub fn unreachable(&mut self, now: Instant, flow: Flow, out: &mut Vec<Action>) {
        for id in self.client.ids(|transaction| transaction.flow == flow) {
            self.fail(now, id, out);
        }
        self.settle();
    }

    /// The request will get no answer.
    fn fail(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        let Some(transaction) = self.client_mut(id) else { return };
        let is_pending = transaction.is_pending();
        transaction.abandon();
        if is_pending {
            self.unanswered(now, id, true, out);
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// 64 bits that nobody can guess, as hexadecimal digits. Not as the generator gives them: who sees some of its numbers
    /// could tell the next.
    fn token(&mut self) -> String {
        let mut hasher = DefaultHasher::new();
        (self.secret, self.rng.u64(..)).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    fn call_mut(&mut self, id: u64) -> Option<&mut Call> {
        let call = self.calls.get_mut(&id)?;
        self.touched.push(Owner::Call(id));
        Some(call)
    }

    fn server_mut(&mut self, id: u64) -> Option<&mut ServerTransaction> {
        let transaction = self.server.get_mut(id)?;
        self.touched.push(Owner::Server(id));
        Some(transaction)
    }

    fn client_mut(&mut self, id: u64) -> Option<&mut ClientTransaction> {
        let transaction = self.client.get_mut(id)?;
        self.touched.push(Owner::Client(id));
        Some(transaction)
    }

    /// Notes when whoever was touched wants to be called next, and forgets what is over.
    fn settle(&mut self) {
        while let Some(owner) = self.touched.pop() {
            let due = match owner {
                Owner::Server(id) => {
                    if self.server.get(id).is_some_and(ServerTransaction::is_over)
                        && let Some(over) = self.server.remove(id)
                    {
                        self.askers.remove(&over.flow().peer.ip());
                    }
                    self.server.get(id).and_then(ServerTransaction::due)
                }
                Owner::Client(id) => {
                    if self.client.get(id).is_some_and(ClientTransaction::is_over) {
                        self.client.remove(id);
                    }
                    self.client.get(id).and_then(ClientTransaction::due)
                }
                Owner::Call(id) => self.calls.get(&id).and_then(Call::due),
            };
            self.schedule.set(owner, due);
        }
        debug_assert!(
            self.tags.len() == self.calls.len() && self.origins.len() <= self.calls.len(),
            "a call left something"
        );
    }
}
