//! The one timer of an actor.

use std::pin::Pin;
use std::task::{Context as Task, Poll, Waker, ready};

use actix::{Actor, ActorFuture, AsyncContext, Context};
use tokio::time::{Instant, Sleep, sleep_until};

/// Set anew as often as one likes; rings once for each time it was left standing.
///
/// One future of the actor's owns the timer for as long as the alarm is set again whenever it rings: a ring takes nothing
/// from the heap, of which `run_later` takes twice.
#[derive(Debug, Default)]
pub struct Alarm {
    standing: Option<Instant>,
    /// Of the future that waits; `None` if there is none.
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
        match &self.waker {
            // actix may have polled it already in this turn.
            Some(waker) => waker.wake_by_ref(),
            None => {
                self.waker = Some(Waker::noop().clone());
                ctx.spawn(Ringing { sleep: Box::pin(sleep_until(wanted)), of, ring });
            }
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
                alarm.waker = None;
                return Poll::Ready(());
            };
            if alarm.waker.as_ref().is_none_or(|waker| !waker.will_wake(task.waker())) {
                alarm.waker = Some(task.waker().clone());
            }
            if this.sleep.deadline() != standing {
                this.sleep.as_mut().reset(standing);
            }
            ready!(this.sleep.as_mut().poll(task));
            alarm.standing = None;
            (this.ring)(actor, ctx);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::{Handler, Message};
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

    #[test]
    fn there_is_never_more_than_one() {
        let system = actix::System::with_tokio_rt(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
        });
        system.block_on(async {
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
