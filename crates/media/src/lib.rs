//! Telephone sound, and nothing else: no sockets, no tasks, no clock of its own.
//!
//! # From caller to model
//!
//! Line audio is 8 kHz mono in a [`LineCodec`]. [`Recutter`] cuts whatever a socket delivers into 20 ms frames,
//! [`UpTranscoder`] turns them into the [`ModelFormat`] of the session, and [`AudioRing`] holds what the model
//! can't take yet, newest kept. Where packets can be lost, [`Concealer`] makes up for them.
//!
//! ```
//! use bytes::BytesMut;
//! use trunkline_media::{LineCodec, ModelFormat, UpTranscoder};
//!
//! let mut up = UpTranscoder::new(LineCodec::Pcmu, ModelFormat::Pcm24k)?;
//! let mut out = BytesMut::new();
//! up.push(&[0xFF; 160], &mut out); // 20 ms of silence
//! assert_eq!(out.len(), 20 * ModelFormat::Pcm24k.bytes_per_ms());
//! # Ok::<(), trunkline_media::ResamplerError>(())
//! ```
//!
//! # From model to caller
//!
//! A model speaks in items, faster than real time. [`DownTranscoder`] turns one item after the other into line
//! audio of exactly the same length, first and last sample included; [`Playout`] holds it and says on an absolute
//! 20 ms clock which frame is due. `Playout` alone knows what a caller has heard: see [`Playout::clear`].
//!
//! ```
//! use std::time::{Duration, Instant};
//! use bytes::BytesMut;
//! use trunkline_media::{DownTranscoder, Due, LineCodec, ModelFormat, Playout};
//!
//! let mut down = DownTranscoder::new(ModelFormat::Pcm24k, LineCodec::Pcmu)?;
//! let mut line = BytesMut::new();
//! down.push(&[0; 480 * 2], &mut line); // 20 ms of 24 kHz PCM16
//! down.finish(&mut line); // the item is over: flushed, padded to whole frames
//!
//! # #[expect(clippy::disallowed_methods, reason = "an example needs a beginning of time")]
//! let start = Instant::now();
//! let mut playout = Playout::new(LineCodec::Pcmu);
//! playout.push(start, &"item_1", line.freeze());
//! playout.end(start, &"item_1");
//! assert!(matches!(playout.poll(start), Some(Due::Frame { item: "item_1", payload }) if payload.len() == 160));
//! assert_eq!(playout.poll(start), Some(Due::Mark("item_1")));
//! assert_eq!(playout.poll(start + Duration::from_millis(20)), None);
//! # Ok::<(), trunkline_media::ResamplerError>(())
//! ```
//!
//! # Figures
//!
//! Resampling is flat to 0.1 dB up to 3.4 kHz, keeps aliases and images 90 dB below a full-scale tone, and delays
//! by 5.0 ms, which `DownTranscoder` trims per item. [`LatencyHistogram`] measures within 5 % in under 2 KiB.

mod conceal;
mod format;
pub mod g711;
mod histogram;
pub mod level;
mod mix;
mod playout;
mod recut;
mod resample;
mod ring;
mod transcode;

pub use conceal::Concealer;
pub use format::{LineCodec, ModelFormat, UnknownCodec};
pub use histogram::{LatencyHistogram, LatencySum};
pub use mix::mix;
pub use playout::{Due, ItemAccount, Playout};
pub use recut::Recutter;
pub use resample::ResamplerError;
pub use ring::AudioRing;
pub use transcode::{DownTranscoder, UpTranscoder};

/// Length of a line frame in milliseconds.
pub const FRAME_MS: u32 = 20;
/// Sample rate of every line codec in Hz.
pub const LINE_RATE: u32 = 8_000;
/// Samples in a line frame.
pub const FRAME_SAMPLES: usize = 160;
