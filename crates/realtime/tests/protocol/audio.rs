//! The model's sound on its way through.

use serde_json::json;
use trunkline_realtime::{Effect, ItemId, ModelFormat, SessionProfile};

use crate::rig::Rig;

fn live(format: ModelFormat) -> Rig {
    let mut rig = Rig::live(SessionProfile { format, ..SessionProfile::default() });
    rig.response_created("resp_1");
    rig.clear();
    rig
}

fn heard(rig: &mut Rig, of: &str) -> Vec<Vec<u8>> {
    let audio = |effect| match effect {
        Effect::Audio { item, audio } if item.as_str() == of => Some(audio.to_vec()),
        _ => None,
    };
    rig.take_effects().into_iter().filter_map(audio).collect()
}

#[test]
fn pcm_is_handed_out_in_whole_samples() {
    let mut rig = live(ModelFormat::Pcm24k);
    for bytes in [&[1, 2, 3][..], &[4, 5], &[6], &[7], &[], &[8, 9, 10, 11]] {
        rig.audio_of("resp_1", "item_a", bytes);
    }
    let chunks = heard(&mut rig, "item_a");
    assert!(chunks.iter().all(|chunk| chunk.len() % 2 == 0));
    assert_eq!(chunks.concat(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "the odd byte waits for its other half");
    rig.audio_of("resp_1", "item_b", &[21, 22]);
    assert_eq!(heard(&mut rig, "item_b"), [vec![21, 22]], "and does not leak into the next item");
}

#[test]
fn companded_sound_passes_byte_by_byte() {
    for format in [ModelFormat::Pcmu, ModelFormat::Pcma] {
        let mut rig = live(format);
        rig.audio_of("resp_1", "item_a", &[1, 2, 3]);
        rig.audio_of("resp_1", "item_a", &[4]);
        assert_eq!(heard(&mut rig, "item_a"), [vec![1, 2, 3], vec![4]]);
    }
}

#[test]
fn lengths_are_counted_in_the_sessions_format() {
    for (format, bytes) in [(ModelFormat::Pcm24k, 48_000), (ModelFormat::Pcm16k, 32_000), (ModelFormat::Pcmu, 8_000)] {
        let mut rig = live(format);
        rig.audio_of("resp_1", "item_a", &vec![0; bytes]);
        rig.cleared(&[("item_a", 999)]);
        assert_eq!(rig.take_sent()[0]["audio_end_ms"], 999, "1000 ms were received");
        rig.audio_of("resp_1", "item_b", &vec![0; bytes]);
        rig.audio_done("resp_1", "item_b");
        rig.cleared(&[("item_b", 1_000)]);
        assert!(rig.sent.is_empty());
    }
}

#[test]
fn damaged_sound_is_skipped_and_not_played() {
    let mut rig = live(ModelFormat::Pcm24k);
    for delta in ["AAA", "AA==AA==", "A A=", "AAAA\n", "_-__", "AB=="] {
        rig.server(
            json!({"type":"response.output_audio.delta","response_id":"resp_1","item_id":"item_a","delta":delta}),
        );
        let effects = rig.take_effects();
        assert!(matches!(&effects[..], [Effect::Notice { .. }]), "{delta:?}: {effects:?}");
    }
    rig.audio_of("resp_1", "item_a", &[1, 2]);
    assert_eq!(heard(&mut rig, "item_a"), [vec![1, 2]]);
}

#[test]
fn first_audio_is_told_once_and_before_the_sound() {
    let mut rig = Rig::live(SessionProfile::default());
    rig.at(2_000);
    rig.caller_turn("item_u");
    rig.at(2_700);
    rig.response_created("resp_1");
    rig.clear();
    rig.audio("resp_1", "item_a", 20);
    rig.audio("resp_1", "item_a", 20);
    let effects = rig.take_effects();
    assert_eq!(effects[0], Effect::FirstAudio { latency: std::time::Duration::from_millis(700) });
    assert!(matches!(&effects[1..], [Effect::Audio { .. }, Effect::Audio { .. }]));
}

#[test]
fn an_item_ends_once_however_its_end_is_told() {
    let ends = |rig: &mut Rig| {
        let ended = Effect::ItemEnded { item: ItemId::new("item_a") };
        rig.take_effects().iter().filter(|effect| **effect == ended).count()
    };
    let mut rig = live(ModelFormat::Pcm24k);
    rig.audio("resp_1", "item_a", 20);
    rig.audio_done("resp_1", "item_a");
    rig.audio_done("resp_1", "item_a");
    rig.done("resp_1", "completed");
    assert_eq!(ends(&mut rig), 1);
    rig.audio("resp_1", "item_a", 20);
    assert!(matches!(&rig.take_effects()[..], [Effect::Notice { code, .. }] if code == "audio_after_end"));

    let mut rig = live(ModelFormat::Pcm24k);
    rig.audio("resp_1", "item_a", 20);
    rig.done("resp_1", "completed");
    assert_eq!(ends(&mut rig), 1, "response.done ends what audio.done did not");
}

#[test]
fn the_buffer_is_used_again_once_the_sound_is_played() {
    let mut rig = live(ModelFormat::Pcm24k);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..200 {
        rig.audio("resp_1", "item_a", 100);
        for effect in rig.take_effects() {
            if let Effect::Audio { audio, .. } = effect {
                places.insert(audio.as_ptr() as usize / 65_536);
            }
        }
    }
    assert!(places.len() <= 2, "{} places for 200 chunks", places.len());
}
