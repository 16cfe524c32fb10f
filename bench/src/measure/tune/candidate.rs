//! The settings that are searched, and one choice of them.
//!
//! In: nothing. Out: configuration to paste. Never: a value that the agent refuses.

use std::fmt;

/// One setting, and the values that are tried.
pub(super) struct Setting {
    /// As in the configuration.
    pub(super) key: &'static str,
    pub(super) values: &'static [&'static str],
    /// Which of them is the default.
    default: usize,
    /// It counts only where there is a kernel source.
    pub(super) is_of_ring: bool,
}

/// Those that matter most first.
pub(super) const SETTINGS: [Setting; 6] = [
    Setting {
        key: "performance.look_again",
        values: &["500us", "1ms", "2ms", "5ms", "10ms"],
        default: 1,
        is_of_ring: false,
    },
    Setting {
        key: "loki.batch_bytes",
        values: &["256KiB", "512KiB", "1MiB", "2MiB", "3584KiB"],
        default: 2,
        is_of_ring: false,
    },
    Setting { key: "loki.linger_max", values: &["20ms", "200ms", "1s", "5s"], default: 2, is_of_ring: false },
    Setting { key: "loki.requests_in_flight", values: &["2", "4", "8"], default: 1, is_of_ring: false },
    Setting { key: "performance.threads", values: &["1", "2"], default: 0, is_of_ring: false },
    Setting { key: "performance.ring_bytes", values: &["1MiB", "8MiB", "16MiB"], default: 1, is_of_ring: true },
];

/// A value for each setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate([usize; SETTINGS.len()]);

impl Default for Candidate {
    fn default() -> Self {
        Self(std::array::from_fn(|place| SETTINGS[place].default))
    }
}

impl Candidate {
    /// The same with each other value of one setting.
    pub(super) fn with_each(self, place: usize) -> impl Iterator<Item = Self> {
        let values = 0..SETTINGS[place].values.len();
        values.filter(move |value| *value != self.0[place]).map(move |value| {
            let mut other = self;
            other.0[place] = value;
            other
        })
    }

    /// In this setting, and in no other.
    pub(super) fn differs_from(&self, other: &Self, place: usize) -> bool {
        let mut same = *self;
        same.0[place] = other.0[place];
        same == *other && self != other
    }

    /// Those that are not the default: key without its section, and value.
    fn changed(&self, section: &str) -> Vec<(&'static str, &'static str)> {
        let of_section = |(place, setting): (usize, &Setting)| {
            let (own, key) = setting.key.split_once('.')?;
            let value = self.0[place];
            (own == section && value != setting.default).then(|| (key, setting.values[value]))
        };
        SETTINGS.iter().enumerate().filter_map(of_section).collect()
    }

    /// Lines of the section `loki`.
    pub(super) fn loki(&self) -> String {
        self.changed("loki").iter().map(|(key, value)| format!("  {key}: {value}\n")).collect()
    }

    /// The section `performance`.
    pub(super) fn performance(&self) -> String {
        let lines: String =
            self.changed("performance").iter().map(|(key, value)| format!("  {key}: {value}\n")).collect();
        if lines.is_empty() { lines } else { format!("performance:\n{lines}") }
    }

    /// To paste.
    pub(super) fn yaml(&self) -> String {
        let loki = self.loki();
        let loki = if loki.is_empty() { loki } else { format!("loki:\n{loki}") };
        format!("{loki}{}", self.performance())
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed: Vec<String> = ["performance", "loki"]
            .iter()
            .flat_map(|section| self.changed(section))
            .map(|(key, value)| format!("{key} {value}"))
            .collect();
        to.write_str(&if changed.is_empty() { "defaults".to_owned() } else { changed.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_tried_the_agent_takes() {
        for place in 0..SETTINGS.len() {
            for candidate in Candidate::default().with_each(place) {
                let yaml = format!("node_name: n\n{}", candidate.yaml());
                let config = penstock::config::read(&yaml, &|_| None);
                assert!(config.is_ok(), "{yaml}{}", config.unwrap_err());
                assert!(candidate.differs_from(&Candidate::default(), place));
            }
        }
    }

    #[test]
    fn the_defaults_here_are_those_of_the_agent() {
        let read = |yaml: &str| penstock::config::read(yaml, &|_| None).unwrap();
        let mut defaults = read("node_name: n\n");
        let lines = |section: &str| -> String {
            let of_section = SETTINGS.iter().filter_map(|one| Some((one.key.split_once('.')?, one)));
            of_section
                .filter(|((own, _), _)| *own == section)
                .map(|((_, key), one)| format!("  {key}: {}\n", one.values[one.default]))
                .collect()
        };
        let said = read(&format!("node_name: n\nloki:\n{}performance:\n{}", lines("loki"), lines("performance")));
        defaults.performance.ring_bytes = Some(8 << 20);
        assert_eq!(said, defaults);
    }
}
