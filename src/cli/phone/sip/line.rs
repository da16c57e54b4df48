//! The dialog of one call that we place: its sockets, its timers, and what the far end says.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use trunkline_chime::sma::headers;
use trunkline_sip::message::{Message, Method, Start};
use trunkline_sip::ua::{
    Action, CallKey, DigestAccount, Ended, Flow, OutgoingInvite, Transport, Ua, UaEvent, UaSettings,
};

use super::address::Address;
use crate::cli::phone::{PhoneError, PhoneOptions};
use crate::model;
use crate::sip::{AllowList, Received, Wire};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may ring.
const RING_FOR: Duration = Duration::from_secs(60);

/// Whoever rings while this telephone is in use.
const BUSY: u16 = 486;

/// Longest text of the far end that is shown, in characters.
const SHOWN: usize = 80;

/// What the far end says.
#[derive(Debug)]
pub(super) enum Said {
    /// It answered an offer of ours.
    Answered(Option<Bytes>),
    /// It wants other media, or to hear ours once more; see [`Line::answer_change`].
    Changed(Option<Bytes>),
    /// It pressed a key, in an INFO.
    Info(String),
    /// The call is over, and the far end's reason.
    Ended(Ended, Option<String>),
}

/// See the module.
pub(super) struct Line {
    /// The address by which the far end sees us, as far as this host knows.
    pub local: IpAddr,
    ua: Ua,
    wire: Wire,
    flow: Flow,
    call: Option<CallKey>,
    said: VecDeque<Said>,
    actions: Vec<Action>,
    /// Anything came from the far end.
    pub is_there: bool,
    /// What it refused the call with, in its words.
    refusal: Option<String>,
}

impl Line {
    /// Opens the way to whom is called.
    pub async fn open(address: &Address, options: &PhoneOptions) -> Result<Self, PhoneError> {
        let tls = model::client_config(options.ca_file.as_deref()).map_err(unreachable)?;
        // The protocol that the configuration would offer is HTTP; SIP servers name none, or their own.
        let mut tls = Arc::unwrap_or_clone(tls);
        tls.alpn_protocols.clear();
        let tls = Arc::new(tls);
        let (wire, local, flow) = match address.transport {
            Transport::Udp => by_datagrams(address, tls).await?,
            Transport::Tcp | Transport::Tls => by_stream(address, tls).await?,
        };
        let settings = UaSettings {
            user_agent: concat!("Trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
            contact_user: "phone".to_owned(),
            ring_for: RING_FOR,
            digest: options.account.as_ref().map(|account| DigestAccount {
                username: account.username.clone(),
                password: account.password.expose().to_owned(),
                realm: None,
            }),
            ..UaSettings::new(&local.to_string())
        };
        Ok(Self {
            local: local.ip(),
            ua: Ua::new(settings, fastrand::Rng::new()),
            wire,
            flow,
            call: None,
            said: VecDeque::new(),
            actions: Vec::new(),
            is_there: false,
            refusal: None,
        })
    }

    /// Calls, with our offer. A Trunkline takes `call_id` as the call's id; others have their own.
    pub fn invite(&mut self, address: &Address, call_id: &str, sdp: String) {
        let local = match self.local {
            IpAddr::V4(local) => local.to_string(),
            IpAddr::V6(local) => format!("[{local}]"),
        };
        let invite = OutgoingInvite {
            uri: address.uri.clone(),
            flow: self.flow,
            from: format!("sip:phone@{local}"),
            headers: vec![(headers::CALL_ID.to_owned(), call_id.to_owned())],
            sdp: sdp.into(),
        };
        self.call = Some(self.ua.invite(Instant::now().into_std(), invite, &mut self.actions));
        self.act();
    }

    /// The next thing that the far end says. May be dropped and asked again at any time.
    pub async fn next(&mut self) -> Said {
        loop {
            if let Some(said) = self.said.pop_front() {
                return said;
            }
            let due = self.ua.next_timer().map(Instant::from_std);
            let sleep = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.wire.next() => self.received(received),
                () = sleep => self.ua.on_timer(Instant::now().into_std(), &mut self.actions),
            }
            self.act();
        }
    }

    /// Answers [`Said::Changed`]: with our media, or the status that refuses it.
    pub fn answer_change(&mut self, sdp: Result<Bytes, u16>) {
        if let Some(call) = self.call {
            self.ua.answer_change(Instant::now().into_std(), call, sdp, &mut self.actions);
            self.act();
        }
    }

    /// Hangs up, or takes the call back if nobody has answered yet. Waits until the far end knows, but not for long.
    pub async fn hang_up(&mut self, patience: Duration) {
        if let Some(call) = self.call {
            self.ua.bye(Instant::now().into_std(), call, None, &mut self.actions);
            self.act();
        }
        let until = Instant::now() + patience;
        while self.ua.calls() > 0 {
            let timer = self.ua.next_timer().map_or(until, |due| until.min(Instant::from_std(due)));
            match timeout_at(timer, self.wire.next()).await {
                Ok(received) => self.received(received),
                Err(_) if Instant::now() >= until => return,
                Err(_) => self.ua.on_timer(Instant::now().into_std(), &mut self.actions),
            }
            self.act();
        }
    }

    /// Lets our last word go out, and says it again where it was lost on the way.
    pub async fn linger(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while timeout_at(until, self.next()).await.is_ok() {}
    }

    /// What the far end refused the call with.
    pub fn refusal(&mut self, code: u16) -> PhoneError {
        PhoneError::Declined { status: code, reason: self.refusal.take().unwrap_or_default() }
    }

    fn received(&mut self, received: Received) {
        if let Received::Message(_, message) = &received {
            self.is_there = true;
            if let Some(reason) = refusal_in(message) {
                self.refusal = Some(reason);
            }
        }
        received.give(&mut self.ua, Instant::now().into_std(), &mut self.actions);
    }

    fn act(&mut self) {
        while !self.actions.is_empty() {
            for action in std::mem::take(&mut self.actions) {
                match action {
                    Action::Send { flow, bytes } => self.wire.send(&flow, bytes),
                    Action::Event(event) => self.event(event),
                }
            }
        }
    }

    fn event(&mut self, event: UaEvent) {
        let said = match event {
            UaEvent::Answered { sdp, .. } => Said::Answered(sdp),
            UaEvent::Changed { sdp, .. } => Said::Changed(sdp),
            UaEvent::Info { content_type, body, .. } => {
                Said::Info(format!("{content_type}: {}", shown(&String::from_utf8_lossy(&body))))
            }
            UaEvent::Ended { call, why, reason_header } if Some(call) == self.call => {
                Said::Ended(why, reason_header.as_deref().map(shown))
            }
            UaEvent::Incoming { call, .. } => {
                let now = Instant::now().into_std();
                return self.ua.reject(now, call, BUSY, "Busy Here", None, &mut self.actions);
            }
            UaEvent::Ended { .. }
            | UaEvent::Confirmed { .. }
            | UaEvent::Ringing { .. }
            | UaEvent::Transferred { .. }
            | UaEvent::Options { .. } => return,
        };
        self.said.push_back(said);
    }
}

/// The reason phrase of an answer that refuses an INVITE.
fn refusal_in(message: &Message) -> Option<String> {
    let is_invite = message.cseq().is_ok_and(|(_, method)| method == Method::Invite);
    match &message.start {
        Start::Response { code: 300.., reason } if is_invite => Some(shown(reason)),
        _ => None,
    }
}

/// What a stranger wrote, fit for a terminal.
fn shown(text: &str) -> String {
    text.trim().chars().flat_map(char::escape_debug).take(SHOWN).collect()
}

fn unreachable(error: impl std::fmt::Display) -> PhoneError {
    PhoneError::Unreachable { what: error.to_string() }
}

/// IPv4 first: a name that has both is often served by it alone, and a datagram that nobody takes tells nothing.
async fn resolve(address: &Address) -> Result<Vec<SocketAddr>, PhoneError> {
    let name = address.host_name();
    let found = timeout(CONNECT_TIMEOUT, lookup_host((name.as_str(), address.port))).await;
    let found = found.map_err(|_| unreachable(format!("{name} is not resolved within 10 s")))?;
    let mut found: Vec<SocketAddr> = found.map_err(|error| unreachable(format!("{name}: {error}")))?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

async fn by_datagrams(
    address: &Address,
    tls: Arc<rustls::ClientConfig>,
) -> Result<(Wire, SocketAddr, Flow), PhoneError> {
    let found = resolve(address).await?;
    let peer = *found.first().ok_or_else(|| unreachable("the name has no address"))?;
    let socket = async {
        // Which of our addresses the far end sees is known once a socket has a way there.
        let unspecified = SocketAddr::new(if peer.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) }, 0);
        let probe = UdpSocket::bind(unspecified).await?;
        probe.connect(peer).await?;
        let socket = UdpSocket::bind(SocketAddr::new(probe.local_addr()?.ip(), 0)).await?;
        socket.writable().await?;
        Ok::<_, io::Error>(socket)
    };
    let socket = socket.await.map_err(unreachable)?;
    let local = socket.local_addr().map_err(unreachable)?;
    Ok((Wire::new(Some(socket), AllowList::everybody(), tls), local, Flow::udp(peer)))
}

async fn by_stream(address: &Address, tls: Arc<rustls::ClientConfig>) -> Result<(Wire, SocketAddr, Flow), PhoneError> {
    let found = resolve(address).await?;
    let late = |_| unreachable("no answer within 10 s");
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(found.as_slice())).await.map_err(late)?;
    let stream = stream.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let (local, peer) = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?))).map_err(unreachable)?;
    let wire = Wire::new(None, AllowList::everybody(), tls.clone());
    let connection = if address.transport == Transport::Tls {
        let name = ServerName::try_from(address.host_name()).map_err(unreachable)?;
        let handshake = TlsConnector::from(tls).connect(name, stream);
        let stream = timeout(CONNECT_TIMEOUT, handshake).await.map_err(late)?.map_err(unreachable)?;
        wire.carry(stream, Transport::Tls, peer)
    } else {
        wire.carry(stream, Transport::Tcp, peer)
    };
    Ok((wire, local, Flow { transport: address.transport, peer, connection: Some(connection) }))
}
