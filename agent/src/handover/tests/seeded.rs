//! Two witnesses that a seed draws, who lose, repeat and delay lines.

use super::super::pending::{FileLine, Sent};
use super::super::stream::Handover;
use super::super::why::Why;
use super::super::window::Window;
use super::{LONG, MS, print, seen};
use crate::metrics::label::Mode;
use crate::types::part::{LabelSetId, PartId};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

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
        self.handover.shipped(Sent {
            print,
            read_ns,
            position,
            is_placed: true,
            time_ns,
            label_set: LabelSetId(0),
            part,
        });
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
