//! Any bytes in any portions through the transcoders: exact lengths, and the same result however it was cut.
#![no_main]

use arbitrary::Arbitrary;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use trunkline_media::{DownTranscoder, FRAME_SAMPLES, LineCodec, ModelFormat, Recutter, UpTranscoder};

#[derive(Arbitrary, Debug)]
struct Input {
    line: u8,
    model: u8,
    items: Vec<Vec<Vec<u8>>>,
}

fn line(choice: u8) -> LineCodec {
    [LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16][usize::from(choice) % 3]
}

fn model(choice: u8) -> ModelFormat {
    [ModelFormat::Pcm24k, ModelFormat::Pcm16k, ModelFormat::Pcmu, ModelFormat::Pcma][usize::from(choice) % 4]
}

fuzz_target!(|input: Input| {
    let (line, model) = (line(input.line), model(input.model));
    down(line, model, &input.items);
    up(line, model, &input.items);
    recut(line, &input.items);
});

/// Model to line: N samples are exactly the frames that hold N samples, item by item.
fn down(line: LineCodec, model: ModelFormat, items: &[Vec<Vec<u8>>]) {
    let mut portioned = DownTranscoder::new(model, line).expect("every pair is supported");
    for item in items {
        let mut out = BytesMut::new();
        for portion in item {
            portioned.push(portion, &mut out);
            assert_eq!(out.len() % line.bytes_per_sample(), 0, "half a sample came out");
        }
        portioned.finish(&mut out);

        let whole = item.concat();
        let samples = whole.len() / model.bytes_per_sample();
        let frames = (samples * 8_000).div_ceil(model.rate() as usize).div_ceil(FRAME_SAMPLES);
        assert_eq!(out.len(), frames * line.frame_bytes());

        let mut at_once = BytesMut::new();
        let mut fresh = DownTranscoder::new(model, line).expect("every pair is supported");
        fresh.push(&whole, &mut at_once);
        fresh.finish(&mut at_once);
        assert_eq!(out, at_once, "the portions, or the item before, can be heard");
    }
}

/// Line to model: continuous, never longer than what came in.
fn up(line: LineCodec, model: ModelFormat, items: &[Vec<Vec<u8>>]) {
    let mut portioned = UpTranscoder::new(line, model).expect("every pair is supported");
    let mut out = BytesMut::new();
    let mut taken = 0;
    for portion in items.iter().flatten() {
        portioned.push(portion, &mut out);
        taken += portion.len();
        assert!(out.len() * line.bytes_per_ms() <= taken * model.bytes_per_ms(), "more came out than went in");
        let behind = taken / line.bytes_per_ms() - out.len() / model.bytes_per_ms();
        assert!(behind <= 20, "{behind} ms are held back");
    }
    let mut at_once = BytesMut::new();
    let mut fresh = UpTranscoder::new(line, model).expect("every pair is supported");
    fresh.push(&items.concat().concat(), &mut at_once);
    assert_eq!(out, at_once, "the portions can be heard");
}

/// Frames are whole, and hold the bytes in their order.
fn recut(line: LineCodec, items: &[Vec<Vec<u8>>]) {
    let mut recutter = Recutter::new(line);
    let mut out = Vec::new();
    for portion in items.iter().flatten() {
        recutter.push(portion, |frame| {
            assert_eq!(frame.len(), line.frame_bytes());
            out.extend_from_slice(frame);
        });
        assert!(recutter.pending_bytes() < line.frame_bytes());
    }
    assert_eq!(out, items.concat().concat()[..out.len()]);
}
