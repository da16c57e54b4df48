//! Caller audio on its way to the model.

use base64_simd::{AsOut, STANDARD};
use bytes::BytesMut;

const HEAD: &[u8] = br#"{"type":"input_audio_buffer.append","audio":""#;
const TAIL: &[u8] = br#""}"#;

/// Writes `{"type":"input_audio_buffer.append","audio":"<base64>"}` behind what `out` holds.
///
/// `audio` is any number of bytes in the session's model format (whole samples; 15 MiB is the protocol's limit).
/// Nothing is allocated once `out` has grown to the size of a chunk.
pub fn append_event(audio: &[u8], out: &mut BytesMut) {
    let encoded = STANDARD.encoded_length(audio.len());
    out.reserve(HEAD.len() + encoded + TAIL.len());
    out.extend_from_slice(HEAD);
    let start = out.len();
    out.resize(start + encoded, 0);
    if let Some(room) = out.get_mut(start..) {
        let _ = STANDARD.encode(audio, room.as_out());
    }
    out.extend_from_slice(TAIL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_event_the_protocol_asks_for() {
        for length in [0_usize, 1, 2, 3, 160, 960, 4_801] {
            let audio: Vec<u8> = (0..length).map(|i| u8::try_from(i * 7 % 256).unwrap()).collect();
            let mut out = BytesMut::from(&b"before"[..]);
            append_event(&audio, &mut out);
            let event: serde_json::Value = serde_json::from_slice(&out[6..]).unwrap();
            assert_eq!(event["type"], "input_audio_buffer.append");
            let text = event["audio"].as_str().unwrap();
            assert_eq!(STANDARD.decode_to_vec(text).unwrap(), audio);
            assert_eq!(event.as_object().unwrap().len(), 2);
        }
    }

    #[test]
    fn reuses_the_buffer() {
        let mut out = BytesMut::new();
        append_event(&[7; 960], &mut out);
        let (room, at) = (out.capacity(), out.as_ptr());
        for _ in 0..100 {
            out.clear();
            append_event(&[9; 960], &mut out);
        }
        assert_eq!((out.capacity(), out.as_ptr()), (room, at));
    }
}
