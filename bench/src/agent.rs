//! The agent as a process: built, configured, started, ended.
//!
//! In: where logs are and where entries go. Out: a running `penstock`, its own log in a file. Never: a process
//! left behind; dropping it ends it.

use crate::clock;
use crate::sample::{signal, terminate};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// The top folder of the project.
#[must_use]
pub fn project() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// What a test's configuration needs to say.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// `node_name`
    pub node_name: String,
    /// `data_dir`
    pub data_dir: PathBuf,
    /// `log_dir`
    pub log_dir: PathBuf,
    /// The file that [`crate::pods::kubectl_json`] filled.
    pub pods: PathBuf,
    /// `loki.url`
    pub loki_url: String,
    /// Further settings of `loki`, YAML lines.
    pub loki_more: String,
    /// `auto`, `ebpf` or `file`.
    pub capture: String,
    /// `admin`
    pub admin: SocketAddr,
    /// Further top-level settings, YAML lines.
    pub more: String,
}

impl AgentSettings {
    /// The configuration file. Strings are JSON strings, which YAML reads as they are.
    #[must_use]
    pub fn yaml(&self) -> String {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let path = |path: &Path| quote(&path.to_string_lossy());
        format!(
            "node_name: {}\ndata_dir: {}\nlog_dir: {}\nlog_link_dirs: [{}]\ncapture: {}\ndiscovery:\n  static: {}\nloki:\n  url: {}\n{}admin: {}\n{}",
            quote(&self.node_name),
            path(&self.data_dir),
            path(&self.log_dir),
            path(&self.log_dir.with_file_name("docker")),
            self.capture,
            path(&self.pods),
            quote(&self.loki_url),
            self.loki_more,
            quote(&self.admin.to_string()),
            self.more
        )
    }
}

impl AgentSettings {
    /// Status and body of an admin page; status 0 while nobody listens.
    #[must_use]
    pub fn page(&self, page: &str) -> (u16, String) {
        let Ok(mut connection) = TcpStream::connect(self.admin) else { return (0, String::new()) };
        let mut answer = String::new();
        let asked = write!(connection, "GET {page} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        if asked.is_err() || connection.read_to_string(&mut answer).is_err() {
            return (0, String::new());
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), body.to_owned())
    }

    /// The value of a metric, named as in `/metrics` without `penstock_`; 0 where it is not there.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.page("/metrics");
        let value = |line: &str| line.strip_prefix("penstock_")?.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value).unwrap_or(0.0)
    }

    /// Whether it takes lines from the kernel.
    #[must_use]
    pub fn has_hook(&self) -> bool {
        self.metric("hook_info{hook=\"none\"}") != 1.0
    }

    /// How many lines went out from each witness, in words.
    #[must_use]
    pub fn witnesses(&self) -> String {
        let ahead = self.metric("lines_total{source=\"ebpf\"}");
        let file = self.metric("lines_total{source=\"file\"}");
        let share = if ahead + file > 0.0 { ahead / (ahead + file) * 100.0 } else { 0.0 };
        format!(
            "witnesses: {ahead} lines from the kernel, ahead of their log files ({share:.1} %), {file} from the files"
        )
    }
}

/// An address of 127.0.0.1 that nobody listens on at this moment.
///
/// # Errors
/// There is none.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).context("looking for a free port")
}

/// Builds the agent as it is shipped, with its own features and without a loader or libraries beside it, and returns its path.
///
/// # Errors
/// It does not build.
pub fn build(release: bool) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.current_dir(project()).args(["rustc", "--quiet", "--package", "penstock", "--bin", "penstock"]);
    if release {
        command.arg("--release");
    }
    let status = command.args(["--", "-C", "target-feature=+crt-static"]).status().context("starting cargo")?;
    anyhow::ensure!(status.success(), "building the agent failed ({status})");
    let program = std::env::current_exe().context("looking for this program")?;
    let profiles = program.parent().and_then(Path::parent).context("this program is in no target folder")?;
    Ok(profiles.join(if release { "release" } else { "debug" }).join("penstock"))
}

/// Runs the same chore of this program again, built with optimisation, where this one is not. `None`: this one is; else
/// whether it held.
///
/// # Errors
/// It cannot be started.
pub fn run_optimised() -> Result<Option<bool>> {
    if !cfg!(debug_assertions) {
        return Ok(None);
    }
    println!("building the chores, optimised …");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(project()).args(["run", "--release", "--quiet", "--package", "xtask", "--"]);
    let status = cargo.args(std::env::args_os().skip(1)).status().context("starting cargo")?;
    Ok(Some(status.success()))
}

/// The agent, running; or a rival, as far as it is the same.
#[derive(Debug)]
pub struct AgentProcess {
    child: Child,
    log: PathBuf,
}

impl AgentProcess {
    /// Writes the configuration to `FOLDER/penstock.yaml` and starts the agent with it; what it says goes to
    /// `FOLDER/penstock.log`, after what an earlier one said.
    ///
    /// # Errors
    /// A file cannot be written or the program not be started.
    pub fn start(program: &Path, settings: &AgentSettings, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(&settings.data_dir)?;
        Self::start_with(Command::new(program), &settings.yaml(), &[], folder)
    }

    /// As [`Self::start`], with any configuration, environment (that of `program`), and further arguments of `run`.
    ///
    /// # Errors
    /// As above.
    pub fn start_with(mut program: Command, yaml: &str, more: &[&str], folder: &Path) -> Result<Self> {
        let (config, log) = (folder.join("penstock.yaml"), folder.join("penstock.log"));
        std::fs::write(&config, yaml).with_context(|| format!("writing {}", config.display()))?;
        program.args(["run", "--config"]).arg(&config).args(more);
        Self::spawn(program, log)
    }

    /// Starts a log shipper; what it says goes to `log`, after what an earlier one said.
    ///
    /// # Errors
    /// The file cannot be opened or the program not be started.
    pub fn spawn(mut command: Command, log: PathBuf) -> Result<Self> {
        let out = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        let child = command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child, log })
    }

    /// Waits until it answers at its admin address: then the hooks are attached.
    ///
    /// # Errors
    /// It ended, or did not answer within `patience`.
    pub fn runs(&mut self, settings: &AgentSettings, patience: Duration) -> Result<()> {
        let begun = clock::monotonic();
        while settings.page("/healthz").0 == 0 {
            self.check()?;
            ensure!(clock::monotonic() - begun < patience, "the agent does not answer at {}", settings.admin);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// It has ended; the message has the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the agent ended with {status}; its last words:\n{}", self.last_words()),
        }
    }

    /// SIGSTOP, or SIGCONT.
    ///
    /// # Errors
    /// Those of the system.
    pub fn hold(&self, still: bool) -> Result<()> {
        signal(&self.child, if still { Signal::STOP } else { Signal::CONT })
    }

    /// SIGKILL, as a crash.
    ///
    /// # Errors
    /// Those of the system.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits.
    ///
    /// # Errors
    /// It did not end within `patience`.
    pub fn stop(mut self, patience: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        terminate(&self.child)?;
        self.wait(patience)
    }

    /// Waits until it ends by itself; gives its last words, and whether it called that a success.
    ///
    /// # Errors
    /// It did not end within `patience`.
    pub fn ends(mut self, patience: Duration) -> Result<(String, bool)> {
        let status = self.wait(patience)?;
        Ok((self.last_words(), status.success()))
    }

    fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let begun = clock::monotonic();
        while clock::monotonic() - begun < patience {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the agent did not end within {patience:?}; its last words:\n{}", self.last_words())
    }

    /// Bytes of its memory that are in RAM, now. What is mapped twice counts once (`Pss` of proc_pid_smaps(5)): the
    /// kernel's ring is.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// The most memory that was resident at any time, bytes (`VmHWM` of proc_pid_status(5)).
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Processor time that it has used, in its own code and in the kernel (proc_pid_stat(5), hundredths of a second).
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(&self) -> Result<Duration> {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).context("asking for processor time")?;
        // The name of the program, in brackets, may hold blanks.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
        let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(10 * ticks))
    }

    /// Everything in its log.
    #[must_use]
    pub fn words(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let text = self.words();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_quotes_what_yaml_would_read_otherwise() {
        let settings = AgentSettings {
            node_name: "yes: #1".into(),
            data_dir: "/t/data".into(),
            log_dir: "/t/pods".into(),
            pods: "/t/pods.json".into(),
            loki_url: "http://127.0.0.1:1".into(),
            loki_more: String::new(),
            capture: "file".into(),
            admin: SocketAddr::from(([127, 0, 0, 1], 9)),
            more: "line: compact\n".into(),
        };
        let yaml = settings.yaml();
        assert!(yaml.starts_with("node_name: \"yes: #1\"\n"));
        assert!(yaml.contains("  url: \"http://127.0.0.1:1\"\nadmin: \"127.0.0.1:9\"\nline: compact\n"));
        assert!(yaml.contains("log_link_dirs: [\"/t/docker\"]"));
    }
}
