//! The consumer against the queue in memory, in virtual time.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::time::{Instant, sleep};
use trunkline_chime::announcements::Outcome;
use trunkline_chime::event::Message;

use super::consumer::{Consumer, ConsumerHandle, EventHandler};
use super::event_stats::{EventStats, SourceHealth};
use super::failure::{AwsFailure, FailureClass};
use super::queue::memory::MemoryQueue;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const STARTED: &str = include_str!("../../crates/chime/tests/fixtures/aws/streaming/01-started-caller.json");
const FOREIGN: &str = include_str!("../../crates/chime/tests/fixtures/aws/bad/wrong-source.json");
const NO_CALL_ID: &str = include_str!("../../crates/chime/tests/fixtures/aws/bad/started-missing-callid.json");

/// Runs in virtual time with what `spawn` needs.
fn virtually<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let test = async { tokio::time::timeout(HOUR, test).await };
    let ended = tokio::task::LocalSet::new().block_on(&runtime.unwrap(), test);
    assert!(ended.is_ok(), "hangs");
}

/// Notes what it was given; takes a while for it.
#[derive(Clone)]
struct Handler {
    seen: Rc<RefCell<Vec<Message>>>,
    takes: Duration,
    /// Nobody is there.
    absent: bool,
}

impl EventHandler for Handler {
    fn apply(&self, message: Message) -> LocalBoxFuture<'_, Option<Outcome>> {
        async move {
            sleep(self.takes).await;
            if self.absent {
                return None;
            }
            let outcome = match &message {
                Message::Call(_) if self.seen.borrow().contains(&message) => Outcome::Duplicate,
                Message::Call(_) => Outcome::Applied,
                _ => Outcome::Foreign,
            };
            self.seen.borrow_mut().push(message);
            Some(outcome)
        }
        .boxed_local()
    }
}

struct Bench {
    queue: MemoryQueue,
    handler: Handler,
    stats: Arc<EventStats>,
    health: Arc<SourceHealth>,
}

impl Bench {
    fn new(takes: Duration) -> Self {
        let handler = Handler { seen: Rc::default(), takes, absent: false };
        Self { queue: MemoryQueue::default(), handler, stats: Arc::default(), health: Arc::default() }
    }

    fn start(&self) -> ConsumerHandle {
        let (stats, health) = (Arc::clone(&self.stats), Arc::clone(&self.health));
        Consumer::new(self.queue.clone(), self.handler.clone(), stats, health).start()
    }

    fn counted(&self, outcome: Outcome) -> u64 {
        self.stats.outcomes().find(|(known, _)| *known == outcome).unwrap().1
    }

    fn call_ids(&self) -> Vec<String> {
        let id = |message: &Message| match message {
            Message::Call(event) => event.call_id.clone(),
            other => format!("{other:?}"),
        };
        self.handler.seen.borrow().iter().map(id).collect()
    }
}

fn started(call_id: &str) -> String {
    STARTED.replace("5f0c1b1e-7c38-4b0a-9a53-0d7f0a6b9c11", call_id)
}

fn receipts(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| format!("receipt-{id}")).collect()
}

fn lost() -> AwsFailure {
    AwsFailure { class: FailureClass::Unavailable, status: Some(503), text: "ServiceUnavailable".to_owned() }
}

#[test]
fn messages_are_applied_in_order_and_deleted_in_one_batch() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        for (id, body) in
            [("a", started("one")), ("b", started("two")), ("c", FOREIGN.to_owned()), ("d", started("one"))]
        {
            bench.queue.send(id, &body);
        }
        let consumer = bench.start();
        sleep(MS).await;
        assert_eq!(bench.call_ids()[..2], ["one", "two"]);
        assert_eq!(bench.queue.deletes(), [receipts(&["a", "b", "c", "d"])], "foreign and known ones too");
        assert_eq!((bench.counted(Outcome::Applied), bench.counted(Outcome::Foreign)), (2, 1));
        assert_eq!((bench.counted(Outcome::Duplicate), bench.counted(Outcome::Poison)), (1, 0));
        assert!(bench.health.last_success_unix_ms().is_some());
        consumer.stop().await;
    });
}

#[test]
fn what_could_not_be_deleted_is_tried_once_more() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        bench.queue.refuse_to_delete("b", 1);
        bench.queue.refuse_to_delete("c", 9);
        for id in ["a", "b", "c"] {
            bench.queue.send(id, &started(id));
        }
        let consumer = bench.start();
        sleep(MS).await;
        assert_eq!(bench.queue.deletes(), [receipts(&["a", "b", "c"]), receipts(&["b", "c"])]);
        assert_eq!(bench.queue.in_flight(), ["c"]);

        // The other kind of failure: the request got lost as a whole.
        bench.queue.fail_deletes(1);
        bench.queue.send("d", &started("d"));
        sleep(MS).await;
        assert_eq!(bench.queue.deletes()[2..], [receipts(&["d"]), receipts(&["d"])]);
        assert_eq!(bench.queue.in_flight(), ["c"]);
        consumer.stop().await;
    });
}

#[test]
fn poison_is_left_to_the_queue_and_told_once() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        bench.queue.send("bad", NO_CALL_ID);
        bench.queue.send("worse", "{");
        bench.queue.send("good", &started("one"));
        let consumer = bench.start();
        sleep(MS).await;
        for _ in 0..4 {
            bench.queue.redeliver();
            sleep(MS).await;
        }
        assert_eq!(bench.queue.in_flight(), ["bad", "worse"], "for the dead-letter queue");
        assert_eq!(bench.queue.deletes(), [receipts(&["good"])]);
        assert_eq!(bench.counted(Outcome::Poison), 2, "five deliveries each, but two messages");
        assert_eq!(bench.stats.poison(), [("bad_call_id", 1), ("not_json", 1)]);
        assert_eq!(bench.call_ids(), ["one"], "and none of it reached a call");
        consumer.stop().await;
    });
}

#[test]
fn a_lost_queue_is_asked_ever_more_rarely_until_it_answers() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        bench.queue.fail(8, &lost());
        let consumer = bench.start();
        sleep(MS).await;
        assert_eq!((bench.health.as_str(), bench.health.last_error()), ("degraded", Some(lost())));
        assert_eq!(bench.health.last_success_unix_ms(), None);
        sleep(200 * SECOND).await;
        let asked = bench.queue.asked_at();
        let gaps: Vec<Duration> = asked.windows(2).take(8).map(|pair| pair[1] - pair[0]).collect();
        for (gap, longest) in gaps.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
            let longest = longest * SECOND;
            // The timer's grain is a millisecond.
            assert!(*gap >= longest / 2 && *gap <= longest + MS, "{gap:?} of {longest:?} in {gaps:?}");
        }
        assert_eq!(bench.health.as_str(), "ok", "the ninth was answered");

        // Success starts it over.
        let before = bench.queue.asked_at().len();
        bench.queue.fail(1, &lost());
        sleep(60 * SECOND).await;
        let asked = bench.queue.asked_at();
        let failed = asked.windows(2).skip(before - 1).find(|pair| pair[1] - pair[0] < 20 * SECOND).unwrap();
        assert!(failed[1] - failed[0] <= SECOND + MS, "{asked:?}");
        consumer.stop().await;
    });
}

#[test]
fn the_end_finishes_the_batch_at_hand() {
    virtually(async {
        let bench = Bench::new(SECOND / 10);
        for id in ["a", "b", "c", "d"] {
            bench.queue.send(id, &started(id));
        }
        let consumer = bench.start();
        sleep(150 * MS).await;
        bench.queue.send("later", &started("later"));
        consumer.stop().await;
        assert_eq!(bench.queue.deletes(), [receipts(&["a", "b", "c", "d"])]);
        assert!(bench.queue.made_visible().is_empty());
        assert_eq!(bench.queue.asked_at().len(), 1, "and takes no new ones");
    });
}

#[test]
fn what_the_end_cannot_finish_is_given_back() {
    virtually(async {
        let bench = Bench::new(SECOND);
        let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        for id in ids {
            bench.queue.send(id, &started(id));
        }
        let consumer = bench.start();
        sleep(1_500 * MS).await;
        let asked = Instant::now();
        consumer.stop().await;
        assert_eq!(asked.elapsed(), 2 * SECOND);
        assert_eq!(bench.queue.deletes(), [receipts(&ids[..3])]);
        assert_eq!(bench.queue.made_visible(), receipts(&ids[3..]));
        assert!(bench.queue.in_flight().is_empty());
    });
}

#[test]
fn the_end_waits_for_a_poll_under_way_but_not_long() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        let consumer = bench.start();
        sleep(5 * SECOND).await;
        let asked = Instant::now();
        consumer.stop().await;
        assert_eq!(asked.elapsed(), 2 * SECOND);

        let bench = Bench::new(Duration::ZERO);
        let consumer = bench.start();
        sleep(5 * SECOND).await;
        let queue = bench.queue.clone();
        actix_rt::spawn(async move {
            sleep(SECOND).await;
            queue.send("last", &started("last"));
        });
        consumer.stop().await;
        assert_eq!((bench.call_ids(), bench.queue.deletes()), (vec!["last".to_owned()], vec![receipts(&["last"])]));
    });
}

#[test]
fn the_end_interrupts_a_wait() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        bench.queue.fail(20, &lost());
        let consumer = bench.start();
        sleep(100 * SECOND).await;
        let asked = Instant::now();
        consumer.stop().await;
        assert_eq!(asked.elapsed(), Duration::ZERO);
    });
}

#[test]
fn what_nobody_takes_comes_again_by_itself() {
    virtually(async {
        let mut bench = Bench::new(Duration::ZERO);
        bench.handler.absent = true;
        bench.queue.send("a", &started("a"));
        let consumer = bench.start();
        sleep(SECOND).await;
        assert!(bench.queue.deletes().is_empty() && bench.queue.made_visible().is_empty());
        assert_eq!(bench.queue.in_flight(), ["a"]);
        assert_eq!(bench.stats.outcomes().map(|(_, count)| count).sum::<u64>(), 0);
        consumer.stop().await;
    });
}

#[test]
fn a_queue_without_long_polling_is_not_asked_without_pause() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        bench.queue.answer_at_once();
        let consumer = bench.start();
        sleep(10 * SECOND + MS).await;
        assert_eq!(bench.queue.asked_at().len(), 11);
        consumer.stop().await;
    });
}

#[test]
fn a_dropped_handle_ends_the_consumer() {
    virtually(async {
        let bench = Bench::new(Duration::ZERO);
        drop(bench.start());
        sleep(HOUR / 2).await;
        assert!(bench.queue.asked_at().len() <= 1);
    });
}
