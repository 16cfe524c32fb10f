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

/// A table with a row for each check and a column for each machine and hook; what is not `ok` is told below it.
pub(super) fn text(machines: &[Machine]) -> String {
    let mut checks: Vec<&str> = Vec::new();
    for outcome in machines.iter().flat_map(|machine| &machine.outcomes) {
        if !checks.contains(&outcome.check.as_str()) {
            checks.push(&outcome.check);
        }
    }
    let columns: Vec<_> = machines.iter().flat_map(columns_of).collect();
    let width = checks.iter().map(|check| check.len()).max().unwrap_or(0);
    let mut text = String::new();
    let heads: [Vec<&str>; 2] = [
        columns.iter().map(|(machine, _)| machine.name.as_str()).collect(),
        columns.iter().map(|(_, hook)| *hook).collect(),
    ];
    let widths: Vec<_> = columns.iter().map(|(machine, hook)| machine.name.len().max(hook.len()).max(7)).collect();
    let mut row = |name: &str, cells: &[&str]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |")).collect::<String>();
        let _infallible = writeln!(text, "| {name:<width$} |{cells}");
    };
    row("kernel", &heads[0]);
    let lines: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    row(&"-".repeat(width), &lines.iter().map(String::as_str).collect::<Vec<_>>());
    row("hook", &heads[1]);
    for check in checks {
        let cells: Vec<_> = columns.iter().map(|(machine, hook)| cell(machine, hook, check)).collect();
        row(check, &cells);
    }
    text.push('\n');
    text.push_str(&remarks(machines));
    text
}

fn columns_of(machine: &Machine) -> Vec<(&Machine, &str)> {
    let mut hooks: Vec<&str> = Vec::new();
    for outcome in &machine.outcomes {
        if !hooks.contains(&outcome.hook.as_str()) {
            hooks.push(&outcome.hook);
        }
    }
    hooks.sort_by_key(|hook| *hook == NO_HOOK);
    hooks.into_iter().map(|hook| (machine, hook)).collect()
}

fn cell<'a>(machine: &Machine, hook: &str, check: &str) -> &'a str {
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
        assert!(text.contains("| writev  | FAILED  |         |"), "{text}");
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
