//! Two hundred calls for ten minutes, the same every time.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use trunkline_actors::link::{LinkAudio, LinkOut};

use crate::common::{Bench, Caller, Model, Setup, run, sleep, sound};
use trunkline_media::ModelFormat;

const CALLS: usize = 200;
const SECONDS: u64 = 600;

/// Answers once in a while; some sessions die.
async fn model(mut model: Model, mut rng: fastrand::Rng, said: bytes::Bytes) {
    model.set_up(3_600).await;
    sleep(10).await;
    if !model.of("response.create").is_empty() {
        // The last one died while the caller spoke.
        model.speak("item_again", &said, 2_000);
    }
    for n in 0..SECONDS / 80 {
        sleep(rng.u64(60_000..90_000)).await;
        drop(model.server.take_sent());
        if model.server.is_abandoned() {
            return;
        }
        match rng.u8(..20) {
            0 => return model.server.close(1011, "dies"),
            1 => model.speech_started(),
            _ => {
                let portion = rng.usize(20..500) * 8;
                model.speak(&format!("item_{n}"), &said, portion);
            }
        }
    }
}

async fn caller(bench: Bench, n: usize, hash: Rc<RefCell<Vec<u64>>>) {
    sleep(n as u64 * 7).await;
    let caller = Caller::call(&bench, &format!("call-{n}")).await;
    // Every hundredth caller sends frames of 20 ms, every fourth what a gateway may send: a second at a time. The others
    // only listen.
    let (payload, ms) =
        if n.is_multiple_of(100) { (sound::silence(1_000), 20) } else { (sound::silence(1_000), 1_000) };
    for _ in 0..SECONDS {
        if n.is_multiple_of(4) { caller.speak_in(&payload, ms).await } else { sleep(1_000).await }
    }
    caller.stop().await;
    sleep(100).await;
    let mut hasher = DefaultHasher::new();
    for (at, out) in caller.heard.all() {
        at.hash(&mut hasher);
        match out {
            LinkOut::Audio(LinkAudio::Frame(frame)) => frame.hash(&mut hasher),
            other => format!("{other:?}").hash(&mut hasher),
        }
    }
    caller.record.up.frames().hash(&mut hasher);
    assert_eq!(caller.record.down.late_ticks() + caller.record.down.underruns(), 0);
    assert!(caller.heard.frame_count() > 50);
    hash.borrow_mut()[n] = hasher.finish();
}

fn all_of_them() -> Vec<u64> {
    run(|| async {
        fastrand::seed(7);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut setup = Setup::default().format(ModelFormat::Pcmu);
        setup.limits.media_timeout = Duration::from_secs(3_600);
        let bench = setup.start();
        let transport = bench.transport.clone();
        let said = sound::pcmu(&sound::tone(440, 1_500));
        actix_rt::spawn(async move {
            loop {
                actix_rt::spawn(model(Model::over(transport.accepted().await), rng.fork(), said.clone()));
            }
        });
        let hashes = Rc::new(RefCell::new(vec![0; CALLS]));
        let callers: Vec<_> =
            (0..CALLS).map(|n| actix_rt::spawn(caller(bench.clone(), n, Rc::clone(&hashes)))).collect();
        for caller in callers {
            caller.await.unwrap();
        }
        bench.empty().await;
        assert_eq!(bench.registry.ended_by_reason()["caller_hangup"], CALLS as u64);
        hashes.take()
    })
}

#[test]
fn two_hundred_calls_run_the_same_twice() {
    let [first, second] = [(); 2].map(|()| std::thread::spawn(all_of_them));
    assert_eq!(first.join().unwrap(), second.join().unwrap());
}
