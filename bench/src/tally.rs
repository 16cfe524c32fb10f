//! Compares what was written with what was stored.
//!
//! In: per source (`POD/CONTAINER`) the ledgers of its std streams, and the stored entries in the order of
//! their arrival. Out: what is lost, doubled, altered, out of order, with examples. Never: I/O.
//!
//! Loki is not told which std stream an entry came from; its text says it, as every line is in one ledger
//! only. Lines that occur several times are counted, and left out of the comparison of order.

use crate::ledger::line_hash;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Examples kept of each kind of trouble.
const EXAMPLES_MAX: usize = 5;

/// One std stream of one run of a container, as it was written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// For messages: `attempt 0 stdout`.
    pub name: String,
    /// Hashes of the lines as Loki should have them, in the order of writing.
    pub hashes: Vec<u64>,
}

/// One entry, as it was stored.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// `POD/CONTAINER`, from its structured metadata.
    pub source: &'a str,
    /// Anything that tells label sets apart.
    pub label_set: u64,
    /// Its time, nanoseconds since 1970.
    pub time_ns: i64,
    /// Its text.
    pub line: &'a [u8],
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines written.
    pub written: u64,
    /// Lines written and stored.
    pub arrived: u64,
    /// Written, never stored.
    pub lost: u64,
    /// Stored more often than written.
    pub doubled: u64,
    /// Of these, with the same time: Loki shows them once.
    pub doubled_same_time: u64,
    /// Stored, never written in this form.
    pub altered: u64,
    /// From a pod or container that is not in the ledgers.
    pub foreign: u64,
    /// Arrived after a later line of the same std stream and label set.
    pub out_of_order: u64,
    /// With a time before that of the line written before it.
    pub time_went_back: u64,
    /// A few of each, for people.
    pub examples: Vec<String>,
}

impl Tally {
    /// Every line once, unchanged, in order.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.is_whole() && self.doubled == 0
    }

    /// Every line at least once, unchanged, in order: what is promised across crashes.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lost == 0 && self.altered == 0 && self.foreign == 0 && self.out_of_order == 0 && self.time_went_back == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lines written, {} arrived; lost {}, doubled {} ({} with the same time), altered {}, foreign {}, out of order {}, time went back {}",
            self.written,
            self.arrived,
            self.lost,
            self.doubled,
            self.doubled_same_time,
            self.altered,
            self.foreign,
            self.out_of_order,
            self.time_went_back
        )?;
        self.examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}

/// Where a hash stands: std stream, index.
type Spot = (usize, usize);

/// The ledgers of one source, and what was seen of them.
struct Source<'a> {
    written: &'a [Written],
    /// The first spot of a hash that is free, and those after it.
    spots: HashMap<u64, Vec<Spot>>,
    /// Spots of a hash that are taken.
    taken: HashMap<u64, usize>,
    /// Time at which each line was stored.
    times: Vec<Vec<Option<i64>>>,
    /// The latest index seen, by std stream and label set.
    latest: HashMap<(usize, u64), usize>,
}

impl<'a> Source<'a> {
    fn new(written: &'a [Written]) -> Self {
        let mut spots: HashMap<u64, Vec<Spot>> = HashMap::new();
        for (stream, one) in written.iter().enumerate() {
            for (index, hash) in one.hashes.iter().enumerate() {
                spots.entry(*hash).or_default().push((stream, index));
            }
        }
        let times = written.iter().map(|one| vec![None; one.hashes.len()]).collect();
        Self { written, spots, taken: HashMap::new(), times, latest: HashMap::new() }
    }

    fn take(&mut self, entry: &Stored<'_>, tally: &mut Tally) {
        let hash = line_hash(entry.line);
        let Some(spots) = self.spots.get(&hash) else {
            tally.altered += 1;
            tally.example(tally.altered, || format!("altered: {} {:?}", entry.source, shown(entry.line)));
            return;
        };
        let taken = self.taken.entry(hash).or_default();
        let Some(&(stream, index)) = spots.get(*taken) else {
            tally.doubled += 1;
            if spots.iter().any(|&(stream, index)| self.times[stream][index] == Some(entry.time_ns)) {
                tally.doubled_same_time += 1;
            }
            tally.example(tally.doubled, || format!("doubled: {} {:?}", entry.source, shown(entry.line)));
            return;
        };
        *taken += 1;
        tally.arrived += 1;
        self.times[stream][index] = Some(entry.time_ns);
        if spots.len() > 1 {
            return;
        }
        let latest = self.latest.entry((stream, entry.label_set)).or_insert(index);
        if *latest > index {
            tally.out_of_order += 1;
            let (name, latest) = (&self.written[stream].name, *latest);
            tally.example(tally.out_of_order, || {
                format!("out of order: {} {name} line {index} after line {latest}", entry.source)
            });
        } else {
            *latest = index;
        }
    }

    fn finish(&self, source: &str, tally: &mut Tally) {
        for (written, times) in self.written.iter().zip(&self.times) {
            tally.written += times.len() as u64;
            let mut before = i64::MIN;
            for (index, (time, hash)) in times.iter().zip(&written.hashes).enumerate() {
                let Some(time) = *time else {
                    tally.lost += 1;
                    let total = times.len();
                    tally.example(tally.lost, || format!("lost: {source} {} line {index} of {total}", written.name));
                    continue;
                };
                if self.spots.get(hash).is_some_and(|spots| spots.len() > 1) {
                    continue;
                }
                if time < before {
                    tally.time_went_back += 1;
                    tally.example(tally.time_went_back, || {
                        format!("time went back: {source} {} line {index}: {time} after {before}", written.name)
                    });
                }
                before = time;
            }
        }
    }
}

impl Tally {
    fn example(&mut self, count: u64, text: impl FnOnce() -> String) {
        if count <= EXAMPLES_MAX as u64 {
            self.examples.push(text());
        }
    }
}

/// The beginning of a line, for people.
fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(160)]).into_owned()
}

/// A comparison under way.
pub struct Comparison<'a> {
    sources: BTreeMap<&'a str, Source<'a>>,
    tally: Tally,
}

impl<'a> Comparison<'a> {
    /// Nothing stored yet.
    #[must_use]
    pub fn new(written: &'a BTreeMap<String, Vec<Written>>) -> Self {
        let sources = written.iter().map(|(name, written)| (name.as_str(), Source::new(written))).collect();
        Self { sources, tally: Tally::default() }
    }

    /// Takes the next entry in the order of arrival.
    pub fn take(&mut self, entry: &Stored<'_>) {
        let tally = &mut self.tally;
        if let Some(source) = self.sources.get_mut(entry.source) {
            source.take(entry, tally);
        } else {
            tally.foreign += 1;
            tally.example(tally.foreign, || format!("foreign: {} {:?}", entry.source, shown(entry.line)));
        }
    }

    /// The result.
    #[must_use]
    pub fn finish(mut self) -> Tally {
        for (name, source) in &self.sources {
            source.finish(name, &mut self.tally);
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally<'a>(written: &BTreeMap<String, Vec<Written>>, stored: impl IntoIterator<Item = Stored<'a>>) -> Tally {
        let mut comparison = Comparison::new(written);
        for entry in stored {
            comparison.take(&entry);
        }
        comparison.finish()
    }

    /// One source `p/c` with stdout `a b c d` and stderr `x y`.
    fn written() -> BTreeMap<String, Vec<Written>> {
        let side = |name: &str, lines: &[&str]| Written {
            name: name.into(),
            hashes: lines.iter().map(|line| line_hash(line.as_bytes())).collect(),
        };
        [("p/c".to_string(), vec![side("stdout", &["a", "b", "c", "d"]), side("stderr", &["x", "y"])])].into()
    }

    fn stored(lines: &[(&'static str, i64)]) -> Tally {
        tally(
            &written(),
            lines.iter().map(|(line, time_ns)| Stored {
                source: "p/c",
                label_set: 1,
                time_ns: *time_ns,
                line: line.as_bytes(),
            }),
        )
    }

    const ALL: [(&str, i64); 6] = [("x", 1), ("a", 1), ("b", 2), ("y", 9), ("c", 3), ("d", 3)];

    #[test]
    fn all_there_in_any_interleaving_of_the_std_streams_is_exact() {
        let seen = stored(&ALL);
        assert!(seen.is_exact(), "{seen}");
        assert_eq!((seen.written, seen.arrived), (6, 6));
    }

    #[test]
    fn a_missing_line_is_lost() {
        let seen = stored(&ALL[1..]);
        assert_eq!((seen.lost, seen.is_whole()), (1, false));
        assert!(seen.examples[0].contains("lost: p/c stderr line 0 of 2"), "{seen}");
    }

    #[test]
    fn a_line_twice_is_doubled_and_still_whole() {
        let seen = stored(&[&ALL[..], &[("d", 3), ("a", 7)]].concat());
        assert_eq!((seen.doubled, seen.doubled_same_time, seen.is_whole(), seen.is_exact()), (2, 1, true, false));
    }

    #[test]
    fn another_text_is_altered_and_the_right_one_lost() {
        let seen = stored(&[&ALL[1..], &[("x ", 1)]].concat());
        assert_eq!((seen.altered, seen.lost), (1, 1));
    }

    #[test]
    fn two_lines_swapped_are_out_of_order() {
        let seen = stored(&[("x", 1), ("b", 2), ("a", 2), ("y", 9), ("c", 3), ("d", 3)]);
        assert_eq!((seen.out_of_order, seen.time_went_back, seen.is_whole()), (1, 0, false));
    }

    #[test]
    fn another_label_set_may_arrive_before_but_its_time_may_not() {
        let entry = |line: &'static str, label_set, time_ns| Stored {
            source: "p/c",
            label_set,
            time_ns,
            line: line.as_bytes(),
        };
        let all = [("b", 2, 2), ("a", 1, 1), ("c", 1, 3), ("d", 2, 2), ("x", 1, 1), ("y", 1, 1)];
        let seen = tally(&written(), all.map(|(line, set, time)| entry(line, set, time)));
        assert_eq!((seen.out_of_order, seen.time_went_back), (0, 1), "{seen}");
    }

    #[test]
    fn an_entry_of_another_pod_is_foreign() {
        let entry = Stored { source: "q/c", label_set: 1, time_ns: 1, line: b"a" };
        assert_eq!(tally(&written(), [entry]).foreign, 1);
    }

    #[test]
    fn equal_lines_are_counted() {
        let hashes = vec![line_hash(b"tick"); 3];
        let written = [("p/c".to_string(), vec![Written { name: "stdout".into(), hashes }])].into();
        let tick = |time_ns| Stored { source: "p/c", label_set: 1, time_ns, line: b"tick" };
        assert_eq!(tally(&written, [tick(2), tick(1)]).lost, 1);
        assert_eq!(tally(&written, [tick(1), tick(2), tick(3), tick(4)]).doubled, 1);
    }

    proptest! {
        /// Whatever is taken away or doubled is found, to the line.
        #[test]
        fn losses_and_doubles_are_counted_exactly(times in prop::collection::vec(0usize..4, 1..60)) {
            let lines: Vec<String> = (0..times.len()).map(|n| format!("line {n}")).collect();
            let hashes = lines.iter().map(|line| line_hash(line.as_bytes())).collect();
            let written = [("p/c".to_string(), vec![Written { name: "stdout".into(), hashes }])].into();
            let stored = lines.iter().zip(&times).flat_map(|(line, n)| {
                std::iter::repeat_n(Stored { source: "p/c", label_set: 1, time_ns: 5, line: line.as_bytes() }, *n)
            });
            let seen = tally(&written, stored);
            let count = |f: fn(usize) -> usize| times.iter().map(|n| f(*n)).sum::<usize>() as u64;
            prop_assert_eq!(seen.lost, count(|n| usize::from(n == 0)));
            prop_assert_eq!(seen.doubled, count(|n| n.saturating_sub(1)));
            prop_assert_eq!(seen.arrived, count(|n| n.min(1)));
            prop_assert_eq!(seen.out_of_order, 0);
        }
    }
}
