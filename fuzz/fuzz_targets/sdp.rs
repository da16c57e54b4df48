//! Whatever a peer offers is answered or refused; what we answer was offered, can be read, and says what was agreed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline_sip::sdp::{Answer, Description, LocalMedia, Offer, Profile, answer, offer, read, read_answer};
use trunkline_sip::srtp::FreshKey;

fuzz_target!(|bytes: &[u8]| {
    // Two bodies, the second as a re-INVITE or as an answer to ours.
    let at = bytes.windows(4).position(|window| window == b"\n--\n").unwrap_or(bytes.len());
    let (first, second) = bytes.split_at(at);
    let second = second.get(4..).unwrap_or_default();
    for require_srtp in [false, true] {
        let local = local(require_srtp);
        let previous = answers(first, &local, None);
        let _ = answers(second, &local, previous.as_ref());
        let sent = offer(&local, previous.as_ref());
        assert_eq!(offer(&local, Some(&sent)), sent, "nothing has changed");
        two_of_us_agree(&sent, &local);
        if let Err(why) = read_answer(second, &sent) {
            is_fit_for_a_log(&why.to_string());
        }
    }
});

fn local(require_srtp: bool) -> LocalMedia {
    LocalMedia {
        address: "203.0.113.10".parse().expect("an address"),
        port: 20_000,
        session_id: 1,
        require_srtp,
        fresh_key: FreshKey::new([7; 32], [9; 14]),
    }
}

fn answers(body: &[u8], local: &LocalMedia, previous: Option<&Description>) -> Option<Description> {
    let offer = read(body).inspect_err(|why| is_fit_for_a_log(&why.to_string())).ok()?;
    assert!(!offer.codecs.is_empty());
    assert!(offer.profile == Profile::Avp || !offer.crypto.is_empty());
    let answered = answer(&offer, local, previous).inspect_err(|why| is_fit_for_a_log(&why.to_string())).ok()?;
    is_of(&offer, &answered, local);
    let again = answer(&offer, local, Some(&answered.description)).expect("it was answered before");
    assert_eq!(again.description, answered.description, "the same offer changes nothing");
    Some(answered.description)
}

fn is_of(offer: &Offer, answered: &Answer, local: &LocalMedia) {
    let Answer { description, agreed } = answered;
    let sdp = description.to_sdp();
    let ours = read(sdp.as_bytes()).unwrap_or_else(|why| panic!("{why} in our own answer: {sdp}"));
    assert_eq!((ours.address, ours.port), (local.address, local.port));
    assert_eq!(ours.codecs, [(agreed.codec, agreed.receives.audio)]);
    assert!(offer.codecs.contains(&ours.codecs[0]), "a codec that was not offered");
    assert_eq!((ours.telephone_event, ours.profile), (offer.telephone_event, offer.profile));
    assert_eq!((ours.position, ours.direction), (offer.position, offer.direction.mirrored()));
    let is_secure = offer.profile == Profile::Savp || local.require_srtp;
    assert_eq!((agreed.keys.is_some(), ours.crypto.len()), (is_secure, usize::from(is_secure)));
    if let (Some(keys), Some(ours)) = (&agreed.keys, ours.crypto.first()) {
        let fits = |theirs: &&trunkline_sip::sdp::Crypto| theirs.tag == ours.tag && theirs.sdes == keys.theirs;
        let theirs = offer.crypto.iter().find(fits).expect("the key that was offered");
        assert_eq!(theirs.sdes.suite(), ours.sdes.suite());
        assert_eq!(ours.sdes, keys.ours);
    }
}

fn two_of_us_agree(sent: &Description, local: &LocalMedia) {
    let received = read(sent.to_sdp().as_bytes()).expect("we can read our own offer");
    let theirs = answer(&received, local, None).expect("we can answer our own offer");
    let ours = read_answer(theirs.description.to_sdp().as_bytes(), sent).expect("we can read our own answer");
    assert_eq!(
        (ours.codec, ours.sends, ours.receives),
        (theirs.agreed.codec, theirs.agreed.receives, theirs.agreed.sends)
    );
    assert_eq!(ours.direction, theirs.agreed.direction.mirrored());
}

fn is_fit_for_a_log(text: &str) {
    assert!(text.len() <= 300 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text:?}");
}
