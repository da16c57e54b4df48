//! What strangers may put into the queue is read without panic and yields no unsafe id; in any order and number, a call
//! begins once at most and never after its end.
#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use trunkline_chime::announcements::{AnnouncementSettings, Announcements, News, Outcome};
use trunkline_chime::event::{CallEvent, Message, Status, read};

const NOW_MS: u64 = 1_795_187_046_000;

fuzz_target!(|bytes: &[u8]| {
    reads(bytes);
    let mut announced = Announced::new();
    // As bodies, one a line, and as steps, two bytes each.
    for line in bytes.split(|&byte| byte == b'\n') {
        announced.apply(NOW_MS, read(line));
    }
    for step in bytes.chunks_exact(2).take(1_000) {
        let [what, when] = *step else { continue };
        announced.apply(NOW_MS, Message::Call(event(what, when)));
    }
});

/// Whatever the body is, it is answered; what is taken is safe to name, what is not is safe to log.
fn reads(body: &[u8]) {
    match read(body) {
        Message::Call(event) => {
            for id in [&event.call_id, &event.transaction_id, &event.voice_connector_id] {
                let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
                assert!((1..=128).contains(&id.len()) && id.bytes().all(is_safe), "{id:?}");
            }
            for text in [&event.from, &event.to, &event.stream_arn, &event.failure_reason].into_iter().flatten() {
                assert!(text.len() <= 1_024 && !text.chars().any(char::is_control), "{text:?}");
            }
        }
        Message::Poison(poison) => {
            let text = poison.to_string();
            assert!(text.len() <= 300 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
            assert!(!poison.reason().is_empty());
        }
        Message::Foreign(_) | Message::Ignored(_) => {}
    }
}

/// One of 16 calls, 4 legs, 4 kinds of event; up to 252 s old, or of no age.
fn event(what: u8, when: u8) -> CallEvent {
    CallEvent {
        status: [Status::Started, Status::Ended, Status::Updated, Status::Failed][usize::from(what & 3)],
        call_id: (what >> 6).to_string(),
        transaction_id: (what >> 4 & 3).to_string(),
        voice_connector_id: "connector".to_owned(),
        is_caller: Some(what & 4 == 0),
        direction: None,
        from: None,
        to: None,
        stream_arn: (what & 8 == 0).then(|| "stream".to_owned()),
        at_unix_ms: (when > 2).then(|| NOW_MS - u64::from(255 - when) * 1_000),
        failure_reason: None,
    }
}

struct Announced {
    announcements: Announcements,
    begun: HashSet<(String, String)>,
    over: HashSet<(String, String)>,
}

impl Announced {
    fn new() -> Self {
        let settings = AnnouncementSettings { max_age: Some(Duration::from_secs(120)), voice_connector_ids: vec![] };
        Self { announcements: Announcements::new(settings), begun: HashSet::new(), over: HashSet::new() }
    }

    fn apply(&mut self, now_ms: u64, message: Message) {
        let again = message.clone();
        let (outcome, news) = self.announcements.apply(now_ms, message);
        assert_eq!(outcome == Outcome::Applied, news.is_some(), "{outcome:?}");
        match news {
            Some(News::Started(event)) => {
                let key = (event.call_id, event.transaction_id);
                assert!(!self.over.contains(&key), "{key:?} began after its end");
                assert!(self.begun.insert(key), "a call began twice");
            }
            Some(News::Leg(event)) => {
                let key = (event.call_id, event.transaction_id);
                assert!(self.begun.contains(&key) && !self.over.contains(&key), "a leg of no live call: {key:?}");
            }
            Some(News::Ended { call_id, transaction_id, first }) => {
                assert_eq!(self.over.insert((call_id, transaction_id)), first, "which end is the first?");
            }
            None => {}
        }
        assert_eq!(self.announcements.apply(now_ms, again).1, None, "the same event was news twice");
        assert_eq!(self.announcements.len(), self.begun.union(&self.over).count());
    }
}
