//! The states of one std stream: who ships its lines, and how that changes.
//!
//! ```text
//!          place in the file certain                 file at rest for 2 s
//!   File ───────────────────────────────► Ahead ────────────────────────► Alone
//!    ▲                                    │  ▲                              │  ▲
//!    └── gap, skipped runs, mismatch, ────┘  └─── its lines are found ──────┘  │
//!    │   pipe gone, memory full                                                │
//!    └──── file at rest for 2 s, or lines passed over; certainly this pipe ────┘
//! ```
//! Alone ends, too, where the file shows a line that was written after all pending ones: it is not at rest, and ahead of
//! the capture. Lines shipped ahead stay pending until the file shows them, also after a fall-back to the file.

use super::align::{RUN_BYTES_MIN, RUN_LINES_MIN, Recent, align, from_start, in_file, passed_over};
use super::fingerprint::Fingerprint;
use super::pending::{FileLine, Pending, Sent};
use super::why::{Counts, Why};
use super::window::Window;
use crate::limits::{FILE_AT_REST, PENDING_LINES_MAX, UNSEEN_AFTER};
use crate::metrics::label::Mode;
use std::time::Duration;

/// The longest run that is asked for after places turned out wrong.
const RUN_LINES_ASKED_MAX: usize = 64;

/// One std stream.
#[derive(Debug)]
pub struct Handover {
    mode: Mode,
    why: Why,
    pending: Pending,
    recent: Recent,
    /// The file does not follow the pending lines one by one: each of its lines is looked for among them.
    is_searching: bool,
    /// Others may be missing behind so many of the pending lines: until one from behind that is found, nobody knows where
    /// the next stands.
    gap_behind: Option<usize>,
    /// Lines and bytes of the file, the newest ones, that were the oldest pending line each.
    run: (usize, u64),
    /// Lines of a run that are asked for.
    lines_min: usize,
    /// When the file showed a line (monotonic).
    grown_at: Duration,
    counts: Counts,
}

impl Handover {
    /// A std stream on its file. `is_from_start`: the next file line is the container instance's first.
    #[must_use]
    pub fn new(is_from_start: bool, now: Duration) -> Self {
        Self {
            mode: Mode::File,
            why: Why::Start,
            pending: Pending::default(),
            recent: Recent::new(is_from_start),
            is_searching: false,
            gap_behind: None,
            run: (0, 0),
            lines_min: RUN_LINES_MIN,
            grown_at: now,
            counts: Counts::default(),
        }
    }

    /// Who ships.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> Why {
        self.why
    }

    /// Lines that were shipped ahead and not seen in the file.
    #[must_use]
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Memory held, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.pending.memory_bytes() + self.recent.memory_bytes()
    }

    /// What happened since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// The file shows a line; `time_ns` is the runtime's time of it.
    pub fn file_line(&mut self, print: Fingerprint, time_ns: i64, now: Duration) -> FileLine {
        self.recent.push(print, time_ns);
        self.grown_at = now;
        if self.pending.is_empty() {
            (self.run, self.is_searching, self.gap_behind) = ((0, 0), false, None);
            if self.takes_captured() {
                self.fall_back(Why::Unseen);
            }
            return FileLine::Ship;
        }
        if let Some(sent) = self.pending.take_first(print) {
            self.run = (self.run.0 + 1, self.run.1 + print.advance());
            return self.confirmed(sent);
        }
        self.run = (0, 0);
        if !self.is_searching {
            self.is_searching = true;
            self.counts.mismatched += 1;
            self.lines_min = (self.lines_min * 2).min(RUN_LINES_ASKED_MAX);
            if self.mode == Mode::Ahead {
                self.fall_back(Why::Mismatch);
            }
        }
        let Some(before) = self.pending.find(print) else {
            if self.mode == Mode::Alone && self.pending.last().is_none_or(|sent| sent.read_ns <= time_ns) {
                // The file has overtaken the capture: what is still in the ring would go out twice.
                self.fall_back(Why::Unseen);
            }
            return FileLine::Ship;
        };
        self.forget(before);
        match self.pending.take_first(print) {
            Some(sent) => {
                self.run = (1, print.advance());
                self.confirmed(sent)
            }
            None => FileLine::Ship,
        }
    }

    fn confirmed(&mut self, sent: Sent) -> FileLine {
        self.counts.confirmed += 1;
        self.gap_behind = self.gap_behind.and_then(|lines| lines.checked_sub(1));
        self.is_searching &= !self.pending.is_empty() || self.gap_behind.is_some();
        let is_sure = self.run.0 >= self.lines_min && self.run.1 >= RUN_BYTES_MIN;
        if self.mode == Mode::Alone && is_sure && self.gap_behind.is_none() {
            self.is_searching = false;
            self.change(Mode::Ahead, Why::Aligned);
        }
        FileLine::Confirmed(sent)
    }

    /// Whether the file does not follow what was shipped ahead: then it is not certain at which stream positions that
    /// stands.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.is_searching
    }

    /// How many lines wait for the file that went out while it was not certain where they stand, or do not follow it.
    #[must_use]
    pub fn unplaced(&self) -> usize {
        self.pending.iter().filter(|sent| self.is_searching || !sent.is_placed).count()
    }

    /// Whether captured lines are to be shipped.
    #[must_use]
    pub fn takes_captured(&self) -> bool {
        self.mode != Mode::File
    }

    /// A captured line was shipped.
    pub fn shipped(&mut self, sent: Sent) {
        debug_assert!(self.takes_captured(), "a captured line was shipped while the file ships");
        self.pending.push(sent);
        if self.pending.len() > PENDING_LINES_MAX {
            if self.mode == Mode::Alone {
                self.forget(1);
            } else {
                self.fall_back(Why::WindowFull);
            }
        }
    }

    /// The capture cannot be relied on: the file ships. Alone it goes on: there is nothing to fall back on, and what is
    /// missing is shipped when the file shows it. Where the lines after that stand is not known until then.
    pub fn lost_captured(&mut self, why: Why) {
        match self.mode {
            Mode::File => {}
            Mode::Ahead => self.fall_back(why),
            Mode::Alone => {
                (self.is_searching, self.run) = (true, (0, 0));
                self.gap_behind = Some(self.pending.len());
            }
        }
    }

    /// Nothing more comes from the pipe, or it must not be shipped.
    pub fn fall_back(&mut self, why: Why) {
        if self.mode == Mode::File {
            self.why = why;
        } else {
            self.change(Mode::File, why);
        }
    }

    /// Looks for the place of the captured lines in the file, which was read to its end. Where it is certain the std
    /// stream goes ahead, and `window` holds what is to be shipped next; all its lines have their bytes.
    /// `is_this_one`: the pipe is known to be this std stream.
    pub fn go_ahead(&mut self, window: &mut Window, is_this_one: bool) -> bool {
        if self.go_from_start(window, is_this_one) {
            return true;
        }
        let place = self.may_go_ahead().then(|| align(window, &self.recent, self.lines_min)).flatten();
        place.is_some_and(|place| self.begin_ahead(window, place + 1, Why::Aligned))
    }

    /// As [`Handover::go_ahead`], where both witnesses are known from the first line on: that the file was read to its end is
    /// not needed.
    pub fn go_from_start(&mut self, window: &mut Window, is_this_one: bool) -> bool {
        let lines = (is_this_one && self.may_go_ahead()).then(|| from_start(window, &self.recent)).flatten();
        lines.is_some_and(|lines| self.begin_ahead(window, lines, Why::FromStart))
    }

    /// Whether [`Handover::go_from_start`] is worth a look.
    #[must_use]
    pub fn may_go_from_start(&self) -> bool {
        self.recent.is_complete() && self.may_go_ahead()
    }

    fn may_go_ahead(&self) -> bool {
        self.mode == Mode::File && (self.pending.is_empty() || self.is_searching)
    }

    /// The captured lines from `next` on are to be shipped.
    fn begin_ahead(&mut self, window: &mut Window, next: usize, why: Why) -> bool {
        if !window.is_whole_from(next) {
            return false;
        }
        for _ in 0..next {
            window.drop_first();
        }
        // The file is past them.
        self.forget(self.pending.len());
        (self.is_searching, self.gap_behind) = (false, None);
        self.change(Mode::Ahead, why);
        true
    }

    /// The file was read to its end, and does not grow while captured lines wait for it: they are shipped alone. `window`
    /// holds what was captured and not shipped, and is left with what is to be shipped now: lines whose bytes are
    /// kept, and which the file cannot hold yet. `is_this_one` as in [`Handover::go_ahead`].
    pub fn go_alone(&mut self, window: &mut Window, is_this_one: bool, wall_ns: i64, now: Duration) -> bool {
        let is_old = |read_ns: i64| wall_ns.saturating_sub(read_ns) >= nanoseconds(FILE_AT_REST);
        if now < self.grown_at + FILE_AT_REST {
            return false;
        }
        match self.mode {
            Mode::Alone => return false,
            Mode::Ahead if self.pending.first().is_some_and(|sent| is_old(sent.read_ns)) => {}
            Mode::File if is_this_one => {
                let mut gone = in_file(window, &self.recent);
                while gone < window.len() && !window.is_whole_from(gone) {
                    gone += 1;
                }
                (0..gone).for_each(|_| window.drop_first());
                if !window.first().is_some_and(|seen| is_old(seen.read_ns)) {
                    return false;
                }
            }
            _ => return false,
        }
        self.begin_alone(window, Why::AtRest);
        true
    }

    /// Whether [`Handover::go_past`] is worth a look: the file was silent before a line of this time.
    #[must_use]
    pub fn may_go_past(&self, time_ns: i64) -> bool {
        self.mode == Mode::File && self.pending.is_empty() && self.recent.was_silent(time_ns)
    }

    /// The file is about to show a line, and passed over captured ones before it: these are shipped now, alone. `window` is
    /// left with them and what follows. `is_this_one` as in [`Handover::go_ahead`].
    pub fn go_past(&mut self, window: &mut Window, is_this_one: bool, print: Fingerprint, time_ns: i64) -> bool {
        if !is_this_one || !self.may_go_past(time_ns) {
            return false;
        }
        let Some(before) = passed_over(window, &self.recent, print, time_ns) else { return false };
        if !window.is_whole_from(before) {
            return false;
        }
        (0..before).for_each(|_| window.drop_first());
        self.begin_alone(window, Why::PassedOver);
        true
    }

    /// What was forgotten since the file's newest line is in neither.
    fn begin_alone(&mut self, window: &mut Window, why: Why) {
        if self.mode == Mode::File {
            self.counts.forgotten_bytes += window.take_forgotten_after(self.recent.newest_ns().unwrap_or(i64::MIN));
        }
        self.is_searching = true;
        self.run = (0, 0);
        self.change(Mode::Alone, why);
    }

    /// The file was read to its end; its newest line tells which pending lines will not come any more.
    pub fn file_read(&mut self) {
        if self.mode != Mode::File || !self.is_searching {
            return;
        }
        let newest_ns = self.recent.newest_ns().unwrap_or(i64::MIN);
        let is_passed = |sent: &&Sent| sent.read_ns.saturating_add(nanoseconds(UNSEEN_AFTER)) < newest_ns;
        let passed = self.pending.iter().take_while(is_passed).count();
        self.forget(passed);
        self.is_searching = !self.pending.is_empty();
    }

    /// The wall clock was stepped.
    pub fn clock_stepped(&mut self) {
        self.recent.clock_stepped();
    }

    /// The container instance has ended and its files were read to their end.
    pub fn ended(&mut self) {
        self.fall_back(Why::PipeGone);
        self.forget(self.pending.len());
        self.is_searching = false;
    }

    /// The oldest pending `lines` will not come any more.
    fn forget(&mut self, lines: usize) {
        self.gap_behind = self.gap_behind.map(|behind| behind.saturating_sub(lines));
        self.counts.unconfirmed += self.pending.forget(lines);
    }

    fn change(&mut self, mode: Mode, why: Why) {
        (self.mode, self.why) = (mode, why);
        self.counts.changes.push((mode, why));
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
