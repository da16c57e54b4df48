use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What a message travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams: the agent sends again what may be lost.
    Udp,
    /// A connection.
    Tcp,
    /// A connection that nobody else can read.
    Tls,
}

impl Transport {
    /// As in a Via.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Whether it delivers by itself, so that only answers the far end has to acknowledge are sent again.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Where its messages go if no port is named (RFC 3261 section 19.1.2).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }
}

/// The way of a message: where it came from, or where it is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// What it travels on.
    pub transport: Transport,
    /// The far end.
    pub peer: SocketAddr,
    /// The connection of that name, as the shell numbers them. `None` with TCP or TLS: one to `peer`, opened if there
    /// is none.
    pub connection: Option<u64>,
}

impl Flow {
    /// Datagrams from or to `peer`.
    #[must_use]
    pub const fn udp(peer: SocketAddr) -> Self {
        Self { transport: Transport::Udp, peer, connection: None }
    }
}

/// Under which address the far end reaches us (`host:port`, IPv6 in brackets), for each transport. Not the address a
/// socket is bound to: a Voice Connector cannot reach private ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactHosts {
    /// By datagrams.
    pub udp: String,
    /// By TCP.
    pub tcp: String,
    /// By TLS.
    pub tls: String,
}

impl ContactHosts {
    /// The one for `transport`.
    #[must_use]
    pub fn of(&self, transport: Transport) -> &str {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
            Transport::Tls => &self.tls,
        }
    }
}

/// With what a challenge of the far end is answered (RFC 3261 section 22, RFC 8760).
#[derive(Clone, PartialEq, Eq)]
pub struct DigestAccount {
    /// Who we are.
    pub username: String,
    /// What nobody else knows.
    pub password: String,
    /// Only challenges of this realm are answered; `None`: of any.
    pub realm: Option<String>,
}

impl fmt::Debug for DigestAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestAccount")
            .field("username", &self.username)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

/// What a [`Ua`](super::Ua) goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UaSettings {
    /// Under which address we are reached.
    pub contact_host: ContactHosts,
    /// User part of our Contact.
    pub contact_user: String,
    /// `Server` of our answers, `User-Agent` of our requests.
    pub user_agent: String,
    /// Session interval we ask for (RFC 4028).
    pub session_expires: Duration,
    /// Shortest session interval we take; RFC 4028 allows none below 90 s.
    pub min_se: Duration,
    /// How long the application may take to answer an INVITE; then it is answered 500.
    pub answer_within: Duration,
    /// How long a call of ours may ring.
    pub ring_for: Duration,
    /// How long the far end may take to tell what became of a transfer.
    pub transfer_within: Duration,
    /// Most calls at a time; a further INVITE is answered 503 and forgotten.
    pub max_dialogs: usize,
    /// Most calls at a time from one IP address. All calls of a trunk may come from one.
    pub max_per_source: usize,
    /// Most transactions of strangers' requests at a time; a further INVITE is answered 503 and forgotten.
    pub max_transactions: usize,
    /// Most of them of requests from one IP address.
    pub max_transactions_per_source: usize,
    /// Credentials for a far end that wants some.
    pub digest: Option<DigestAccount>,
}

impl UaSettings {
    /// The usual bounds, at one advertised `host:port` for all transports.
    #[must_use]
    pub fn new(contact_host: &str) -> Self {
        let host = contact_host.to_owned();
        Self {
            contact_host: ContactHosts { udp: host.clone(), tcp: host.clone(), tls: host },
            contact_user: "trunkline".to_owned(),
            user_agent: "Trunkline".to_owned(),
            session_expires: Duration::from_secs(30 * 60),
            min_se: Duration::from_secs(90),
            answer_within: Duration::from_secs(30),
            ring_for: Duration::from_secs(180),
            transfer_within: Duration::from_secs(60),
            max_dialogs: 1024,
            max_per_source: 1024,
            max_transactions: 4096,
            max_transactions_per_source: 4096,
            digest: None,
        }
    }
}
