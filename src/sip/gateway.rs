//! One task that owns every dialog: messages in, messages out, and what they mean to the calls.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use actix_web::web;
use bytes::Bytes;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use trunkline_call::CallId;
use trunkline_sip::message::digest::{Account, Algorithm, DigestGuard};
use trunkline_sip::sdp::{self, Agreement};
use trunkline_sip::ua::{
    Action, CallKey, ContactHosts, Ended, Flow, Invite, OptionsTarget, Transport, Ua, UaEvent, UaSettings,
};

use super::incoming::{self, Invitation, MediaSetUp, SetUp};
use super::leg::LegOrder;
use super::ports::Ports;
use super::wire::{AllowList, Received, Wire};
use crate::app::AppError;
use crate::http::Shared;
use crate::settings::{SipSettings, SipTransport, SipTrunk};
use crate::{model, tls};

/// What calls may want of their dialogs, waiting to be done.
const COMMANDS: usize = 1_024;
/// Dialogs are the supervisor's to limit (`calls.max`); this bounds the memory of a flood.
const MAX_DIALOGS: usize = 10_000;
/// A trunk whose name is not found in that time is not there.
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);
/// Each is remembered for 32 s (RFC 3261 section 17.2): 300 calls a second, begun and ended.
const MAX_TRANSACTIONS: usize = 20_000;
/// Places among a leg's orders that keys do not take.
const KEPT_FROM_KEYS: usize = 8;
/// For whom a caller's password is.
const REALM: &str = "trunkline";
/// Byes that are not answered hold up the end no longer.
const LAST_BYES: Duration = Duration::from_secs(1);

/// What a call's tasks want of its dialog.
pub(super) enum Command {
    /// The call stands ready to be answered, or is not to be.
    Ready(CallKey, Result<SetUp, incoming::Refused>),
    /// The call is over on our side.
    Bye(CallKey),
    /// The caller is to go on elsewhere.
    Refer(CallKey, String),
    /// Where a trunk is, if its name is known.
    Trunk(SipTrunk, Option<SocketAddr>),
    /// The service ends.
    Stop,
}

/// Counters for metrics and the leak test.
#[derive(Default)]
pub(crate) struct SipStats {
    pub(crate) dialogs: AtomicU64,
    pub(crate) transactions: AtomicU64,
    ports: OnceLock<Ports>,
    pub(crate) invites: AtomicU64,
    pub(crate) refused: AtomicU64,
    /// Trunks that answered the last OPTIONS.
    pub(crate) trunks_alive: AtomicU64,
}

impl SipStats {
    /// Pairs of media ports that are free.
    pub(crate) fn free_ports(&self) -> usize {
        self.ports.get().map_or(0, Ports::free)
    }
}

/// The leg, listening.
pub(crate) struct SipGateway {
    /// Where it listens.
    pub(crate) listening: Vec<SocketAddr>,
    commands: mpsc::Sender<Command>,
    task: actix_rt::task::JoinHandle<()>,
    arbiters: Vec<Arbiter>,
}

impl SipGateway {
    /// Hangs up what is left and lets go of the sockets.
    pub(crate) async fn stop(self) {
        // A gateway that is gone has stopped.
        let _ = self.commands.send(Command::Stop).await;
        let _ = self.task.await;
        for arbiter in self.arbiters {
            arbiter.stop();
        }
    }
}

struct Call {
    call_id: CallId,
    /// Where the numbers of its side are, as in a URI.
    host: String,
    state: CallState,
}

enum CallState {
    /// Its actors are being started; if the caller hung up meanwhile, why.
    SettingUp(Option<Ended>),
    Up {
        leg: mpsc::Sender<LegOrder>,
        agreement: Box<Agreement>,
    },
}

struct Gateway {
    ua: Ua,
    wire: Wire,
    calls: HashMap<CallKey, Call>,
    commands: mpsc::Receiver<Command>,
    sender: mpsc::Sender<Command>,
    ports: Ports,
    bind: IpAddr,
    advertised: IpAddr,
    require_srtp: bool,
    /// Where calls live, in turn.
    places: Vec<ArbiterHandle>,
    next_place: usize,
    trunks: Vec<SipTrunk>,
    /// By URI, what the last OPTIONS met.
    alive: HashMap<String, bool>,
    options_interval: Duration,
    next_options: Instant,
    shared: web::Data<Shared>,
    stats: Arc<SipStats>,
    actions: Vec<Action>,
}

/// Starts the leg where it is configured; each listener is told of on stdout by the caller.
pub(crate) async fn start(
    settings: &SipSettings,
    workers: usize,
    shared: &web::Data<Shared>,
    stats: Arc<SipStats>,
) -> Result<Option<SipGateway>, AppError> {
    if settings.listen.is_none() && settings.tls.is_none() {
        return Ok(None);
    }
    let failed = |key, addr| move |error: io::Error| AppError::Listen { key, addr, error };
    let mut listening = Vec::new();
    let mut udp = None;
    let mut tcp = None;
    if let Some(address) = settings.listen {
        let stream = TcpListener::bind(address).await.map_err(failed("sip.listen", address))?;
        let bound = stream.local_addr()?;
        udp = Some(UdpSocket::bind(bound).await.map_err(failed("sip.listen", bound))?);
        tcp = Some(stream);
        listening.push(bound);
    }
    let allowed = AllowList::new(&settings.networks);
    let mut tls = model::client_config(None)?;
    // SIP has none of its own that peers agree on.
    Arc::make_mut(&mut tls).alpn_protocols.clear();
    let mut wire = Wire::new(udp, allowed, tls);
    if let Some(listener) = tcp {
        wire.accept(listener, None);
    }
    if let Some(tls_settings) = &settings.tls {
        let config = tls::server_config("sip.tls", &tls_settings.cert_file, &tls_settings.key_file)?;
        let address = tls_settings.listen;
        let listener = TcpListener::bind(address).await.map_err(failed("sip.tls.listen", address))?;
        listening.push(listener.local_addr()?);
        wire.accept(listener, Some(Arc::new(config).into()));
    }
    let bind = settings.listen.or(settings.tls.as_ref().map(|tls| tls.listen)).map_or(advertised_default(), |a| a.ip());
    let advertised = settings.advertised.unwrap_or(bind);
    let mut ua = Ua::new(ua_settings(settings, advertised, &listening), fastrand::Rng::new());
    if let Some(account) = &settings.account {
        let account = Account { username: account.username.clone(), password: account.password.expose().to_owned() };
        let algorithms = [Algorithm::Sha256, Algorithm::Md5];
        let guard = DigestGuard::new(REALM, incoming::random(), &algorithms, vec![account]);
        ua.ask_for_password(Instant::now().into_std(), guard);
    }
    let arbiters: Vec<Arbiter> = (0..workers).map(|_| Arbiter::new()).collect();
    let ports = Ports::new(settings.rtp_ports.clone());
    // Started once; a second start in one process (tests) has its own.
    let _ = stats.ports.set(ports.clone());
    let (sender, commands) = mpsc::channel(COMMANDS);
    let gateway = Gateway {
        ua,
        wire,
        calls: HashMap::new(),
        commands,
        sender: sender.clone(),
        ports,
        bind,
        advertised,
        require_srtp: settings.require_srtp,
        places: arbiters.iter().map(Arbiter::handle).collect(),
        next_place: 0,
        trunks: settings.trunks.clone(),
        alive: HashMap::new(),
        options_interval: settings.options_interval,
        next_options: Instant::now(),
        shared: shared.clone(),
        stats,
        actions: Vec::new(),
    };
    let task = actix_rt::spawn(gateway.run());
    Ok(Some(SipGateway { listening, commands: sender, task, arbiters }))
}

/// A stream comes from a port where nobody listens.
fn host_of(invite: &Invite) -> String {
    match (invite.transport, invite.source.ip()) {
        (Transport::Udp, _) => invite.source.to_string(),
        (_, IpAddr::V4(ip)) => ip.to_string(),
        (_, IpAddr::V6(ip)) => format!("[{ip}]"),
    }
}

const fn advertised_default() -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
}

fn ua_settings(settings: &SipSettings, advertised: IpAddr, listening: &[SocketAddr]) -> UaSettings {
    let at = |port: Option<u16>| SocketAddr::new(advertised, port.unwrap_or_default()).to_string();
    let plain = settings.listen.and_then(|_| listening.first()).map(SocketAddr::port);
    let tls = settings.tls.as_ref().and_then(|_| listening.last()).map(SocketAddr::port);
    UaSettings {
        contact_host: ContactHosts { udp: at(plain), tcp: at(plain), tls: at(tls.or(plain)) },
        user_agent: concat!("Trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
        session_expires: settings.session_expires,
        max_dialogs: MAX_DIALOGS,
        max_per_source: MAX_DIALOGS,
        max_transactions: MAX_TRANSACTIONS,
        max_transactions_per_source: MAX_TRANSACTIONS,
        ..UaSettings::new(&at(plain.or(tls)))
    }
}

impl Gateway {
    async fn run(mut self) {
        let mut stopping = None;
        loop {
            let timer = self.ua.next_timer().map(Instant::from_std);
            let options = (!self.trunks.is_empty() && stopping.is_none()).then_some(self.next_options);
            let wake = [timer, options, stopping].into_iter().flatten().min();
            let sleep = async {
                match wake {
                    Some(wake) => sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.wire.next() => self.received(received),
                Some(command) = self.commands.recv() => {
                    if matches!(command, Command::Stop) {
                        stopping = Some(Instant::now() + LAST_BYES);
                    }
                    self.command(command);
                }
                () = sleep => {
                    let now = Instant::now();
                    self.ua.on_timer(now.into_std(), &mut self.actions);
                    if options.is_some_and(|due| due <= now) {
                        self.next_options = now + self.options_interval;
                        self.look_for_trunks();
                    }
                }
            }
            self.act();
            if stopping.is_some_and(|end| Instant::now() >= end || self.ua.calls() == 0) {
                return;
            }
        }
    }

    fn received(&mut self, received: Received) {
        received.give(&mut self.ua, Instant::now().into_std(), &mut self.actions);
    }

    /// Carries out what the agent wants, until it wants nothing more.
    fn act(&mut self) {
        while !self.actions.is_empty() {
            for action in std::mem::take(&mut self.actions) {
                match action {
                    Action::Send { flow, bytes } => self.wire.send(&flow, bytes),
                    Action::Event(event) => self.event(event),
                }
            }
        }
        self.stats.dialogs.store(self.ua.calls() as u64, Ordering::Relaxed);
        self.stats.transactions.store(self.ua.transactions() as u64, Ordering::Relaxed);
    }

    fn event(&mut self, event: UaEvent) {
        match event {
            UaEvent::Incoming { call, invite } => {
                self.stats.invites.fetch_add(1, Ordering::Relaxed);
                if let Err(refused) = self.incoming(call, &invite) {
                    self.refuse(call, &incoming::call_id_of(&invite), &refused);
                }
            }
            UaEvent::Changed { call, sdp } => self.changed(call, sdp),
            UaEvent::Info { call, content_type, body } => {
                if let Some(key) = incoming::key_of_info(&content_type, &body) {
                    self.key(call, key);
                }
            }
            UaEvent::Transferred { call, result } => self.order(call, LegOrder::Transferred(result)),
            UaEvent::Ended { call, why, .. } => self.ended(call, why),
            UaEvent::Options { target, alive } => self.trunk_answered(target.uri, alive),
            UaEvent::Answered { call, sdp: Some(sdp) } => self.answered(call, &sdp),
            UaEvent::Confirmed { .. } | UaEvent::Ringing { .. } | UaEvent::Answered { .. } => {}
        }
    }

    /// Starts to set a call up beside the loop.
    fn incoming(&mut self, call: CallKey, invite: &Invite) -> Result<(), incoming::Refused> {
        let invitation = Invitation::read(invite, &self.shared.bridge.routes)?;
        let offer = sdp::read(invite.sdp.as_deref().unwrap_or_default()).map_err(incoming::Refused::media)?;
        let pair = self.ports.take(self.bind).ok_or(incoming::Refused::NO_PORT)?;
        let local = incoming::local_media(self.advertised, pair.port, self.require_srtp);
        let (agreement, agreed) = Agreement::answering(&offer, local).map_err(incoming::Refused::media)?;
        let place = self.places.get(self.next_place % self.places.len().max(1)).cloned();
        self.next_place += 1;
        let place = place.ok_or(incoming::Refused::INTERNAL)?;
        let (call_id, host) = (invitation.call_id.clone(), host_of(invite));
        self.calls.insert(call, Call { call_id, host, state: CallState::SettingUp(None) });
        let sender = self.sender.clone();
        let media = MediaSetUp { agreement, agreed, pair, call, gateway: sender.clone() };
        let setting_up = actix_rt::spawn(incoming::set_up(self.shared.clone(), invitation, media, place));
        actix_rt::spawn(async move {
            let result = setting_up.await.unwrap_or(Err(incoming::Refused::INTERNAL));
            // Without a gateway there is nobody to be answered.
            let _ = sender.send(Command::Ready(call, result)).await;
        });
        Ok(())
    }

    fn ended(&mut self, call: CallKey, why: Ended) {
        match self.calls.get_mut(&call).map(|call| &mut call.state) {
            Some(CallState::SettingUp(ended)) => *ended = Some(why),
            Some(CallState::Up { leg, .. }) => {
                // A leg that is gone, or as good as that, needs no telling.
                drop(leg.try_send(LegOrder::Ended(why)));
                self.calls.remove(&call);
            }
            None => {}
        }
    }

    fn trunk_answered(&mut self, uri: String, alive: bool) {
        if self.alive.get(&uri) != Some(&alive) {
            tracing::info!(uri, alive, "a trunk was asked whether it is there");
        }
        self.alive.insert(uri, alive);
        let alive = self.alive.values().filter(|alive| **alive).count();
        self.stats.trunks_alive.store(alive as u64, Ordering::Relaxed);
    }

    fn refuse(&mut self, call: CallKey, call_id: &CallId, refused: &incoming::Refused) {
        self.stats.refused.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now().into_std();
        let incoming::Refused { status, reason, retry_after, why } = refused;
        tracing::info!(call = %call_id, status, why, "a SIP call was refused");
        self.ua.reject(now, call, *status, reason, *retry_after, &mut self.actions);
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now().into_std();
        match command {
            Command::Ready(call, result) => self.ready(call, result),
            Command::Bye(call) => self.hang_up(call),
            Command::Refer(call, to) => {
                let Some(Call { host, .. }) = self.calls.get(&call) else { return };
                self.ua.refer(now, call, &format!("sip:{to}@{host}"), &mut self.actions);
            }
            Command::Trunk(trunk, peer) => self.ask_trunk(&trunk, peer),
            Command::Stop => {
                for call in self.calls.keys().copied().collect::<Vec<_>>() {
                    self.hang_up(call);
                }
            }
        }
    }

    fn hang_up(&mut self, call: CallKey) {
        // Who is not answered yet may be answered elsewhere: a Decline would say that nobody is to.
        if let Some(Call { call_id, state: CallState::SettingUp(None), .. }) = self.calls.get(&call) {
            let call_id = call_id.clone();
            self.refuse(call, &call_id, &incoming::Refused::unavailable("the call ended while it was set up"));
        } else {
            self.ua.bye(Instant::now().into_std(), call, None, &mut self.actions);
        }
    }

    fn ready(&mut self, call: CallKey, result: Result<SetUp, incoming::Refused>) {
        let now = Instant::now().into_std();
        let Some(Call { call_id, host, state: CallState::SettingUp(ended) }) = self.calls.remove(&call) else { return };
        match (result, ended) {
            (Ok(SetUp { leg, .. }), Some(why)) => drop(leg.try_send(LegOrder::Ended(why))),
            (Ok(SetUp { leg, agreement }), None) => {
                let sdp = Bytes::from(agreement.to_sdp());
                self.calls.insert(call, Call { call_id, host, state: CallState::Up { leg, agreement } });
                self.ua.accept(now, call, sdp, &mut self.actions);
            }
            (Err(refused), None) => self.refuse(call, &call_id, &refused),
            (Err(_), Some(_)) => {}
        }
    }

    /// Hold, another address, another codec; or a wish to hear our side again.
    fn changed(&mut self, call: CallKey, sdp: Option<Bytes>) {
        let now = Instant::now().into_std();
        let Some(Call { call_id, state: CallState::Up { leg, agreement }, .. }) = self.calls.get_mut(&call) else {
            return self.ua.answer_change(now, call, Err(488), &mut self.actions);
        };
        let answer = match &sdp {
            None => {
                agreement.offer_again(incoming::fresh_key());
                Ok(())
            }
            // One whose leg has no time for it is to ask again.
            Some(_) if leg.capacity() == 0 => Err(500),
            Some(offer) => match agreement.changed(offer, incoming::fresh_key()) {
                Ok(agreed) => {
                    drop(leg.try_send(LegOrder::Change(Box::new(agreed))));
                    Ok(())
                }
                Err(why) => {
                    tracing::info!(call = %call_id, %why, "a change of a call's media was refused");
                    Err(488)
                }
            },
        };
        let answer = answer.map(|()| Bytes::from(agreement.to_sdp()));
        self.ua.answer_change(now, call, answer, &mut self.actions);
    }

    /// The answer to an offer that the peer asked us for, or news in that to a refresh.
    fn answered(&mut self, call: CallKey, sdp: &[u8]) {
        let Some(Call { call_id, state: CallState::Up { leg, agreement }, .. }) = self.calls.get_mut(&call) else {
            return;
        };
        match agreement.answered(sdp) {
            Ok(agreed) => drop(leg.try_send(LegOrder::Change(Box::new(agreed)))),
            Err(why) => tracing::info!(call = %call_id, %why, "an answer about a call's media changes nothing"),
        }
    }

    /// Whoever presses keys faster than they are taken loses some; what else is to be told finds a place.
    fn key(&self, call: CallKey, key: char) {
        if let Some(CallState::Up { leg, .. }) = self.calls.get(&call).map(|call| &call.state)
            && leg.capacity() > KEPT_FROM_KEYS
        {
            drop(leg.try_send(LegOrder::Key(key)));
        }
    }

    fn order(&self, call: CallKey, order: LegOrder) {
        if let Some(CallState::Up { leg, .. }) = self.calls.get(&call).map(|call| &call.state) {
            drop(leg.try_send(order));
        }
    }

    /// Resolves the names of trunks beside the loop.
    fn look_for_trunks(&self) {
        for trunk in self.trunks.clone() {
            let sender = self.sender.clone();
            actix_rt::spawn(async move {
                let found = tokio::time::timeout(RESOLVED_WITHIN, tokio::net::lookup_host(&trunk.address)).await;
                let peer = found.ok().and_then(Result::ok).and_then(|mut found| found.next());
                // Without a gateway nobody asks.
                let _ = sender.send(Command::Trunk(trunk, peer)).await;
            });
        }
    }

    fn ask_trunk(&mut self, trunk: &SipTrunk, peer: Option<SocketAddr>) {
        let SipTrunk { address, transport } = trunk;
        let (transport, suffix) = match transport {
            SipTransport::Udp => (Transport::Udp, ""),
            SipTransport::Tcp => (Transport::Tcp, ";transport=tcp"),
            SipTransport::Tls => (Transport::Tls, ";transport=tls"),
        };
        let uri = format!("sip:{address}{suffix}");
        let Some(peer) = peer else { return self.trunk_answered(uri, false) };
        if transport == Transport::Tls {
            self.wire.know(peer, address);
        }
        let target = OptionsTarget { uri, flow: Flow { transport, peer, connection: None } };
        self.ua.options(Instant::now().into_std(), target, &mut self.actions);
    }
}
