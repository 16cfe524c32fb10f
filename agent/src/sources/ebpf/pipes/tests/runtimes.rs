//! The runtimes' ways, on made-up trees: shims with several containers, exec, monitors, cgroups of all kinds.

use super::super::Looker;
use super::made_up::{MadeUp, Open::Read, Open::Write};
use crate::types::capture::Owner;
use crate::types::position::StdStream::{Stderr, Stdout};

const SHIM: u32 = 100;

fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn v2(pod: &str, id: &str) -> String {
    format!("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice/cri-containerd-{id}.scope")
}

fn v1(pod: &str, id: &str) -> String {
    format!("5:pids:/kubepods/burstable/pod{pod}/{id}\n1:name=systemd:/kubepods/burstable/pod{pod}/{id}\n0::/")
}

fn pod(uid: &str) -> Owner {
    Owner::Pod { uid: uid.into() }
}

fn instance(container: &str, restart: u32) -> Owner {
    Owner::Instance { pod_folder: "ns_pod_uid".into(), container: container.into(), restart }
}

/// A shim that has nothing yet, and the sandbox's process, which every pod has.
fn shim(tree: &MadeUp, cgroup: impl Fn(&str, &str) -> String) {
    tree.process(1, 0, 1, "0::/init.scope");
    tree.process(SHIM, 1, 50, "0::/system.slice/containerd.service");
    tree.process(110, SHIM, 60, &cgroup("u1", &id('5')));
}

/// A process with its stdout and stderr in pipes `inode` and `inode + 1`, which `reader` reads.
fn piped(tree: &MadeUp, pid: u32, reader: u32, inode: u64) {
    let descriptor = u32::try_from(inode).unwrap();
    for n in 0..2 {
        tree.pipe(pid, n + 1, inode + u64::from(n), Write);
        tree.pipe(reader, descriptor + n, inode + u64::from(n), Read);
    }
}

fn seen(looker: &Looker) -> Vec<(u64, u32, Owner)> {
    looker.pipes().map(|pipe| (pipe.inode, pipe.ends.writer.pid, pipe.owner.clone())).collect()
}

#[test]
fn a_shim_serves_two_containers_each_with_its_own_first_process() {
    for cgroup in [v1, v2] {
        let tree = MadeUp::new();
        shim(&tree, cgroup);
        for (pid, letter, started, inode) in [(120, 'a', 70, 1_000), (130, 'b', 80, 2_000)] {
            tree.process(pid, SHIM, started, &cgroup("u1", &id(letter)));
            piped(&tree, pid, SHIM, inode);
        }
        tree.link(&id('b'), "ns_pod_uid/side/3.log");
        let mut looker = tree.looker();
        looker.look(true).unwrap();
        let (a, b) = (pod("u1"), instance("side", 3));
        let expected = [(1_000, 120, a.clone()), (1_001, 120, a), (2_000, 130, b.clone()), (2_001, 130, b)];
        assert_eq!(seen(&looker), expected);
        let std_streams: Vec<_> = looker.pipes().map(|pipe| pipe.std_stream).collect();
        assert_eq!(std_streams, [Some(Stdout), Some(Stderr), Some(Stdout), Some(Stderr)]);
    }
}

#[test]
fn an_owner_is_made_exact_when_the_kubelet_has_made_its_link() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    piped(&tree, 120, SHIM, 1_000);
    let mut looker = tree.looker();
    assert_eq!(looker.look(true).unwrap().found[0].owner, pod("u1"));
    tree.link(&id('a'), "ns_pod_uid/app/0.log");
    let difference = looker.look(false).unwrap();
    assert_eq!((difference.found.len(), difference.changed.len(), difference.gone.len()), (0, 2, 0));
    assert_eq!(difference.changed[1].owner, instance("app", 0));
    assert!(looker.look(true).unwrap().is_empty());
}

#[test]
fn who_is_executed_in_a_container_does_not_count_whoever_reads_its_pipes() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    // A first process without pipes (a terminal), a probe, and one by another monitor in the same container.
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    tree.process(121, SHIM, 90, &v2("u1", &id('a')));
    piped(&tree, 121, SHIM, 1_000);
    tree.process(101, 1, 91, "0::/system.slice/containerd.service");
    tree.process(122, 101, 92, &v2("u1", &id('a')));
    piped(&tree, 122, 101, 2_000);
    let mut looker = tree.looker();
    for is_full in [true, false, true] {
        assert!(looker.look(is_full).unwrap().is_empty());
    }
    tree.end(120);
    for is_full in [false, true, true] {
        assert!(looker.look(is_full).unwrap().is_empty());
    }
}

/// `runc create` has children in the container's cgroup which end before the container's own first process is there.
#[test]
fn what_starts_a_container_is_not_its_first_process() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    let mut looker = tree.looker();
    tree.process(150, SHIM, 65, "0::/system.slice/containerd.service");
    tree.process(160, 150, 66, &v2("u1", &id('a')));
    piped(&tree, 160, SHIM, 1_000);
    looker.look(true).unwrap();
    tree.process(161, 150, 67, &v2("u1", &id('a')));
    for n in 0..2 {
        tree.pipe(161, n + 1, 1_000 + u64::from(n), Write);
    }
    tree.end(160);
    looker.look(false).unwrap();
    tree.end(150);
    tree.process(161, SHIM, 67, &v2("u1", &id('a')));
    looker.look(false).unwrap();
    assert_eq!(seen(&looker), [(1_000, 161, pod("u1")), (1_001, 161, pod("u1"))]);
}

#[test]
fn a_container_is_found_while_its_runtime_starts_it() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    let mut looker = tree.looker();
    looker.look(true).unwrap();
    // The runtime makes the process in its own cgroup, moves it, and ends.
    tree.process(119, SHIM, 69, "0::/system.slice/containerd.service");
    piped(&tree, 119, SHIM, 1_000);
    tree.process(120, 119, 70, "0::/system.slice/containerd.service");
    tree.pipe(120, 1, 1_000, Write);
    tree.pipe(120, 2, 1_001, Write);
    // Through another pipe it tells its maker how that goes.
    tree.pipe(120, 7, 500, Write);
    tree.pipe(119, 8, 500, Read);
    assert!(looker.look(false).unwrap().is_empty());
    tree.process(120, 119, 70, &v2("u1", &id('a')));
    assert!(looker.look(false).unwrap().is_empty());
    tree.end(119);
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    looker.look(false).unwrap();
    assert_eq!(seen(&looker), [(1_000, 120, pod("u1")), (1_001, 120, pod("u1"))]);
}

#[test]
fn a_monitor_that_writes_the_log_itself_says_whose_it_is() {
    let tree = MadeUp::new();
    tree.process(1, 0, 1, "0::/init.scope");
    let slice = "0::/kubepods.slice/kubepods-podu1.slice";
    tree.process(SHIM, 1, 50, &format!("{slice}/crio-conmon-{}.scope", id('a')));
    tree.log(SHIM, 5, "ns_pod_uid/app/2.log");
    // As conmon's runtime does it: the first process is its grandchild, and adopted.
    tree.process(119, SHIM, 69, "0::/system.slice/crio.service");
    piped(&tree, 119, SHIM, 1_000);
    let mut looker = tree.looker();
    looker.look(true).unwrap();
    tree.process(120, 119, 70, &format!("{slice}/crio-{}.scope", id('a')));
    tree.pipe(120, 1, 1_000, Write);
    tree.pipe(120, 2, 1_001, Write);
    looker.look(false).unwrap();
    tree.end(119);
    tree.process(120, SHIM, 70, &format!("{slice}/crio-{}.scope", id('a')));
    looker.look(false).unwrap();
    assert_eq!(seen(&looker), [(1_000, 120, instance("app", 2)), (1_001, 120, instance("app", 2))]);
}

#[test]
fn a_daemon_that_logs_what_comes_through_named_pipes_is_no_shim() {
    let tree = MadeUp::new();
    tree.process(1, 0, 1, "0::/init.scope");
    let cgroup = "0::/system.slice/containerd.service";
    // containerd: it writes the log; its shims are its children, and it reads what their starters say.
    tree.process(90, 1, 40, cgroup);
    tree.log(90, 5, "ns_pod_uid/app/0.log");
    tree.fifo(90, 6);
    tree.process(SHIM, 90, 50, cgroup);
    tree.process(91, 90, 51, cgroup);
    piped(&tree, 91, 90, 3_000);
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    piped(&tree, 120, SHIM, 1_000);
    let mut looker = tree.looker();
    for is_full in [true, false, true] {
        looker.look(is_full).unwrap();
        assert_eq!(seen(&looker), [(1_000, 120, pod("u1")), (1_001, 120, pod("u1"))]);
    }
}

#[test]
fn a_supervisor_inside_a_container_is_no_shim() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    piped(&tree, 120, SHIM, 1_000);
    tree.process(121, 120, 80, &v2("u1", &id('a')));
    piped(&tree, 121, 120, 2_000);
    // A container in the container.
    tree.process(122, 120, 81, &v2("u1", &id('a')));
    tree.process(123, 122, 82, &format!("{}/docker/{}", v2("u1", &id('a')), id('d')));
    piped(&tree, 123, 122, 3_000);
    let mut looker = tree.looker();
    for is_full in [true, false, true] {
        looker.look(is_full).unwrap();
        assert_eq!(seen(&looker).iter().map(|(inode, ..)| *inode).collect::<Vec<_>>(), [1_000, 1_001]);
    }
}

#[test]
fn descendants_count_with_any_descriptor_also_where_the_first_process_has_none_left() {
    let tree = MadeUp::new();
    shim(&tree, v1);
    tree.process(120, SHIM, 70, &v1("u1", &id('a')));
    tree.process(121, 120, 71, &v1("u1", &id('a')));
    tree.process(122, 121, 72, &v1("u1", &id('a')));
    tree.pipe(122, 9, 1_000, Write);
    tree.pipe(SHIM, 10, 1_000, Read);
    // The shim's stdin pipe, and a read end that was inherited: nobody in the container writes these.
    tree.pipe(120, 0, 900, Read);
    tree.pipe(SHIM, 11, 900, Write);
    tree.pipe(122, 8, 901, Read);
    tree.pipe(SHIM, 12, 901, Read);
    let mut looker = tree.looker();
    looker.look(true).unwrap();
    assert_eq!(seen(&looker), [], "the runtime may still be starting it");
    looker.look(true).unwrap();
    assert_eq!(seen(&looker), [(1_000, 120, pod("u1"))]);
}

#[test]
fn a_pipe_stays_until_its_reader_closes_it_and_another_reader_is_another_following() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    piped(&tree, 120, SHIM, 1_000);
    let mut looker = tree.looker();
    looker.look(true).unwrap();
    tree.end(120);
    assert!(looker.look(true).unwrap().is_empty(), "what is in the pipe is still to come");
    tree.close(SHIM, 1_000);
    let gone: Vec<u64> = looker.look(false).unwrap().gone.iter().map(|pipe| pipe.inode).collect();
    assert_eq!(gone, [1_000]);
    // The inode of the other is given again, to a container of another shim.
    tree.close(SHIM, 1_001);
    tree.process(200, 1, 150, "0::/system.slice/containerd.service");
    tree.process(220, 200, 170, &v2("u2", &id('b')));
    piped(&tree, 220, 200, 1_001);
    let difference = looker.look(false).unwrap();
    assert_eq!((difference.gone[0].reader, difference.gone.len()), (SHIM, 1));
    assert_eq!(seen(&looker), [(1_001, 220, pod("u2")), (1_002, 220, pod("u2"))]);
    assert_eq!(difference.found.len(), 2);
}

#[test]
fn a_process_number_given_again_is_another_process() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    piped(&tree, 120, SHIM, 1_000);
    let mut looker = tree.looker();
    looker.look(true).unwrap();
    // Shim and first process went between two looks; their numbers are somebody else's.
    tree.process(SHIM, 1, 500, "0::/user.slice");
    tree.process(120, 1, 501, "0::/user.slice");
    let difference = looker.look(true).unwrap();
    assert_eq!((difference.gone.len(), seen(&looker)), (2, Vec::new()));
}

#[test]
fn without_a_pod_or_a_link_nobody_knows_the_log() {
    let tree = MadeUp::new();
    tree.process(SHIM, 1, 50, "0::/system.slice/docker.service");
    tree.process(120, SHIM, 70, &format!("0::/docker/{}", id('a')));
    piped(&tree, 120, SHIM, 1_000);
    let mut looker = tree.looker();
    assert!(looker.look(true).unwrap().is_empty());
    tree.link(&id('a'), "ns_pod_uid/app/1.log");
    looker.look(false).unwrap();
    assert_eq!(seen(&looker), [(1_000, 120, instance("app", 1)), (1_001, 120, instance("app", 1))]);
}

#[test]
fn who_is_old_is_asked_once_and_who_is_young_again() {
    let tree = MadeUp::new();
    shim(&tree, v2);
    tree.process(120, SHIM, 70, &v2("u1", &id('a')));
    tree.process(200, 1, 890, "0::/system.slice/containerd.service");
    tree.process(130, 200, 900, &v2("u2", &id('b')));
    let mut looker = tree.looker();
    looker.look(true).unwrap();
    piped(&tree, 120, SHIM, 1_000);
    piped(&tree, 130, 200, 2_000);
    looker.look(false).unwrap();
    assert_eq!(seen(&looker).iter().map(|(inode, ..)| *inode).collect::<Vec<_>>(), [2_000, 2_001]);
}

#[test]
fn a_tree_that_is_torn_or_odd_gives_nothing_and_no_failure() {
    let tree = MadeUp::new();
    tree.process(2, 3, 5, "");
    tree.process(3, 2, 5, "rubbish");
    tree.pipe(2, 1, 7, Write);
    tree.pipe(3, 4, 7, Read);
    let mut looker = tree.looker();
    for is_full in [true, false, true] {
        assert!(looker.look(is_full).unwrap().is_empty());
    }
}
