//! AWS's part of the service: who is asked, and what comes from the queue.

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr};
use actix_web::web;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use trunkline_actors::call_control::{CallControlActor, ControlHealth};
use trunkline_actors::call_supervisor::CallSupervisor;
use trunkline_actors::messages::CallNews;
use trunkline_chime::announcements::Outcome;
use trunkline_chime::event::Message;

use super::AppError;
use crate::aws::{ChimeVoice, Consumer, ConsumerHandle, EventHandler, EventStats, SourceHealth, Sqs, Target};
use crate::http::Shared;
use crate::settings::{EventSettings, Settings};

/// What of AWS is configured.
pub(super) struct AwsParts {
    /// Asks the SIP media application.
    pub(super) control: Option<Addr<CallControlActor>>,
    /// How that goes.
    pub(super) control_health: Option<Arc<ControlHealth>>,
    /// What became of events.
    pub(super) events: Arc<EventStats>,
    /// How the queue is doing.
    pub(super) event_source: Option<Arc<SourceHealth>>,
}

impl AwsParts {
    /// Starts what is configured; nothing is asked yet.
    pub(super) async fn start(settings: &Settings) -> Result<Self, AppError> {
        let mut parts = Self { control: None, control_health: None, events: Arc::default(), event_source: None };
        let sma = &settings.sma;
        if let Some(application) = &sma.application_id {
            let config = Target::voice(sma).load().await?;
            let port = Rc::new(ChimeVoice::new(&config, application));
            let health = Arc::new(ControlHealth::default());
            let control =
                CallControlActor::new(port, sma.updates_per_second, sma.creates_per_second, Arc::clone(&health));
            parts.control = Some(control.start());
            parts.control_health = Some(health);
        }
        parts.event_source = settings.events.queue_url.is_some().then(Arc::default);
        Ok(parts)
    }
}

/// Takes events from the queue, if there is one, from now on.
pub(super) async fn event_consumer(
    settings: &EventSettings,
    shared: &web::Data<Shared>,
) -> Result<Option<ConsumerHandle>, AppError> {
    let (Some(url), Some(health)) = (&settings.queue_url, &shared.event_source) else { return Ok(None) };
    let config = Target::queue(settings).load().await?;
    let handler = Applies(shared.supervisor.clone());
    let consumer = Consumer::new(Sqs::new(&config, url), handler, Arc::clone(&shared.events), Arc::clone(health));
    Ok(Some(consumer.start()))
}

/// Hands events to the supervisor.
struct Applies(Addr<CallSupervisor>);

impl EventHandler for Applies {
    fn apply(&self, message: Message) -> LocalBoxFuture<'_, Option<Outcome>> {
        self.0.send(CallNews(message)).map(Result::ok).boxed_local()
    }
}
