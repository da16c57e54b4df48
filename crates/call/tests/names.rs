//! Ids, patterns and numbers: properties over arbitrary text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use trunkline_call::{CallId, Glob, Route, RouteKind, RouteTable, mask_number};

/// The obvious matcher, exponential and plain, as the witness.
fn matches(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => matches(rest, text) || (!text.is_empty() && matches(pattern, &text[1..])),
        (Some((&p, rest)), Some((&c, others))) => (p == '?' || p == c) && matches(rest, others),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn globs_match_as_the_obvious_matcher_does(pattern in "[ab?*]{1,8}", text in "[ab*?]{0,10}") {
        let glob = Glob::parse(&pattern).unwrap();
        let expected = matches(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(glob.matches(&text), expected);
    }

    #[test]
    fn a_glob_made_of_a_number_by_hiding_parts_matches_it(number in "\\+?[0-9]{1,15}", cuts in (0..16_usize, 0..16_usize)) {
        let (from, to) = (cuts.0.min(cuts.1).min(number.len()), cuts.0.max(cuts.1).min(number.len()));
        let starred = format!("{}*{}", &number[..from], &number[to..]);
        prop_assert!(Glob::parse(&starred).unwrap().matches(&number));
        let marked = format!("{}{}{}", &number[..from], "?".repeat(to - from), &number[to..]);
        prop_assert!(Glob::parse(&marked).unwrap().matches(&number));
    }

    #[test]
    fn any_text_is_a_glob_or_an_error(text in any::<String>()) {
        if let Ok(glob) = Glob::parse(&text) {
            prop_assert_eq!(glob.as_str(), &text);
            prop_assert!(glob.matches(&text), "a pattern matches itself read as text");
        }
    }

    #[test]
    fn routes_are_chosen_in_their_order(patterns in prop::collection::vec("[12?*]{1,3}", 0..6), number in "[12]{0,3}") {
        let globs: Vec<_> = patterns.iter().map(|pattern| Glob::parse(pattern).unwrap()).collect();
        let table = RouteTable(globs.iter().cloned().map(|pattern| Route { pattern, kind: RouteKind::Echo }).collect());
        let expected = globs.iter().position(|glob| glob.matches(&number));
        prop_assert_eq!(table.choose_index(Some(&number)).map(|(index, _)| index), expected);
        prop_assert_eq!(table.choose(Some(&number)), expected.map(|index| &table.0[index]));
    }

    #[test]
    fn call_ids_are_taken_whole_or_not_at_all(text in prop_oneof!["[A-Za-z0-9._:@-]{0,140}", any::<String>()]) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:@-".contains(c);
        let expected = (1..=128).contains(&text.len()) && text.chars().all(allowed);
        match CallId::parse(&text) {
            Ok(id) => {
                prop_assert!(expected);
                prop_assert_eq!(id.as_str(), &text);
            }
            Err(error) => {
                prop_assert!(!expected, "{}", error);
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }

    #[test]
    fn a_masked_number_shows_four_digits_at_most(number in any::<String>()) {
        let masked = mask_number(&number);
        let shown = masked.strip_prefix("***").unwrap();
        prop_assert!(shown.len() <= 4 && shown.chars().all(|c| c.is_ascii_digit()));
    }
}
