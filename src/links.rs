//! The ways into a call: a caller's socket on one side, the call's line on the other.

pub(crate) mod native;
pub(crate) mod socket;
