//! The room alone: written cases; in `seeded`, two witnesses that a seed draws.

mod seeded;

use super::align::{Recent, align, from_start, passed_over};
use super::fingerprint::Fingerprint;
use super::pending::{FileLine, Sent};
use super::stream::Handover;
use super::why::Why;
use super::window::{Seen, Window};
use crate::metrics::label::Mode;
use crate::types::entry::Record;
use crate::types::part::{LabelSetId, PartId};
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
    let lines = [("before", MS), ("one", 1_100 * MS), ("two", 1_110 * MS), ("three", 1_200 * MS)];
    let past = |file: &[(&str, i64)], is_from_start, (next, at_ns)| {
        passed_over(&window(&lines), &recent(file, is_from_start), print(next), at_ns)
    };
    assert_eq!(past(&[("before", 2 * MS)], false, ("three", 1_201 * MS)), Some(1));
    assert_eq!(past(&[("before", 2 * MS)], false, ("one", 1_101 * MS)), None, "it is the next one");
    assert_eq!(past(&[("before", 2 * MS)], false, ("three", 1_199 * MS)), None, "noted before it was captured");
    assert_eq!(past(&[("before", 2 * MS)], false, ("other", 1_201 * MS)), None, "not captured");
    assert_eq!(past(&[("two", 1_180 * MS)], false, ("three", 1_201 * MS)), None, "no silence");
    assert_eq!(past(&[], true, ("two", 1_201 * MS)), Some(0), "the very first line");
    assert_eq!(past(&[], false, ("two", 1_201 * MS)), None, "there were lines before");

    let mut handover = Handover::new(true, Duration::ZERO);
    let mut window = Window::default();
    window.begin();
    lines[1..].iter().for_each(|(text, at_ns)| window.push(seen(text, *at_ns), text.as_bytes(), 1 << 20));
    assert!(!handover.go_past(&mut window, false, print("three"), 1_201 * MS), "perhaps another pipe");
    assert!(handover.go_past(&mut window, true, print("three"), 1_201 * MS));
    assert_eq!((handover.mode(), window.len()), (Mode::Alone, 3));
    for (position, (text, at_ns)) in (0..).zip(&lines[1..]) {
        let (part, label_set) = (PartId(1), LabelSetId(0));
        let (print, at_ns) = (print(text), *at_ns);
        handover.shipped(Sent { print, read_ns: at_ns, position, is_placed: false, time_ns: at_ns, label_set, part });
    }
    assert!(matches!(handover.file_line(print("three"), 1_201 * MS, Duration::ZERO), FileLine::Confirmed(_)));
    assert_eq!(handover.take_counts().unconfirmed, 2);
}

/// Rule: a line that left the pipe before it was followed may have the text of one that was captured.
#[test]
fn a_pipe_that_is_new_proves_nothing_passed_over() {
    let mut window = window(&[("one", 100 * MS), ("two", 100 * MS), ("again", 100 * MS)]);
    let file = recent(&[("before", MS)], false);
    assert_eq!(passed_over(&window, &file, print("again"), 101 * MS), None, "this one was not captured");
    assert_eq!(passed_over(&window, &file, print("again"), 1_101 * MS), Some(0), "it was followed for a second");
    (0..3).for_each(|_| window.drop_first());
    window.push(seen("again", 2_000 * MS), b"again", 1 << 20);
    assert!(window.is_whole_since(100 * MS), "what was shipped is not missing");
    window.clear();
    window.push(seen("again", 2_001 * MS), b"again", 1 << 20);
    assert!(!window.is_whole_since(100 * MS), "lines are missing since");
}

/// Rule: what neither the file nor the window has is counted.
#[test]
fn what_was_forgotten_while_the_file_stood_still_is_counted() {
    let text = format!("{LONG} a line");
    let mut window = Window::default();
    let mut handover = Handover::new(false, Duration::ZERO);
    for n in 0..100 {
        window.push(seen(&text, n * 50 * MS), text.as_bytes(), 10 * text.len());
    }
    let kept = window.len() as i64;
    handover.file_line(print("other"), 1_260 * MS, Duration::from_secs(5));
    assert!(handover.go_alone(&mut window, true, 30_000 * MS, Duration::from_secs(20)));
    let after_the_file = (26..100 - kept).count() as u64;
    assert_eq!(handover.take_counts().forgotten_bytes, after_the_file * text.len() as u64);
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

/// Rule: alone is for a file at rest. Where the file shows lines before they are captured, going on would double each.
#[test]
fn a_file_that_has_overtaken_the_capture_ships_again() {
    let second = Duration::from_secs(1);
    let mut handover = Handover::new(false, Duration::ZERO);
    assert!(handover.go_alone(&mut window(&[("one", 0), ("two", 0)]), true, 2_000 * MS, 2 * second));
    for (position, text) in [(0, "one"), (4, "two")] {
        let (print, time_ns, part) = (print(text), 2_000 * MS, PartId(0));
        handover.shipped(Sent {
            print,
            read_ns: 0,
            position,
            is_placed: true,
            time_ns,
            label_set: LabelSetId(0),
            part,
        });
    }
    assert_eq!(handover.file_line(print("zero"), -MS, 3 * second), FileLine::Ship, "from before the gap");
    assert_eq!(handover.mode(), Mode::Alone);
    assert_eq!(handover.file_line(print("three"), 2_500 * MS, 3 * second), FileLine::Ship);
    assert_eq!((handover.mode(), handover.why()), (Mode::File, Why::Unseen));
    assert!(matches!(handover.file_line(print("two"), 2_500 * MS, 3 * second), FileLine::Confirmed(_)));
    assert_eq!(handover.take_counts().unconfirmed, 1);
}

/// Rule: after bytes that were lost nobody knows where the next line stands, also where all before was found in the file.
#[test]
fn a_gap_while_alone_leaves_the_lines_after_it_without_a_place() {
    for is_found_before in [true, false] {
        let second = Duration::from_secs(1);
        let mut handover = Handover::new(false, Duration::ZERO);
        assert!(handover.go_alone(&mut window(&[("one", 0)]), true, 2_000 * MS, 2 * second));
        let sent = |text, is_placed| {
            let (print, time_ns, part) = (print(text), 2_000 * MS, PartId(0));
            Sent { print, read_ns: 0, position: 0, is_placed, time_ns, label_set: LabelSetId(0), part }
        };
        handover.shipped(sent("one", false));
        for is_lost in [!is_found_before, is_found_before] {
            match is_lost {
                true => handover.lost_captured(Why::Gap),
                false => assert!(matches!(handover.file_line(print("one"), MS, 3 * second), FileLine::Confirmed(_))),
            }
        }
        assert!(handover.is_searching() && handover.mode() == Mode::Alone);
        handover.shipped(sent("three", !handover.is_searching()));
        assert_eq!(handover.unplaced(), 1);
        assert!(matches!(handover.file_line(print("three"), MS, 3 * second), FileLine::Confirmed(_)));
        assert!(!handover.is_searching(), "it is known again");
    }
}
