//! The typed sections. Keys and meanings are those of `config/default.toml`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use trunkline_call::{FallbackChannel, Glob};
use trunkline_media::ModelFormat;
use trunkline_realtime::{Api, TurnDetection};

use super::secret::Secret;
use super::tools::HttpToolSettings;

/// Everything that was configured, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The callers' listener.
    pub media: MediaSettings,
    /// The operators' listener.
    pub admin: AdminSettings,
    /// Who may bring media, and how its socket is kept.
    pub ingest: IngestSettings,
    /// Limits of calls.
    pub calls: CallSettings,
    /// The speech model.
    pub realtime: RealtimeSettings,
    /// The SIP/RTP leg.
    pub sip: SipSettings,
    /// Call events from SQS.
    pub events: EventSettings,
    /// SIP media application.
    pub sma: SmaSettings,
    /// What callers hear while the model is away.
    pub fallback: FallbackSettings,
    /// The model's HTTP tools.
    pub tools: Vec<HttpToolSettings>,
    /// Routes in the order they are tried; never empty.
    pub routes: Vec<RouteSettings>,
    /// Logging.
    pub log: LogSettings,
}

/// `media.*`
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Set when the listener speaks TLS.
    pub tls: Option<TlsSettings>,
}

/// `media.tls.*`: both files exist.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM file of the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file of the private key.
    pub key_file: PathBuf,
}

/// `admin.*`
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Bearer token; always set beyond loopback.
    pub token: Option<Secret>,
}

/// `ingest.*`
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// Shared secret; always set when `media.listen` is beyond loopback.
    pub secret: Option<Secret>,
    /// Browsers' `Origin`s that are let in.
    pub allowed_origins: Vec<String>,
    /// Interval of WebSocket pings.
    pub heartbeat: Duration,
    /// A peer silent for this long is lost; longer than `heartbeat`.
    pub heartbeat_timeout: Duration,
    /// A call outlives a lost media socket this long.
    pub reattach_grace: Duration,
    /// Twilio Media Streams.
    pub twilio: TwilioSettings,
}

/// `ingest.twilio.*`
#[derive(Clone, Debug)]
pub struct TwilioSettings {
    /// Key of `X-Twilio-Signature`; `None`: signatures are not looked at.
    pub auth_token: Option<Secret>,
    /// Audio is sent this long before it is to be heard; up to 200 ms.
    pub lead: Duration,
}

/// `calls.*`
#[derive(Clone, Debug)]
pub struct CallSettings {
    /// Calls carried at once; `None`: no limit.
    pub max: Option<usize>,
    /// Announced without media for this long ends a call.
    pub no_media_timeout: Duration,
    /// No media for this long ends a call that had some.
    pub media_timeout: Duration,
    /// No call lasts longer.
    pub max_duration: Duration,
    /// Live calls may finish this long after SIGTERM.
    pub drain_timeout: Duration,
    /// Caller audio kept while the model is slow or away.
    pub upstream_buffer: Duration,
    /// Ceiling of model audio waiting to be played.
    pub playout_buffer: Duration,
    /// Ended calls are kept this long.
    pub history: Duration,
    /// Most ended calls kept.
    pub history_max: usize,
}

/// `realtime.*`
#[derive(Clone, Debug)]
pub struct RealtimeSettings {
    /// Addresses to connect to, first choice first. Empty: the embedded simulator.
    pub urls: Vec<String>,
    /// Shape of the protocol.
    pub api: Api,
    /// The key; `None` sends none.
    pub api_key: Option<Secret>,
    /// How the key is sent.
    pub auth: ModelAuth,
    /// Audio spoken with the model, from `audio` and `sample_rate`.
    pub format: ModelFormat,
    /// Voice; `None`: the service's default.
    pub voice: Option<String>,
    /// Instructions; `None`: the service's default.
    pub instructions: Option<String>,
    /// What the model is asked to say first; `None`: it waits for the caller.
    pub greeting: Option<String>,
    /// Model that writes down what the caller says; `None`: off.
    pub transcription_model: Option<String>,
    /// How the model notices the end of a turn.
    pub turn_detection: TurnDetection,
    /// Start of connect to session ready.
    pub connect_timeout: Duration,
    /// Neither frame nor pong for this long: dead. Longer than `ping`.
    pub stall_timeout: Duration,
    /// Interval of pings to the model.
    pub ping: Duration,
    /// A turn without first audio for this long is retried, then the session is dead.
    pub response_timeout: Duration,
    /// First wait before a reconnect.
    pub reconnect_first: Duration,
    /// Longest wait before a reconnect; not below the first.
    pub reconnect_max: Duration,
    /// New connects per second over all calls; at least 1.
    pub connects_per_second: u32,
    /// A fresh session takes over this long before the old one expires.
    pub renew_before: Duration,
    /// Spare sessions kept ready.
    pub warm_sessions: usize,
}

/// `realtime.auth`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelAuth {
    /// Header `api-key: KEY` (Azure).
    ApiKey,
    /// Header `Authorization: Bearer KEY`.
    Bearer,
    /// A token of the Azure default credential chain for each connection (builds with the feature `entra`).
    Entra,
}

/// `events.*`
#[derive(Clone, Debug)]
pub struct EventSettings {
    /// Address of the queue; `None`: off.
    pub queue_url: Option<String>,
    /// AWS region; `None`: the AWS chain's.
    pub region: Option<String>,
    /// Endpoint in place of AWS's.
    pub endpoint_url: Option<String>,
    /// Voice Connectors whose events count; empty: all.
    pub voice_connector_ids: Vec<String>,
    /// Older events are stale; `None`: any age.
    pub max_age: Option<Duration>,
}

/// `sma.*`
#[derive(Clone, Debug)]
pub struct SmaSettings {
    /// SIP media application; `None`: off.
    pub application_id: Option<String>,
    /// AWS region; `None`: the AWS chain's.
    pub region: Option<String>,
    /// Endpoint in place of AWS's.
    pub endpoint_url: Option<String>,
    /// Where the application bridges calls to, for `POST /sma/events`.
    pub voice_connector_arn: Option<String>,
    /// Caller id of outbound calls.
    pub from_number: Option<String>,
    /// Quota of UpdateSipMediaApplicationCall, over all calls.
    pub updates_per_second: f64,
    /// Quota of CreateSipMediaApplicationCall, over all calls.
    pub creates_per_second: f64,
    /// How long an outbound call may ring.
    pub ring_timeout: Duration,
    /// Where calls may be sent, outbound or transferred.
    pub allowed_destinations: Vec<Glob>,
    /// Secret of `POST /sma/events`.
    pub webhook_secret: Option<Secret>,
}

/// `fallback.*`
#[derive(Clone, Debug)]
pub struct FallbackSettings {
    /// Way to the caller.
    pub channel: FallbackChannel,
    /// Keep-alive texts in turn; never empty.
    pub prompts: Vec<String>,
    /// Farewell text.
    pub goodbye: String,
    /// Recordings of `prompts`, one each; empty: the bundled ones. All exist.
    pub prompt_files: Vec<PathBuf>,
    /// Recording of `goodbye`; `None`: the bundled one. It exists.
    pub goodbye_file: Option<PathBuf>,
    /// Silence between prompts.
    pub pause: Duration,
    /// After this long without the model the call ends.
    pub max_duration: Duration,
}

/// One `[[routes]]` table.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// `match` as written: names the route in records.
    pub name: String,
    /// `match`, parsed.
    pub pattern: Glob,
    /// What takes the call.
    pub kind: RouteKind,
}

/// What takes a call.
#[derive(Clone, Debug)]
pub enum RouteKind {
    /// The speech model, with this route's own wishes.
    Model(Box<RouteOverrides>),
    /// The caller's own audio comes back.
    Echo,
    /// The call is refused.
    Reject,
}

/// What a model route says in place of `realtime.*`; `None` leaves that as it is.
#[derive(Clone, Debug, Default)]
pub struct RouteOverrides {
    /// Voice.
    pub voice: Option<String>,
    /// Instructions.
    pub instructions: Option<String>,
    /// What is said first; `Some("")` says nothing although `realtime.greeting` does.
    pub greeting: Option<String>,
    /// Transcription model; `Some("")` turns it off.
    pub transcription_model: Option<String>,
    /// End of turn; starts from `realtime.turn_detection`.
    pub turn_detection: Option<TurnDetection>,
    /// Names of the tools offered, built-in ones and `[[tools]]`; a route that does not say gets all there are.
    pub tools: Vec<String>,
}

/// `log.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `log.*`
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// `EnvFilter` directives, checked.
    pub filter: String,
    /// An OpenTelemetry collector that the calls' spans are sent to (builds with the feature `otlp`); checked.
    pub otlp_endpoint: Option<String>,
    /// Numbers are shown as their last four digits.
    pub mask_numbers: bool,
}

/// `sip.*`
#[derive(Clone, Debug)]
pub struct SipSettings {
    /// UDP and TCP; `None`: off.
    pub listen: Option<SocketAddr>,
    /// TLS; `None`: off.
    pub tls: Option<SipTls>,
    /// The address that peers see, where it is not the one that is listened on.
    pub advertised: Option<IpAddr>,
    /// Who is answered at all.
    pub networks: Vec<IpNet>,
    /// Where media comes in: an even port for RTP, the next one for RTCP.
    pub rtp_ports: RangeInclusive<u16>,
    /// Offers without SRTP are refused.
    pub require_srtp: bool,
    /// Digest, where peers have to know a password too.
    pub account: Option<SipAccount>,
    /// A dialog whose peer says nothing for so long is over (RFC 4028).
    pub session_expires: Duration,
    /// Who is asked now and then whether he is there.
    pub trunks: Vec<SipTrunk>,
    /// How often.
    pub options_interval: Duration,
}

impl SipSettings {
    /// Where SIP is listened to: UDP and TCP, then TLS; none where it is off.
    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.into_iter().chain(self.tls.as_ref().map(|tls| tls.listen))
    }

    /// Ports for RTP, each with the next one for RTCP: as many calls can have media at a time.
    pub fn port_pairs(&self) -> usize {
        let (low, high) = (*self.rtp_ports.start(), *self.rtp_ports.end());
        (low..high).filter(|port| port.is_multiple_of(2)).count()
    }
}

/// `sip.tls.*`
#[derive(Clone, Debug)]
pub struct SipTls {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Private key, PEM.
    pub key_file: PathBuf,
}

/// `sip.username`, `sip.password`
#[derive(Clone, Debug)]
pub struct SipAccount {
    /// User of the digest.
    pub username: String,
    /// Its password.
    pub password: Secret,
}

/// How SIP is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipTransport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream, encrypted.
    Tls,
}

/// A host that is asked whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipTrunk {
    /// `HOST:PORT`
    pub address: String,
    /// By what.
    pub transport: SipTransport,
}
