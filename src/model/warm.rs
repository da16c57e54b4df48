//! Sockets opened before anyone asks for them.
//!
//! A call that gets one saves name resolution, TCP, TLS, upgrade and the wait for `session.created`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;
use trunkline_actors::ports::{ConnectError, ModelSocket, ModelTransport};
use trunkline_call::{Backoff, ConnectGate};

use super::slot::{End, Slot};
use super::turn_at;

/// How long to leave a model alone that refused us for good (wrong key, wrong deployment): someone has to act first.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// What the spare sockets of one worker are like.
#[derive(Clone, Debug)]
pub struct WarmSettings {
    /// Where they lead. Connects to other addresses pass by.
    pub url: String,
    /// How many are kept on this worker; 0 keeps none.
    pub sessions: usize,
    /// One older than this is replaced: the session's clock runs while it waits.
    pub max_age: Duration,
    /// Limit of one connect, from its start to the model's first message.
    pub connect_timeout: Duration,
    /// Time between our liveness probes.
    pub ping: Duration,
    /// One that was silent for this long, pongs included, is replaced.
    pub stall_timeout: Duration,
    /// First wait after a failed connect; doubles up to `backoff_max`.
    pub backoff_first: Duration,
    /// Longest wait after failed connects.
    pub backoff_max: Duration,
}

impl WarmSettings {
    /// `sessions` spare sockets to `url`, the rest as the service's defaults have it.
    #[must_use]
    pub fn new(url: impl Into<String>, sessions: usize) -> Self {
        Self {
            url: url.into(),
            sessions,
            max_age: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(8),
            ping: Duration::from_secs(3),
            stall_timeout: Duration::from_secs(8),
            backoff_first: Duration::from_millis(250),
            backoff_max: Duration::from_secs(8),
        }
    }
}

/// A [`ModelTransport`] that hands out sockets opened before. Whoever gets one finds the model's first messages waiting.
pub struct WarmTransport {
    inner: Rc<dyn ModelTransport>,
    url: String,
    slots: Vec<Rc<Slot>>,
    keepers: Vec<JoinHandle<()>>,
}

impl WarmTransport {
    /// To be called on the worker it serves, which runs the tasks that keep the spares. `gate` is the service's one gate:
    /// spares connect at its rate, so that they do not take more than their turn.
    #[must_use]
    pub fn new(inner: Rc<dyn ModelTransport>, gate: &Arc<ConnectGate>, settings: WarmSettings) -> Self {
        let slots: Vec<Rc<Slot>> = (0..settings.sessions).map(|_| Rc::default()).collect();
        let url = settings.url.clone();
        let settings = Rc::new(settings);
        let keepers = slots.iter().map(|slot| {
            let keeper = Keeper {
                slot: Rc::clone(slot),
                inner: Rc::clone(&inner),
                gate: Arc::clone(gate),
                settings: Rc::clone(&settings),
            };
            actix_rt::spawn(keeper.run())
        });
        let keepers = keepers.collect();
        Self { inner, url, slots, keepers }
    }

    /// How many spares could be handed out now.
    #[cfg(test)]
    pub(super) fn ready(&self) -> usize {
        self.slots.iter().filter(|slot| slot.ready_since().is_some()).count()
    }

    /// The oldest live spare: the longer-lived ones stay.
    fn take(&self) -> Option<ModelSocket> {
        loop {
            let ready = self.slots.iter().filter_map(|slot| Some((slot.ready_since()?, slot)));
            let (_, slot) = ready.min_by_key(|(since, _)| *since)?;
            if let Some(socket) = slot.take() {
                return Some(socket);
            }
        }
    }
}

impl ModelTransport for WarmTransport {
    fn connect(&self, url: &str) -> LocalBoxFuture<'static, Result<ModelSocket, ConnectError>> {
        if url == self.url
            && let Some(socket) = self.take()
        {
            return std::future::ready(Ok(socket)).boxed_local();
        }
        self.inner.connect(url)
    }
}

impl Drop for WarmTransport {
    fn drop(&mut self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
    }
}

/// Keeps one slot filled.
struct Keeper {
    slot: Rc<Slot>,
    inner: Rc<dyn ModelTransport>,
    gate: Arc<ConnectGate>,
    settings: Rc<WarmSettings>,
}

impl Keeper {
    async fn run(self) {
        let settings = &self.settings;
        let mut backoff = Backoff::new(settings.backoff_first, settings.backoff_max);
        loop {
            turn_at(&self.gate).await;
            let pause = match self.connect().await {
                Ok(socket) => {
                    let since = Instant::now();
                    let end = self.slot.tend(socket, settings).await;
                    if end != End::Lost || since.elapsed() > settings.backoff_max {
                        backoff.reset();
                    }
                    (end == End::Lost).then(|| backoff.next())
                }
                Err(error) => {
                    tracing::debug!(%error, "no spare model session");
                    let refused = matches!(error, ConnectError::Refused { status: 400 | 401 | 403 | 404 });
                    Some(if refused { REFUSED_PAUSE } else { backoff.next() })
                }
            };
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn connect(&self) -> Result<ModelSocket, ConnectError> {
        let limit = self.settings.connect_timeout;
        let connected = tokio::time::timeout(limit, self.inner.connect(&self.settings.url)).await;
        connected.unwrap_or_else(|_| Err(ConnectError::Unreachable { what: format!("no answer within {limit:?}") }))
    }
}
