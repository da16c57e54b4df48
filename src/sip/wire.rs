//! How SIP messages come and go: datagrams, and streams with or without TLS. Strangers get nothing, not even a refusal.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use trunkline_sip::message::{Framed, Message, StreamFramer};
use trunkline_sip::ua::{Action, Flow, Transport, Ua};

/// Largest datagram of UDP.
const DATAGRAM: usize = 65_535;
/// Messages of all streams that wait to be worked off; a full one holds the streams up.
const INBOX: usize = 256;
/// Messages that wait for one stream. A peer that lets more pile up is not there.
const OUTBOX: usize = 64;
/// Streams at a time.
const MAX_STREAMS: usize = 1_024;
/// Connecting, a TLS handshake, writing a message: none takes longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A stream on which nothing comes for so long is closed: longer than the OPTIONS and keep-alives of any peer.
const IDLE: Duration = Duration::from_secs(600);
/// Between two attempts to accept when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What came in.
pub(crate) enum Received {
    /// A message.
    Message(Flow, Message),
    /// One that cannot be read, and what its sender is to be told.
    Unreadable(Flow, Message),
    /// A stream is gone.
    Closed(u64),
    /// No stream could be opened that way.
    Unreachable(Flow),
}

impl Received {
    /// Gives it to the user agent, which says in `actions` what is to be done.
    pub(crate) fn give(self, ua: &mut Ua, now: Instant, actions: &mut Vec<Action>) {
        match self {
            Self::Message(flow, message) => ua.receive(now, flow, message, actions),
            Self::Unreadable(flow, refusal) => ua.refuse(flow, refusal, actions),
            Self::Closed(connection) => ua.connection_closed(now, connection, actions),
            Self::Unreachable(flow) => ua.unreachable(now, flow, actions),
        }
    }
}

/// Whoever may speak with us.
#[derive(Clone)]
pub(crate) struct AllowList(Arc<[IpNet]>);

impl AllowList {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Everybody: for who calls, and is called by nobody.
    pub(crate) fn everybody() -> Self {
        Self::new(&[IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())])
    }

    /// Whether `peer` is to be listened to at all.
    pub(crate) fn admits(&self, peer: SocketAddr) -> bool {
        let address = peer.ip().to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Everything that SIP messages come and go by.
pub(crate) struct Wire {
    udp: Option<UdpSocket>,
    buffer: Vec<u8>,
    allowed: AllowList,
    inbox: mpsc::Receiver<Received>,
    streams: Streams,
    connector: TlsConnector,
    /// What the certificates of peers are to be for, where that is not their address.
    names: HashMap<SocketAddr, ServerName<'static>>,
    accepting: Vec<actix_rt::task::JoinHandle<()>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.iter().for_each(actix_rt::task::JoinHandle::abort);
    }
}

/// What the stream tasks share; all of them run on one thread.
#[derive(Clone)]
struct Streams {
    inbox: mpsc::Sender<Received>,
    allowed: AllowList,
    open: Rc<RefCell<HashMap<u64, Open>>>,
    next: Rc<Cell<u64>>,
}

/// A stream that is open, or about to be.
struct Open {
    transport: Transport,
    peer: SocketAddr,
    outbox: mpsc::Sender<Bytes>,
}

impl Wire {
    pub(crate) fn new(udp: Option<UdpSocket>, allowed: AllowList, tls: Arc<rustls::ClientConfig>) -> Self {
        let (sender, inbox) = mpsc::channel(INBOX);
        let streams =
            Streams { inbox: sender, allowed: allowed.clone(), open: Rc::default(), next: Rc::new(Cell::new(1)) };
        Self {
            udp,
            buffer: vec![0; DATAGRAM],
            allowed,
            inbox,
            streams,
            connector: tls.into(),
            names: HashMap::new(),
            accepting: Vec::new(),
        }
    }

    /// The peer is called so, `HOST:PORT`: its certificate has to be for that host.
    pub(super) fn know(&mut self, peer: SocketAddr, address: &str) {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        if let Ok(name) = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()) {
            self.names.insert(peer, name);
        }
    }

    /// Accepts streams from now on, with TLS if there is an acceptor.
    pub(crate) fn accept(&mut self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let streams = self.streams.clone();
        self.accepting.push(actix_rt::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => streams.serve(stream, peer, tls.clone()),
                    Err(error) => {
                        tracing::warn!(%error, "a SIP connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }));
    }

    /// Carries SIP on a stream that is open already, and gives it a number.
    pub(crate) fn carry(
        &self,
        stream: impl AsyncRead + AsyncWrite + 'static,
        transport: Transport,
        peer: SocketAddr,
    ) -> u64 {
        let (streams, (number, outbox)) = (self.streams.clone(), self.streams.register(transport, peer));
        actix_rt::spawn(async move { streams.run(stream, transport, peer, number, outbox).await });
        number
    }

    /// The next thing that came in. May be dropped and asked again at any time.
    pub(crate) async fn next(&mut self) -> Received {
        loop {
            let datagram = async {
                match &self.udp {
                    Some(socket) => socket.recv_from(&mut self.buffer).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(received) = self.inbox.recv() => return received,
                datagram = datagram => {
                    if let Some(received) = self.datagram(datagram) {
                        return received;
                    }
                }
            }
        }
    }

    fn datagram(&self, datagram: io::Result<(usize, SocketAddr)>) -> Option<Received> {
        // An error here is about a datagram of ours that nobody took (ICMP).
        let (length, peer) = datagram.ok()?;
        if !self.allowed.admits(peer) {
            return None;
        }
        let bytes = Bytes::copy_from_slice(self.buffer.get(..length).unwrap_or_default());
        let flow = Flow::udp(peer);
        match Message::parse(&bytes) {
            Ok(message) => Some(Received::Message(flow, message)),
            Err(why) => {
                tracing::debug!(%why, "a SIP datagram cannot be read");
                why.refusal(&bytes).map(|refusal| Received::Unreadable(flow, refusal))
            }
        }
    }

    /// Sends without waiting. What cannot go out is lost, as a datagram may be: SIP sends it again.
    pub(crate) fn send(&self, flow: &Flow, bytes: Bytes) {
        match (flow.transport, flow.connection, &self.udp) {
            (Transport::Udp, _, Some(socket)) => {
                if let Err(error) = socket.try_send_to(&bytes, flow.peer) {
                    tracing::debug!(%error, "a SIP datagram could not be sent");
                }
            }
            (Transport::Udp, _, None) => {}
            (Transport::Tcp | Transport::Tls, Some(connection), _) => self.streams.send(connection, bytes),
            (Transport::Tcp | Transport::Tls, None, _) => {
                let connection = self.streams.to(flow.transport, flow.peer);
                let connection = connection.unwrap_or_else(|| self.connect(flow.transport, flow.peer));
                self.streams.send(connection, bytes);
            }
        }
    }

    /// Opens a stream to a peer; its number serves at once, its messages wait until it is connected.
    fn connect(&self, transport: Transport, peer: SocketAddr) -> u64 {
        let (streams, (number, outbox)) = (self.streams.clone(), self.streams.register(transport, peer));
        let connector = self.connector.clone();
        let name = self.names.get(&peer).cloned().unwrap_or_else(|| ServerName::IpAddress(peer.ip().into()));
        actix_rt::spawn(async move {
            let stream = match within(TcpStream::connect(peer)).await {
                Ok(stream) if transport == Transport::Tls => match within(connector.connect(name, stream)).await {
                    Ok(stream) => return streams.run(stream, transport, peer, number, outbox).await,
                    Err(error) => Err(error),
                },
                other => other,
            };
            match stream {
                Ok(stream) => streams.run(stream, transport, peer, number, outbox).await,
                Err(error) => {
                    tracing::info!(%error, transport = transport.as_str(), "no SIP connection to a peer");
                    streams.unreachable(Flow { transport, peer, connection: None }, number).await;
                }
            }
        });
        number
    }
}

impl Streams {
    fn serve(&self, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
        if !self.allowed.admits(peer) || self.open.borrow().len() >= MAX_STREAMS {
            return;
        }
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Tcp };
        let (streams, (number, outbox)) = (self.clone(), self.register(transport, peer));
        actix_rt::spawn(async move {
            // A message is one write; there is nothing to wait for.
            let _ = stream.set_nodelay(true);
            match tls {
                None => streams.run(stream, transport, peer, number, outbox).await,
                Some(acceptor) => match timeout(PATIENCE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => streams.run(stream, transport, peer, number, outbox).await,
                    _ => streams.closed(number).await,
                },
            }
        });
    }

    fn register(&self, transport: Transport, peer: SocketAddr) -> (u64, mpsc::Receiver<Bytes>) {
        let number = self.next.replace(self.next.get() + 1);
        let (sender, outbox) = mpsc::channel(OUTBOX);
        self.open.borrow_mut().insert(number, Open { transport, peer, outbox: sender });
        (number, outbox)
    }

    /// A stream to that peer.
    fn to(&self, transport: Transport, peer: SocketAddr) -> Option<u64> {
        let open = self.open.borrow();
        let fits = |(_, open): &(&u64, &Open)| open.transport == transport && open.peer == peer;
        open.iter().find(fits).map(|(number, _)| *number)
    }

    fn send(&self, number: u64, bytes: Bytes) {
        let full = self.open.borrow().get(&number).is_some_and(|open| open.outbox.try_send(bytes).is_err());
        if full {
            // The task sees its outbox closed, and ends.
            self.open.borrow_mut().remove(&number);
        }
    }

    async fn closed(&self, number: u64) {
        self.open.borrow_mut().remove(&number);
        // The gateway is gone when nobody listens.
        let _ = self.inbox.send(Received::Closed(number)).await;
    }

    async fn unreachable(&self, flow: Flow, number: u64) {
        self.open.borrow_mut().remove(&number);
        let _ = self.inbox.send(Received::Unreachable(flow)).await;
    }

    /// Reads and writes one stream to its end.
    async fn run<S: AsyncRead + AsyncWrite>(
        &self,
        stream: S,
        transport: Transport,
        peer: SocketAddr,
        number: u64,
        mut outbox: mpsc::Receiver<Bytes>,
    ) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let flow = Flow { transport, peer, connection: Some(number) };
        let write = async {
            while let Some(bytes) = outbox.recv().await {
                let written = within(async {
                    writer.write_all(&bytes).await?;
                    writer.flush().await
                });
                // A peer that reads no more is not there.
                if written.await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.read(&mut reader, &flow, number) => {}
            () = write => {}
        }
        let _ = timeout(PATIENCE, writer.shutdown()).await;
        self.closed(number).await;
    }

    async fn read(&self, reader: &mut (impl AsyncRead + Unpin), flow: &Flow, number: u64) {
        let mut framer = StreamFramer::new();
        let mut buffer = BytesMut::with_capacity(4_096);
        loop {
            buffer.clear();
            match timeout(IDLE, reader.read_buf(&mut buffer)).await {
                Ok(Ok(count)) if count > 0 => framer.push(&buffer),
                _ => return,
            }
            while let Some(framed) = framer.next() {
                match framed {
                    Framed::Ping => self.send(number, Bytes::from_static(b"\r\n")),
                    Framed::Pong => {}
                    Framed::Message(message) => {
                        if self.inbox.send(Received::Message(*flow, message)).await.is_err() {
                            return;
                        }
                    }
                    Framed::Bad { why, refusal, is_lost } => {
                        tracing::debug!(%why, "a SIP message cannot be read");
                        if let Some(refusal) = refusal
                            && self.inbox.send(Received::Unreadable(*flow, refusal)).await.is_err()
                        {
                            return;
                        }
                        if is_lost {
                            // The refusal has to be out before the end.
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                            return;
                        }
                    }
                }
            }
        }
    }
}

/// What takes longer than [`PATIENCE`] has failed.
async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
