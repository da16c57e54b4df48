//! The caller interrupts: what was heard, and what the model must forget.

use std::time::Instant;

use serde_json::Map;

use super::{Phase, Session};
use crate::event::{ClientEvent, Item, ItemRef, ItemTruncate, Maybe};
use crate::{Effect, Loss, Played};

impl Session {
    pub(super) fn on_speech_started(&mut self, out: &mut Vec<Effect>) {
        let active = self.speech.unsettled().cloned().collect();
        let ignored = self.turns.speech_started();
        self.cut_tracks();
        if self.profile.turn_detection.interrupts_response() {
            // The server cancels by itself; our own cancel would race with it.
            let _ = self.turns.cut_active();
        } else {
            self.cancel(out);
        }
        self.ledger.set_waiting(self.tools.is_open());
        out.push(Effect::SpeechStarted { active });
        if ignored {
            self.die(Loss::Mute, out);
        }
    }

    pub(super) fn on_speech_stopped(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.turns.speech_stopped(now);
        self.ledger.set_waiting(true);
        out.push(Effect::SpeechStopped);
    }

    /// What was handed out so far is cut off; more of it is not handed out.
    pub(super) fn cut_tracks(&mut self) {
        for track in self.speech.tracks().filter(|track| !track.settled) {
            track.cut = true;
        }
    }

    pub(super) fn settle(&mut self, played: &[Played], out: &mut Vec<Effect>) {
        for Played { item, played_ms } in played {
            let id = item.as_str();
            let Some(track) = self.speech.find(id) else {
                self.ledger.heard(id, *played_ms);
                continue;
            };
            if track.settled {
                continue;
            }
            let received = self.speech.received_ms(track);
            let heard = (*played_ms).min(received);
            let (ended, late) = (track.ended, track.has_late_audio());
            self.ledger.heard(id, heard);
            if let Some(track) = self.speech.track(id) {
                track.cut = true;
                track.settled = true;
                track.gone = heard == 0;
                track.truncate_if_late = heard == received && !late && !ended;
            }
            if heard == 0 {
                self.delete(id, out);
            } else if heard < received || late {
                self.truncate(id, heard, out);
            }
        }
        for track in self.speech.tracks().filter(|track| track.cut) {
            track.settled = true;
        }
    }

    /// Audio of a cut-off item came. If all before it was heard, the model now knows more than the caller.
    pub(super) fn on_late_audio(&mut self, id: &str, out: &mut Vec<Effect>) {
        let Some(track) = self.speech.find(id) else { return };
        let received = self.speech.received_ms(track);
        let said = self.speech.said_ms(track);
        let truncate = track.truncate_if_late && received > 0;
        if track.gone || !track.has_audio() {
            return;
        }
        self.ledger.model_audio(id, said);
        if let (true, Some(track)) = (truncate, self.speech.track(id)) {
            track.truncate_if_late = false;
            self.ledger.heard(id, received);
            self.truncate(id, received, out);
        }
    }

    /// Messages of a cut-off response none of which was handed out: the caller never heard of them.
    pub(super) fn forget_unheard(&mut self, items: &[Item], out: &mut Vec<Effect>) {
        for item in items.iter().filter(|item| item.kind.text() == Some("message")) {
            let Some(id) = item.id.text() else { continue };
            let track = self.speech.enter(id);
            if !track.has_audio() && !track.gone {
                track.gone = true;
                track.cut = true;
                track.settled = true;
                self.ledger.heard(id, 0);
                self.delete(id, out);
            }
        }
    }

    fn truncate(&mut self, id: &str, heard_ms: u64, out: &mut Vec<Effect>) {
        if self.phase == Phase::Live {
            let event = ItemTruncate {
                event_id: Maybe::Value(self.event_id()),
                item_id: id.to_owned(),
                content_index: 0.into(),
                audio_end_ms: heard_ms.into(),
                rest: Map::new(),
            };
            self.send(&ClientEvent::ItemTruncate(event), out);
        }
    }

    fn delete(&mut self, id: &str, out: &mut Vec<Effect>) {
        if self.phase == Phase::Live {
            let event_id = Maybe::Value(self.event_id());
            self.send(&ClientEvent::ItemDelete(ItemRef { event_id, item_id: id.to_owned(), rest: Map::new() }), out);
        }
    }
}
