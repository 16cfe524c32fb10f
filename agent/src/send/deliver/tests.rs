//! Delivery against a Loki whose answers the test gives, on a clock that it moves.

use super::*;
use crate::encode;
use crate::limits::REQUESTS_IN_FLIGHT;
use crate::send::answer;
use crate::types::request::Refusal;
use std::collections::BTreeMap;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const RATE: u64 = 30 << 20;
const GRPC: &str = "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5 vs. 4)";
const RATE_429: &str = "Ingestion rate limit exceeded for user fake (limit: 1 bytes/sec) while attempting to ingest '1' \
                        lines totaling '9' bytes";

const TEXTS: [&str; 4] = ["{a=\"0\"}", "{a=\"1\"}", "{a=\"2\"}", "{a=\"3\"}"];

mod held;
mod refused;

/// A request as Loki sees it: label set, line.
type Seen = Vec<(u32, String)>;

struct Bench {
    delivery: Delivery,
    now: Duration,
    next_part: u64,
    stored: Vec<(u32, String)>,
}

impl Bench {
    fn new() -> Self {
        Self {
            delivery: Delivery::new(SharedPace::new(RATE, 2 * RATE), REQUESTS_IN_FLIGHT, 7),
            now: S,
            next_part: 0,
            stored: Vec::new(),
        }
    }

    fn part(&mut self, label_set: u32, lines: &[&str]) -> Part {
        let mut entries = Vec::new();
        lines.iter().for_each(|line| encode::entry(&mut entries, 1, line.as_bytes(), &[]));
        self.next_part += 1;
        Part {
            id: PartId(self.next_part),
            label_set: LabelSetId(label_set),
            entries,
            count: u32::try_from(lines.len()).unwrap(),
            counted_bytes: lines.iter().map(|line| line.len() as u64).sum(),
            ..Part::default()
        }
    }

    fn add(&mut self, parts: &[(u32, &[&str])]) {
        let parts = parts.iter().map(|(label_set, lines)| self.part(*label_set, lines)).collect();
        self.delivery.add(parts);
    }

    fn due(&mut self) -> Option<(RequestId, Seen)> {
        let _splits = self.delivery.cut(self.now);
        let due = self.delivery.due(self.now)?;
        let lines = |part: &Part| {
            let line = |place: encode::EntryPlace| String::from_utf8(part.entries[place.line].to_vec()).unwrap();
            encode::entries(&part.entries).map(|place| (part.label_set.0, line(place))).collect::<Vec<_>>()
        };
        Some((due.id, due.parts.iter().flat_map(lines).collect()))
    }

    fn answer(&mut self, id: RequestId, status: u16, body: &str, retry_after: Option<Duration>) -> Effects {
        let texts = |id: LabelSetId| TEXTS[id.0 as usize % TEXTS.len()];
        self.delivery.answered(id, status, answer::read(status, body), retry_after, self.now, &texts)
    }

    /// Goes to the next moment at which something is due, and takes it.
    fn next(&mut self) -> (RequestId, Seen) {
        for _ in 0..1_000 {
            if let Some(due) = self.due() {
                return due;
            }
            let at = self.delivery.deadline();
            assert!(at > self.now && at < Duration::MAX, "nothing goes, and the deadline {at:?} is no help");
            self.now = at;
        }
        panic!("nothing is ever due");
    }

    /// Plays until everything is answered for; `loki` gives status and body.
    fn play(&mut self, mut loki: impl FnMut(&Seen) -> (u16, &'static str)) -> Vec<Refusal> {
        let mut refused = Vec::new();
        for _ in 0..1_000 {
            if self.delivery.is_empty() {
                return refused;
            }
            let (id, seen) = self.next();
            let (status, body) = loki(&seen);
            if status == 204 {
                self.stored.extend(seen);
            }
            refused.extend(self.answer(id, status, body, None).refused);
        }
        panic!("it does not come to an end");
    }

    fn stored_by_label_set(&self) -> BTreeMap<u32, Vec<&str>> {
        let mut found: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        self.stored.iter().for_each(|(label_set, line)| found.entry(*label_set).or_default().push(line));
        found
    }
}

/// Rule: too large is split until it fits; order within a label set holds over all splits.
#[test]
fn halves_of_halves_keep_the_order_of_their_label_set() {
    let mut bench = Bench::new();
    // A slow Loki gets several parts of one label set in a request.
    bench.add(&[(0, &["a", "b", "c", "d"]), (0, &["e", "f", "g"]), (1, &["x"]), (0, &["h", "i"])]);
    let refused = bench.play(|seen| if seen.len() > 1 { (500, GRPC) } else { (204, "") });
    assert_eq!(bench.stored_by_label_set()[&0].concat(), "abcdefghi");
    assert_eq!(bench.stored_by_label_set()[&1].concat(), "x");
    assert_eq!(refused, []);
}

/// Rule: the bad entry is alone in the end, is counted, and nothing else goes with it.
#[test]
fn a_request_that_is_not_understood_is_split_down_to_the_bad_entry() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a", "b", "c"]), (1, &["d", "bad", "e"])]);
    let is_bad = |seen: &Seen| seen.iter().any(|(_, line)| line == "bad");
    let refused = bench.play(|seen| if is_bad(seen) { (400, "couldn't parse push request") } else { (204, "") });
    assert_eq!(refused, [Refusal { reason: "not_understood", entries: 1 }]);
    assert_eq!(bench.stored_by_label_set()[&0].concat(), "abc");
    assert_eq!(bench.stored_by_label_set()[&1].concat(), "de");
}

/// Rule: five times 5xx while others pass: split; the poisoned entry waits alone, all others pass.
#[test]
fn a_poisoned_request_is_taken_apart_and_holds_up_nobody() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a", "bad", "b"]), (1, &["c"])]);
    let (mut poisoned, mut others) = (0, 0);
    for _ in 0..400 {
        bench.now += 250 * MS;
        let mut under_way: Vec<_> = std::iter::from_fn(|| bench.due()).collect();
        if bench.delivery.may_start(bench.now) {
            bench.add(&[(2, &["other"])]);
            under_way.extend(bench.due());
        }
        for (id, seen) in under_way {
            let is_bad = seen.iter().any(|(_, line)| line == "bad");
            poisoned += u32::from(is_bad);
            others += u32::from(seen.iter().any(|(_, line)| line == "other"));
            bench.answer(id, if is_bad { 500 } else { 204 }, "", None);
            bench.stored.extend(seen.into_iter().filter(|_| !is_bad));
        }
    }
    let stored = bench.stored_by_label_set();
    assert_eq!((stored[&0].concat(), stored[&1].concat()), ("a".to_owned(), "c".to_owned()), "b waits behind bad");
    assert!(poisoned > 15 && others > 300, "{poisoned} tries of the poisoned, {others} others");
}

/// Rule: while nothing passes nothing is split, the same bytes go again.
#[test]
fn an_outage_splits_nothing() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a", "b"]), (1, &["c"])]);
    for _ in 0..40 {
        let (id, seen) = bench.next();
        assert_eq!(seen.len(), 3);
        assert!(bench.answer(id, 503, "", None).splits.is_empty());
    }
}

/// Rule: pauses double up to 30 s, half of them jitter.
#[test]
fn the_pause_doubles_up_to_its_bound() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"])]);
    let mut full = 250 * MS;
    for _ in 0..12 {
        let (id, _) = bench.next();
        let failed_at = bench.now;
        bench.answer(id, 0, "connection refused", None);
        let pause = bench.delivery.deadline() - failed_at;
        assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
        full = (full * 2).min(30 * S);
    }
}

/// Rule: after an outage two requests at a time try; when one passes all go at once.
#[test]
fn half_open_until_one_passes() {
    let mut bench = Bench::new();
    for label_set in 0..3 {
        bench.add(&[(label_set, &["a"])]);
    }
    let all: Vec<_> = (0..3).map(|_| bench.due().unwrap().0).collect();
    for id in all {
        bench.answer(id, 503, "", None);
    }
    assert!(bench.due().is_none(), "closed for everybody");
    assert!(!bench.delivery.may_start(bench.now));
    let (first, _) = bench.next();
    bench.now += 30 * S;
    let (second, _) = bench.due().unwrap();
    assert!(bench.due().is_none(), "two probes are enough");
    assert_eq!(bench.delivery.deadline(), Duration::MAX, "only an answer can change that");
    bench.answer(first, 204, "", None);
    assert!(bench.due().is_some(), "Loki is back");
    bench.answer(second, 204, "", None);
}

/// Rule: a deadline is a moment at which something goes; a request that waits for another's answer has none.
#[test]
fn what_waits_for_an_answer_has_no_deadline() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a", "b"])]);
    let (id, _) = bench.next();
    bench.answer(id, 413, "", None);
    let (first, _) = bench.due().unwrap();
    assert!(bench.due().is_none(), "the second half waits for the first");
    assert_eq!(bench.delivery.deadline(), Duration::MAX);
    bench.answer(first, 429, RATE_429, Some(9 * S));
    assert!(bench.due().is_none());
    assert!(bench.delivery.deadline() >= bench.now + 9 * S);
    bench.play(|_| (204, ""));
    assert_eq!(bench.stored_by_label_set()[&0].concat(), "ab");
}

/// Rule: `Retry-After` is honoured, up to ten minutes.
#[test]
fn retry_after_is_a_least_pause() {
    for (status, body) in [(429, RATE_429), (503, ""), (401, "")] {
        let mut bench = Bench::new();
        bench.add(&[(0, &["a"])]);
        let (id, _) = bench.next();
        bench.answer(id, status, body, Some(7 * S));
        bench.now += 6 * S;
        assert!(bench.due().is_none(), "{status}");
        let (id, _) = bench.next();
        bench.answer(id, status, body, Some(3_600 * S));
        assert!(bench.delivery.deadline() <= bench.now + 600 * S, "{status}");
    }
}

/// Rule: partial refusals are final: counted, answered for, not sent again.
#[test]
fn a_partial_refusal_is_an_answer() {
    let mut bench = Bench::new();
    bench.add(&[(0, &["a"])]);
    let (id, _) = bench.next();
    let body = "entry for stream '{a=\"0\"}' has timestamp too old: 2020-01-01T00:00:00Z, oldest acceptable timestamp";
    let effects = bench.answer(id, 400, body, None);
    assert_eq!(effects.refused, [Refusal { reason: "too_old", entries: 1 }]);
    assert_eq!(effects.answered.len(), 1);
    assert!(bench.delivery.is_empty());
}
