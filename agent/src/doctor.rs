//! What this node supports, and whether `run` could work on it: one finding a line, each with its remedy.
//!
//! In: the path of a configuration, or none (the built-in defaults then). Out: findings. Never: a change to the
//! node that stays (probe programs return and are detached at once, a folder made to see whether one can be is removed
//! at once, nothing is pushed to Loki), or a wait of more than a few seconds.

mod admin;
mod capabilities;
mod files;
mod finding;
mod hooks;
mod kernel;
mod kubernetes;
mod loki;
mod resources;
mod tax;

pub use files::LOCK_FILE;
pub use finding::{Finding, Level, json, text};

use crate::config::{self, Capture, Config, Discovery};
use crate::metrics::label::Label as _;
use crate::run::capture::attach_best;
use std::path::Path;
use std::time::Duration;

/// How long the API and Loki, each, may take for everything asked of them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks at everything. `run` could work unless one of the findings is a [`Level::Fail`].
#[must_use]
pub fn examine(path: Option<&Path>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = configuration(path, &mut findings);
    findings.extend(kernel::examine());
    findings.extend(hooks::examine());
    findings.push(capabilities::examine());
    let Some(config) = config else { return findings };
    findings.push(capture(&config));
    let (tree, finding) = files::log_dir(&config);
    findings.push(finding);
    findings.push(files::data_dir(&config.data_dir));
    findings.push(admin::examine(config.admin));
    findings.extend(resources::examine(&tree));
    findings.extend(network(&config));
    findings
}

/// The settings to examine with; without them only the kernel can be looked at.
fn configuration(path: Option<&Path>, findings: &mut Vec<Finding>) -> Option<Config> {
    let Some(path) = path else {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let named = config::variable("NODE_NAME");
        let detail = match &named {
            Some(name) => format!("no --config; looking with the built-in defaults, node {name}"),
            None => format!("no --config and no NODE_NAME; looking with the built-in defaults, node {host}"),
        };
        let finding = match &named {
            Some(_) => Finding::ok("configuration", detail),
            None => Finding::warn("configuration", detail, "give the configuration that `run` will have"),
        };
        findings.push(finding);
        let env =
            |name: &str| if name == "NODE_NAME" { Some(named.clone().unwrap_or(host.clone()).into()) } else { None };
        return config::read("", &env).ok();
    };
    match config::load(path) {
        Ok(config) => {
            findings
                .push(Finding::ok("configuration", format!("{} is good, node {}", path.display(), config.node_name)));
            Some(config)
        }
        Err(errors) => {
            findings.extend(errors.0.iter().map(|error| {
                Finding::fail(
                    "configuration",
                    format!("{}:{error}", path.display()),
                    "mend it; `penstock check` shows the same",
                )
            }));
            None
        }
    }
}

/// What `run` would do: the hook is attached, sees a line of its own, and is let go.
fn capture(config: &Config) -> Finding {
    if config.capture == Capture::File {
        return Finding::ok("capture", "the log files alone, as configured".to_owned());
    }
    match attach_best(config) {
        Ok(kernel) => Finding::ok("capture", format!("hook {}, attached and seen to work", kernel.hook().value())),
        Err(refused) if config.capture == Capture::Ebpf => {
            Finding::fail("capture", format!("`capture: ebpf` is asked for, but {refused}"), "set capture: auto")
        }
        Err(refused) => Finding::warn("capture", format!("the log files alone: {refused}"), "see the hooks above"),
    }
}

fn network(config: &Config) -> Vec<Finding> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![Finding::fail("network", format!("no event loop: {error}"), "raise the limit of open files")];
        }
    };
    // Both HTTP clients take the process's provider; where one is installed already, that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let findings = runtime.block_on(async {
        let pods = async {
            match &config.discovery {
                Discovery::Kubernetes { watch_namespaces } => {
                    kubernetes::examine(&config.node_name, *watch_namespaces).await
                }
                Discovery::Static(path) => vec![kubernetes::examine_static(path)],
            }
        };
        let (mut findings, loki) = tokio::join!(pods, loki::examine(&config.loki));
        findings.push(loki);
        findings
    });
    // A name look-up that hangs has a thread of its own, which must not be waited for.
    runtime.shutdown_background();
    findings
}
