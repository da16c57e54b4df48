//! What one frame takes from the heap on its whole way through the actors does not grow.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test fails by panicking"
)]

#[path = "../benches/path/count.rs"]
mod count;
#[path = "../benches/path/mod.rs"]
mod path;

use count::PerFrame;
use path::{Call, Way};
use trunkline_media::ModelFormat;

/// Most allocations and bytes for a frame, by the ways of [`Way::ALL`]: what was measured last. Whoever makes it less
/// writes the new figures here.
const MOST: [(ModelFormat, [(f64, f64); 3]); 3] = [
    (ModelFormat::Pcm24k, [(7.87, 415.0), (10.44, 1_514.0), (3.12, 447.0)]),
    (ModelFormat::Pcm16k, [(7.87, 415.0), (10.44, 1_514.0), (3.12, 447.0)]),
    (ModelFormat::Pcmu, [(7.87, 415.0), (12.19, 1_549.0), (3.09, 430.0)]),
];

#[test]
fn a_frame_takes_no_more_than_it_did() {
    for (format, most) in MOST {
        for (way, (allocations, bytes)) in Way::ALL.into_iter().zip(most) {
            let used = PerFrame::of(&mut Call::new(format, way));
            let within = used.allocations <= allocations && used.bytes <= bytes;
            assert!(within, "{format} {way}: {used}; it was {}", PerFrame { allocations, bytes });
        }
    }
}
