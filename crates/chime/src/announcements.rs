//! Which events of calls are news.
//!
//! EventBridge and SQS deliver at least once, in any order, perhaps hours late and perhaps never; a call has a STARTED and an
//! ENDED for each of its two media legs. A call is known by `callId` and `transactionId` together: a Call-ID may be used again.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::event::{CallEvent, Message, Status};

/// How many calls are remembered, live and ended. At about 400 bytes each this bounds memory to some 40 MB; at one call a
/// second, the default quota of a Voice Connector, an end is remembered for more than a day.
pub const MAX_KEYS: usize = 100_000;

/// Most legs that are told apart in one call. There are two, and a few more where streams are replaced.
const MAX_LEGS: usize = 16;

/// What counts as news for this service (configuration section `events`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnouncementSettings {
    /// A STARTED older than this announces no call; `None` takes any age.
    pub max_age: Option<Duration>,
    /// Events of other Voice Connectors are foreign; empty takes all.
    pub voice_connector_ids: Vec<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was news.
    Applied,
    /// Known already.
    Duplicate,
    /// The beginning of a call that is over or too long ago.
    Stale,
    /// Not a call of ours.
    Foreign,
    /// Of ours, and of no use.
    Ignored,
    /// Not to be read.
    Poison,
}

impl Outcome {
    /// Every outcome, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Applied, Self::Duplicate, Self::Stale, Self::Foreign, Self::Ignored, Self::Poison];

    /// The outcome as it stands in JSON and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Foreign => "foreign",
            Self::Ignored => "ignored",
            Self::Poison => "poison",
        }
    }
}

/// What the service learns from an event that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A new call: announce it.
    Started(CallEvent),
    /// Another leg of a call that was announced: it may tell what the first did not.
    Leg(CallEvent),
    /// A leg ended, also where no beginning was ever heard of: the media may be here all the same.
    Ended {
        /// The call.
        call_id: String,
        /// Its transaction.
        transaction_id: String,
        /// Whether it is the first end heard of for this call.
        first: bool,
    },
}

type Key = Arc<(String, String)>;

/// A leg is told by `isCaller` and its stream; this is the hash of both.
type Leg = u64;

/// Every call that events told of lately, and which of its legs began and ended.
#[derive(Debug)]
pub struct Announcements {
    settings: AnnouncementSettings,
    max_keys: usize,
    calls: HashMap<Key, Known>,
    /// When each call was last heard of, as a running number: the first is forgotten first.
    heard: BTreeMap<u64, Key>,
    next: u64,
}

#[derive(Debug, Default)]
struct Known {
    heard: u64,
    started: Vec<Leg>,
    ended: Vec<Leg>,
}

impl Announcements {
    /// Nothing heard of yet.
    #[must_use]
    pub fn new(settings: AnnouncementSettings) -> Self {
        Self::bounded(settings, MAX_KEYS)
    }

    fn bounded(settings: AnnouncementSettings, max_keys: usize) -> Self {
        Self { settings, max_keys, calls: HashMap::new(), heard: BTreeMap::new(), next: 0 }
    }

    /// How many calls are remembered, never more than [`MAX_KEYS`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether no call is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes one message at `now_unix_ms` (ms since 1970): what became of it, and the news if it was any.
    pub fn apply(&mut self, now_unix_ms: u64, message: Message) -> (Outcome, Option<News>) {
        let event = match message {
            Message::Call(event) => event,
            Message::Foreign(_) => return (Outcome::Foreign, None),
            Message::Ignored(_) => return (Outcome::Ignored, None),
            Message::Poison(_) => return (Outcome::Poison, None),
        };
        let ours = &self.settings.voice_connector_ids;
        if !ours.is_empty() && !ours.contains(&event.voice_connector_id) {
            return (Outcome::Foreign, None);
        }
        match event.status {
            Status::Started => self.started(now_unix_ms, event),
            Status::Ended => self.ended(event),
            // Neither begins or ends a call: participants changed, or the copy to Kinesis Video failed.
            Status::Updated | Status::Failed => (Outcome::Ignored, None),
        }
    }

    fn started(&mut self, now_unix_ms: u64, event: CallEvent) -> (Outcome, Option<News>) {
        let key = key_of(&event);
        let leg = leg_of(&event);
        if !self.calls.contains_key(&key) && self.is_stale(now_unix_ms, &event) {
            return (Outcome::Stale, None);
        }
        let (known, is_new) = self.hear_of(key);
        if is_new {
            known.started.push(leg);
            return (Outcome::Applied, Some(News::Started(event)));
        }
        if known.started.is_empty() {
            // Its end overtook it: there is no call to announce.
            return (Outcome::Stale, None);
        }
        if !known.ended.is_empty() || !note(&mut known.started, leg) {
            return (Outcome::Duplicate, None);
        }
        (Outcome::Applied, Some(News::Leg(event)))
    }

    /// An end counts whatever its age: that the call is over does not become untrue.
    fn ended(&mut self, event: CallEvent) -> (Outcome, Option<News>) {
        let (known, _) = self.hear_of(key_of(&event));
        let first = known.ended.is_empty();
        if !note(&mut known.ended, leg_of(&event)) {
            return (Outcome::Duplicate, None);
        }
        let CallEvent { call_id, transaction_id, .. } = event;
        (Outcome::Applied, Some(News::Ended { call_id, transaction_id, first }))
    }

    /// An event without a time has no age; one of the future has none either: clocks differ.
    fn is_stale(&self, now_unix_ms: u64, event: &CallEvent) -> bool {
        let age = event.at_unix_ms.map(|at| Duration::from_millis(now_unix_ms.saturating_sub(at)));
        self.settings.max_age.zip(age).is_some_and(|(max_age, age)| age > max_age)
    }

    /// The call, now the last one heard of, and whether it is new; then the one longest not heard of may have to go.
    fn hear_of(&mut self, key: Key) -> (&mut Known, bool) {
        let now = self.next;
        self.next += 1;
        let is_new = !self.calls.contains_key(&key);
        if is_new
            && self.calls.len() >= self.max_keys
            && let Some((_, oldest)) = self.heard.pop_first()
        {
            self.calls.remove(&oldest);
        }
        let known = self.calls.entry(Arc::clone(&key)).or_default();
        if !is_new {
            self.heard.remove(&known.heard);
        }
        known.heard = now;
        self.heard.insert(now, key);
        (known, is_new)
    }
}

/// Adds a leg that is not yet in `legs`; whether it was added.
fn note(legs: &mut Vec<Leg>, leg: Leg) -> bool {
    let is_new = legs.len() < MAX_LEGS && !legs.contains(&leg);
    if is_new {
        legs.push(leg);
    }
    is_new
}

fn key_of(event: &CallEvent) -> Key {
    Arc::new((event.call_id.clone(), event.transaction_id.clone()))
}

fn leg_of(event: &CallEvent) -> Leg {
    let mut hasher = DefaultHasher::new();
    (event.is_caller, &event.stream_arn).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(status: Status, call: usize) -> Message {
        Message::Call(CallEvent {
            status,
            call_id: format!("call-{call}"),
            transaction_id: "transaction".to_owned(),
            voice_connector_id: "connector".to_owned(),
            is_caller: Some(true),
            direction: None,
            from: None,
            to: None,
            stream_arn: None,
            at_unix_ms: None,
            failure_reason: None,
        })
    }

    fn outcomes(announcements: &mut Announcements, status: Status, calls: &[usize]) -> Vec<Outcome> {
        calls.iter().map(|&call| announcements.apply(0, event(status, call)).0).collect()
    }

    #[test]
    fn the_call_longest_not_heard_of_is_forgotten_first() {
        use Outcome::{Applied, Duplicate};
        let mut announcements = Announcements::bounded(AnnouncementSettings::default(), 3);
        assert_eq!(outcomes(&mut announcements, Status::Started, &[0, 1, 2]), [Applied; 3]);
        // The end of 0 makes 1 the oldest, a duplicate of 1 makes it 2.
        assert_eq!(outcomes(&mut announcements, Status::Ended, &[0]), [Applied]);
        assert_eq!(outcomes(&mut announcements, Status::Started, &[1, 3]), [Duplicate, Applied]);
        assert_eq!(announcements.len(), 3);
        assert_eq!(outcomes(&mut announcements, Status::Started, &[0, 1, 3]), [Duplicate; 3]);
        assert_eq!(outcomes(&mut announcements, Status::Started, &[2]), [Applied]);
    }

    #[test]
    fn memory_is_bounded_in_calls_and_in_legs() {
        let mut announcements = Announcements::bounded(AnnouncementSettings::default(), 100);
        for call in 0..1_000 {
            announcements.apply(0, event(Status::Started, call));
            announcements.apply(0, event(Status::Ended, call + 500));
            assert!(announcements.len() <= 100);
            assert_eq!(announcements.heard.len(), announcements.len());
        }
        let mut announcements = Announcements::new(AnnouncementSettings::default());
        for stream in 0..1_000 {
            let Message::Call(mut event) = event(Status::Started, 0) else { panic!("a call event") };
            event.stream_arn = Some(format!("stream-{stream}"));
            announcements.apply(0, Message::Call(event.clone()));
            event.status = Status::Ended;
            event.call_id = "ended".to_owned();
            announcements.apply(0, Message::Call(event));
        }
        for known in announcements.calls.values() {
            assert_eq!(known.started.len() + known.ended.len(), MAX_LEGS);
        }
    }
}
