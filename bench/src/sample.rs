//! Sample containers without a container runtime: a logger process that has a producer process behind two pipes.
//!
//! In: a pod and what it writes. Out: the log files, and one ledger per std stream and run. Never: a process
//! left behind; dropping a sample ends it.

use crate::ledger;
use crate::pods::SamplePod;
use crate::producer::{ProducerArgs, ledger_path};
use crate::runtime::logger::{LoggerArgs, bytes_written};
use crate::runtime::{Format, Rotation, StdStream};
use crate::tally::Written;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// Where all samples live.
#[derive(Clone, Debug)]
pub struct SampleWorld {
    /// The program that has the hidden subcommands `producer` and `logger`.
    pub program: PathBuf,
    /// `/var/log/pods`, or what stands for it.
    pub pods_root: PathBuf,
    /// Where ledgers go.
    pub ledgers: PathBuf,
    /// Whose log files are written. For docker's, its folders are made beside `pods_root`.
    pub format: Format,
}

impl SampleWorld {
    /// What run `attempt` of a pod is told: a name, a seed and ledgers of its own.
    #[must_use]
    pub fn run_args(&self, pod: &SamplePod, args: &ProducerArgs, attempt: u32) -> ProducerArgs {
        ProducerArgs {
            run: format!("{}-{attempt}", pod.name),
            seed: args.seed.wrapping_add(u64::from(attempt) * 1_000),
            ledger: self.ledger(pod, attempt),
            ..args.clone()
        }
    }

    fn ledger(&self, pod: &SamplePod, attempt: u32) -> PathBuf {
        self.ledgers.join(format!("{}.{attempt}", pod.name))
    }

    /// The ledgers of the first `attempts` runs, with a name for people.
    pub fn ledgers(&self, pod: &SamplePod, attempts: u32) -> impl Iterator<Item = (String, PathBuf)> {
        (0..attempts).flat_map(move |attempt| {
            [StdStream::Stdout, StdStream::Stderr].map(|std_stream| {
                let name = std_stream.name();
                (format!("attempt {attempt} {name}"), ledger_path(&self.ledger(pod, attempt), name))
            })
        })
    }
}

/// One container that runs, is restarted, and stops.
#[derive(Debug)]
pub struct Sample {
    world: SampleWorld,
    pod: SamplePod,
    args: ProducerArgs,
    rotation: Rotation,
    attempts: u32,
    /// The logger of the present run; the producer is its child and in its process group.
    logger: Option<Child>,
    bytes_done: u64,
}

impl Sample {
    /// Starts run 0. Of `args`, `run` and `ledger` are set here, for each run its own.
    ///
    /// # Errors
    /// The process or its files cannot be made.
    pub fn start(world: &SampleWorld, pod: &SamplePod, args: &ProducerArgs, rotation: Rotation) -> Result<Self> {
        let (world, pod, args) = (world.clone(), pod.clone(), args.clone());
        let mut sample = Self { world, pod, args, rotation, attempts: 0, logger: None, bytes_done: 0 };
        sample.start_next()?;
        Ok(sample)
    }

    /// Stops the present run, and starts the next one with the next number.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::stop`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_next()
    }

    fn start_next(&mut self) -> Result<()> {
        let attempt = self.attempts;
        let args = self.world.run_args(&self.pod, &self.args, attempt);
        let docker = self.world.pods_root.with_file_name("docker").join(&args.run);
        let program = self.world.program.display().to_string();
        let logger = LoggerArgs {
            folder: self.pod.log_folder(&self.world.pods_root).join(&self.pod.containers[0]),
            attempt,
            format: self.world.format,
            docker_folder: (self.world.format == Format::DockerJson).then_some(docker),
            rotate_bytes: self.rotation.bytes_max,
            files_max: self.rotation.files_max,
            interval_ms: u64::try_from(self.rotation.interval.as_millis())?,
            count: self.count(attempt),
            writer: [program, "producer".into()].into_iter().chain(args.to_args()).collect(),
        };
        // A Ctrl-C at the terminal is for the chore, which ends its containers in order.
        let logger = logger.command(&self.world.program).stdin(Stdio::null()).process_group(0).spawn();
        self.logger = Some(logger.with_context(|| format!("starting {}", self.world.program.display()))?);
        self.attempts += 1;
        Ok(())
    }

    /// Where a run's logger counts its bytes.
    fn count(&self, attempt: u32) -> PathBuf {
        PathBuf::from(format!("{}.bytes", self.world.ledger(&self.pod, attempt).display()))
    }

    /// SIGTERM, so that it ends soon.
    ///
    /// # Errors
    /// Those of the system.
    pub fn end(&self) -> Result<()> {
        self.logger.as_ref().map_or(Ok(()), terminate)
    }

    /// SIGTERM, then waits until the last line is in the file.
    ///
    /// # Errors
    /// The producer failed, or the logger could not write.
    pub fn stop(&mut self) -> Result<()> {
        self.end()?;
        self.wait()
    }

    /// Waits until the run has ended by itself and its last line is in the file.
    ///
    /// # Errors
    /// The producer failed, or the logger could not write.
    pub fn wait(&mut self) -> Result<()> {
        let Some(mut logger) = self.logger.take() else { return Ok(()) };
        let status = logger.wait()?;
        self.bytes_done += bytes_written(&self.count(self.attempts - 1));
        anyhow::ensure!(status.success(), "the logger of {} ended with {status}", self.pod.name);
        Ok(())
    }

    /// Lines written so far, all runs together.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.world.ledgers(&self.pod, self.attempts).map(|(_, path)| ledger::lines(&path)).sum()
    }

    /// Bytes in the log files so far, rotated and deleted ones too.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes_done + self.logger.as_ref().map_or(0, |_| bytes_written(&self.count(self.attempts - 1)))
    }

    /// How many runs were started.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The pod it belongs to.
    #[must_use]
    pub fn pod(&self) -> &SamplePod {
        &self.pod
    }

    /// The ledgers of all runs, for the tally.
    ///
    /// # Errors
    /// A ledger cannot be read.
    pub fn written(&self) -> Result<Vec<Written>> {
        let read = |(name, path): (String, PathBuf)| {
            let hashes = ledger::read(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok(Written { name, hashes })
        };
        self.world.ledgers(&self.pod, self.attempts).map(read).collect()
    }

    /// The kubelet's deletion of a pod: its folder goes, whoever still reads it.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn delete_logs(&self) -> Result<()> {
        remove_folder(&self.pod.log_folder(&self.world.pods_root))
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        if let Some(logger) = &mut self.logger {
            if let Ok(group) = id(logger) {
                let _ended_before = kill_process_group(group, Signal::KILL);
            }
            let _ = logger.wait();
        }
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("removing {}", folder.display())),
    }
}

/// SIGTERM to a child that was not waited for, so that its id cannot be somebody else's.
///
/// # Errors
/// Those of `kill`.
pub fn terminate(child: &Child) -> Result<()> {
    signal(child, Signal::TERM)
}

/// A signal to a child that was not waited for.
///
/// # Errors
/// Those of `kill`.
pub fn signal(child: &Child, signal: Signal) -> Result<()> {
    kill_process(id(child)?, signal).with_context(|| format!("sending {signal:?} to a process"))
}

fn id(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")
}
