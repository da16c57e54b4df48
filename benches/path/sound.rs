//! Audio and deltas to measure with.

use bytes::Bytes;
use serde_json::json;
use trunkline_media::{FRAME_SAMPLES, LineCodec, ModelFormat, g711};

/// The ids that [`delta`] names, as the service makes them.
pub const RESPONSE: &str = "resp_CbXoXLJgHb5Rf0tzqUfbV";
pub const ITEM: &str = "item_CbXoXFdJlRzhcK2sU8J3n";

/// Samples that use the whole range of 16 bits, so that no branch of the codecs is always taken.
pub fn samples(count: usize) -> Vec<i16> {
    let mut rng = fastrand::Rng::with_seed(1);
    (0..count).map(|_| rng.i16(..) >> rng.u32(0..12)).collect()
}

/// 20 ms on the line.
pub fn line_frame(codec: LineCodec) -> Vec<u8> {
    let mut payload = Vec::new();
    g711::encode(codec, &samples(FRAME_SAMPLES), &mut payload);
    payload
}

/// Model audio of that length, as bytes.
pub fn model_audio(format: ModelFormat, ms: usize) -> Vec<u8> {
    let bytes = format.bytes_per_ms() * ms;
    samples(bytes).into_iter().flat_map(i16::to_le_bytes).take(bytes).collect()
}

/// A delta of that length as the service writes it.
pub fn delta(format: ModelFormat, ms: usize) -> Bytes {
    let audio = base64_simd::STANDARD.encode_to_string(model_audio(format, ms));
    let event = json!({
        "type": "response.output_audio.delta", "event_id": "event_CbXoXkDsFpLT7wLIrZmbw", "response_id": RESPONSE,
        "item_id": ITEM, "output_index": 0, "content_index": 0, "delta": audio,
    });
    Bytes::from(event.to_string())
}

/// What comes before the first delta.
pub fn response_begins() -> [String; 2] {
    let response = json!({"id": RESPONSE, "status": "in_progress", "output": []});
    let item = json!({"id": ITEM, "type": "message", "role": "assistant", "status": "in_progress", "content": []});
    [
        json!({"type": "response.created", "response": response}),
        json!({"type": "response.output_item.added", "response_id": RESPONSE, "output_index": 0, "item": item}),
    ]
    .map(|event| event.to_string())
}
