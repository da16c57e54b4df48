//! The model's audio on its way to the line: one chunk under way, the rest waits in order.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::time::Instant;
use trunkline_realtime::ItemId;

use crate::messages::ModelSpeech;

/// See the module.
#[derive(Default)]
pub struct SpeechQueue {
    generation: u64,
    /// The item whose audio is being received.
    open: Option<ItemId>,
    waiting: VecDeque<ModelSpeech>,
    under_way: Option<ItemId>,
    /// Items with audio that a clear caught before it reached the line.
    unheard: Vec<ItemId>,
}

impl SpeechQueue {
    /// Audio of an item.
    pub fn audio(&mut self, now: Instant, item: ItemId, audio: Bytes) {
        self.open = Some(item.clone());
        self.push(now, item, Some(audio));
    }

    /// No more audio of an item.
    pub fn end(&mut self, now: Instant, item: ItemId) {
        self.open.take_if(|open| *open == item);
        self.push(now, item, None);
    }

    /// Whatever item is open gets no more audio: its session is gone.
    pub fn end_open(&mut self, now: Instant) {
        if let Some(item) = self.open.take() {
            self.push(now, item, None);
        }
    }

    /// The next chunk to send; `None` while one is under way. [`Self::taken`] is to follow.
    pub fn next(&mut self) -> Option<ModelSpeech> {
        if self.under_way.is_some() {
            return None;
        }
        let speech = self.waiting.pop_front()?;
        self.under_way = Some(speech.item.clone());
        Some(speech)
    }

    /// The line has the chunk that was under way.
    pub fn taken(&mut self) {
        self.under_way = None;
    }

    /// Nothing waits and nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// Everything here is void; returns the first generation that is wanted again.
    pub fn clear(&mut self) -> u64 {
        self.generation += 1;
        let waiting = self.waiting.drain(..).filter(|speech| speech.audio.is_some()).map(|speech| speech.item);
        self.unheard.extend(self.under_way.clone().into_iter().chain(waiting));
        self.unheard.dedup();
        self.open = None;
        self.generation
    }

    /// Items that the last clear caught here.
    pub fn take_unheard(&mut self) -> Vec<ItemId> {
        std::mem::take(&mut self.unheard)
    }

    /// Drops the audio that waits, but no item's end: an item that never ends holds up all behind it. Returns the bytes.
    pub fn drop_audio(&mut self) -> usize {
        let waiting: usize = self.waiting.iter().filter_map(|speech| speech.audio.as_ref()).map(Bytes::len).sum();
        self.waiting.retain(|speech| speech.audio.is_none());
        waiting
    }

    fn push(&mut self, at: Instant, item: ItemId, audio: Option<Bytes>) {
        self.waiting.push_back(ModelSpeech { generation: self.generation, item, audio, at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> ItemId {
        ItemId::new(name)
    }

    #[tokio::test(start_paused = true)]
    async fn one_chunk_at_a_time_in_order() {
        let now = Instant::now();
        let mut queue = SpeechQueue::default();
        queue.audio(now, item("a"), Bytes::from_static(b"1"));
        queue.audio(now, item("a"), Bytes::from_static(b"2"));
        queue.end(now, item("a"));
        assert_eq!(queue.next().unwrap().audio.unwrap(), "1");
        assert!(queue.next().is_none(), "one is under way");
        queue.taken();
        assert_eq!(queue.next().unwrap().audio.unwrap(), "2");
        queue.taken();
        assert!(queue.next().unwrap().audio.is_none());
        assert!(!queue.is_empty());
        queue.taken();
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clear_tells_what_never_reached_the_line() {
        let now = Instant::now();
        let mut queue = SpeechQueue::default();
        queue.audio(now, item("a"), Bytes::from_static(b"1"));
        queue.end(now, item("a"));
        queue.audio(now, item("b"), Bytes::from_static(b"1"));
        queue.audio(now, item("b"), Bytes::from_static(b"2"));
        assert!(queue.next().is_some());
        assert_eq!(queue.clear(), 1);
        assert_eq!(queue.take_unheard(), [item("a"), item("b")]);
        queue.end_open(now);
        queue.taken();
        assert!(queue.is_empty(), "the open item was void as well");
        queue.audio(now, item("c"), Bytes::from_static(b"1"));
        assert_eq!(queue.next().unwrap().generation, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_audio_keeps_every_end() {
        let now = Instant::now();
        let mut queue = SpeechQueue::default();
        queue.audio(now, item("a"), Bytes::from_static(b"12"));
        queue.end(now, item("a"));
        queue.audio(now, item("b"), Bytes::from_static(b"345"));
        assert_eq!(queue.drop_audio(), 5);
        queue.end_open(now);
        for name in ["a", "b"] {
            let end = queue.next().unwrap();
            assert_eq!((end.item, end.audio), (item(name), None));
            queue.taken();
        }
    }
}
