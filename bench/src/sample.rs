//! Sample containers without a container runtime: a producer process behind two pipes, and the logger.
//!
//! In: a pod and what it writes. Out: the log files, and one ledger per std stream and run. Never: a process
//! left behind; dropping a sample ends it.

use crate::ledger;
use crate::pods::SamplePod;
use crate::producer::{ProducerArgs, ledger_path};
use crate::runtime::{ContainerLog, Format, Place, Rotator, StdStream};
use crate::tally::Written;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where all samples live.
#[derive(Clone, Debug)]
pub struct SampleWorld {
    /// The program that has the hidden subcommand `producer`.
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
    attempts: u32,
    running: Option<(Child, ContainerLog)>,
    bytes_done: u64,
}

impl Sample {
    /// Starts run 0. Of `args`, `run` and `ledger` are set here, for each run its own.
    ///
    /// # Errors
    /// The process or its files cannot be made.
    pub fn start(world: &SampleWorld, pod: &SamplePod, args: &ProducerArgs, rotator: &Rotator) -> Result<Self> {
        let (world, pod, args) = (world.clone(), pod.clone(), args.clone());
        let mut sample = Self { world, pod, args, attempts: 0, running: None, bytes_done: 0 };
        sample.start_next(rotator)?;
        Ok(sample)
    }

    /// Stops the present run, and starts the next one with the next number.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::stop`].
    pub fn restart(&mut self, rotator: &Rotator) -> Result<()> {
        self.stop()?;
        self.start_next(rotator)
    }

    fn start_next(&mut self, rotator: &Rotator) -> Result<()> {
        let attempt = self.attempts;
        let args = self.world.run_args(&self.pod, &self.args, attempt);
        // A Ctrl-C at the terminal is for the chore, which ends its containers in order.
        let mut child = Command::new(&self.world.program)
            .arg("producer")
            .args(args.to_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", self.world.program.display()))?;
        let pipes = child.stdout.take().zip(child.stderr.take()).context("the producer has no pipes")?;
        let docker = self.world.pods_root.with_file_name("docker").join(&args.run);
        let place = Place {
            folder: self.pod.log_folder(&self.world.pods_root).join(&self.pod.containers[0]),
            attempt,
            format: self.world.format,
            docker_folder: (self.world.format == Format::DockerJson).then_some(docker),
        };
        let log = ContainerLog::start(&place, pipes.0, pipes.1).context("starting the logger")?;
        rotator.add(&log);
        self.running = Some((child, log));
        self.attempts += 1;
        Ok(())
    }

    /// SIGTERM, then waits until the last line is in the file.
    ///
    /// # Errors
    /// The producer failed, or the logger could not write.
    pub fn stop(&mut self) -> Result<()> {
        if let Some((child, _)) = &self.running {
            terminate(child)?;
        }
        self.wait()
    }

    /// Waits until the run has ended by itself and its last line is in the file.
    ///
    /// # Errors
    /// The producer failed, or the logger could not write.
    pub fn wait(&mut self) -> Result<()> {
        let Some((mut child, log)) = self.running.take() else { return Ok(()) };
        let status = child.wait()?;
        self.bytes_done += log.finish().context("writing the log file")?;
        anyhow::ensure!(status.success(), "the producer of {} ended with {status}", self.pod.name);
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
        self.bytes_done + self.running.as_ref().map_or(0, |(_, log)| log.bytes())
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
        if let Some((child, _)) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
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
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
    kill_process(pid, Signal::TERM).context("ending a process")
}
