//! The pipes that are followed, and the container instances that each may belong to.
//!
//! In: word of pipes, of container instances, the time. Out: the state of one pipe. Never: a std stream chosen by guess: a
//! pipe is bound where its lines were found in the file, or where its descriptor is known.

use super::lose;
use crate::framing::fragments::PipeLines;
use crate::handover::why::Why;
use crate::handover::window::Window;
use crate::limits::{UNKNOWN_PIPE_KEPT, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN};
use crate::pipeline::Pipeline;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::sources::file::names::pod_folder;
use crate::types::capture::{Cookie, Owner, Pipe, PipeEvent};
use crate::types::position::StdStream;
use crate::types::time::Now;
use std::collections::HashMap;
use std::time::Duration;

/// One followed pipe.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct PipeState {
    pub(in crate::pipeline) lines: PipeLines,
    /// What was captured and not shipped.
    pub(in crate::pipeline) window: Window,
    /// The std stream that it is.
    pub(in crate::pipeline) bound: Option<(InstanceKey, StdStream)>,
    /// What is known of it; fragments may come before that.
    known: Option<Pipe>,
    /// Container instances of which it may be a std stream.
    candidates: Vec<InstanceKey>,
    is_gone: bool,
    first_seen: Duration,
}

impl PipeState {
    /// Memory held, bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.window.memory_bytes() + self.lines.memory_bytes()
    }

    /// Container instances that it is, or may be, a std stream of.
    pub(super) fn instances(&self) -> impl Iterator<Item = InstanceKey> {
        let bound = self.bound.map(|(key, _)| key);
        let candidates = self.candidates.iter().copied().filter(move |_| bound.is_none());
        bound.into_iter().chain(candidates)
    }

    /// Whether it is known to be this std stream of the instance that owns it, without a look at its lines.
    pub(super) fn is_certainly(&self, std_stream: StdStream) -> bool {
        let is_exact = |pipe: &Pipe| matches!(pipe.owner, Owner::Instance { .. });
        self.known.as_ref().is_some_and(|pipe| is_exact(pipe) && pipe.std_stream == Some(std_stream))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Pipes {
    all: HashMap<Cookie, Box<PipeState>>,
    /// Memory that one window may take, bytes.
    pub(super) window_bytes: usize,
    /// Memory that all windows and open lines may take, bytes.
    pub(super) bytes_max: usize,
}

impl Pipes {
    /// Takes out a pipe, to be put back. What comes of one that is not known yet is kept for a while.
    pub(super) fn take(&mut self, cookie: Cookie, now: Now) -> Option<Box<PipeState>> {
        let new = || Box::new(PipeState { first_seen: now.mono, ..PipeState::default() });
        Some(self.all.remove(&cookie).unwrap_or_else(new)).filter(|pipe| !pipe.is_gone || pipe.known.is_some())
    }

    pub(super) fn put_back(&mut self, cookie: Cookie, pipe: Box<PipeState>) {
        self.all.insert(cookie, pipe);
    }

    pub(super) fn get(&self, cookie: Cookie) -> Option<&PipeState> {
        self.all.get(&cookie).map(|pipe| &**pipe)
    }

    /// Pipes that may be a std stream of `key` and are none yet.
    pub(super) fn candidates(&self, key: InstanceKey) -> Vec<Cookie> {
        let is_free = |pipe: &PipeState| pipe.bound.is_none() && pipe.candidates.contains(&key);
        let mut free: Vec<Cookie> =
            self.all.iter().filter(|(_, pipe)| is_free(pipe)).map(|(cookie, _)| *cookie).collect();
        free.sort_unstable();
        free
    }

    /// The pipe with waiting lines that is known to be this std stream, and is not bound yet.
    pub(super) fn certain(&self, key: InstanceKey, std_stream: StdStream) -> Option<Cookie> {
        let is_it = |pipe: &PipeState| {
            !pipe.window.is_empty()
                && pipe.bound.is_none()
                && pipe.candidates.contains(&key)
                && pipe.is_certainly(std_stream)
        };
        self.all.iter().find(|(_, pipe)| is_it(pipe)).map(|(cookie, _)| *cookie)
    }

    /// Container instances of which captured lines wait.
    pub(super) fn with_lines(&self) -> impl Iterator<Item = InstanceKey> {
        self.all.values().filter(|pipe| !pipe.window.is_empty()).flat_map(|pipe| pipe.instances())
    }

    /// Forgets what waits in all windows; how many bytes that were.
    pub(super) fn clear_windows(&mut self) -> usize {
        let mut bytes = 0;
        for pipe in self.all.values_mut() {
            let before = pipe.memory_bytes();
            pipe.window.clear();
            bytes += before - pipe.memory_bytes().min(before);
        }
        bytes
    }

    /// Shares the memory out.
    pub(in crate::pipeline) fn set_budget(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.window_bytes = (bytes_max / self.all.len().max(1)).clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
    }
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    pub(super) fn take_pipe_event(&mut self, event: PipeEvent, now: Now) {
        match event {
            PipeEvent::Found(pipe) => {
                let Some(mut state) = self.capture.pipes.take(pipe.cookie, now) else { return };
                let cookie = pipe.cookie;
                state.known = Some(pipe);
                state.candidates = self.owned_by(&state);
                self.capture.due.extend(state.instances());
                self.capture.pipes.put_back(cookie, state);
                self.share_capture_memory();
            }
            PipeEvent::Gone(cookie) => {
                if let Some(pipe) = self.capture.pipes.all.get_mut(&cookie) {
                    pipe.is_gone = true;
                }
            }
            PipeEvent::Skipped => self.lose_all(),
        }
    }

    /// Container instances that the owner of a pipe may stand for.
    fn owned_by(&self, pipe: &PipeState) -> Vec<InstanceKey> {
        let Some(pipe) = &pipe.known else { return Vec::new() };
        let is_owner = |container: &crate::pipeline::containers::Container| match &pipe.owner {
            Owner::Instance { pod_folder, container: name, restart } => {
                container.pod_folder == *pod_folder && container.name == *name && container.restart == *restart
            }
            Owner::Pod { uid } => pod_folder(&container.pod_folder).is_some_and(|folder| folder.uid == uid),
        };
        self.containers.iter().filter(|(_, container)| is_owner(container)).map(|(key, _)| *key).collect()
    }

    /// A container instance has appeared: pipes may be its.
    pub(in crate::pipeline) fn find_pipes_of(&mut self, key: InstanceKey) {
        let cookies: Vec<Cookie> = self.capture.pipes.all.keys().copied().collect();
        for cookie in cookies {
            let owners = self.capture.pipes.get(cookie).map(|pipe| self.owned_by(pipe)).unwrap_or_default();
            if let Some(pipe) = self.capture.pipes.all.get_mut(&cookie).filter(|_| owners.contains(&key)) {
                pipe.candidates = owners;
                self.capture.due.insert(key);
            }
        }
    }

    /// A container instance is let go: its pipes are nobody's.
    pub(in crate::pipeline) fn unbind_pipes_of(&mut self, key: InstanceKey) {
        for pipe in self.capture.pipes.all.values_mut() {
            pipe.candidates.retain(|candidate| *candidate != key);
            pipe.bound = pipe.bound.filter(|(bound, _)| *bound != key);
        }
    }

    /// Bytes of any pipe may be missing.
    fn lose_all(&mut self) {
        let cookies: Vec<Cookie> = self.capture.pipes.all.keys().copied().collect();
        for cookie in cookies {
            let Some(mut pipe) = self.capture.pipes.all.remove(&cookie) else { continue };
            let before = pipe.memory_bytes();
            pipe.lines.tear(&mut |_| {});
            let ready = pipe.bound.and_then(|(key, std_stream)| {
                let ready = self.containers.get_mut(&key)?.ready.as_deref_mut()?;
                Some((ready, std_stream))
            });
            lose(&mut pipe, ready, Why::Skipped);
            self.capture.bytes = (self.capture.bytes + pipe.memory_bytes()).saturating_sub(before);
            self.capture.pipes.put_back(cookie, pipe);
        }
    }

    /// Lets go of pipes from which nothing more comes: what they had was taken out of the ring.
    pub(super) fn end_gone_pipes(&mut self, now: Now) {
        let is_over =
            |pipe: &PipeState| pipe.is_gone || (pipe.known.is_none() && now.mono > pipe.first_seen + UNKNOWN_PIPE_KEPT);
        let Self { capture, containers, .. } = self;
        let mut bytes = 0;
        capture.pipes.all.retain(|cookie, pipe| {
            if !is_over(pipe) {
                return true;
            }
            bytes += pipe.memory_bytes();
            let stream = pipe.bound.and_then(|(key, std_stream)| {
                containers.get_mut(&key)?.ready.as_mut()?.streams.get_mut(std_stream.index())
            });
            if let Some(stream) = stream.filter(|stream| stream.pipe == Some(*cookie)) {
                stream.handover.fall_back(Why::PipeGone);
                stream.pipe = None;
            }
            false
        });
        capture.bytes = capture.bytes.saturating_sub(bytes);
    }
}
