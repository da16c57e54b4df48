//! Cutting a byte stream into frames.

use crate::LineCodec;

/// Cuts line audio that comes in any portions into frames of exactly 20 ms.
#[derive(Debug)]
pub struct Recutter {
    frame_bytes: usize,
    /// The start of a frame; always shorter than one.
    pending: Vec<u8>,
}

impl Recutter {
    /// A cutter for frames of [`LineCodec::frame_bytes`].
    pub fn new(codec: LineCodec) -> Self {
        let frame_bytes = codec.frame_bytes();
        Self { frame_bytes, pending: Vec::with_capacity(frame_bytes) }
    }

    /// Takes bytes and calls `frame` for every frame they complete. Whole frames are not copied.
    pub fn push(&mut self, payload: &[u8], mut frame: impl FnMut(&[u8])) {
        let mut rest = payload;
        if !self.pending.is_empty() {
            let missing = self.frame_bytes - self.pending.len();
            let (head, tail) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.pending.extend_from_slice(head);
            rest = tail;
            if self.pending.len() < self.frame_bytes {
                return;
            }
            frame(&self.pending);
            self.pending.clear();
        }
        let mut frames = rest.chunks_exact(self.frame_bytes);
        frames.by_ref().for_each(&mut frame);
        self.pending.extend_from_slice(frames.remainder());
    }

    /// Bytes that wait for their frame to fill up.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Drops what waits.
    pub fn reset(&mut self) {
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_portions_give_the_same_frames(
            sizes in prop::collection::vec(0_usize..700, 0..30),
            codec in prop::sample::select(vec![LineCodec::Pcmu, LineCodec::Pcma, LineCodec::L16]),
        ) {
            let total: usize = sizes.iter().sum();
            let stream: Vec<u8> = (0..total).map(|i| (i % 251) as u8).collect();
            let mut cutter = Recutter::new(codec);
            let mut joined = Vec::new();
            let mut at = 0;
            for size in sizes {
                cutter.push(&stream[at..at + size], |frame| {
                    assert_eq!(frame.len(), codec.frame_bytes());
                    joined.extend_from_slice(frame);
                });
                at += size;
                prop_assert_eq!(joined.len() + cutter.pending_bytes(), at);
                prop_assert!(cutter.pending_bytes() < codec.frame_bytes());
            }
            prop_assert_eq!(&joined[..], &stream[..joined.len()]);
        }
    }

    #[test]
    fn reset_drops_the_partial_frame() {
        let mut cutter = Recutter::new(LineCodec::Pcmu);
        cutter.push(&[1; 100], |_| panic!("no frame yet"));
        cutter.reset();
        assert_eq!(cutter.pending_bytes(), 0);
        let mut frames = 0;
        cutter.push(&[2; 160], |frame| {
            frames += 1;
            assert!(frame.iter().all(|byte| *byte == 2));
        });
        assert_eq!(frames, 1);
    }
}
