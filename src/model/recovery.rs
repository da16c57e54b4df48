//! After an outage that no call outlived nobody would learn that the model is back: it is asked now and then.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trunkline_actors::ports::{Incoming, ModelTransport, Outgoing};
use trunkline_call::ConnectGate;

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_secs(10);
/// A closing handshake is a courtesy.
const CLOSE: Duration = Duration::from_secs(1);

/// Where the model is asked, and at whose pace.
pub(crate) struct Recovery {
    /// Opens the sockets.
    pub(crate) transport: Rc<dyn ModelTransport>,
    /// The pace that all calls share.
    pub(crate) gate: Arc<ConnectGate>,
    /// The model's addresses, asked in turn.
    pub(crate) endpoints: Vec<Arc<str>>,
    /// From the upgrade to the first event.
    pub(crate) patience: Duration,
}

impl Recovery {
    /// As long as it is polled: while `is_missed`, asks until the model greets anywhere, and then calls `found`.
    pub(crate) async fn run(self, is_missed: impl Fn() -> bool, found: impl Fn()) {
        loop {
            sleep(PAUSE).await;
            for url in &self.endpoints {
                if !is_missed() {
                    break;
                }
                sleep_until(Instant::from_std(self.gate.reserve(Instant::now().into_std()))).await;
                // A call that misses it meanwhile knows better.
                if self.greets(url).await && is_missed() {
                    found();
                }
            }
        }
    }

    /// Whether a session begins at this address; it is closed at once.
    async fn greets(&self, url: &str) -> bool {
        let mut socket = match self.transport.connect(url).await {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(%error, "the model is still away");
                return false;
            }
        };
        let first = timeout(self.patience, socket.incoming.next()).await;
        let _ = timeout(CLOSE, socket.outgoing.send(Outgoing::Close { code: 1000 })).await;
        matches!(first, Ok(Some(Incoming::Text(_))))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use trunkline_actors::memory_transport::{ConnectPlan, MemoryTransport};

    use super::*;

    const FIVE_ROUNDS: Duration = Duration::from_secs(55);

    /// Whether the model counts as missed in the end, and how often it was asked.
    fn watched(model: &MemoryTransport, missed: bool) -> (bool, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let missed = Cell::new(missed);
        runtime.block_on(async {
            let recovery = Recovery {
                transport: Rc::new(model.clone()),
                gate: Arc::new(ConnectGate::new(50, Instant::now().into_std())),
                endpoints: vec!["wss://model.test/".into(), "wss://backup.test/".into()],
                patience: Duration::from_secs(8),
            };
            let forever = timeout(FIVE_ROUNDS, recovery.run(|| missed.get(), || missed.set(false))).await;
            assert!(forever.is_err());
        });
        (missed.get(), model.urls().len())
    }

    fn created() -> Incoming {
        Incoming::Text(r#"{"type":"session.created"}"#.into())
    }

    #[test]
    fn a_model_that_nobody_misses_is_not_asked() {
        let model = MemoryTransport::new();
        model.otherwise(Duration::ZERO, ConnectPlan::Accept);
        assert_eq!(watched(&model, false), (false, 0));
    }

    #[test]
    fn one_that_is_back_is_found_and_left_in_peace() {
        let model = MemoryTransport::new();
        model.otherwise(Duration::ZERO, ConnectPlan::Accept);
        model.first_frames([created()]);
        assert_eq!(watched(&model, true), (false, 1));
    }

    #[test]
    fn one_that_refuses_or_says_nothing_stays_missed() {
        let model = MemoryTransport::new();
        model.otherwise(Duration::ZERO, ConnectPlan::Refuse(503));
        assert_eq!(watched(&model, true), (true, 10), "at two addresses");
        let mute = MemoryTransport::new();
        mute.otherwise(Duration::ZERO, ConnectPlan::Accept);
        let (missed, asked) = watched(&mute, true);
        assert!(missed && asked > 2, "{asked}");
    }
}
