//! The protocol as a whole: samples, timed conversations, and one file a behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod audio;
mod barge_in;
mod events;
mod failures;
mod invariants;
mod keys;
mod lifetime;
mod profiles;
mod restore;
mod rig;
mod sequences;
mod set_up;
mod tools;
