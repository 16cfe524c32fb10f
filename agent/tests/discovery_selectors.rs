//! Label selectors: the text, and what it matches, as `kubectl -l` and the API server take them.

use penstock::config::selector::SelectorError;
use penstock::config::{Requirement, Selector};
use penstock::discovery::select::{matches, matches_any};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn parse(text: &str) -> Selector {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Rule: the whole syntax of Kubernetes, matched as Kubernetes matches.
#[test]
fn every_form_matches_as_in_kubernetes() {
    let cases: &[(&str, &[(&str, &str)], bool)] = &[
        ("", &[], true),
        (" ", &[("a", "b")], true),
        ("a=b", &[("a", "b")], true),
        ("a==b", &[("a", "b")], true),
        (" a = b ", &[("a", "b")], true),
        ("a=b", &[("a", "c")], false),
        ("a=b", &[], false),
        ("a=", &[("a", "")], true),
        ("a=", &[], false),
        ("a=,b", &[("a", ""), ("b", "x")], true),
        ("a!=b", &[("a", "c")], true),
        ("a!=b", &[], true),
        ("a!=b", &[("a", "b")], false),
        ("a!=", &[("a", "")], false),
        ("a!=", &[], true),
        ("a in (x,y)", &[("a", "y")], true),
        ("a in(x)", &[("a", "x")], true),
        ("a in (x, y)", &[("a", "z")], false),
        ("a in (x, y)", &[], false),
        ("a in (,x)", &[("a", "")], true),
        ("a in (x,)", &[("a", "")], true),
        ("a in (,)", &[("a", "")], true),
        ("a notin (x,y)", &[("a", "z")], true),
        ("a notin (x,y)", &[], true),
        ("a notin (x,y)", &[("a", "x")], false),
        ("a", &[("a", "")], true),
        ("a", &[("b", "a")], false),
        ("!a", &[("b", "a")], true),
        ("! a", &[("a", "x")], false),
        ("a=b,c", &[("a", "b")], false),
        ("a=b,!c,d in (e)", &[("a", "b"), ("d", "e")], true),
        ("mif.moreh.io/log.collect=true", &[("mif.moreh.io/log.collect", "true")], true),
        ("app.kubernetes.io/name=aigateway", &[("app.kubernetes.io/name", "AIGateway")], false),
        ("in in (in)", &[("in", "in")], true),
        ("notin=in", &[("notin", "in")], true),
    ];
    for (text, on, expected) in cases {
        assert_eq!(matches(&parse(text), &labels(on)), *expected, "{text:?} on {on:?}");
    }
}

/// Rule: one of several selectors is enough; none at all matches nothing.
#[test]
fn any_of_several() {
    let on = labels(&[("a", "1")]);
    assert!(matches_any(&[parse("b"), parse("a=1")], &on));
    assert!(!matches_any(&[parse("b"), parse("a=2")], &on));
    assert!(!matches_any(&[], &on));
}

/// Rule: a wrong text is refused with the place and with what was expected there.
#[test]
fn a_wrong_text_names_the_place() {
    let long = "x".repeat(64);
    let cases: &[(&str, usize, &str, &str)] = &[
        (",a", 0, "`,`", "a label key or `!`"),
        ("a,", 2, "the end", "a label key or `!`"),
        ("a b", 2, "`b`", "`=`, `==`, `!=`, `in`, `notin`, `,` or the end"),
        ("a=b c", 4, "`c`", "`,` or the end"),
        ("a=(b)", 2, "`(`", "a label value, `,` or the end"),
        ("a in b", 5, "`b`", "`(`"),
        ("a in ()", 6, "`)`", "at least one label value"),
        ("a in (b", 7, "the end", "`,` or `)`"),
        ("a in (b c)", 8, "`c`", "`,` or `)`"),
        ("!", 1, "the end", "a label key after `!`"),
        ("!a=b", 2, "`=`", "`,` or the end"),
        ("a>1", 1, "`>`", "`=`, `==`, `!=`, `in`, `notin`, `,` or the end"),
        ("ä=b", 0, "`ä`", "a label key: "),
        ("bad_prefix/a", 0, "`bad_prefix/a`", "a label key: "),
        ("/a", 0, "`/a`", "a label key: "),
        ("a/b/c", 0, "`a/b/c`", "a label key: "),
        ("a=-b", 2, "`-b`", "a label value: "),
        (&long, 0, &format!("`{long}`"), "a label key: "),
    ];
    for (text, offset, found, expected) in cases {
        let error: SelectorError = text.parse::<Selector>().expect_err(text);
        assert_eq!((error.offset, error.found.as_str()), (*offset, *found), "{text:?}");
        assert!(error.expected.starts_with(expected), "{text:?}: expected {:?}", error.expected);
    }
    let message = "a in b".parse::<Selector>().expect_err("no list").to_string();
    assert_eq!(message, "label selector, at character 6: found `b`, expected `(`");
}

fn key() -> impl Strategy<Value = String> {
    "([a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]{1,4}){0,2}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,10}[A-Za-z0-9])?"
}

fn value() -> impl Strategy<Value = String> {
    "([A-Za-z0-9]([A-Za-z0-9_.-]{0,10}[A-Za-z0-9])?)?"
}

fn values() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(value(), 1..4).prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

fn selector() -> impl Strategy<Value = Selector> {
    let requirement = prop_oneof![
        (key(), values()).prop_map(|(key, values)| Requirement::In(key, values)),
        (key(), values()).prop_map(|(key, values)| Requirement::NotIn(key, values)),
        key().prop_map(Requirement::Exists),
        key().prop_map(Requirement::NotExists),
    ];
    prop::collection::vec(requirement, 0..4).prop_map(|requirements| Selector { requirements })
}

proptest! {
    /// Rule: what is written reads back as itself, keys named `in` and empty values among them.
    #[test]
    fn a_written_selector_reads_back(selector in selector()) {
        prop_assert_eq!(parse(&selector.to_string()), selector);
    }

    /// Rule: blanks around the signs do not count.
    #[test]
    fn blanks_do_not_count(selector in selector()) {
        let wide = selector.to_string().replace(',', " ,\t").replace('(', "( ").replace(')', " )");
        prop_assert_eq!(parse(&wide), selector);
    }

    /// Rule: no text makes the parser panic, and an error's place lies within the text.
    #[test]
    fn any_text_is_parsed_or_refused(text in "[a-z=!(), <>/.ä\\-]{0,20}") {
        if let Err(error) = text.parse::<Selector>() {
            prop_assert!(error.offset <= text.chars().count());
        }
    }

    /// Rule: `in` and `notin`, existence and its absence, are each other's contrary on any labels.
    #[test]
    fn a_requirement_and_its_contrary(key in key(), values in values(), on in prop::collection::btree_map(key(), value(), 0..3), own in prop::option::of(value())) {
        let mut on = on;
        if let Some(own) = own {
            on.insert(key.clone(), own);
        }
        let one = |requirement| Selector { requirements: vec![requirement] };
        prop_assert_ne!(
            matches(&one(Requirement::In(key.clone(), values.clone())), &on),
            matches(&one(Requirement::NotIn(key.clone(), values)), &on)
        );
        prop_assert_ne!(
            matches(&one(Requirement::Exists(key.clone())), &on),
            matches(&one(Requirement::NotExists(key)), &on)
        );
    }
}
