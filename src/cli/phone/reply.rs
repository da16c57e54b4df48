use std::time::Duration;

use tokio::time::Instant;

/// Longer without sound than this, and what comes next begins anew.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the first sound of the answer was in coming.
#[derive(Debug, Default)]
pub(super) struct ReplyWatch {
    spoken_at: Option<Instant>,
    last_sound: Option<Instant>,
}

impl ReplyWatch {
    /// The last word is said. Said again it changes nothing.
    pub fn spoken(&mut self, now: Instant) {
        self.spoken_at.get_or_insert(now);
    }

    /// Sound is heard. Returns the time since the last word if it begins here: what only goes on is an echo, or was begun
    /// while the caller spoke.
    pub fn sound(&mut self, now: Instant) -> Option<Duration> {
        let begins = self.last_sound.replace(now).is_none_or(|last| now - last > PAUSE);
        self.spoken_at.filter(|_| begins).map(|spoken| now - spoken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_after_the_last_word_is_no_answer() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = ReplyWatch::default();
        assert_eq!(watch.sound(at(0)), None, "the caller still speaks");
        watch.spoken(at(50));
        watch.spoken(at(400));
        assert_eq!(watch.sound(at(60)), None, "the end of an echo");
        assert_eq!(watch.sound(at(160)), None);
        assert_eq!(watch.sound(at(650)), Some(Duration::from_millis(600)));
    }
}
