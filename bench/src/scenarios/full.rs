//! The disk of the log files is full for a while: the runtime writes nothing, and the kernel alone sees the lines.
//!
//! In: a stage, its log folder on a small file system of its own. Out: every line once, of a container that was started
//! while the disk was full too, but for what it wrote before its pipes were followed; what arrived twice was counted. Never:
//! a line that waits for the disk.
//!
//! The runtime leaves half a line in the file when the disk becomes full, and puts the next one right after it: these two
//! are one line in the file, which nobody wrote.

use super::Size;
use super::stage::Stage;
use crate::clock;
use crate::demo::compare;
use crate::producer::lines::Kind;
use crate::runtime::{Format, Rotation};
use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DISK: &std::ffi::CStr = c"size=8m";
/// Log files that had lines when the disk became full: each may have one that nobody wrote.
const FILES: u64 = 2;
/// Lines a second of the container that is started while the disk is full.
const LATE_RATE: f64 = 200.0;
/// A container's pipes are followed so soon after its start, seconds. What it wrote before is in its file alone, if there.
const FOLLOWED_AFTER: f64 = 0.1;
/// How long a line may take while the disk is full.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file system in memory, while it is held.
struct SmallDisk(PathBuf);

/// Plays it.
///
/// # Errors
/// Something could not be started (the file system takes root), or the agent ended by itself.
pub fn play(stage: &mut Stage, size: Size) -> Result<bool> {
    let time = Duration::from_secs(if size == Size::Small { 3 } else { 20 });
    let disk = SmallDisk::mount(stage.pods_root())?;
    // Never rotated: that takes room.
    stage.rotate(Rotation { bytes_max: 1 << 30, files_max: 5, interval: Duration::from_secs(10) });
    stage.settings.capture = "ebpf".to_owned();
    stage.start_agent()?;
    // At full size more lines than a std stream may have ahead of its file.
    let many = if size == Size::Small { 20.0 } else { 5_000.0 };
    stage.start_containers(Format::Containerd, &[(Kind::Heimdall, 200.0), (Kind::Vllm, many)])?;
    stage.pass(Duration::from_secs(5), |_| ())?;

    let ballast = disk.fill()?;
    let before = stage.lines();
    stage.pass(time / 2, |_| ())?;
    stage.start_containers(Format::Containerd, &[(Kind::Aigateway, LATE_RATE)])?;
    stage.pass(time / 2, |_| ())?;
    let written = stage.lines() - before;
    let missing = missing_in_time(stage)?;
    println!(
        "   {written} lines written while the disk was full; {missing} of them had not arrived before it had room again"
    );

    std::fs::remove_file(ballast)?;
    stage.pass(Duration::from_secs(5), |_| ())?;
    let (lines, _) = stage.stop_containers()?;
    stage.drain(lines, Duration::from_secs(20), |_| ())?;
    println!("   {}", stage.settings.witnesses());
    let unconfirmed = stage.settings.metric("unconfirmed_lines_total");
    let tally = stage.finish()?;
    println!("   {unconfirmed} lines were not confirmed by a file");
    let is_whole = tally.foreign + tally.out_of_order + tally.time_went_back == 0;
    let is_followed_late = missing as f64 > LATE_RATE * FOLLOWED_AFTER;
    let is_counted = tally.doubled as f64 <= unconfirmed && tally.altered <= FILES;
    Ok(is_whole && is_counted && tally.lost == missing && !is_followed_late)
}

/// Of the lines written until now, how many have not arrived when the patience is over; 0 as soon as all have.
fn missing_in_time(stage: &mut Stage) -> Result<u64> {
    let written = stage.written()?;
    let begun = clock::monotonic();
    loop {
        let lost = compare(&written, &stage.receiver).lost;
        if lost == 0 || clock::monotonic() - begun > PATIENCE {
            return Ok(lost);
        }
        stage.pass(Duration::from_millis(200), |_| ())?;
    }
}

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self> {
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), DISK)
            .context("mounting a small file system in memory; this scenario takes root")?;
        Ok(Self(at.to_path_buf()))
    }

    /// Takes all the room that there is.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.0.join("ballast");
        let mut file = File::create(&path)?;
        loop {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(path),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = unmount(&self.0, UnmountFlags::DETACH);
    }
}
