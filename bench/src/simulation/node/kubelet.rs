//! What the kubelet and others do to the files: rotation, packing, deletion, copytruncate, the end of a container.
//!
//! In: when. Out: names and content on the fake disk; lines that nobody can have any more are excused in the books.

use super::{Format, Handle, Node, Pending, Rotated, open_live};
use crate::simulation::lines::{Excuse, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Node {
    /// The kubelet rotates: by renaming, and the runtime opens anew.
    pub(in crate::simulation) fn rotate(&mut self, at: usize, now: Duration) {
        if self.containers[at].live.is_none() || self.containers[at].old.is_some() {
            return;
        }
        self.flush(at, self.containers[at].unwritten.len());
        self.tidy(at);
        let Some(live) = self.containers[at].live.take() else { return };
        if self.fs.borrow().node(live.inode).is_none_or(|node| node.bytes.is_empty()) {
            self.containers[at].live = Some(live);
            return;
        }
        self.rotations += 1;
        let container = &mut self.containers[at];
        let name = container.dir.join(format!("{}.log", container.restart));
        let to = container.dir.join(format!("{}.log.{}", container.restart, suffix(self.rotations)));
        self.fs.borrow_mut().rename(&name, &to);
        self.book.tell(|| format!("  rotated to {}, file {}", to.display(), live.file));
        container.rotated.push(Rotated { path: to, file: live.file, is_gzip: false });
        for std_stream in 0..2 {
            if container.format == Format::Cri
                && self.random.bool()
                && let Some(pending) = &mut container.pending[std_stream]
                && !pending.rest.is_empty()
            {
                let bytes = self.random.usize(1..=pending.rest.len());
                let content: Vec<u8> = pending.rest.drain(..bytes).collect();
                self.kernel.borrow_mut().left(container.pipes[std_stream], &content, self.wall_ns);
                container.late.push((std_stream, pending.line, content));
            }
        }
        container.old = Some(live);
        container.old_until = now + Duration::from_millis(self.random.u64(..800));
        container.live = Some(open_live(&self.fs, &mut self.book, container));
    }

    /// Closes old files whose time has come: the runtime does so soon after a rotation.
    pub(in crate::simulation) fn close_due(&mut self, now: Duration) {
        for at in 0..self.containers.len() {
            if now >= self.containers[at].old_until {
                self.close_old(at);
            }
        }
    }

    /// When the runtime does something next: closes an old file, or writes what it has read.
    pub(in crate::simulation) fn next_due(&self) -> Option<Duration> {
        let close_at = self.containers.iter().filter(|container| container.old.is_some()).map(|it| it.old_until);
        close_at.chain(self.containers.iter().filter_map(|container| container.write_at)).min()
    }

    /// The runtime flushes its half lines into the old file and closes it.
    pub(in crate::simulation) fn close_old(&mut self, at: usize) {
        let late = std::mem::take(&mut self.containers[at].late);
        let Some(old) = self.containers[at].old.take() else { return };
        for (std_stream, line, content) in late {
            let physical = self.physical(at, std_stream, &content, false);
            let offset = self.fs.borrow().node(old.inode).map_or(0, |node| node.bytes.len());
            self.part_before(line, std_stream, old.file, offset as u64);
            self.fs.borrow_mut().append(old.inode, &physical);
        }
        let mut fs = self.fs.borrow_mut();
        if let Some(node) = fs.node(old.inode) {
            self.book.learn_id(old.file, &node.bytes);
        }
        fs.close(old.inode);
    }

    /// A part in an older file than the rest, which may stand in the newer one already.
    fn part_before(&mut self, line: usize, std_stream: usize, file: usize, offset: u64) {
        let place = |file: usize| self.book.files[file].place;
        let known = &self.book.lines[line];
        let (is_complete, last) = (known.is_complete, known.last_file.filter(|last| place(*last) > place(file)));
        if let Some((newer, _)) = known.start.filter(|(start, _)| place(*start) > place(file)) {
            self.book.files[newer].starts.retain(|(.., number)| *number != line);
            self.book.lines[line].start = None;
        }
        self.book.part(line, std_stream, file, offset, is_complete);
        if last.is_some() {
            self.book.lines[line].last_file = last;
        }
    }

    /// Packs the newest rotated file, deletes those beyond three.
    fn tidy(&mut self, at: usize) {
        if self.random.u8(..4) > 0
            && let Some(rotated) = self.containers[at].rotated.last_mut().filter(|rotated| !rotated.is_gzip)
        {
            let mut fs = self.fs.borrow_mut();
            let content = fs.content(&rotated.path).unwrap_or_default();
            let packed = PathBuf::from(format!("{}.gz", rotated.path.display()));
            fs.create(&packed, content, rotated.file, true, false);
            fs.unlink(&rotated.path);
            (rotated.path, rotated.is_gzip) = (packed, true);
        }
        while self.containers[at].rotated.len() > 3 {
            let rotated = self.containers[at].rotated.remove(0);
            self.delete(&rotated.path, rotated.file);
        }
    }

    fn delete(&mut self, path: &Path, file: usize) {
        self.book.tell(|| format!("  {} is deleted, file {file}", path.display()));
        self.fs.borrow_mut().unlink(path);
        self.book.files[file].names -= 1;
        if self.book.files[file].names == 0 && !self.fs.borrow().is_held(file) {
            self.book.excuse(file, Excuse::Gone);
        }
    }

    /// The agent died: what only its descriptors kept alive is gone.
    pub(in crate::simulation) fn agent_died(&mut self) {
        for file in 0..self.book.files.len() {
            if self.book.files[file].names == 0 {
                self.book.excuse(file, Excuse::Gone);
            }
        }
    }

    /// Somebody copies the live file and empties it.
    pub(in crate::simulation) fn copy_and_truncate(&mut self, at: usize, now: Duration) {
        if self.containers[at].live.is_none() {
            return;
        }
        self.close_old(at);
        self.flush(at, self.containers[at].unwritten.len());
        self.tidy(at);
        let Some(live) = &self.containers[at].live else { return };
        let (inode, file) = (live.inode, live.file);
        let content = self.fs.borrow().node(inode).map(|node| node.bytes.clone()).unwrap_or_default();
        // Before the first look at a file nobody can know that it was emptied.
        let is_known = self.book.files[file].starts.iter().any(|(.., line)| self.book.lines[*line].stored.is_some());
        let was_read = self.fs.borrow().node(inode).is_some_and(|node| node.was_read);
        if content.is_empty() || !is_known || !was_read || !self.fs.borrow().is_held(file) {
            return;
        }
        self.rotations += 1;
        let container = &mut self.containers[at];
        let path = container.dir.join(format!("{}.log.{}", container.restart, suffix(self.rotations)));
        let mut fs = self.fs.borrow_mut();
        fs.create(&path, content, file, false, false);
        container.rotated.push(Rotated { path, file, is_gzip: false });
        fs.truncate(inode);
        let new = File {
            place: (container.instance, container.files),
            starts: Vec::new(),
            id: None,
            names: 1,
            ..self.book.files[file].clone()
        };
        container.files += 1;
        self.book.files.push(new);
        let number = self.book.files.len() - 1;
        fs.set_tag(inode, number);
        container.live = Some(Handle { inode, file: number });
        container.quiet_until = now + Duration::from_secs(5);
    }

    /// The container ends: a last line without its newline stays a part for ever.
    pub(in crate::simulation) fn end(&mut self, at: usize) {
        self.close_old(at);
        for std_stream in 0..2 {
            let Some(Pending { line, rest }) = self.containers[at].pending[std_stream].take() else { continue };
            if rest.is_empty() || self.containers[at].format == Format::Docker {
                self.containers[at].pending[std_stream] = Some(Pending { line, rest });
                self.emit(at, std_stream, true);
                continue;
            }
            let physical = self.physical(at, std_stream, &rest, false);
            self.leave_pipe(at, std_stream, &rest, false);
            let container = &mut self.containers[at];
            if let Some(live) = &container.live {
                let written = self.fs.borrow().node(live.inode).map_or(0, |node| node.bytes.len());
                self.book.part(line, std_stream, live.file, (written + container.unwritten.len()) as u64, true);
            }
            container.unwritten.extend_from_slice(&physical);
        }
        self.flush(at, self.containers[at].unwritten.len());
        let container = &mut self.containers[at];
        if let Some(live) = container.live.take() {
            self.fs.borrow_mut().close(live.inode);
            self.kernel.borrow_mut().close(container.pipes);
            let path = container.dir.join(format!("{}.log", container.restart));
            container.rotated.push(Rotated { path, file: live.file, is_gzip: false });
        }
    }

    /// Starts it again, with the next number. Files of the instance before the last one go.
    pub(in crate::simulation) fn restart(&mut self, at: usize) {
        if self.containers[at].is_deleted {
            return;
        }
        if self.containers[at].live.is_some() {
            self.end(at);
        }
        for (path, file) in std::mem::take(&mut self.containers[at].before) {
            self.delete(&path, file);
        }
        let container = &mut self.containers[at];
        container.before = container.rotated.drain(..).map(|rotated| (rotated.path, rotated.file)).collect();
        container.restart += 1;
        let (pod, is_json) = (container.pod, container.is_json);
        self.start_instance(at, pod, is_json);
    }

    /// The pod is deleted, and all its files.
    pub(in crate::simulation) fn delete_pod(&mut self, pod: usize) {
        for at in 0..self.containers.len() {
            if self.containers[at].pod != pod || self.containers[at].is_deleted {
                continue;
            }
            self.end(at);
            self.containers[at].is_deleted = true;
            let files: Vec<_> =
                self.containers[at].rotated.drain(..).map(|rotated| (rotated.path, rotated.file)).collect();
            for (path, file) in std::mem::take(&mut self.containers[at].before).into_iter().chain(files) {
                self.delete(&path, file);
            }
            let dir = self.containers[at].dir.clone();
            self.fs.borrow_mut().remove_folder(&dir);
        }
        let path = self.log_dir.join(&self.pods[pod].folder);
        self.fs.borrow_mut().remove_folder(&path);
    }

    /// Ends every pending line with its newline.
    pub(in crate::simulation) fn finish_lines(&mut self) {
        for at in 0..self.containers.len() {
            self.close_old(at);
            if self.containers[at].live.is_none() && !self.containers[at].is_deleted {
                // Only so can an agent that was started since then know that the former instance is over.
                self.restart(at);
            }
            for std_stream in 0..2 {
                self.emit(at, std_stream, true);
            }
            self.flush(at, self.containers[at].unwritten.len());
        }
    }
}

/// As the kubelet names them, by time; here every rotation has a second of its own.
fn suffix(rotations: u64) -> String {
    format!("20260822-{:02}{:02}{:02}", rotations / 3600, rotations / 60 % 60, rotations % 60)
}
