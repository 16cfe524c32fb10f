//! What an ingester refuses of a request with several label sets: it names one, the last.

use super::*;

fn stream_rate(label_set: usize) -> String {
    let text = TEXTS[label_set];
    format!(
        "entry with timestamp 1 ignored, reason: 'Per stream rate limit exceeded (limit: 1B/sec) while attempting to \
         ingest for stream '{text}' totaling 1B',\nuser 'fake', total ignored: 1 out of 2 for stream: {}",
        text.replace('}', ", service_name=\"x\"}")
    )
}

fn too_many(label_set: usize) -> String {
    let text = TEXTS[label_set];
    format!(
        "Maximum active stream limit exceeded when trying to create stream {text}, reduce the number of active streams"
    )
}

fn too_far_behind(label_set: usize) -> String {
    format!(
        "entry with timestamp 1 ignored, reason: 'entry too far behind, entry timestamp is: 2',\nuser 'fake', total \
         ignored: 1 out of 2 for stream: {}",
        TEXTS[label_set]
    )
}

fn label_sets(parts: &[Part]) -> Vec<u32> {
    parts.iter().map(|part| part.label_set.0).collect()
}

/// What goes at once, each request's label sets.
fn at_once(bench: &mut Bench) -> Vec<Vec<u32>> {
    let due = std::iter::from_fn(|| bench.due());
    due.map(|(_, seen)| seen.into_iter().map(|(label_set, _)| label_set).collect()).collect()
}

/// Rule: a stream's own rate: what Loki names goes again, later; what stands before it may have been refused in
/// silence and goes again at once, each apart; what stands after it is stored.
#[test]
fn what_stands_before_a_named_stream_is_sent_again_apart() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"]), (1, &["b"]), (2, &["c", "d"]), (3, &["e"])]);
    let (id, _) = bench.next();
    let effects = bench.answer(id, 429, &stream_rate(2), None);
    assert_eq!(label_sets(&effects.answered), [3]);
    assert_eq!(effects.alone.len(), 4, "Loki names one only: for a while each goes apart");
    let trouble = effects.trouble.unwrap();
    assert_eq!(trouble.kind, TroubleKind::StreamRate);
    assert!(trouble.words.contains("per_stream_rate_limit") && trouble.words.contains(TEXTS[2]), "{}", trouble.words);
    assert_eq!(at_once(&mut bench), [[0], [1]]);
    assert!(bench.delivery.may_start(bench.now), "others need not wait");
    assert_eq!(bench.next().1, [(2, "c".to_owned()), (2, "d".to_owned())]);
}

/// Rule: where Loki does not say whose, all go again, each apart: twice is better than never.
#[test]
fn an_unnamed_stream_means_each_again_apart() {
    let unnamed = ["Per stream rate limit exceeded".to_owned(), stream_rate(2)];
    for body in unnamed {
        let mut bench = Bench::new();
        bench.add(&[(0, &["a"]), (1, &["b"])]);
        let (id, _) = bench.next();
        assert!(bench.answer(id, 429, &body, None).answered.is_empty());
        assert_eq!(at_once(&mut bench), [[0], [1]]);
    }
}

/// Rule: too many streams: long pauses, for the new label set alone.
#[test]
fn too_many_streams_is_a_long_pause_for_one() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"])]);
    let (id, _) = bench.next();
    let trouble = bench.answer(id, 429, &too_many(0), None).trouble.unwrap();
    assert!(trouble.words.contains("max_global_streams_per_user"), "{}", trouble.words);
    assert!(bench.delivery.deadline() >= bench.now + 15 * S);
    bench.add(&[(1, &["b"])]);
    assert_eq!(bench.due().unwrap().1[0].0, 1);
}

/// Rule: too many streams: every label set that Loki never took in this run may have been refused with the named one.
#[test]
fn new_label_sets_beside_a_named_one_are_sent_again() {
    let mut bench = Bench::new();
    bench.add(&[(1, &["known"])]);
    let (id, _) = bench.next();
    bench.answer(id, 204, "", None);
    bench.add(&[(0, &["a"]), (1, &["b"]), (2, &["c"]), (3, &["d"])]);
    let (id, _) = bench.next();
    let effects = bench.answer(id, 429, &too_many(2), None);
    assert_eq!(label_sets(&effects.answered), [1], "the one that was there before is stored");
    assert_eq!(at_once(&mut bench), [[0], [3]]);
    assert!(bench.delivery.deadline() >= bench.now + 15 * S);
    assert!(bench.delivery.is_accepted(LabelSetId(1)) && !bench.delivery.is_accepted(LabelSetId(0)));
}

/// Rule: a label set that was idle for long may be new to Loki again.
#[test]
fn what_was_taken_long_ago_may_be_refused_as_new() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["known"])]);
    let (id, _) = bench.next();
    bench.answer(id, 204, "", None);
    bench.now += 20 * 60 * S;
    bench.add(&[(0, &["a"]), (1, &["b"])]);
    let (id, _) = bench.next();
    assert!(bench.answer(id, 429, &too_many(1), None).answered.is_empty());
    assert_eq!(at_once(&mut bench), [[0]]);
}

/// Rule: entries refused for good by an ingester are counted and not sent again; what stands before their label set may
/// have been refused too, and says so when it goes again alone.
#[test]
fn what_stands_before_a_label_set_with_refused_entries_is_sent_again() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"]), (1, &["b", "bad"]), (2, &["c"])]);
    let (id, _) = bench.next();
    let effects = bench.answer(id, 400, &too_far_behind(1), None);
    assert_eq!(label_sets(&effects.answered), [1, 2]);
    assert_eq!(effects.refused, [Refusal { reason: "too_far_behind", entries: 1 }]);
    let (id, seen) = bench.due().unwrap();
    assert_eq!(seen, [(0, "a".to_owned())]);
    let effects = bench.answer(id, 400, &too_far_behind(0), None);
    assert_eq!(effects.refused, [Refusal { reason: "too_far_behind", entries: 1 }]);
    assert!(bench.delivery.is_empty(), "alone, the answer is final");
}
