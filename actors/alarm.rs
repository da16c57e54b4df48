//! The one timer of an actor.

use std::pin::Pin;
use std::task::{Context as Task, Poll, Waker};

use actix::{Actor, ActorFuture, AsyncContext, Context};
use tokio::time::{Instant, Sleep, sleep_until};

/// Set anew as often as one likes; rings once for each time it was left standing.
///
/// One future of the actor's owns the timer for as long as the alarm is set again whenever it rings: a ring takes nothing
/// from the heap, of which `run_later` takes twice.
#[derive(Debug, Default)]
pub struct Alarm {
    standing: Option<Instant>,
    /// There is a future that waits, or rings right now.
    waiting: bool,
    /// Of that future while it waits; whoever sets the alarm earlier wakes it.
    waker: Option<Waker>,
}

impl Alarm {
    /// Rings at `wanted` or earlier: an alarm that rings early is cheap, one that rings late is not. `None` leaves it as
    /// it stands. An actor has one alarm, and gives the same `of` and `ring` every time.
    pub fn set<A>(
        &mut self,
        ctx: &mut Context<A>,
        wanted: Option<Instant>,
        of: fn(&mut A) -> &mut Self,
        ring: fn(&mut A, &mut Context<A>),
    ) where
        A: Actor<Context = Context<A>>,
    {
        let Some(wanted) = wanted.filter(|wanted| self.standing.is_none_or(|standing| *wanted < standing)) else {
            return;
        };
        self.standing = Some(wanted);
        if !self.waiting {
            self.waiting = true;
            ctx.spawn(Ringing { sleep: Box::pin(sleep_until(wanted)), of, ring });
        } else if let Some(waker) = self.waker.take() {
            // actix may have polled it already in this turn.
            waker.wake();
        }
    }
}

/// Waits for what stands, and ends when nothing does.
struct Ringing<A: Actor> {
    sleep: Pin<Box<Sleep>>,
    of: fn(&mut A) -> &mut Alarm,
    ring: fn(&mut A, &mut A::Context),
}

impl<A: Actor> ActorFuture<A> for Ringing<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, actor: &mut A, ctx: &mut A::Context, task: &mut Task<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            let alarm = (this.of)(actor);
            let Some(standing) = alarm.standing else {
                alarm.waiting = false;
                return Poll::Ready(());
            };
            if this.sleep.deadline() != standing {
                this.sleep.as_mut().reset(standing);
            }
            if this.sleep.as_mut().poll(task).is_pending() {
                if alarm.waker.as_ref().is_none_or(|waker| !waker.will_wake(task.waker())) {
                    alarm.waker = Some(task.waker().clone());
                }
                return Poll::Pending;
            }
            (alarm.standing, alarm.waker) = (None, None);
            (this.ring)(actor, ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::{ActorFutureExt, Handler, Message, WrapFuture};
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Ticker {
        alarm: Alarm,
        rung: u32,
    }

    impl Ticker {
        fn arm(&mut self, ctx: &mut Context<Self>, ms: u64) {
            let wanted = Instant::now() + Duration::from_millis(ms);
            self.alarm.set(
                ctx,
                Some(wanted),
                |ticker| &mut ticker.alarm,
                |ticker, ctx| {
                    ticker.rung += 1;
                    ticker.arm(ctx, 20);
                },
            );
        }
    }

    impl Actor for Ticker {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            self.arm(ctx, 20);
        }
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Sooner;

    impl Handler<Sooner> for Ticker {
        type Result = u32;

        fn handle(&mut self, _: Sooner, ctx: &mut Self::Context) -> u32 {
            self.arm(ctx, 0);
            self.arm(ctx, 10);
            self.rung
        }
    }

    /// Arms the alarm from a future of the actor's own.
    #[derive(Message)]
    #[rtype(result = "()")]
    struct SoonerFromAFuture;

    impl Handler<SoonerFromAFuture> for Ticker {
        type Result = ();

        fn handle(&mut self, _: SoonerFromAFuture, ctx: &mut Context<Self>) {
            let later = tokio::time::sleep(Duration::from_millis(3)).into_actor(self);
            ctx.spawn(later.map(|(), ticker, ctx| ticker.arm(ctx, 1)));
        }
    }

    /// In virtual time.
    fn paused() -> actix::SystemRunner {
        actix::System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
        })
    }

    #[test]
    fn a_future_that_runs_after_it_may_set_it_earlier() {
        paused().block_on(async {
            let ticker = Ticker::default().start();
            tokio::time::sleep(Duration::from_millis(1)).await;
            ticker.send(SoonerFromAFuture).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(ticker.send(Sooner).await.unwrap(), 1, "it rang after 5 ms, not after 20");
        });
    }

    #[test]
    fn there_is_never_more_than_one() {
        paused().block_on(async {
            let ticker = Ticker::default().start();
            // Each message comes at the very moment at which the alarm is due.
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                ticker.send(Sooner).await.unwrap();
            }
            let before = ticker.send(Sooner).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let rung = ticker.send(Sooner).await.unwrap() - before;
            assert!((99..=102).contains(&rung), "{rung} in 2 s");
        });
    }
}
