//! What one frame of 20 ms takes from the heap on its whole way, without sockets: `cargo bench --bench allocations`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench prints and fails by panicking"
)]

#[path = "path/count.rs"]
mod count;
mod path;

use count::PerFrame;
use path::{Call, Way};
use trunkline_media::ModelFormat;

fn main() {
    for format in [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu] {
        for way in Way::ALL {
            let used = PerFrame::of(&mut Call::new(format, way));
            println!("{:<32}{used}", format!("{format} {way}:"));
        }
    }
}
