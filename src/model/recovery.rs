//! After an outage that no call outlived nobody would learn that the model is back: it is asked now and then.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use trunkline_actors::ports::ModelTransport;
use trunkline_call::ConnectGate;
use trunkline_realtime::{SessionProfile, Timing};

use super::trial::try_session;
use super::turn_at;

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_secs(10);

/// Where the model is asked, for what, and at whose pace.
pub(crate) struct Recovery {
    /// Opens the sockets.
    pub(crate) transport: Rc<dyn ModelTransport>,
    /// The pace that all calls share.
    pub(crate) gate: Arc<ConnectGate>,
    /// The model's addresses, asked in turn.
    pub(crate) endpoints: Vec<Arc<str>>,
    /// The sessions of all routes: the model is back when it takes each of them.
    pub(crate) profiles: Vec<Arc<SessionProfile>>,
    /// When a session counts as dead.
    pub(crate) timing: Timing,
    /// From the connect to the session that is set up.
    pub(crate) limit: Duration,
}

impl Recovery {
    /// Runs for ever. `missed` gives the number of outages so far while the model is missed and no call looks for it by
    /// itself; `found` is called when it is back and there was none since.
    pub(crate) async fn run(self, missed: impl Fn() -> Option<u64>, found: impl Fn()) {
        loop {
            sleep(PAUSE).await;
            let outages = missed();
            if outages.is_some() && self.is_back(|| missed() == outages).await && missed() == outages {
                found();
            }
        }
    }

    async fn is_back(&self, is_asked: impl Fn() -> bool) -> bool {
        for url in &self.endpoints {
            if self.takes_all(url, &is_asked).await {
                return true;
            }
        }
        false
    }

    async fn takes_all(&self, url: &str, is_asked: impl Fn() -> bool) -> bool {
        for profile in &self.profiles {
            turn_at(&self.gate).await;
            // A call may look for it by now.
            if !is_asked() {
                return false;
            }
            let tried = try_session(&*self.transport, url, Arc::clone(profile), self.timing, self.limit).await;
            if let Err(loss) = tried {
                tracing::debug!(%loss, "the model is still away");
                return false;
            }
        }
        !self.profiles.is_empty()
    }
}
