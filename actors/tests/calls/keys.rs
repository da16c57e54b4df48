//! DTMF keys.

use trunkline_actors::messages::CallerEvent;

use crate::common::model::pcm24;
use crate::common::{Caller, Model, Setup, now_ms, run, sleep};

async fn press(caller: &Caller, keys: &str) {
    for key in keys.chars() {
        caller.say(CallerEvent::Key(key)).await;
        sleep(300).await;
    }
}

fn turns(model: &mut Model) -> Vec<String> {
    let items = model.of("conversation.item.create");
    items.iter().map(|event| event["item"]["content"][0]["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_are_a_turn_at_the_hash_or_after_two_seconds() {
    run(|| async {
        let bench = Setup::default().start();
        let caller = Caller::call(&bench, "keys").await;
        let mut model = Model::accept(&bench).await;
        press(&caller, "12#").await;
        assert_eq!(turns(&mut model).len(), 1, "at once");
        assert!(turns(&mut model)[0].ends_with(": 12"));
        let response = model.begin();
        model.done(&response, "completed");
        press(&caller, "*0").await;
        sleep(1_600).await;
        assert_eq!(turns(&mut model).len(), 1, "more may come");
        sleep(200).await;
        assert!(turns(&mut model)[1].ends_with(": *0"), "{:?}", turns(&mut model));
        assert_eq!(model.of("response.create").len(), 2);
    });
}

#[test]
fn a_key_interrupts_what_is_played() {
    for done in [false, true] {
        run(|| async move {
            let bench = Setup::default().start();
            let caller = Caller::call(&bench, "interrupt").await;
            let mut model = Model::accept(&bench).await;
            let response = model.begin();
            model.delta(&response, "a", &pcm24(440, 5_000));
            if done {
                model.item_done(&response, "a");
                model.done(&response, "completed");
            }
            sleep(1_000).await;
            let at = now_ms();
            caller.say(CallerEvent::Key('1')).await;
            model.delta(&response, "a", &pcm24(440, 500));
            sleep(1_000).await;
            assert_eq!(caller.heard.clears(), [at]);
            assert!(caller.heard.frame_count().abs_diff(50) <= 1, "{}", caller.heard.frame_count());
            assert_eq!(model.of("response.cancel").len(), usize::from(!done), "an active response is cancelled");
            let truncates = model.of("conversation.item.truncate");
            assert_eq!(truncates.len(), 1);
            assert!(truncates[0]["audio_end_ms"].as_u64().unwrap().abs_diff(1_000) <= 20);
        });
    }
}
