//! A new session goes on where the lost one was.

use serde_json::Value;
use trunkline_actors::memory_transport::ConnectPlan;
use trunkline_actors::messages::CallerEvent;
use trunkline_realtime::SessionProfile;

use crate::common::model::pcm24;
use crate::common::{Bench, Caller, Model, Setup, run, sleep};

/// Role and text of the items a session was told.
fn told(model: &mut Model) -> Vec<(String, String)> {
    let items = model.of("conversation.item.create");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items.iter().map(|event| (text(&event["item"]["role"]), text(&event["item"]["content"][0]["text"]))).collect()
}

async fn greeted() -> (Bench, Caller, Model) {
    let profile = SessionProfile {
        greeting: Some("Greet the caller.".to_owned()),
        transcription_model: Some("whisper-1".to_owned()),
        ..SessionProfile::default()
    };
    let bench = Setup { profile, ..Setup::default() }.start();
    let caller = Caller::call(&bench, "talk").await;
    let mut model = Model::accept(&bench).await;
    sleep(10).await;
    let creates = model.of("response.create");
    assert_eq!(creates.len(), 1);
    assert_eq!(creates[0]["response"]["instructions"], "Greet the caller.");
    let response = model.begin();
    model.delta(&response, "hello", &pcm24(440, 500));
    model.words(&response, "hello", "Good morning.");
    model.item_done(&response, "hello");
    model.done(&response, "completed");
    sleep(1_000).await;
    (bench, caller, model)
}

#[test]
fn the_conversation_is_restored_and_nobody_greets_twice() {
    run(|| async {
        let (bench, caller, model) = greeted().await;
        model.turn("u1", "I want to cancel my order.");
        sleep(100).await;
        model.server.close(1011, "gone");
        let mut next = Model::accept(&bench).await;
        sleep(100).await;
        let told = told(&mut next);
        let expected = [("assistant", "Good morning."), ("user", "I want to cancel my order.")];
        assert_eq!(told[..2], expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
        assert_eq!(told[2].0, "system");
        assert!(told[2].1.contains("do not greet again"), "{told:?}");
        let creates = next.of("response.create");
        assert_eq!(creates.len(), 1, "the caller was waiting for an answer");
        assert!(creates[0]["response"]["instructions"].is_null(), "no second greeting");
        assert_eq!(caller.record.facts().session_id.as_deref(), Some("sess_1"));
        // The call goes on.
        next.speak("answer", &pcm24(500, 400), 9_600);
        sleep(2_000).await;
        assert_eq!(
            caller.heard.stretches().iter().filter(|(_, pitch, _)| *pitch == 500).map(|(_, _, n)| n).sum::<usize>(),
            20
        );
    });
}

#[test]
fn a_session_that_owes_nothing_says_nothing() {
    run(|| async {
        let (bench, _caller, model) = greeted().await;
        model.server.close(1011, "gone");
        let mut next = Model::accept(&bench).await;
        sleep(1_000).await;
        assert_eq!(told(&mut next).len(), 2);
        assert!(next.of("response.create").is_empty());
    });
}

#[test]
fn a_session_lost_before_its_greeting_is_replaced_by_one_that_greets() {
    run(|| async {
        let profile = SessionProfile { greeting: Some("Greet.".to_owned()), ..SessionProfile::default() };
        let bench = Setup { profile, ..Setup::default() }.start();
        let _caller = Caller::call(&bench, "early").await;
        Model::accept(&bench).await.server.close(1011, "gone");
        let mut next = Model::accept(&bench).await;
        sleep(100).await;
        assert_eq!(next.of("response.create").len(), 1);
        assert!(told(&mut next).is_empty());
    });
}

/// The session is lost, the next is 5 s away, and the caller presses keys meanwhile.
async fn loses_and_keys(bench: &Bench, caller: &Caller, model: Model) {
    bench.transport.then_after(std::time::Duration::from_secs(5), ConnectPlan::Accept);
    model.server.close(1011, "gone");
    for key in ['4', '2', '#'] {
        caller.say(CallerEvent::Key(key)).await;
    }
}

#[test]
fn who_spoke_at_the_loss_and_pressed_keys_gets_one_answer() {
    run(|| async {
        let (bench, caller, model) = greeted().await;
        model.speech_started();
        sleep(100).await;
        loses_and_keys(&bench, &caller, model).await;
        let mut next = Model::accept(&bench).await;
        sleep(100).await;
        let told = told(&mut next);
        assert!(told.iter().all(|(_, text)| !text.contains("ask for them again")), "{told:?}");
        next.speak("answer", &pcm24(500, 400), 9_600);
        sleep(1_000).await;
        assert_eq!(next.of("response.create").len(), 1);
    });
}

#[test]
fn keys_pressed_while_the_model_is_away_are_told_to_the_next() {
    run(|| async {
        let (bench, caller, model) = greeted().await;
        loses_and_keys(&bench, &caller, model).await;
        let mut next = Model::accept(&bench).await;
        sleep(100).await;
        let told = told(&mut next);
        assert!(told.iter().any(|(role, text)| role == "user" && text.ends_with(": 42")), "{told:?}");
        assert_eq!(next.of("response.create").len(), 1);
    });
}

#[test]
fn what_the_caller_says_meanwhile_is_heard_by_the_next_session() {
    run(|| async {
        let bench = Setup::default().format(trunkline_media::ModelFormat::Pcmu).start();
        let caller = Caller::call(&bench, "meanwhile").await;
        let model = Model::accept(&bench).await;
        caller.speak(&crate::common::sound::silence(500)).await;
        bench
            .transport
            .then_after(std::time::Duration::from_secs(1), trunkline_actors::memory_transport::ConnectPlan::Accept);
        model.server.close(1011, "gone");
        let said = crate::common::sound::speech(3);
        let (mut next, ()) = tokio::join!(Model::accept(&bench), caller.speak(&said));
        next.look();
        assert_eq!(next.audio[..8_000], said[..8_000], "from the first word");
        assert_eq!(caller.record.up.dropped(), 0);
    });
}
