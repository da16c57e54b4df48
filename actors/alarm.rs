//! The one timer of an actor.

use actix::{Actor, AsyncContext, Context, SpawnHandle};
use tokio::time::Instant;

/// Set anew as often as one likes; rings once for each time it was left standing.
///
/// actix polls a timer that is due before it looks at what was cancelled in the same turn, so that a cancelled timer may
/// still fire. If that rang, it would set the next timer beside the one that had taken its place, and the actor would
/// have one more of them every time.
#[derive(Debug, Default)]
pub struct Alarm {
    standing: Option<(Instant, SpawnHandle)>,
    serial: u64,
}

impl Alarm {
    /// Rings at `wanted` or earlier: an alarm that rings early is cheap, one that rings late is not. `None` leaves it as
    /// it stands.
    pub fn set<A>(
        &mut self,
        ctx: &mut Context<A>,
        wanted: Option<Instant>,
        of: fn(&mut A) -> &mut Self,
        ring: fn(&mut A, &mut Context<A>),
    ) where
        A: Actor<Context = Context<A>>,
    {
        let Some(wanted) = wanted else { return };
        if let Some((standing, handle)) = self.standing {
            if standing <= wanted {
                return;
            }
            ctx.cancel_future(handle);
        }
        self.serial += 1;
        let serial = self.serial;
        let handle = ctx.run_later(wanted.saturating_duration_since(Instant::now()), move |actor, ctx| {
            let alarm = of(actor);
            if alarm.serial == serial {
                alarm.standing = None;
                ring(actor, ctx);
            }
        });
        self.standing = Some((wanted, handle));
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
