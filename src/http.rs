//! The two listeners' surfaces, one file each.

pub(crate) mod admin;
pub(crate) mod auth;
pub(crate) mod carrier;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod ingest;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod outreach;
pub(crate) mod page;
pub(crate) mod session;
pub(crate) mod sma;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::Addr;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use serde_json::json;
use tokio::sync::Notify;
use trunkline_actors::call_control::ControlHealth;
use trunkline_actors::call_supervisor::CallSupervisor;
use trunkline_actors::messages::Refusal;
use trunkline_actors::registry::Registry;
use trunkline_actors::settings::BridgeSettings;
use trunkline_call::TraceContext;

use crate::aws::{EventStats, SourceHealth};
use crate::links::socket::Heartbeat;
use crate::sip::SipStats;
use auth::Secured;

/// What every request may need.
pub(crate) struct Shared {
    pub(crate) supervisor: Addr<CallSupervisor>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) bridge: Arc<BridgeSettings>,
    pub(crate) ingest: Secured,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) carriers: carrier::Carriers,
    /// Messages of callers' sockets that could not be read and not be answered.
    pub(crate) malformed: Arc<AtomicU64>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) admin: Secured,
    pub(crate) mask_numbers: bool,
    pub(crate) max_calls: usize,
    pub(crate) lifecycle: Lifecycle,
    /// What became of call events.
    pub(crate) events: Arc<EventStats>,
    /// How their queue is doing, where there is one.
    pub(crate) event_source: Option<Arc<SourceHealth>>,
    pub(crate) sip: Arc<SipStats>,
    pub(crate) sma: sma::Application,
    /// How the SIP media application is doing, where there is one.
    pub(crate) control_health: Option<Arc<ControlHealth>>,
    pub(crate) outreach: outreach::Outreach,
    /// Seats of those who watch `/admin/live`.
    pub(crate) viewers: Arc<live::Seats>,
}

/// Where the service is in its life.
#[derive(Default)]
pub(crate) struct Lifecycle {
    ready: AtomicBool,
    draining: AtomicBool,
    drain_asked: Notify,
}

impl Lifecycle {
    /// All listeners accept.
    pub(crate) fn started(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// Whether the service has started.
    pub(crate) fn is_started(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Asks for an orderly end, as SIGTERM does.
    pub(crate) fn ask_to_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.drain_asked.notify_one();
    }

    /// Waits until an operator asks for an orderly end.
    pub(crate) async fn drain_asked(&self) {
        self.drain_asked.notified().await;
    }

    /// Whether new calls are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// The trace that a request is part of, where it says so, once (W3C Trace Context).
pub(crate) fn trace_of(headers: &HeaderMap) -> Option<Box<TraceContext>> {
    let mut parents = headers.get_all("traceparent");
    let parent = parents.next().filter(|_| parents.next().is_none())?.to_str().ok()?;
    let states: Vec<&str> = headers.get_all("tracestate").filter_map(|state| state.to_str().ok()).collect();
    TraceContext::parse(parent, Some(&states.join(","))).map(Box::new)
}

/// A refusal in the contract's words: `{"error":{"code","message"}}`.
pub(crate) struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// Refuses with a status, a code for machines and words for people.
pub(crate) fn refuse(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refused {
    Refused { status, code, message: message.into() }
}

impl From<Refused> for HttpResponse {
    fn from(Refused { status, code, message }: Refused) -> Self {
        let mut response = Self::build(status);
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.insert_header(("retry-after", RETRY_AFTER.as_secs().to_string()));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header(("www-authenticate", "Bearer"));
        }
        response.json(json!({"error": {"code": code, "message": message}}))
    }
}

/// Another instance, or this one after a call or two, is worth a try then.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The refusal of a new call.
pub(crate) fn refuse_call(refusal: Refusal) -> Refused {
    let (status, code) = match refusal {
        Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Refusal::AtCapacity => (StatusCode::SERVICE_UNAVAILABLE, "at_capacity"),
        // A SIP gateway answers 603, which the SIP media application takes as over.
        Refusal::Over => (StatusCode::GONE, "call_over"),
        Refusal::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    refuse(status, code, refusal.to_string())
}
