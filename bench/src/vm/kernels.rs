//! Kernels out of Debian's archive, by apt, without a touch on the machine's own lists and packages.
//!
//! In: a version, or `newest`. Out: a kernel image in the target folder. Never: a package installed, or anything from
//! elsewhere than the archive that the machine is set up with.

use anyhow::{Context, Result, bail, ensure};
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is asked for, the suite that has it, and how its package's name begins.
const KNOWN: [(&str, &str, &str); 4] = [
    ("5.10", "bullseye", "linux-image-5.10."),
    ("6.1", "bookworm", "linux-image-6.1."),
    ("6.12", "trixie", "linux-image-6.12."),
    ("newest", "sid", "linux-image-"),
];
/// Kernels for virtual machines: small, and few drivers.
const FLAVOUR: &str = "-cloud-amd64";
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel to boot.
#[derive(Clone, Debug)]
pub(super) struct KernelImage {
    /// As it was asked for.
    pub(super) name: String,
    pub(super) image: PathBuf,
}

/// The images, downloaded where they are not there yet; with `is_fresh` the archive is asked for newer ones.
///
/// # Errors
/// Such a kernel is not known, or apt fails.
pub(super) fn find(folder: &Path, names: &[String], is_fresh: bool) -> Result<Vec<KernelImage>> {
    let mut apt: Option<Apt> = None;
    let mut images = Vec::new();
    for name in names {
        let known = KNOWN.iter().find(|(one, _, _)| one == name);
        let (_, _, start) = known.with_context(|| format!("no kernel {name}: name 5.10, 6.1, 6.12 or newest"))?;
        let place = folder.join("kernels").join(name);
        if is_fresh || image_in(&place).is_err() {
            let apt = match &mut apt {
                Some(apt) => apt,
                none => none.insert(Apt::update(folder)?),
            };
            apt.fetch(start, &place)?;
        }
        images.push(KernelImage { name: name.clone(), image: image_in(&place)? });
    }
    Ok(images)
}

fn image_in(place: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(place.join("boot")).with_context(|| format!("no kernel in {}", place.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_image = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
    paths.find(is_image).with_context(|| format!("no kernel in {}", place.display()))
}

/// apt with lists, caches and sources of its own.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn update(folder: &Path) -> Result<Self> {
        let this = Self { folder: folder.join("apt") };
        for part in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(this.folder.join(part))?;
        }
        let archive = archive()?;
        let line = |suite: &str| format!("deb [signed-by={KEYS}] {archive} {suite} main\n");
        let sources: String = KNOWN.iter().map(|(_, suite, _)| line(suite)).collect();
        fs::write(this.folder.join("sources.list"), sources)?;
        println!("asking {archive} for kernels");
        this.run("apt-get", &["update", "-qq"], None)?;
        Ok(this)
    }

    fn run(&self, program: &str, args: &[&str], at: Option<&Path>) -> Result<String> {
        let mut command = Command::new(program);
        let own = |setting: &str, file: &str| format!("{setting}={}", self.folder.join(file).display());
        for setting in [
            own("Dir::Etc::sourcelist", "sources.list"),
            own("Dir::State::lists", "lists"),
            own("Dir::Cache", ""),
            "Dir::Etc::sourceparts=-".to_owned(),
            // An old suite is not signed anew.
            "Acquire::Check-Valid-Until=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "APT::Architecture=amd64".to_owned(),
        ] {
            command.args(["-o", &setting]);
        }
        let output = command.args(args).current_dir(at.unwrap_or(&self.folder)).output();
        let output = output.with_context(|| format!("starting {program}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {}: {}", args.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The newest package whose name begins so, unpacked at `place`.
    fn fetch(&self, start: &str, place: &Path) -> Result<()> {
        let names = self.run("apt-cache", &["pkgnames", start], None)?;
        let digit_follows = |name: &&str| {
            name.strip_prefix("linux-image-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let names = names.lines().filter(|name| name.ends_with(FLAVOUR)).filter(digit_follows);
        let package = names.max_by(|one, other| natural(one, other));
        let package = package.with_context(|| format!("the archive has no {start}*{FLAVOUR}"))?;
        if place.exists() {
            fs::remove_dir_all(place)?;
        }
        fs::create_dir_all(place)?;
        let depends = self.unpack(package, place)?;
        if image_in(place).is_err() {
            // Newer ones have the image itself in a package of its own.
            let image = depends.split([',', ' ', '|']).find(|name| name.starts_with("linux-binary-"));
            self.unpack(image.with_context(|| format!("{package} has no image and names none"))?, place)?;
        }
        if image_in(place).is_err() {
            bring_to_boot(place)?;
        }
        println!("{package}");
        Ok(())
    }

    /// Downloads and unpacks; returns what it depends on.
    fn unpack(&self, package: &str, place: &Path) -> Result<String> {
        let archives = self.folder.join("archives");
        self.run("apt-get", &["download", "-qq", package], Some(&archives))?;
        let start = format!("{package}_");
        let entries = fs::read_dir(&archives)?.filter_map(|entry| Some(entry.ok()?.path()));
        let file =
            entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start)));
        let file = file.max().with_context(|| format!("apt-get download {package} left no file"))?;
        let tool = |args: &[&str]| {
            let output = Command::new("dpkg-deb").args(args).output().context("starting dpkg-deb")?;
            ensure!(output.status.success(), "dpkg-deb {}: {}", args.join(" "), output.status);
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let path = file.to_string_lossy().into_owned();
        tool(&["-x", &path, &place.to_string_lossy()])?;
        let depends = tool(&["-f", &path, "Depends", "Pre-Depends"])?;
        fs::remove_file(&file)?;
        Ok(depends.replace('\n', " "))
    }
}

/// An image that lies elsewhere in its package, as `usr/lib/modules/VERSION/vmlinuz`.
fn bring_to_boot(place: &Path) -> Result<()> {
    fs::create_dir_all(place.join("boot"))?;
    let mut folders = vec![place.join("usr")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")) {
                fs::copy(&path, place.join("boot/vmlinuz"))?;
                return Ok(());
            }
        }
    }
    bail!("no kernel image in the package at {}", place.display())
}

/// Debian's archive, as the machine is set up with it.
fn archive() -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]);
    let output = targets.output().context("starting apt-get")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let archive = text.lines().find(|uri| uri.trim_end_matches('/').ends_with("/debian"));
    archive.map(str::to_owned).context(
        "apt knows no archive of Debian on this machine (none whose address ends with /debian): add it to its sources \
         and run `apt-get update`",
    )
}

/// Digits compare as numbers.
fn natural(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (text, next) = after.split_at(letters);
            parts.push((number.parse().unwrap_or(0), text.to_owned()));
            rest = next;
        }
        parts
    };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_has_the_highest_numbers() {
        let mut names = [
            "linux-image-6.12.9-cloud-amd64",
            "linux-image-7.2.13+deb14-cloud-amd64",
            "linux-image-6.12.117+deb13-cloud-amd64",
        ];
        names.sort_by(|one, other| natural(one, other));
        assert_eq!(names.map(|name| &name[12..16]), ["6.12", "6.12", "7.2."]);
        assert!(names[0].contains("6.12.9-"));
    }
}
