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

mod barge_in;
mod deaths;
mod exactness;
mod fallback;
mod first_words;
mod re_attach;
mod recovery;
mod renewal;
mod spoken_turn;
