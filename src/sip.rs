//! The SIP/RTP leg: Trunkline as the host behind a Voice Connector. The dialogs are [`trunkline_sip::ua::Ua`]'s, the media
//! of each call is [`trunkline_sip::leg::Leg`]'s; here are sockets, timers and the way to the call's line.

mod gateway;
mod incoming;
mod leg;
mod ports;
mod wire;

pub(crate) use gateway::{SipGateway, SipStats, start};
pub(crate) use incoming::{fresh_key, local_media};
pub(crate) use ports::{Lease, PortPair, Ports};
pub(crate) use wire::{AllowList, Received, Wire};
