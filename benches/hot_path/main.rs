//! What one frame of 20 ms costs, piece by piece and on its whole way, without sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench fails by panicking, times itself, and documents itself by its names"
)]

mod actors;
mod media;
#[path = "../path/mod.rs"]
mod path;
mod protocol;

use criterion::{criterion_group, criterion_main};
use trunkline_media::ModelFormat;

const MODEL_FORMATS: [ModelFormat; 3] = [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu];

criterion_group!(
    hot_path,
    media::companding,
    media::resampling,
    media::transcoding,
    media::recutting,
    media::playing,
    protocol::appending,
    protocol::parsing,
    actors::hopping,
    actors::crossing,
    actors::whole_way,
);
criterion_main!(hot_path);
