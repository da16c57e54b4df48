//! Carriers' WebSocket dialects, on `/ingest?dialect=...` and paths of their own: which call a socket is about is
//! known from its first message only. Whoever has shown nothing by then has to bring a token in it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::Instant;
use trunkline_actors::link::Peer;
use trunkline_actors::messages::{CallerEvent, CallerSays, Refusal};
use trunkline_call::{CallFacts, CallId};

use super::auth::{Secured, unix_now};
use super::ingest::{self, Arrival, Joined, Query, Upgrade};
use super::{Refused, Shared, refuse, trace_of};
use crate::links::dialect::{Carrier, Start};
use crate::links::opening::{self, NoStart, Place, SpentTokens, WaitingRoom};
use crate::links::socket::Socket;
use crate::links::twilio::signature::{self, Address, AuthToken};
use crate::links::twilio::{self, Twilio};
use crate::settings::TwilioSettings;

/// Sockets that may wait at a time without having shown anything.
const STRANGERS: usize = 256;
/// Tokens remembered because they were used: at 100 calls a second, those of 10 minutes.
const SPENT: usize = 65_536;

/// What the carriers' dialects need beside everything else.
pub(crate) struct Carriers {
    strangers: WaitingRoom,
    spent: SpentTokens,
    twilio_token: Option<AuthToken>,
    twilio: Peer,
}

impl Carriers {
    /// As configured.
    pub(crate) fn new(twilio: &TwilioSettings) -> Self {
        Self {
            strangers: WaitingRoom::new(STRANGERS),
            spent: SpentTokens::new(SPENT),
            twilio_token: twilio.auth_token.as_ref().map(AuthToken::new),
            twilio: twilio::peer(twilio.lead),
        }
    }
}

/// What a request shows of who sent it, by a signature of the carrier's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signature {
    /// We have no key to check one.
    NoKey,
    Missing,
    Wrong,
    Good,
}

/// Who may go on after the upgrade.
enum Standing {
    Known,
    /// Its start has to bring a token.
    Stranger {
        _place: Place,
    },
}

/// `GET /media-stream`: Twilio's dialect at a path without a query, which its `<Stream>` does not allow.
pub(crate) async fn media_stream(request: HttpRequest, body: web::Payload, shared: web::Data<Shared>) -> HttpResponse {
    let entered = ingest::check_origin(&request, &shared)
        .and_then(|()| Query::of(&request))
        .and_then(|query| twilio(&request, body, &shared, query));
    entered.unwrap_or_else(HttpResponse::from)
}

/// Lets a socket of Twilio's in.
pub(super) fn twilio(
    request: &HttpRequest,
    body: web::Payload,
    shared: &web::Data<Shared>,
    query: Query,
) -> Result<HttpResponse, Refused> {
    let signature = twilio_signature(request, shared.carriers.twilio_token.as_ref());
    enter::<Twilio>(request, body, shared, query, (signature, shared.carriers.twilio))
}

fn twilio_signature(request: &HttpRequest, key: Option<&AuthToken>) -> Signature {
    let Some(key) = key else { return Signature::NoKey };
    let Some(given) = request.headers().get(signature::HEADER) else { return Signature::Missing };
    // Behind a proxy: what `Forwarded`, `X-Forwarded-Proto` and `X-Forwarded-Host` say.
    let seen = request.connection_info();
    let is_secure = matches!(seen.scheme(), "https" | "wss");
    let address = Address { is_secure, host: seen.host(), path: request.path(), query: request.query_string() };
    if key.signed(given.as_bytes(), address) { Signature::Good } else { Signature::Wrong }
}

fn enter<D: Carrier + 'static>(
    request: &HttpRequest,
    body: web::Payload,
    shared: &web::Data<Shared>,
    query: Query,
    (signature, peer): (Signature, Peer),
) -> Result<HttpResponse, Refused> {
    let standing = standing(request.headers(), shared, &query, signature)?;
    let expected = query.call_id.as_deref().map(ingest::call_id).transpose()?;
    let facts = CallFacts { trace: trace_of(request.headers()), ..query.check_for_carrier()? };
    let Upgrade { response, session, stream } = Upgrade::prepare(request, body)?;
    let arriving = Arriving { shared: shared.clone(), standing, expected, facts, peer, session, stream };
    actix_rt::spawn(arriving.run::<D>());
    Ok(response)
}

/// Whoever shows something good is known, whoever shows something wrong is refused, and whoever shows nothing may
/// wait, if there is a secret that a token can be signed with.
fn standing(headers: &HeaderMap, shared: &Shared, query: &Query, signature: Signature) -> Result<Standing, Refused> {
    let refused = |message| Err(refuse(StatusCode::UNAUTHORIZED, "unauthorized", message));
    let secret = &shared.ingest;
    if secret.is_open() {
        return match signature {
            Signature::NoKey | Signature::Good => Ok(Standing::Known),
            Signature::Missing => refused("X-Twilio-Signature is needed"),
            Signature::Wrong => refused("X-Twilio-Signature is wrong: see ingest.twilio.auth_token"),
        };
    }
    let call_id = query.call_id.as_deref().filter(|id| !id.is_empty());
    let has_token = call_id.is_some_and(|id| secret.admits_token(query.token.as_deref(), id, "media"));
    if signature == Signature::Good || has_token || secret.admits_headers(headers) {
        return Ok(Standing::Known);
    }
    if signature == Signature::Wrong {
        return refused("X-Twilio-Signature is wrong: see ingest.twilio.auth_token");
    }
    if query.token.is_some() || Secured::is_tried(headers) {
        return refused("the shared secret (ingest.secret) or a valid token is needed to bring media");
    }
    shared.carriers.strangers.enter().map(|place| Standing::Stranger { _place: place }).ok_or_else(|| {
        let message = "as many sockets as may wait for their token are waiting; try again later";
        refuse(StatusCode::SERVICE_UNAVAILABLE, "at_capacity", message)
    })
}

/// A socket between its upgrade and its call.
struct Arriving {
    shared: web::Data<Shared>,
    standing: Standing,
    /// The call that its request named.
    expected: Option<CallId>,
    /// What its request told of it.
    facts: CallFacts,
    peer: Peer,
    session: actix_ws::Session,
    stream: actix_ws::AggregatedMessageStream,
}

impl Arriving {
    async fn run<D: Carrier>(self) {
        let Self { shared, standing, expected, facts, peer, mut session, mut stream } = self;
        let until = Instant::now() + opening::PATIENCE;
        let start = match opening::start::<D>(&mut session, &mut stream, until).await {
            Ok(start) => *start,
            Err(NoStart::Gone) => return,
            Err(NoStart::Refused { code, why }) => return opening::turn_away(session, stream, code, why).await,
            Err(NoStart::Late) => {
                let (code, why) = match standing {
                    Standing::Stranger { .. } => NO_TOKEN,
                    Standing::Known => (1008, "no start came in time"),
                };
                return opening::turn_away(session, stream, code, why).await;
            }
        };
        let Start { call_id, codec, facts: told, token, dialect } = start;
        let mut spent = None;
        if matches!(standing, Standing::Stranger { .. }) {
            spent = spend(&shared, token.as_deref(), &call_id);
            if spent.is_none() {
                tracing::debug!(call = %call_id, link = D::LINK, "no valid token: turned away");
                return opening::turn_away(session, stream, NO_TOKEN.0, NO_TOKEN.1).await;
            }
        }
        drop(standing);
        if expected.is_some_and(|expected| expected != call_id) {
            return opening::turn_away(session, stream, 1008, "callId of the query is another call's").await;
        }
        let mut facts = facts;
        facts.learn(told);
        let arrival = Arrival { call_id, facts, link: D::LINK, codec, peer };
        let Joined { line, link, call_id } = match ingest::join(&shared, arrival).await {
            Ok(joined) => joined,
            Err(refusal) => {
                if let Some(mac) = spent {
                    shared.carriers.spent.give_back(mac);
                }
                let (code, why) = refused(refusal);
                return opening::turn_away(session, stream, code, why).await;
            }
        };
        // Nothing more will be told: its route need not wait. A line that is gone already closes the link.
        let event = CallerEvent::Start(CallFacts::default());
        let _ = line.0.send(CallerSays { epoch: line.1, event }).await;
        let (heartbeat, malformed) = (shared.heartbeat, Arc::clone(&shared.malformed));
        Socket { call_id, dialect, heartbeat, session, stream, link, malformed, line: Some(line) }.run().await;
    }
}

const NO_TOKEN: (u16, &str) = (4401, "no valid token");

/// Spends the token in a start, and gives its HMAC, if it is good for the call and was not used before.
fn spend<'a>(shared: &Shared, token: Option<&'a str>, call_id: &CallId) -> Option<&'a str> {
    let now = unix_now();
    let token = shared.ingest.check_token(token?, call_id.as_str(), "media", now)?;
    shared.carriers.spent.spend(token.mac, token.expiry, now).then_some(token.mac)
}

/// How a call that is refused after the upgrade is told: 1013 (RFC 6455's registry, "try again later") where another
/// instance or another moment may take it.
fn refused(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::Draining => (1013, "draining"),
        Refusal::AtCapacity => (1013, "at_capacity"),
        Refusal::Over => (1000, "call_over"),
        Refusal::Internal => (1011, "internal"),
    }
}
