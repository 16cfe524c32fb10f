//! Where captured lines stand in the file: the place of a run of lines that both witnesses saw, where it is certain.
//!
//! In: the newest lines of the file and those of the pipe. Out: which captured line is the newest file line, or none.
//! Never: a guess. Late is fine, wrong is not.
//!
//! A run counts that ends with the newest file line. It has at least two lines and 64 bytes, and is longer than any
//! other run that both ends have in common, in the pipe's lines and in the file's own: what repeats proves nothing. A
//! captured line that left the pipe after the runtime had noted the file line cannot be that line, so what was written
//! earlier and is still on its way through the runtime is not taken for what was captured since.
//!
//! Where both are known from their first line on, and the pipe is known to be this std stream, their lines stand at the
//! same places: no run is needed ([`from_start`]).

use super::fingerprint::Fingerprint;
use super::window::{Seen, Window};
use std::collections::{HashSet, VecDeque};

/// Lines of a run at the least.
pub const RUN_LINES_MIN: usize = 2;
/// Bytes of a run at the least.
pub const RUN_BYTES_MIN: u64 = 64;
/// File lines that are remembered; a run cannot be longer.
const RECENT_LINES_MAX: usize = 256;
/// How much the conversion between the kernel's clock and the wall clock may err, nanoseconds.
const CLOCK_ERROR_NS: i64 = 100_000;
/// A file that shows nothing for so long, nanoseconds, may have missed lines. Shorter silence is not looked at, as that would
/// take a search at every line.
const SILENT_NS: i64 = 50_000_000;
/// The longest time, nanoseconds, from when a line leaves the pipe until the runtime notes it that is reckoned with. A pipe that
/// was captured for so long had no line since that the file may show and the capture not.
const NOTED_WITHIN_NS: i64 = 1_000_000_000;

/// The newest lines of a file.
#[derive(Debug, Default)]
pub struct Recent {
    lines: VecDeque<Fingerprint>,
    /// The runtime's time of the newest.
    time_ns: Option<i64>,
    /// All lines that the container instance ever wrote are among them.
    is_complete: bool,
}

impl Recent {
    /// `is_from_start`: the next line is the container instance's first.
    #[must_use]
    pub fn new(is_from_start: bool) -> Self {
        Self { is_complete: is_from_start, ..Self::default() }
    }

    /// Takes in the next line of the file.
    pub fn push(&mut self, print: Fingerprint, time_ns: i64) {
        self.lines.push_back(print);
        self.time_ns = Some(time_ns);
        if self.lines.len() > RECENT_LINES_MAX {
            self.lines.pop_front();
            self.is_complete = false;
        }
    }

    /// Whether all lines that the container instance ever wrote are known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether nothing was shown for a while before a line of this time, or it is the very first.
    #[must_use]
    pub fn was_silent(&self, time_ns: i64) -> bool {
        match self.time_ns {
            None => self.is_complete && self.lines.is_empty(),
            Some(newest_ns) => time_ns.saturating_sub(newest_ns) >= SILENT_NS,
        }
    }

    /// The runtime's time of the newest line, where there is one since the clock was stepped.
    #[must_use]
    pub fn newest_ns(&self) -> Option<i64> {
        self.time_ns
    }

    /// The clock was stepped: times from before mean nothing any more.
    pub fn clock_stepped(&mut self) {
        self.time_ns = None;
    }

    /// Memory held, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Fingerprint>()
    }
}

/// How many captured lines the file may have: up to the last one that can be one of its newest lines. Where none can,
/// these were written before them all, or have another form there: then those that left the pipe before the runtime
/// noted the newest.
#[must_use]
pub fn in_file(window: &Window, recent: &Recent) -> usize {
    if recent.lines.is_empty() {
        return 0;
    }
    let known: HashSet<Fingerprint> = recent.lines.iter().copied().collect();
    let latest_ns = recent.time_ns.map_or(i64::MAX, |newest_ns| newest_ns.saturating_add(CLOCK_ERROR_NS));
    let all = || (0..window.len()).filter_map(|place| Some((place, window.get(place)?)));
    let may_be_there = |(_, seen): &(usize, Seen)| known.contains(&seen.print) && seen.read_ns <= latest_ns;
    match all().rfind(may_be_there) {
        Some((place, _)) => place + 1,
        None => all().take_while(|(_, seen)| recent.time_ns.is_some_and(|newest| seen.read_ns <= newest)).count(),
    }
}

/// Where the file was silent while lines left the pipe, and now shows a later one: its runtime could not write them (the
/// disk was full). Gives how many lines of `window` come before these. `print` and `time_ns` are of the file's next line,
/// which must stand in `window` once, and not among its newest, as what repeats proves nothing; `window` is of the pipe that writes
/// this file, and had begun well before that line, which is else one from before it, with the same text.
#[must_use]
pub fn passed_over(window: &Window, recent: &Recent, print: Fingerprint, time_ns: i64) -> Option<usize> {
    let is_whole = window.is_whole_since(time_ns.saturating_sub(NOTED_WITHIN_NS));
    if !is_whole || !recent.was_silent(time_ns) || recent.lines.contains(&print) {
        return None;
    }
    let from_ns = recent.time_ns.map_or(i64::MIN, |newest_ns| newest_ns.saturating_add(CLOCK_ERROR_NS));
    let all = || (0..window.len()).filter_map(|place| Some((place, window.get(place)?)));
    let (first, _) = all().find(|(_, seen)| seen.read_ns > from_ns)?;
    let mut same = all().filter(|(_, seen)| seen.print == print);
    let (place, seen) = same.next()?;
    let is_it = same.next().is_none() && seen.read_ns <= time_ns.saturating_add(CLOCK_ERROR_NS);
    (is_it && place > first).then_some(first)
}

/// How many lines the two have in common, ending with the ones at these places, as far as they are known.
fn common(
    file: &VecDeque<Fingerprint>,
    end: usize,
    other: &dyn Fn(usize) -> Option<Fingerprint>,
    place: usize,
) -> usize {
    (0..=end.min(place)).take_while(|back| file.get(end - back).copied() == other(place - back)).count()
}

/// The same for a place that is not the one: where the lines before it are not known any more, they may be in common too.
fn rival(lines: usize, place: usize, is_complete: bool) -> usize {
    if lines > place && !is_complete { usize::MAX - 1 } else { lines }
}

/// Where both witnesses are known from their first line on: how many captured lines the file has. `None` where that is
/// not known, or where they differ.
#[must_use]
pub fn from_start(window: &Window, recent: &Recent) -> Option<usize> {
    let lines = recent.lines.len();
    let is_same = || recent.lines.iter().enumerate().all(|(place, print)| is_captured(window, place, *print));
    (window.is_from_start() && recent.is_complete && lines <= window.len() && is_same()).then_some(lines)
}

fn is_captured(window: &Window, place: usize, print: Fingerprint) -> bool {
    window.get(place).is_some_and(|seen| seen.print == print)
}

/// The place in `window` of the newest line of `recent`. `lines_min` asks for a longer run than usual.
#[must_use]
pub fn align(window: &Window, recent: &Recent, lines_min: usize) -> Option<usize> {
    let (file, newest_ns) = (&recent.lines, recent.time_ns?);
    let end = file.len().checked_sub(1)?;
    let newest = *file.get(end)?;
    let captured = |place: usize| window.get(place).map(|seen| seen.print);
    let is_possible = |place: &usize| {
        window
            .get(*place)
            .is_some_and(|seen| seen.print == newest && seen.read_ns <= newest_ns.saturating_add(CLOCK_ERROR_NS))
    };
    let mut best: Option<(usize, usize)> = None;
    let mut second = 0;
    for place in (0..window.len()).filter(is_possible) {
        let lines = common(file, end, &captured, place);
        let other = match best {
            Some((_, longest)) if lines <= longest => Some((place, lines)),
            _ => best.replace((place, lines)),
        };
        second = second.max(other.map_or(0, |(place, lines)| rival(lines, place, window.is_from_start())));
    }
    let (place, lines) = best?;
    let own = |place: usize| file.get(place).copied();
    let same = |earlier: usize| rival(common(file, end, &own, earlier), earlier, recent.is_complete);
    let repeats = (0..end).map(same).max().unwrap_or(0);
    let wanted = lines_min.max(RUN_LINES_MIN).max(second + 1).max(repeats + 1);
    let bytes: u64 = (0..lines).filter_map(|back| captured(place - back)).map(|print| print.advance()).sum();
    (lines >= wanted && bytes >= RUN_BYTES_MIN).then_some(place)
}
