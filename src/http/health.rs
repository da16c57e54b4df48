//! `/healthz` and `/readyz`, on both listeners.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;

/// 200 while the process lives.
#[utoipa::path(
    get, path = "/healthz", security(()),
    responses(
        (status = 200, description = "The process lives", body = String, content_type = "text/plain"),
    )
)]
pub(crate) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// Whether a balancer should send new calls here. A lost model is `degraded` with 200: it must not empty the fleet.
#[utoipa::path(
    get, path = "/readyz", security(()),
    responses(
        (status = 200, description = "New calls are welcome", body = Report),
        (status = 503, description = "Starting, draining or full", body = Report),
    )
)]
pub(crate) async fn readyz(shared: web::Data<Shared>) -> HttpResponse {
    let report = report(&shared);
    if report.ready { HttpResponse::Ok().json(report) } else { HttpResponse::ServiceUnavailable().json(report) }
}

/// How the service is doing.
#[derive(Serialize, ToSchema)]
pub(crate) struct Report {
    ready: bool,
    checks: Checks,
}

/// Each is `ok`, `off`, `degraded` or `fail`.
#[derive(Serialize, ToSchema)]
struct Checks {
    realtime: &'static str,
    events: &'static str,
    sma: &'static str,
    draining: &'static str,
    capacity: &'static str,
}

/// Looks at everything that `/readyz` tells.
pub(crate) fn report(shared: &Shared) -> Report {
    let started = shared.lifecycle.is_started();
    let draining = shared.lifecycle.is_draining();
    let full = shared.max_calls > 0 && shared.registry.live() >= shared.max_calls;
    let word = |ok: bool, otherwise: &'static str| if ok { "ok" } else { otherwise };
    // Without its supervisor the service can take no call: let another instance have it.
    let ready = started && !draining && !full && shared.supervisor.connected();
    let checks = Checks {
        realtime: word(shared.bridge.model_reached.load(Ordering::Relaxed), "degraded"),
        events: shared.event_source.as_ref().map_or("off", |source| source.as_str()),
        sma: shared.control_health.as_ref().map_or("off", |health| word(!health.is_failing(), "degraded")),
        draining: word(!draining, "fail"),
        capacity: word(!full, "fail"),
    };
    Report { ready, checks }
}
