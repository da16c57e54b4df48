//! Asks the SIP media application's side of calls for things, at the pace the account's quota allows, for all calls. Which
//! request goes when is the [`UpdateQueue`]'s decision.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseFuture, WrapFuture};
use tokio::sync::oneshot;
use tokio::time::Instant;
use trunkline_call::{Backoff, CallId};
use trunkline_chime::command::Command;
use trunkline_chime::updates::{Next, UpdateQueue, Urgency};

use crate::alarm::Alarm;
use crate::ports::{CallControl, ControlError, OutgoingCall, tell};

/// A request that failed for the time being is sent again after so long, at most so long.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// And so often: about five minutes, longer than a caller whose leg nobody hangs up stays on.
const ATTEMPTS: u32 = 40;
const FLUSH_CHECK: Duration = Duration::from_millis(50);

/// How the application's side was found lately, and what was asked of it. Written here, read by health and metrics.
#[derive(Debug, Default)]
pub struct ControlHealth {
    failing: AtomicBool,
    waiting: AtomicU64,
    /// Updates and creates taken.
    taken: AtomicU64,
    /// Updates and creates that were not, in the order of [`ControlHealth::FAILURES`].
    failed: [AtomicU64; 5],
}

impl ControlHealth {
    /// Names of the failures that are counted.
    pub const FAILURES: [&'static str; 5] = ["throttled", "unavailable", "gone", "refused", "expired"];

    /// Whether the last request that was sent failed by a fault over there or by our permissions.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Updates that wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Requests taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Requests not taken so far, by failure.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Self::FAILURES.into_iter().zip(&self.failed).map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    fn count<T>(&self, result: &Result<T, ControlError>) {
        let place = match result {
            Ok(_) => {
                self.failing.store(false, Ordering::Relaxed);
                self.taken.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(ControlError::Throttled) => 0,
            Err(ControlError::Unavailable(_)) => 1,
            Err(ControlError::Gone) => 2,
            Err(ControlError::Refused(_)) => 3,
        };
        // A call that is over by now, or a quota used up, says nothing of the other side's health.
        self.failing.fetch_or(matches!(place, 1 | 3), Ordering::Relaxed);
        self.count_failure(place);
    }

    fn count_failure(&self, place: usize) {
        if let Some(count) = self.failed.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A request for one call. It is answered once; a request whose answer nobody waits for is carried out all the same.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AskSma {
    /// Our call, for the log.
    pub call_id: CallId,
    /// What the application knows it by.
    pub transaction_id: String,
    /// What is asked for.
    pub command: Command,
    /// How pressing it is.
    pub urgency: Urgency,
    /// Cleared when it is not wanted any more: then it is not sent, if it was not yet.
    pub wanted: Arc<AtomicBool>,
    /// Whether it was taken. An expired prompt counts as throttled.
    pub answer: oneshot::Sender<Result<(), ControlError>>,
}

/// Rings somebody up, now or not at all: a call that waits for its turn would ring when nobody expects it.
#[derive(Message)]
#[rtype(result = "Result<String, ControlError>")]
pub struct PlaceCall(pub OutgoingCall);

/// Answered when nothing waits any more, or `limit` has passed: before the service ends, its hang-ups have to be out.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Flush {
    /// How long to wait.
    pub limit: Duration,
}

/// The application's side of one call.
#[derive(Clone)]
pub struct Sma {
    control: Addr<CallControlActor>,
    call_id: CallId,
    transaction_id: String,
}

/// A request under way.
pub struct Asked {
    wanted: Arc<AtomicBool>,
    answer: oneshot::Receiver<Result<(), ControlError>>,
}

impl Asked {
    /// Takes it back if it is not on its way yet. The answer still comes.
    pub fn withdrawal(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wanted)
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// Why it was not taken.
    pub async fn answer(self) -> Result<(), ControlError> {
        self.answer.await.unwrap_or_else(|_| Err(ControlError::Unavailable("nobody asks any more".to_owned())))
    }
}

impl Sma {
    /// The side of our call `call_id`, which the application knows by `transaction_id`.
    #[must_use]
    pub fn new(control: Addr<CallControlActor>, call_id: CallId, transaction_id: String) -> Self {
        Self { control, call_id, transaction_id }
    }

    /// Asks for something.
    #[must_use]
    pub fn ask(&self, command: Command, urgency: Urgency) -> Asked {
        let (sender, answer) = oneshot::channel();
        let wanted = Arc::new(AtomicBool::new(true));
        let (call_id, transaction_id) = (self.call_id.clone(), self.transaction_id.clone());
        let asked = AskSma { call_id, transaction_id, command, urgency, wanted: Arc::clone(&wanted), answer: sender };
        tell(&self.control, asked);
        Asked { wanted, answer }
    }

    /// Asks for something whose answer changes nothing here.
    pub fn order(&self, command: Command) {
        let _unread = self.ask(command, Urgency::Control);
    }
}

struct Waiting {
    asked: AskSma,
    request_id: String,
    backoff: Backoff,
    attempts: u32,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is said to callers, and to which number they go, is nobody's business.
        f.debug_struct("Waiting").field("command", &self.asked.command.name()).finish_non_exhaustive()
    }
}

/// See the module.
pub struct CallControlActor {
    port: Rc<dyn CallControl>,
    queue: UpdateQueue<Waiting>,
    /// Requests sent and not answered.
    under_way: usize,
    creates: Duration,
    next_create: Option<Instant>,
    health: Arc<ControlHealth>,
    alarm: Alarm,
}

impl CallControlActor {
    /// Asks through `port`, at most so many updates and creates a second.
    pub fn new(port: Rc<dyn CallControl>, updates: f64, creates: f64, health: Arc<ControlHealth>) -> Self {
        Self {
            port,
            queue: UpdateQueue::new(updates, fastrand::u64(..)),
            under_way: 0,
            creates: Duration::from_secs_f64(1.0 / creates.max(0.001)),
            next_create: None,
            health,
            alarm: Alarm::default(),
        }
    }

    fn run(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now().into_std();
        self.queue.retain(|waiting| waiting.asked.wanted.load(Ordering::Relaxed));
        while let Some(next) = self.queue.poll(now) {
            match next {
                Next::Send(waiting) => self.send(waiting, ctx),
                Next::Expired(waiting) => {
                    self.health.count_failure(4);
                    // Whoever asked may be gone.
                    let _ = waiting.asked.answer.send(Err(ControlError::Throttled));
                }
            }
        }
        self.health.waiting.store(self.queue.len() as u64, Ordering::Relaxed);
        let wanted = self.queue.next_timer().map(Instant::from_std);
        self.alarm.set(ctx, wanted, |control| &mut control.alarm, Self::run);
    }

    fn send(&mut self, waiting: Waiting, ctx: &mut Context<Self>) {
        let arguments: BTreeMap<String, String> = waiting.asked.command.to_arguments(&waiting.request_id);
        let update = self.port.update(&waiting.asked.transaction_id, arguments);
        self.under_way += 1;
        let done = update.into_actor(self).map(move |result, control, ctx| control.sent(waiting, result, ctx));
        ctx.spawn(done);
    }

    fn sent(&mut self, mut waiting: Waiting, result: Result<(), ControlError>, ctx: &mut Context<Self>) {
        self.under_way -= 1;
        self.health.count(&result);
        let command = waiting.asked.command.name();
        let AskSma { call_id: call, transaction_id: transaction, .. } = &waiting.asked;
        waiting.attempts += 1;
        match &result {
            Ok(()) => tracing::debug!(%call, transaction, command, "the SIP media application took a request"),
            Err(ControlError::Throttled | ControlError::Unavailable(_))
                if waiting.asked.urgency == Urgency::Control && waiting.attempts < ATTEMPTS =>
            {
                self.queue.again((Instant::now() + waiting.backoff.next()).into_std(), waiting);
                self.run(ctx);
                return;
            }
            Err(ControlError::Gone) => tracing::debug!(%call, transaction, command, "the call is over by now"),
            Err(error) => {
                tracing::warn!(%call, transaction, command, "the SIP media application did not take a request: {error}");
            }
        }
        // Whoever asked may be gone.
        let _ = waiting.asked.answer.send(result);
    }
}

impl Actor for CallControlActor {
    type Context = Context<Self>;
}

impl Handler<AskSma> for CallControlActor {
    type Result = ();

    fn handle(&mut self, asked: AskSma, ctx: &mut Self::Context) {
        let urgency = asked.urgency;
        let waiting = Waiting {
            asked,
            request_id: format!("{:016x}", fastrand::u64(..)),
            backoff: Backoff::new(RETRY.0, RETRY.1),
            attempts: 0,
        };
        self.queue.push(Instant::now().into_std(), urgency, waiting);
        self.run(ctx);
    }
}

impl Handler<PlaceCall> for CallControlActor {
    type Result = ResponseFuture<Result<String, ControlError>>;

    fn handle(&mut self, PlaceCall(call): PlaceCall, _: &mut Self::Context) -> Self::Result {
        let now = Instant::now();
        if self.next_create.is_some_and(|next| now < next) {
            self.health.count_failure(0);
            return Box::pin(std::future::ready(Err(ControlError::Throttled)));
        }
        self.next_create = Some(now + self.creates);
        let (created, health) = (self.port.create(call), Arc::clone(&self.health));
        Box::pin(async move {
            let created = created.await;
            health.count(&created);
            created
        })
    }
}

impl Handler<Flush> for CallControlActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Flush { limit }: Flush, ctx: &mut Self::Context) -> Self::Result {
        let control = ctx.address();
        Box::pin(async move {
            let deadline = Instant::now() + limit;
            while control.send(IsBusy).await.unwrap_or(false) && Instant::now() < deadline {
                tokio::time::sleep(FLUSH_CHECK).await;
            }
        })
    }
}

/// Whether anything waits or is under way.
#[derive(Message)]
#[rtype(result = "bool")]
struct IsBusy;

impl Handler<IsBusy> for CallControlActor {
    type Result = bool;

    fn handle(&mut self, _: IsBusy, _: &mut Self::Context) -> bool {
        self.under_way > 0 || !self.queue.is_empty()
    }
}
