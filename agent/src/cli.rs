//! The command line: what may be said, and what the commands that need no pipeline do.
//!
//! In: arguments. Out: text, and the exit code. Never: an exit code but these: 0 good, 1 `run` failed or could
//! not work, 2 the configuration or the command line is wrong.

use crate::{config, doctor};
use clap::{Parser, Subcommand};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Ships the logs of one Kubernetes node to Grafana Loki.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ship logs until SIGTERM or SIGINT; then flush, save positions and exit.
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Seconds to flush and save positions at the end.
        #[arg(long, value_name = "SECONDS", default_value_t = 20)]
        grace: u64,
    },
    /// Read the configuration, print every error with its place, touch nothing else.
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show what this node supports, with a remedy for what it does not.
    Doctor {
        /// The configuration file; without it the built-in defaults are looked at.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
}

/// `penstock check`: 0 or 2.
///
/// # Errors
/// When the output cannot be written.
pub fn check(path: &Path) -> io::Result<ExitCode> {
    match config::load(path) {
        Ok(config) => {
            let mut out = io::stdout().lock();
            writeln!(out, "{}: ok", path.display())?;
            writeln!(out, "{}", summary(&config))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            write!(io::stderr().lock(), "{}", mistakes(path, &errors))?;
            Ok(ExitCode::from(2))
        }
    }
}

/// `FILE:LINE:COLUMN: key: message`, a line each.
#[must_use]
pub fn mistakes(path: &Path, errors: &config::ConfigErrors) -> String {
    errors
        .0
        .iter()
        .map(|error| {
            let gap = if error.place.is_some() { "" } else { " " };
            format!("{}:{gap}{error}\n", path.display())
        })
        .collect()
}

fn summary(config: &config::Config) -> String {
    let pods = match &config.discovery {
        config::Discovery::Kubernetes { .. } => "the Kubernetes API".to_owned(),
        config::Discovery::Static(path) => path.display().to_string(),
    };
    format!(
        "node {}, pods from {pods} ({} selectors), logs from {}, {} labels and {} structured metadata, \
         to {} at {} bytes/s",
        config.node_name,
        config.select.len(),
        config.log_dir.display(),
        config.labels.len(),
        config.structured_metadata.len(),
        config.loki.url,
        config.loki.rate,
    )
}

/// Why a command failed, with what lies below it as far as that says more. Never a stack: these errors are an
/// operator's, whatever `RUST_BACKTRACE` asks for.
#[must_use]
pub fn failure(error: &anyhow::Error) -> String {
    let mut text = format!("Error: {error}");
    for below in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&below) {
            text = text + ": " + &below;
        }
    }
    text
}

/// `penstock doctor`: 0, or 1 if `run` could not work.
///
/// # Errors
/// When the output cannot be written.
pub fn diagnose(path: Option<&Path>, json: bool) -> io::Result<ExitCode> {
    let findings = doctor::examine(path);
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", doctor::json(&findings)?)?;
    } else {
        write!(out, "{}", doctor::text(&findings))?;
    }
    let is_fit = findings.iter().all(|finding| finding.level != doctor::Level::Fail);
    Ok(if is_fit { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The agent's own messages go to stderr: those that `PENSTOCK_LOG` names, else those of `default`.
pub fn log_to_stderr(default: &str) {
    let wanted = config::variable("PENSTOCK_LOG").filter(|wanted| !wanted.is_empty());
    let filter = EnvFilter::builder().parse(wanted.as_deref().unwrap_or(default));
    let (filter, complaint) = match filter {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(default), Some(error)),
    };
    let writer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Fails only where something logs already, which is then as good.
    let _ = writer.with_ansi(io::stderr().is_terminal()).try_init();
    if let Some(error) = complaint {
        tracing::warn!(
            "PENSTOCK_LOG cannot be read ({error}); write LEVEL or TARGET=LEVEL, such as warn,penstock=debug"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["penstock", "check"]).is_err(), "--config is needed");
        assert!(Arguments::try_parse_from(["penstock", "doctor", "--json"]).is_ok());
    }

    #[test]
    fn mistakes_are_printed_with_file_and_place() {
        let errors = config::read("line: x\nadmin: y", &|_| Some("n".into())).unwrap_err();
        let text = mistakes(Path::new("/etc/p.yaml"), &errors);
        assert!(text.starts_with("/etc/p.yaml:1:7: line: `x` is not known here"), "{text}");
        assert!(text.contains("\n/etc/p.yaml:2:8: admin: "), "{text}");
        let errors = config::load(Path::new("/no/p.yaml")).unwrap_err();
        assert!(mistakes(Path::new("/no/p.yaml"), &errors).starts_with("/no/p.yaml: the configuration cannot be read"));
    }
}
