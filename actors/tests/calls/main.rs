//! Whole calls through the real actors, in virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod common;

mod admission;
mod announced;
mod barge_in;
mod deaths;
mod exactness;
mod fallback;
mod first_words;
mod keys;
mod leaving;
mod many_calls;
mod playout_ceiling;
mod queueing_peer;
mod random_calls;
mod re_attach;
mod recovery;
mod renewal;
mod routes;
mod sma;
mod spoken_turn;
mod stalled_caller;
