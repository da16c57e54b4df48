//! The SIP/RTP leg of a call without any IO: what is offered and answered ([`sdp`]), packets ([`rtp`], [`rtcp`], [`srtp`]),
//! keys ([`dtmf`]), and the buffer that makes an even stream of them ([`jitter`]).
//!
//! Nothing here has a clock, a socket or a task: time is an argument.

pub mod dtmf;
pub mod jitter;
pub mod leg;
pub mod message;
pub mod quality;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod ua;
