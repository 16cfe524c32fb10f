//! The processes of the node, as of the last look, and who descends from whom.
//!
//! In: procfs. Out: parents, children, cgroups, and which container's first process somebody descends from. Never: a
//! process that is taken for another one which had its number before.

use super::cgroup::CgroupPlace;
use super::procfs::{ProcessId, Procfs, Stat};
use std::collections::{HashMap, HashSet};
use std::io;

/// At this age, clock ticks (hundredths of a second), a process has its descriptors and its cgroup, and is not asked
/// again. The youngest process says how late it is at the least.
const SETTLED_AGE_TICKS: u64 = 200;
/// The same after so many full looks, where no younger process tells the time.
const LOOKS_UNTIL_SETTLED: u8 = 2;
/// Generations between a process and its container's first one; more are a loop made by numbers given again.
const GENERATIONS_MAX: usize = 1_024;

/// What a process is to the container it is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing that is known.
    #[default]
    Other,
    /// Entered from outside (exec, exec probe): a child of the shim, but not the first.
    Outsider,
    /// The first process of a container.
    First,
    /// The first process of a container whose log is known: what reads pipes inside it is no shim.
    OwnedFirst,
}

/// The first process of a container, and the ID of that container.
#[derive(Clone, Debug)]
struct Descent {
    first: ProcessId,
    container: Option<String>,
}

/// A process that was seen.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) started: u64,
    pub(super) parent: u32,
    pub(super) role: Role,
    /// What it descended from before its parent ended.
    descends_from: Option<Descent>,
    full_looks: u8,
    /// It was asked when it was old enough.
    is_settled: bool,
    cgroup: Option<CgroupPlace>,
}

impl Process {
    fn is_old(&self, newest: u64) -> bool {
        self.started.saturating_add(SETTLED_AGE_TICKS) <= newest
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table {
    all: HashMap<u32, Process>,
    /// Start of the youngest process so far.
    newest: u64,
}

impl Table {
    /// Looks which processes there are. Not in full: those that were there before are taken to be the same, and only
    /// new ones and those whose parent has ended are read.
    ///
    /// # Errors
    /// The processes cannot be listed.
    pub(super) fn refresh(&mut self, procfs: &Procfs, is_full: bool) -> io::Result<()> {
        let pids: HashSet<u32> = procfs.pids()?.into_iter().collect();
        let is_asked = |pid: &u32| is_full || self.all.get(pid).is_none_or(|known| !pids.contains(&known.parent));
        let asked: Vec<u32> = pids.iter().copied().filter(is_asked).collect();
        let seen: Vec<(u32, Stat)> = asked.into_iter().filter_map(|pid| Some((pid, procfs.stat(pid)?))).collect();
        let descent = |first: ProcessId| Descent { first, container: self.container(first.pid).map(ToOwned::to_owned) };
        let adopted: Vec<(u32, Descent)> = seen
            .iter()
            .filter_map(|(pid, stat)| {
                let before = self.all.get(pid).filter(|p| p.started == stat.started && p.parent != stat.parent)?;
                Some((*pid, descent(self.first_of(before.parent)?)))
            })
            .collect();
        self.all.retain(|pid, _| pids.contains(pid));
        self.settle();
        for (pid, stat) in seen {
            self.take(pid, stat, is_full);
        }
        for (pid, descent) in adopted {
            if let Some(process) = self.all.get_mut(&pid) {
                process.descends_from = Some(descent);
            }
        }
        Ok(())
    }

    /// Those that were old enough at the last look are not asked in this one.
    fn settle(&mut self) {
        for process in self.all.values_mut().filter(|process| !process.is_settled) {
            process.is_settled = process.is_old(self.newest) || process.full_looks >= LOOKS_UNTIL_SETTLED;
        }
    }

    fn take(&mut self, pid: u32, stat: Stat, is_full: bool) {
        self.newest = self.newest.max(stat.started);
        match self.all.get_mut(&pid).filter(|known| known.started == stat.started) {
            Some(known) => {
                known.parent = stat.parent;
                known.full_looks = known.full_looks.saturating_add(u8::from(is_full));
            }
            None => {
                let new = Process {
                    started: stat.started,
                    parent: stat.parent,
                    role: Role::Other,
                    descends_from: None,
                    full_looks: 0,
                    is_settled: false,
                    cgroup: None,
                };
                self.all.insert(pid, new);
            }
        }
    }

    pub(super) fn get(&self, pid: u32) -> Option<&Process> {
        self.all.get(&pid)
    }

    pub(super) fn id(&self, pid: u32) -> Option<ProcessId> {
        self.all.get(&pid).map(|process| ProcessId { started: process.started, pid })
    }

    pub(super) fn is_alive(&self, id: ProcessId) -> bool {
        self.id(id.pid) == Some(id)
    }

    pub(super) fn set_role(&mut self, pid: u32, role: Role) {
        if let Some(process) = self.all.get_mut(&pid) {
            process.role = role;
        }
    }

    /// Those whose descriptors and cgroup may still be changing.
    pub(super) fn unsettled(&self) -> Vec<u32> {
        self.all.iter().filter(|(_, process)| !process.is_settled).map(|(pid, _)| *pid).collect()
    }

    /// The same, by the first process of the container that they are in.
    pub(super) fn unsettled_by_first(&self) -> HashMap<ProcessId, Vec<u32>> {
        let mut young: HashMap<ProcessId, Vec<u32>> = HashMap::new();
        for pid in self.unsettled() {
            if let Some(first) = self.first_of(pid) {
                young.entry(first).or_default().push(pid);
            }
        }
        young
    }

    /// Whether it has been there for a while.
    pub(super) fn is_proven(&self, pid: u32) -> bool {
        self.all.get(&pid).is_some_and(|process| process.full_looks > 0 || process.is_old(self.newest))
    }

    /// Reads the cgroups of those that are not settled, and of these alone.
    pub(super) fn read_cgroups(&mut self, procfs: &Procfs) {
        for (pid, process) in &mut self.all {
            if !process.is_settled || process.cgroup.is_none() {
                process.cgroup = Some(procfs.cgroup(*pid));
            }
        }
    }

    /// Where it is in the tree of cgroups, as of the last look at that.
    pub(super) fn cgroup(&self, pid: u32) -> Option<&CgroupPlace> {
        self.all.get(&pid)?.cgroup.as_ref()
    }

    /// Its container's ID.
    pub(super) fn container(&self, pid: u32) -> Option<&str> {
        self.cgroup(pid)?.container.as_deref()
    }

    /// Whether a process is in the container with this ID.
    pub(super) fn has_somebody_in(&self, container: &str) -> bool {
        self.all.keys().any(|pid| self.container(*pid) == Some(container))
    }

    /// Parent, its parent and so on.
    pub(super) fn ancestors(&self, pid: u32) -> impl Iterator<Item = u32> {
        let parent = |pid: &u32| self.all.get(pid).map(|process| process.parent).filter(|parent| *parent != 0);
        std::iter::successors(parent(&pid), parent).take(GENERATIONS_MAX)
    }

    /// The first process of the innermost container that it is in: itself, an ancestor, or an ancestor that has ended.
    pub(super) fn first_of(&self, pid: u32) -> Option<ProcessId> {
        let first = |pid: u32| {
            let process = self.all.get(&pid)?;
            let is_first = matches!(process.role, Role::First | Role::OwnedFirst);
            if is_first { self.id(pid) } else { process.descends_from.as_ref().map(|descent| descent.first) }
        };
        std::iter::once(pid).chain(self.ancestors(pid)).find_map(first)
    }

    /// Whether it is in a container whose log is known.
    pub(super) fn is_inside(&self, pid: u32) -> bool {
        let is_owned = |pid: u32| self.all.get(&pid).is_some_and(|process| process.role == Role::OwnedFirst);
        std::iter::once(pid).chain(self.ancestors(pid)).any(is_owned)
    }

    /// The children of each process, but for those that its containers' processes left behind when they ended.
    pub(super) fn children(&self) -> HashMap<u32, Vec<u32>> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (pid, process) in &self.all {
            if !self.is_left_behind(*pid, process) {
                children.entry(process.parent).or_default().push(*pid);
            }
        }
        children
    }

    /// Adopted by its present parent, and not a container's first process which its maker left (runc's way to start one):
    /// that one has gone into another cgroup than its maker's.
    fn is_left_behind(&self, pid: u32, process: &Process) -> bool {
        process.descends_from.as_ref().is_some_and(|from| from.container.as_deref() == self.container(pid))
    }
}
