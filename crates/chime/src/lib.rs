//! Amazon Chime telephony without any IO.
//!
//! A Voice Connector tells of calls by streaming events ([`event`]); [`announcements`] knows which of them are news. A SIP
//! media application (SMA) controls the other half of a call: [`command`] is what the service asks of it, [`sma`] what it
//! does, [`updates`] how often it may be asked.
//!
//! Nothing here has a clock, a socket or a task.

pub mod announcements;
pub mod command;
pub mod event;
pub mod sma;
pub mod updates;
