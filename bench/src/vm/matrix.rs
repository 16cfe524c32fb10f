//! The matrix: kernel × hook × check.
//!
//! In: results. Out: text. Never: a failure left out.

use super::report::{NO_HOOK, Outcome, Verdict};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What one machine found.
#[derive(Debug)]
pub(super) struct Machine {
    /// The kernel's version, and how it was booted.
    pub(super) name: String,
    pub(super) outcomes: Vec<Outcome>,
}

impl Machine {
    /// A check has failed so far.
    pub(super) fn has_failed(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed)
    }
}

/// For each hook a table (Markdown) with a row for each check and a column for each machine; what is not `ok` is told below.
pub(super) fn text(machines: &[Machine]) -> String {
    let outcomes = || machines.iter().flat_map(|machine| &machine.outcomes);
    let mut hooks = each_once(outcomes().map(|outcome| outcome.hook.as_str()));
    hooks.sort_by_key(|hook| *hook == NO_HOOK);
    let mut text = String::new();
    for hook in hooks {
        let checks = each_once(outcomes().filter(|outcome| outcome.hook == hook).map(|outcome| outcome.check.as_str()));
        let title = if hook == NO_HOOK { "whatever the hook" } else { hook };
        table(&mut text, title, hook, &checks, machines);
        text.push('\n');
    }
    text.push_str(&remarks(machines));
    text
}

fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut known = Vec::new();
    names.for_each(|name| {
        if !known.contains(&name) {
            known.push(name);
        }
    });
    known
}

fn table(text: &mut String, title: &str, hook: &str, checks: &[&str], machines: &[Machine]) {
    let first = checks.iter().chain([&title]).map(|name| name.len()).max().unwrap_or(0);
    let widths: Vec<_> = machines.iter().map(|machine| machine.name.len().max(7)).collect();
    let mut row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |")).collect();
        let _infallible = writeln!(text, "| {name:<first$} |{cells}");
    };
    row(title, &mut machines.iter().map(|machine| machine.name.clone()));
    row(&"-".repeat(first), &mut widths.iter().map(|width| "-".repeat(*width)));
    for check in checks {
        row(check, &mut machines.iter().map(|machine| cell(machine, hook, check).to_owned()));
    }
}

fn cell(machine: &Machine, hook: &str, check: &str) -> &'static str {
    let outcome = machine.outcomes.iter().find(|outcome| outcome.hook == hook && outcome.check == check);
    outcome.map_or("", |outcome| outcome.verdict.word())
}

/// Everything that is not `ok`, each thing said once.
fn remarks(machines: &[Machine]) -> String {
    let mut said = BTreeSet::new();
    let mut text = String::new();
    for machine in machines {
        for outcome in machine.outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Ok) {
            let Outcome { hook, check, verdict, words } = outcome;
            if said.insert((&machine.name, hook, check)) {
                let _infallible = writeln!(text, "{} {hook} {check}: {}: {words}", machine.name, verdict.word());
            }
        }
    }
    text
}

/// Whether nothing failed.
pub(super) fn is_good(machines: &[Machine]) -> bool {
    machines.iter().all(|machine| {
        !machine.outcomes.is_empty() && machine.outcomes.iter().all(|outcome| outcome.verdict != Verdict::Failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(verdict: Verdict) -> Machine {
        let outcome = |hook: &str, check: &str| Outcome {
            hook: hook.into(),
            check: check.into(),
            verdict,
            words: "so and so".into(),
        };
        Machine { name: "6.1".into(), outcomes: vec![outcome("-", "proc-fd"), outcome("fentry", "writev")] }
    }

    #[test]
    fn what_failed_is_in_the_table_and_below_it() {
        let machines = [machine(Verdict::Failed)];
        let text = text(&machines);
        assert!(text.contains("| writev | FAILED  |"), "{text}");
        assert!(text.find("| fentry |") < text.find("| whatever the hook |"), "{text}");
        assert!(text.contains("6.1 fentry writev: FAILED: so and so"), "{text}");
        assert!(!is_good(&machines));
    }

    #[test]
    fn a_machine_that_said_nothing_is_not_good() {
        assert!(is_good(&[machine(Verdict::Ok)]));
        assert!(is_good(&[machine(Verdict::Refused)]));
        assert!(!is_good(&[Machine { name: "6.1".into(), outcomes: Vec::new() }]));
    }
}
