//! Callers' sockets: what is common to them, and one dialect a file.

pub(crate) mod dialect;
pub(crate) mod native;
pub(crate) mod opening;
pub(crate) mod socket;
pub(crate) mod twilio;
