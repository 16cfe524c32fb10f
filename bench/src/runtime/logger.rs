//! The logger as a process of its own: it starts the writer behind two pipes, drains them, and rotates the files. So a
//! sample looks to the kernel like a container under a runtime's monitor.
//!
//! In: where the files are, when they are rotated, the writer's command line. Out: log files, and a file that says how
//! many bytes they got. Ends when the writer has ended and its last line is in the file; passes SIGTERM on to it. Never: a
//! writer left behind, unless it is killed.

use super::{ContainerLog, Format, Place, Rotation, Rotator};
use crate::sample::terminate;
use crate::stop;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// From one look at the writer to the next.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What to run and where to log it. Also the arguments of the hidden subcommand `logger`.
#[derive(Clone, Debug, clap::Args)]
pub struct LoggerArgs {
    /// Folder of the log files.
    #[arg(long)]
    pub folder: PathBuf,
    /// N of `N.log`.
    #[arg(long)]
    pub attempt: u32,
    /// Whose files are written.
    #[arg(long, value_enum)]
    pub format: Format,
    /// Docker's own folder for this run.
    #[arg(long)]
    pub docker_folder: Option<PathBuf>,
    /// A file above this is rotated.
    #[arg(long)]
    pub rotate_bytes: u64,
    /// Files kept.
    #[arg(long)]
    pub files_max: usize,
    /// From one look at the size to the next.
    #[arg(long)]
    pub interval_ms: u64,
    /// The file for the number of bytes.
    #[arg(long)]
    pub count: PathBuf,
    /// The writer's program and its arguments.
    #[arg(last = true, required = true)]
    pub writer: Vec<String>,
}

impl LoggerArgs {
    /// The command that runs such a logger: `program` has the hidden subcommand.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("logger").arg("--folder").arg(&self.folder).arg("--count").arg(&self.count);
        let format = clap::ValueEnum::to_possible_value(&self.format);
        let format = format.map(|value| value.get_name().to_owned()).unwrap_or_default();
        for (name, value) in [
            ("attempt", self.attempt.to_string()),
            ("format", format),
            ("rotate-bytes", self.rotate_bytes.to_string()),
            ("files-max", self.files_max.to_string()),
            ("interval-ms", self.interval_ms.to_string()),
        ] {
            command.arg(format!("--{name}={value}"));
        }
        if let Some(folder) = &self.docker_folder {
            command.arg("--docker-folder").arg(folder);
        }
        command.arg("--").args(&self.writer);
        command
    }
}

/// Runs as a process.
///
/// # Errors
/// The writer cannot be started or failed, or a file cannot be written.
pub fn run_process(args: &LoggerArgs) -> Result<()> {
    let stop = stop::on_signal()?;
    let (program, arguments) =
        args.writer.split_first().context("the logger was given no writer; name one after --")?;
    let mut writer = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let result = drain(args, &mut writer, &stop);
    if result.is_err() {
        let _ended_before = writer.kill();
        let _ = writer.wait();
    }
    result
}

fn drain(args: &LoggerArgs, writer: &mut Child, stop: &std::sync::atomic::AtomicBool) -> Result<()> {
    let pipes = writer.stdout.take().zip(writer.stderr.take()).context("the writer has no pipes")?;
    let place = Place {
        folder: args.folder.clone(),
        attempt: args.attempt,
        format: args.format,
        docker_folder: args.docker_folder.clone(),
    };
    let log = ContainerLog::start(&place, pipes.0, pipes.1).context("starting the logger")?;
    let rotator = Rotator::start(Rotation {
        bytes_max: args.rotate_bytes,
        files_max: args.files_max,
        interval: Duration::from_millis(args.interval_ms),
    });
    rotator.add(&log);
    let count = File::create(&args.count).with_context(|| format!("making {}", args.count.display()))?;
    let mut is_told = false;
    let status = loop {
        if let Some(status) = writer.try_wait()? {
            break status;
        }
        if stop.load(Ordering::Relaxed) && !is_told {
            terminate(writer)?;
            is_told = true;
        }
        count.write_all_at(&log.bytes().to_ne_bytes(), 0)?;
        std::thread::sleep(LOOK_INTERVAL);
    };
    let bytes = log.finish().context("writing the log file")?;
    count.write_all_at(&bytes.to_ne_bytes(), 0)?;
    ensure!(status.success(), "the writer {:?} ended with {status}", args.writer);
    Ok(())
}

/// What a logger with this count has written so far, bytes; 0 before it has begun.
#[must_use]
pub fn bytes_written(count: &Path) -> u64 {
    let bytes = std::fs::read(count).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(subcommand)]
        chore: Chore,
    }

    #[derive(clap::Subcommand)]
    enum Chore {
        Logger(LoggerArgs),
    }

    fn args(folder: &Path, script: &str) -> LoggerArgs {
        LoggerArgs {
            folder: folder.join("app"),
            attempt: 3,
            format: Format::Conmon,
            docker_folder: None,
            rotate_bytes: 1 << 20,
            files_max: 5,
            interval_ms: 50,
            count: folder.join("count"),
            writer: ["sh", "-c", script].map(String::from).to_vec(),
        }
    }

    #[test]
    fn what_the_writer_wrote_is_in_the_file_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        run_process(&args(folder.path(), "echo one; echo two >&2")).unwrap();
        let text = std::fs::read_to_string(folder.path().join("app/3.log")).unwrap();
        assert!(text.contains(" stdout F one\n") && text.contains(" stderr F two\n"), "{text}");
        assert_eq!(bytes_written(&folder.path().join("count")), text.len() as u64);
    }

    #[test]
    fn a_writer_that_fails_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(run_process(&args(folder.path(), "exit 3")).unwrap_err().to_string().contains("exit status: 3"));
    }

    #[test]
    fn the_arguments_survive_a_command_line() {
        let mut args = args(Path::new("/x y"), "echo --attempt=1");
        args.docker_folder = Some("/docker/a".into());
        let command = args.command(Path::new("program"));
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let Chore::Logger(again) = Only::parse_from(words).chore;
        assert_eq!(format!("{args:?}"), format!("{again:?}"));
    }
}
