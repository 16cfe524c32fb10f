//! The room alone: written cases, and two witnesses that a seed draws, who lose, repeat and delay lines.

use super::align::{Recent, align, from_start, passed_over};
use super::fingerprint::Fingerprint;
use super::pending::Sent;
use super::stream::{FileLine, Handover, Why};
use super::window::{Seen, Window};
use crate::metrics::label::Mode;
use crate::types::entry::Record;
use crate::types::part::PartId;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

const MS: i64 = 1_000_000;
const LONG: &str = "a line that is long enough to count, number";

fn print(text: &str) -> Fingerprint {
    Fingerprint::of(&Record { content: text.as_bytes(), full_bytes: text.len() as u64, time_ns: 0 })
}

fn seen(text: &str, at_ns: i64) -> Seen {
    Seen { print: print(text), read_ns: at_ns, written_ns: None }
}

fn window(lines: &[(&str, i64)]) -> Window {
    let mut window = Window::default();
    for (text, at_ns) in lines {
        window.push(seen(text, *at_ns), text.as_bytes(), 1 << 20);
    }
    window
}

fn recent(lines: &[(&str, i64)], is_from_start: bool) -> Recent {
    let mut recent = Recent::new(is_from_start);
    lines.iter().for_each(|(text, at_ns)| recent.push(print(text), *at_ns));
    recent
}

#[test]
fn two_long_lines_in_a_row_are_a_place() {
    let (one, two, three) = (format!("{LONG} 1"), format!("{LONG} 2"), format!("{LONG} 3"));
    let window = window(&[(&one, 10), (&two, 20), (&three, 30)]);
    let file = [(one.as_str(), 11), (two.as_str(), 21)];
    assert_eq!(align(&window, &recent(&file, false), 2), Some(1));
    assert_eq!(align(&window, &recent(&file[1..], false), 2), None, "one line is no run");
    assert_eq!(align(&window, &recent(&file, false), 3), None, "a longer run is asked for");
    let short = self::window(&[("a", 1), ("b", 2)]);
    assert_eq!(align(&short, &recent(&[("a", 3), ("b", 4)], false), 2), None, "64 bytes at least");
}

#[test]
fn what_repeats_is_no_place() {
    let tick = format!("{LONG} tick");
    let window = window(&[(&tick, 1), (&tick, 2), (&tick, 3)]);
    for lines in 1..5 {
        let file = vec![(tick.as_str(), 9); lines];
        assert_eq!(align(&window, &recent(&file, false), 2), None, "{lines} ticks");
    }
    let other = format!("{LONG} other");
    let lines = [("first", 0), (&tick, 1), (&tick, 2), (&other, 3), (&tick, 4)];
    let file = [("before", 7), (other.as_str(), 8), (&tick, 9)];
    assert_eq!(align(&self::window(&lines), &recent(&file, false), 2), Some(4), "the run has a line of its own");
    let torn = self::window(&lines[1..]);
    assert_eq!(align(&torn, &recent(&file, false), 2), None, "before the first tick there may have been that line too");
}

/// Rule: bytes written before may still be on their way through the runtime.
#[test]
fn a_line_that_the_runtime_noted_before_it_was_captured_is_another_line() {
    let (one, two) = (format!("{LONG} 1"), format!("{LONG} 2"));
    let window = window(&[(&one, 500 * MS), (&two, 501 * MS)]);
    assert_eq!(align(&window, &recent(&[(&one, 400 * MS), (&two, 401 * MS)], false), 2), None);
    assert_eq!(align(&window, &recent(&[(&one, 502 * MS), (&two, 503 * MS)], false), 2), Some(1));
}

#[test]
fn from_the_first_line_on_no_run_is_needed() {
    let mut window = Window::default();
    window.begin();
    window.push(seen("a", 1), b"a", 1 << 20);
    window.push(seen("a", 2), b"a", 1 << 20);
    assert_eq!(from_start(&window, &recent(&[], true)), Some(0));
    assert_eq!(from_start(&window, &recent(&[("a", 3)], true)), Some(1));
    assert_eq!(from_start(&window, &recent(&[("b", 3)], true)), None, "they differ");
    assert_eq!(from_start(&window, &recent(&[("a", 3)], false)), None, "the file had lines before");
    window.drop_first();
    assert_eq!(from_start(&window, &recent(&[("a", 3)], true)), None, "the pipe had lines before");
}

/// Rule: what the runtime could not write, as the disk was full, is shipped from the capture, before what it wrote then.
#[test]
fn lines_that_the_file_passed_over_go_out_before_the_next_one() {
    let lines = [("before", MS), ("one", 100 * MS), ("two", 110 * MS), ("three", 200 * MS)];
    let past = |file: &[(&str, i64)], is_from_start, (next, at_ns)| {
        passed_over(&window(&lines), &recent(file, is_from_start), print(next), at_ns)
    };
    assert_eq!(past(&[("before", 2 * MS)], false, ("three", 201 * MS)), Some(1));
    assert_eq!(past(&[("before", 2 * MS)], false, ("one", 101 * MS)), None, "it is the next one");
    assert_eq!(past(&[("before", 2 * MS)], false, ("three", 199 * MS)), None, "noted before it was captured");
    assert_eq!(past(&[("before", 2 * MS)], false, ("other", 201 * MS)), None, "not captured");
    assert_eq!(past(&[("two", 180 * MS)], false, ("three", 201 * MS)), None, "no silence");
    assert_eq!(past(&[], true, ("two", 201 * MS)), Some(0), "the very first line");
    assert_eq!(past(&[], false, ("two", 201 * MS)), None, "there were lines before");

    let mut handover = Handover::new(true, Duration::ZERO);
    let mut window = window(&lines[1..]);
    assert!(!handover.go_past(&mut window, false, print("three"), 201 * MS), "perhaps another pipe");
    assert!(handover.go_past(&mut window, true, print("three"), 201 * MS));
    assert_eq!((handover.mode(), window.len()), (Mode::Alone, 3));
    for (position, (text, at_ns)) in (0..).zip(&lines[1..]) {
        let part = PartId(1);
        handover.shipped(Sent { print: print(text), part, position, time_ns: *at_ns, read_ns: *at_ns });
    }
    assert!(matches!(handover.file_line(print("three"), 201 * MS, Duration::ZERO), FileLine::Confirmed(_)));
    assert_eq!(handover.take_counts().unconfirmed, 2);
}

#[test]
fn a_window_keeps_the_newest_bytes() {
    let mut window = Window::default();
    for n in 0..1_000 {
        window.push(seen(&format!("{LONG} {n}"), n), format!("{LONG} {n}").as_bytes(), 10_000);
        assert!(window.bytes() <= 10_000);
    }
    assert!(window.len() > 50, "{}", window.len());
    let first = window.first().unwrap();
    assert_eq!(Some(first.print), window.first_content().map(|bytes| print(std::str::from_utf8(bytes).unwrap())));
    let long = vec![b'x'; 20_000];
    let record = Record { content: &long, full_bytes: 20_000, time_ns: 0 };
    window.push(Seen { print: Fingerprint::of(&record), ..first }, &long, 10_000);
    assert!(!window.is_whole_from(0), "a line that does not fit is remembered without its bytes");
}

/// A std stream under test, its two witnesses, and what went out.
struct Played {
    handover: Handover,
    window: Window,
    /// Numbers of the lines in the window.
    waiting: VecDeque<usize>,
    ahead: u64,
    texts: Vec<String>,
    shipped: Vec<usize>,
    unconfirmed: u64,
    ahead_lines: u64,
    random: fastrand::Rng,
}

impl Played {
    fn new(random: fastrand::Rng) -> Self {
        Self {
            handover: Handover::new(false, Duration::ZERO),
            window: Window::default(),
            waiting: VecDeque::new(),
            ahead: 0,
            texts: Vec::new(),
            shipped: Vec::new(),
            unconfirmed: 0,
            ahead_lines: 0,
            random,
        }
    }

    fn captured(&mut self, number: usize, at_ns: i64) {
        if self.handover.takes_captured() {
            self.ship_captured(number, at_ns);
            return;
        }
        let text = &self.texts[number];
        self.window.push(seen(text, at_ns), text.as_bytes(), 1 << 20);
        self.waiting.push_back(number);
        while self.waiting.len() > self.window.len() {
            self.waiting.pop_front();
        }
    }

    fn ship_captured(&mut self, number: usize, read_ns: i64) {
        let (print, position, time_ns, part) = (print(&self.texts[number]), self.ahead, read_ns, PartId(0));
        self.ahead += print.advance();
        self.shipped.push(number);
        self.ahead_lines += 1;
        self.handover.shipped(Sent { print, read_ns, position, time_ns, part });
    }

    fn lost(&mut self, why: Why) {
        self.window.clear();
        self.waiting.clear();
        self.handover.lost_captured(why);
    }

    fn file(&mut self, number: usize, time_ns: i64, now: Duration) {
        match self.handover.file_line(print(&self.texts[number]), time_ns, now) {
            FileLine::Ship => self.shipped.push(number),
            FileLine::Confirmed(_) => {}
        }
    }

    fn turn(&mut self, now: Duration, wall_ns: i64) {
        self.handover.file_read();
        let has_begun = self.handover.go_ahead(&mut self.window, false)
            || self.handover.go_alone(&mut self.window, true, wall_ns, now);
        while self.waiting.len() > self.window.len() {
            self.waiting.pop_front();
        }
        if has_begun {
            while let (Some(seen), Some(number)) = (self.window.first(), self.waiting.pop_front()) {
                self.ship_captured(number, seen.read_ns);
                self.window.drop_first();
            }
        }
        self.unconfirmed += self.handover.take_counts().unconfirmed;
    }

    fn new_line(&mut self, repeats: bool) -> usize {
        let number = self.texts.len();
        let name = if repeats { self.random.usize(..4) } else { number };
        self.texts.push(format!("{LONG} {name}"));
        number
    }
}

/// What a seed draws.
struct Odds {
    repeats: f64,
    gap: f64,
    runtime_loses: f64,
    /// The longest time in the runtime, ms.
    delay_ms: i64,
    stops_for_ms: i64,
}

fn odds(random: &mut fastrand::Rng) -> Odds {
    Odds {
        repeats: [0.0, 0.3, 1.0][random.usize(..3)],
        gap: [0.0, 0.02, 0.2][random.usize(..3)],
        runtime_loses: [0.0, 0.0, 0.02][random.usize(..3)],
        delay_ms: [1, 30, 3_000][random.usize(..3)],
        stops_for_ms: [0, 0, 8_000][random.usize(..3)],
    }
}

/// Plays one seed; the rules of `handover` are checked at its end.
fn play(seed: u64) -> Played {
    let mut random = fastrand::Rng::with_seed(seed);
    let odds = odds(&mut random);
    let mut played = Played::new(random.fork());
    let mut runtime: VecDeque<(usize, i64)> = VecDeque::new();
    let (mut now_ms, mut last_due, mut in_file) = (0_i64, 0, Vec::new());
    let mut stopped_until = 0;
    let lines = random.usize(1..400);
    while played.texts.len() < lines || !runtime.is_empty() {
        now_ms += random.i64(0..40);
        let now = Duration::from_millis(now_ms.unsigned_abs());
        if odds.stops_for_ms > 0 && random.u8(..100) == 0 {
            stopped_until = now_ms + odds.stops_for_ms;
        }
        for _ in 0..random.usize(..4) {
            if played.texts.len() == lines {
                break;
            }
            let repeats = random.f64() < odds.repeats;
            let number = played.new_line(repeats);
            if random.f64() < odds.gap {
                played.lost([Why::Gap, Why::Skipped][random.usize(..2)]);
            } else {
                played.captured(number, now_ms * MS);
            }
            last_due = last_due.max(now_ms + random.i64(..odds.delay_ms));
            if random.f64() >= odds.runtime_loses {
                runtime.push_back((number, last_due));
            }
        }
        while let Some((number, _)) = runtime.pop_front_if(|(_, due)| *due <= now_ms && now_ms >= stopped_until) {
            played.file(number, now_ms * MS, now);
            in_file.push(number);
        }
        played.turn(now, now_ms * MS);
    }
    played.handover.ended();
    played.unconfirmed += played.handover.take_counts().unconfirmed;
    check(seed, &played, &in_file);
    played
}

fn check(seed: u64, played: &Played, in_file: &[usize]) {
    let count = |numbers: &[usize]| {
        let mut count: HashMap<&str, u64> = HashMap::new();
        numbers.iter().for_each(|number| *count.entry(&played.texts[*number]).or_default() += 1);
        count
    };
    let (shipped, in_file) = (count(&played.shipped), count(in_file));
    let mut doubled = 0;
    for (text, lines) in &in_file {
        let shipped = shipped.get(text).copied().unwrap_or(0);
        assert!(
            shipped >= *lines,
            "seed {seed}: {text:?} is {lines} times in the file and was shipped {shipped} times"
        );
        doubled += shipped - lines;
    }
    assert!(
        doubled <= played.unconfirmed,
        "seed {seed}: {doubled} lines were doubled, and {} counted as not confirmed",
        played.unconfirmed
    );
}

/// Rule: no line of the file is lost, and what is doubled is counted.
#[test]
fn whatever_the_witnesses_do_nothing_is_lost_and_doubles_are_counted() {
    let seeds = 2_000;
    let (mut lines, mut ahead, mut unconfirmed) = (0, 0, 0);
    for seed in 0..seeds {
        let played = play(seed);
        lines += played.texts.len();
        ahead += played.ahead_lines;
        unconfirmed += played.unconfirmed;
    }
    println!("{seeds} seeds: {lines} lines, {ahead} shipped ahead or alone, {unconfirmed} of these not confirmed");
    assert!(ahead > lines as u64 / 4, "{ahead} of {lines} lines went ahead");
}

/// Rule: without gaps and repeats every line goes out once, in order, all but the first few ahead.
#[test]
fn a_steady_stream_of_different_lines_goes_ahead() {
    let mut played = Played::new(fastrand::Rng::with_seed(1));
    for n in 0..1_000_i64 {
        let number = played.new_line(false);
        let now = Duration::from_millis(n.unsigned_abs() * 10);
        played.captured(number, n * 10 * MS);
        if n > 0 {
            played.file(number - 1, n * 10 * MS, now);
        }
        played.turn(now, n * 10 * MS);
    }
    assert_eq!(played.shipped, (0..1_000).collect::<Vec<_>>());
    assert_eq!((played.handover.mode(), played.unconfirmed), (Mode::Ahead, 0));
    assert!(played.ahead_lines > 990, "{}", played.ahead_lines);
}
