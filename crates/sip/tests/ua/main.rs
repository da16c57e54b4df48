//! The user agent: tables of what it answers, and calls between two of them over a bad network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod bench;
mod changes;
mod connections;
mod incoming;
mod network;
mod outgoing;
mod passwords;
mod refused;
mod sessions;
mod transfers;
