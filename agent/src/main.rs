//! The program: takes the command line apart and calls the library.
//!
//! In: arguments. Out: the exit code. Never: anything else.

use clap::Parser as _;
use penstock::cli::{self, Arguments, Command};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    run(command).unwrap_or_else(|error| {
        eprintln!("{}", cli::failure(&error));
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { config, grace } => {
            cli::log_to_stderr("info,kube_client=off,kube_runtime=off");
            match penstock::config::load(&config) {
                Ok(settings) => {
                    penstock::run::run(&settings, Duration::from_secs(grace))?;
                    Ok(ExitCode::SUCCESS)
                }
                Err(errors) => {
                    eprint!("{}", cli::mistakes(&config, &errors));
                    Ok(ExitCode::from(2))
                }
            }
        }
        Command::Check { config } => Ok(cli::check(&config)?),
        Command::Doctor { config, json } => {
            cli::log_to_stderr("off");
            Ok(cli::diagnose(config.as_deref(), json)?)
        }
    }
}
