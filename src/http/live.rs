//! `GET /admin/live`: what goes on, for the operators' page.
//!
//! One [`LiveBoard`] looks at the registry for all viewers, and writes each message once. A viewer is an actor of
//! `actix_web_actors`, which is polled by its socket: a browser that reads nothing stops it, and its mailbox fills. So the
//! board counts what a viewer has not handled yet, sends it nothing more meanwhile, and a snapshot when it is back.

mod board;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Handler, Message, StreamHandler};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use bytestring::ByteString;
use trunkline_actors::ports::tell;

use super::auth::unix_now;
use super::openapi::{NotLetIn, Refusal};
use super::{Shared, refuse, session};
use board::Join;
pub(crate) use board::{CloseAll, LiveBoard};

/// Most viewers at a time.
const MAX_VIEWERS: usize = 32;
/// Messages that may wait for a viewer: a burst of changes. The board bounds their bytes.
const MAILBOX: usize = 1_024;
/// Nothing but pongs and closes is expected from a viewer.
const MAX_FRAME: usize = 1_024;

/// The seats of viewers.
#[derive(Default)]
pub(crate) struct Seats {
    taken: AtomicUsize,
}

impl Seats {
    fn take(self: &Arc<Self>) -> Option<Seat> {
        let free = |taken: usize| (taken < MAX_VIEWERS).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Seat(Arc::clone(self)))
    }

    /// Viewers now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// One viewer's seat, until it is dropped.
struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Upgrades, or refuses when all seats are taken.
#[utoipa::path(
    get, path = "/admin/live",
    responses(
        (status = 101, description = "A WebSocket: snapshot, started, changed, ended, counters"),
        (status = 400, description = "No WebSocket handshake", body = Refusal),
        (status = 503, description = "Viewers enough", body = Refusal),
        NotLetIn,
    )
)]
pub(crate) async fn live(
    request: HttpRequest,
    body: web::Payload,
    shared: web::Data<Shared>,
    board: web::Data<Addr<LiveBoard>>,
) -> HttpResponse {
    let Some(seat) = shared.viewers.take() else {
        let message = format!("{MAX_VIEWERS} operators are watching already");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "at_capacity", message).into();
    };
    let now = unix_now();
    let session = session::ends(&shared.admin, request.headers(), now);
    let left = session.map(|end| Duration::from_secs(end.saturating_sub(now)));
    let viewer = Viewer { board: board.get_ref().clone(), waiting: Arc::default(), left, _seat: seat };
    let upgrade = ws::WsResponseBuilder::new(viewer, &request, body).frame_size(MAX_FRAME);
    upgrade.start().unwrap_or_else(|error| refuse(StatusCode::BAD_REQUEST, "not_a_websocket", error.to_string()).into())
}

/// A message for viewers, from the board.
#[derive(Clone, Message)]
#[rtype(result = "()")]
enum Show {
    /// JSON, written once for all of them.
    Text(ByteString),
    /// The service stops.
    Closing,
}

/// One operator's socket.
struct Viewer {
    board: Addr<LiveBoard>,
    /// Bytes that the board sent and that are not yet handled here.
    waiting: Arc<AtomicUsize>,
    /// A browser watches as long as its session is good.
    left: Option<Duration>,
    _seat: Seat,
}

impl Actor for Viewer {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(left) = self.left {
            ctx.run_later(left, |_, ctx| {
                ctx.close(Some(ws::CloseCode::Policy.into()));
                ctx.stop();
            });
        }
        tell(&self.board, Join { to: ctx.address().recipient(), waiting: Arc::clone(&self.waiting) });
    }
}

impl Handler<Show> for Viewer {
    type Result = ();

    fn handle(&mut self, show: Show, ctx: &mut Self::Context) {
        match show {
            Show::Text(text) => {
                self.waiting.fetch_sub(text.len(), Ordering::Relaxed);
                ctx.text(text);
            }
            Show::Closing => {
                ctx.close(Some(ws::CloseCode::Away.into()));
                ctx.stop();
            }
        }
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Viewer {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        match message {
            Ok(ws::Message::Ping(payload)) => ctx.pong(&payload),
            Ok(ws::Message::Close(_)) => {
                ctx.close(None);
                ctx.stop();
            }
            Ok(_) => {}
            Err(_) => ctx.stop(),
        }
    }
}
