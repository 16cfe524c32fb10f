//! Real processes on the real procfs: what is found, and what is not.

use super::logger::{Logger, Writer, id, known, owner, until};
use crate::types::position::StdStream::{self, Stderr, Stdout};
use std::collections::BTreeMap;

/// What a fresh looker knows of the only writer of a logger.
fn found(script: &str, expected: impl Fn(Writer) -> Vec<(u64, Option<StdStream>)>) {
    let mut logger = Logger::start();
    let writer = logger.spawn(script);
    let expected: BTreeMap<_, _> =
        expected(writer).into_iter().map(|(inode, std_stream)| (inode, (std_stream, writer.pid))).collect();
    let mut looker = logger.looker();
    for _ in 0..4 {
        until(script, || {
            looker.look(true).unwrap();
            known(&looker) == expected
        });
    }
}

fn both(writer: Writer) -> Vec<(u64, Option<StdStream>)> {
    vec![(writer.out, Some(Stdout)), (writer.err, Some(Stderr))]
}

fn both_uncertain(writer: Writer) -> Vec<(u64, Option<StdStream>)> {
    vec![(writer.out, None), (writer.err, None)]
}

#[test]
fn two_pipes_are_stdout_and_stderr_of_the_log_that_their_reader_writes() {
    let mut logger = Logger::start();
    let writer = logger.spawn("exec sleep 60");
    let mut looker = logger.looker();
    let difference = looker.look(true).unwrap();
    assert_eq!((difference.found.len(), difference.changed.len(), difference.gone.len()), (2, 0, 0));
    for pipe in &difference.found {
        assert_eq!((pipe.reader, &pipe.owner), (logger.pid(), &owner()));
        assert_eq!((pipe.ends.reader, pipe.ends.writer), (id(logger.pid()), id(writer.pid)));
        let path = format!("/proc/{}/fd/{}", writer.pid, if pipe.inode == writer.out { 1 } else { 2 });
        let device = rustix::fs::stat(path).unwrap().st_dev;
        assert_eq!(pipe.device, rustix::fs::major(device) << 20 | rustix::fs::minor(device));
    }
    assert!(looker.look(false).unwrap().is_empty() && looker.look(true).unwrap().is_empty());
}

#[test]
fn a_pipe_between_two_processes_of_the_container_is_none() {
    found(": >$D/ready; sleep 60 | sleep 60", both);
}

#[test]
fn a_pipe_that_a_process_of_the_container_reads_from_its_child_is_none() {
    found(": >$D/ready; x=$(sleep 60)", both);
}

#[test]
fn a_tee_writes_to_the_containers_stdout() {
    found(": >$D/ready; sleep 60 | tee $D/copy", both);
}

#[test]
fn stderr_sent_to_stdout_is_one_pipe_of_which_nothing_is_certain() {
    found("exec 2>&1; : >$D/ready; exec sleep 60", |writer| vec![(writer.out, None)]);
}

#[test]
fn stdout_sent_to_a_file_leaves_stderr() {
    found("exec >$D/out; : >$D/ready; exec sleep 60", |writer| vec![(writer.err, None)]);
}

#[test]
fn stdout_and_stderr_sent_nowhere_leave_nothing() {
    found("exec >/dev/null 2>&1; : >$D/ready; exec sleep 60", |_| Vec::new());
}

#[test]
fn swapped_descriptors_are_found_and_nothing_is_certain() {
    found("exec 3>&1 1>&2 2>&3 3>&-; : >$D/ready; exec sleep 60", both_uncertain);
}

#[test]
fn a_pipe_kept_at_another_descriptor_is_found() {
    found("exec 7>&1 >/dev/null; : >$D/ready; exec sleep 60", both_uncertain);
}

#[test]
fn a_descendant_holds_the_pipes_that_the_first_process_closed() {
    found("(sleep 60; :) & exec >/dev/null 2>&1; : >$D/ready; wait", both_uncertain);
}

#[test]
fn a_daemon_holds_the_pipes_after_its_parent_ended_and_the_first_process_closed_them() {
    let mut logger = Logger::start();
    let writer = logger.spawn("(sleep 60 & : >$D/ready); until [ -e $D/go ]; do sleep 0.01; done; exec >/dev/null 2>&1; : >$D/closed; exec sleep 60");
    let mut looker = logger.looker();
    until("both pipes are found", || looker.look(true).is_ok() && known(&looker).len() == 2);
    std::fs::write(logger.folder.path().join("go"), "").unwrap();
    until("the first process closed them", || logger.folder.path().join("closed").exists());
    for _ in 0..4 {
        assert!(looker.look(true).unwrap().is_empty());
    }
    assert_eq!(known(&looker).keys().copied().collect::<Vec<_>>(), [writer.out, writer.err]);
}

#[test]
fn who_enters_from_outside_does_not_count_also_when_the_first_process_is_over() {
    let mut logger = Logger::start();
    let first = logger.spawn("exec sleep 60");
    let mut looker = logger.looker();
    until("the first is found", || looker.look(true).is_ok() && known(&looker).len() == 2);
    let outsider = logger.spawn(": >$D/ready; sleep 60 & wait");
    for is_full in [false, true, false, true] {
        assert!(looker.look(is_full).unwrap().is_empty());
    }
    first.kill();
    until("the first is gone", || looker.look(true).is_ok() && known(&looker).is_empty());
    assert!(looker.look(true).unwrap().is_empty());
    let next = logger.spawn("exec sleep 60");
    until("the next writer is found", || looker.look(false).is_ok() && known(&looker).len() == 2);
    assert!(known(&looker).values().all(|(_, writer)| *writer == next.pid));
    outsider.kill();
}

#[test]
fn of_several_children_the_oldest_counts_at_the_first_look() {
    let mut logger = Logger::start();
    let first = logger.spawn("exec sleep 60");
    // Start times count in hundredths of a second.
    until("another tick", || std::fs::read_to_string("/proc/uptime").is_ok() && tick_after(first.pid));
    logger.spawn(": >$D/ready; exec sleep 60");
    let mut looker = logger.looker();
    looker.look(true).unwrap();
    assert_eq!(known(&looker).keys().copied().collect::<Vec<_>>(), [first.out, first.err]);
}

/// Whether a process that started now would be younger.
fn tick_after(pid: u32) -> bool {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let is_younger = id(child.id()).started > id(pid).started;
    child.kill().unwrap();
    child.wait().unwrap();
    is_younger
}

#[test]
fn a_log_file_that_is_not_in_the_log_directory_says_nothing() {
    let mut logger = Logger::start();
    logger.spawn(": >$D/ready; exec sleep 60");
    let mut places = logger.places();
    places.log_dir = "/var/log/pods".into();
    let mut looker = super::super::Looker::new(places).unwrap();
    looker.look(true).unwrap();
    assert_eq!(known(&looker), BTreeMap::new());
}
