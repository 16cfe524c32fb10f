//! The document as a whole: from text to [`Config`], or to every mistake in it.
//!
//! In: the YAML text, and the environment as a function. Out: the settings, checked, with the built-in defaults
//! for what is absent. Never: a look at the node (folders, addresses, files named need not exist; `doctor` looks).

use super::error::{ConfigError, ConfigErrors, Place, Problem};
use super::form::{Form, Section};
use super::source::{Half, map};
use super::yaml::{Kind, Node, parse};
use super::{
    Capture, Config, Discovery, Env, Hook, LineForm, Requirement, Selector, StartAt, check, environment, loki,
    performance, value,
};
use std::path::{Path, PathBuf};

const KEYS: &[&str] = &[
    "node_name",
    "data_dir",
    "log_dir",
    "capture",
    "capture_hooks",
    "log_link_dirs",
    "start_at",
    "backlog_bytes_max",
    "memory_bytes_max",
    "discovery",
    "select",
    "json",
    "labels",
    "structured_metadata",
    "line",
    "loki",
    "performance",
    "admin",
];

/// Reads the configuration file with the process environment.
///
/// # Errors
/// Every mistake in it; a file that cannot be read, or is not UTF-8, is one mistake.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let unreadable = |place, problem| ConfigErrors(vec![ConfigError { place, key: String::new(), problem }]);
    let bytes = std::fs::read(path).map_err(|error| unreadable(None, Problem::Unreadable(error.to_string())))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => read(text, &environment::raw),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            Err(unreadable(Some(Place { line, column }), Problem::NotUtf8))
        }
    }
}

/// Reads a configuration. An empty one is good: everything has a default, `node_name` that of `${NODE_NAME}`.
///
/// # Errors
/// Every mistake, in the order of the file, each with line and column.
pub fn read(text: &str, env: Env<'_>) -> Result<Config, ConfigErrors> {
    let start = Place { line: 1, column: 1 };
    let root = parse(text).map_err(|error| ConfigErrors(vec![error]))?;
    let root = match root {
        None | Some(Node { kind: Kind::Null, .. }) => Node { place: start, kind: Kind::Map(Vec::new()) },
        Some(node) => node,
    };
    let mut form = Form::new(env);
    let section = form.section(&root, "", KEYS);
    let config = sections(&mut form, &section, env);
    check::together(&mut form, &section, &config);
    if form.errors.is_empty() {
        return Ok(config);
    }
    form.errors.sort_by_key(|error| error.place);
    Err(ConfigErrors(form.errors))
}

fn sections(form: &mut Form<'_>, root: &Section<'_>, env: Env<'_>) -> Config {
    let equals =
        |key: &str, is: &str| Selector { requirements: vec![Requirement::In(key.to_owned(), vec![is.to_owned()])] };
    let gateway = || equals("app.kubernetes.io/name", "aigateway");
    Config {
        node_name: node_name(form, root, env),
        data_dir: form.value(root, "data_dir", PathBuf::from("/var/lib/penstock"), value::folder),
        log_dir: form.value(root, "log_dir", PathBuf::from("/var/log/pods"), value::folder),
        capture: form.value(root, "capture", Capture::Auto, value::capture),
        capture_hooks: form.list(root, "capture_hooks", vec![Hook::Fentry, Hook::TpBtf, Hook::RawTp], value::hook),
        log_link_dirs: form.list(
            root,
            "log_link_dirs",
            vec![PathBuf::from("/var/lib/docker/containers")],
            value::folder,
        ),
        start_at: form.value(root, "start_at", StartAt::Beginning, value::start_at),
        backlog_bytes_max: form.value(root, "backlog_bytes_max", 4 << 30, value::size),
        memory_bytes_max: form.value(root, "memory_bytes_max", 64 << 20, value::size),
        discovery: discovery(form, root),
        select: form.list(root, "select", vec![equals("mif.moreh.io/log.collect", "true"), gateway()], value::selector),
        json: form.list(root, "json", vec![equals("mif.moreh.io/log.format", "json"), gateway()], value::selector),
        labels: map(form, root, Half::Labels),
        structured_metadata: map(form, root, Half::StructuredMetadata),
        line: form.value(root, "line", LineForm::Compact, value::line_form),
        loki: loki::read(form, root.get("loki")),
        performance: performance::read(form, root.get("performance")),
        admin: form.value(root, "admin", ([0, 0, 0, 0], 9598).into(), value::address),
    }
}

fn node_name(form: &mut Form<'_>, root: &Section<'_>, env: Env<'_>) -> String {
    if root.get("node_name").is_some() {
        return form.value(root, "node_name", String::new(), value::node_name);
    }
    let read = match env("NODE_NAME") {
        Some(name) => match name.into_string() {
            Ok(name) => value::node_name(&name),
            Err(_) => Err(Problem::VariableNotUtf8("NODE_NAME".to_owned())),
        },
        None => Err(Problem::NoNodeName),
    };
    read.unwrap_or_else(|problem| {
        form.report(root.place, "node_name", problem);
        String::new()
    })
}

fn discovery(form: &mut Form<'_>, root: &Section<'_>) -> Discovery {
    let default = Discovery::Kubernetes { watch_namespaces: false };
    let Some(node) = root.get("discovery") else { return default };
    let section = form.section(node, "discovery", &["kubernetes", "static"]);
    if let (Some(_), Some(second)) = (section.get("kubernetes"), section.get("static")) {
        form.report(second.place, "discovery.static", Problem::Both("kubernetes and static"));
    }
    if section.get("static").is_some() {
        return form.optional(&section, "static", value::file).map_or(default, Discovery::Static);
    }
    match section.get("kubernetes") {
        // `kubernetes:` alone says as much as `kubernetes: {}`.
        None | Some(Node { kind: Kind::Null, .. }) => default,
        Some(node) => {
            let kubernetes = form.section(node, "discovery.kubernetes", &["watch_namespaces"]);
            let watch_namespaces = form.value(&kubernetes, "watch_namespaces", false, value::boolean);
            Discovery::Kubernetes { watch_namespaces }
        }
    }
}
