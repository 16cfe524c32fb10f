//! A tar in the OCI image layout: one layer, one configuration, one manifest.
//!
//! In: what is in the root file system, and how it is started. Out: the tar, which `ctr images import`, `skopeo` and
//! `docker load` (25 or newer) take. Never: a time, an owner other than root, or an order that the input does not give, so that
//! the same input gives the same bytes.

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, DescriptorBuilder, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

/// containerd's own annotation for the whole name; `ref.name` is the tag alone for some tools.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// One thing in the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A copy of a file of this machine, with this mode.
    File(PathBuf, u32),
    /// These bytes, with this mode.
    Bytes(Vec<u8>, u32),
    /// A folder with this mode. Those above it are made by themselves, with mode 755.
    Folder(u32),
    /// A symlink to there.
    Link(String),
}

/// What becomes an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name and tag.
    pub name: String,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, or the whole command where there is no entrypoint.
    pub command: Vec<String>,
    /// `NAME=VALUE`
    pub environment: Vec<String>,
    /// Path without the first slash, and what is there; in the order of the tar.
    pub entries: Vec<(String, Content)>,
}

impl Image {
    /// Writes the tar.
    ///
    /// # Errors
    /// A file of the machine cannot be read, or the tar not be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        let plain = self.layer()?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&plain)?;
        let layer = gzip.finish()?;
        let config = serde_json::to_vec(&self.configuration(&plain)?)?;
        let described = |kind: MediaType, bytes: &[u8]| -> Result<_> {
            let digest: Sha256Digest = sha256(bytes).parse()?;
            Ok(DescriptorBuilder::default().media_type(kind).size(bytes.len() as u64).digest(digest).build()?)
        };
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(described(MediaType::ImageConfig, &config)?)
            .layers([described(MediaType::ImageLayerGzip, &layer)?])
            .build()?;
        let manifest = serde_json::to_vec(&manifest)?;
        let mut named = described(MediaType::ImageManifest, &manifest)?;
        let names = [CONTAINERD_NAME, ANNOTATION_REF_NAME].map(|key| (key.to_owned(), whole_name(&self.name)));
        named.set_annotations(Some(HashMap::from(names)));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests([named])
            .build()?;
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        let mut blobs = [layer, config, manifest].map(|bytes| (format!("blobs/sha256/{}", sha256(&bytes)), bytes));
        blobs.sort();
        let mut files = vec![("oci-layout".to_owned(), serde_json::to_vec(&layout)?)];
        // Two annotations in a map have no order: by way of a value they have one.
        files.push(("index.json".to_owned(), serde_json::to_vec(&serde_json::to_value(&index)?)?));
        files.extend(blobs);
        let entries: Vec<_> = files.into_iter().map(|(path, bytes)| (path, Content::Bytes(bytes, 0o644))).collect();
        fs::write(out, tar_of(&entries)?).with_context(|| format!("writing {}", out.display()))
    }

    fn layer(&self) -> Result<Vec<u8>> {
        tar_of(&self.entries)
    }

    fn configuration(&self, layer: &[u8]) -> Result<oci_spec::image::ImageConfiguration> {
        let mut config = ConfigBuilder::default().user("0:0").env(self.environment.clone());
        if !self.entrypoint.is_empty() {
            config = config.entrypoint(self.entrypoint.clone());
        }
        if !self.command.is_empty() {
            config = config.cmd(self.command.clone());
        }
        let arch = if cfg!(target_arch = "aarch64") { Arch::ARM64 } else { Arch::Amd64 };
        let root = RootFsBuilder::default().typ("layers").diff_ids([format!("sha256:{}", sha256(layer))]).build()?;
        let image = ImageConfigurationBuilder::default().architecture(arch).os(Os::Linux).config(config.build()?);
        Ok(image.rootfs(root).build()?)
    }
}

/// With the registry that stands for none, as the kubelet asks for it: `docker.io/library/app:1` for `app:1`.
fn whole_name(name: &str) -> String {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

/// A tar of these, with the folders that they are in.
fn tar_of(entries: &[(String, Content)]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folders = BTreeSet::new();
    for (path, content) in entries {
        for above in Path::new(path).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            if above != Path::new("") && folders.insert(above.to_path_buf()) {
                append(&mut tar, above, EntryType::Directory, 0o755, &[])?;
            }
        }
        let path = Path::new(path);
        match content {
            Content::File(from, mode) => {
                let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
                append(&mut tar, path, EntryType::Regular, *mode, &bytes)?;
            }
            Content::Bytes(bytes, mode) => append(&mut tar, path, EntryType::Regular, *mode, bytes)?,
            Content::Folder(mode) => {
                folders.insert(path.to_path_buf());
                append(&mut tar, path, EntryType::Directory, *mode, &[])?;
            }
            Content::Link(to) => tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, to)?,
        }
    }
    Ok(tar.into_inner()?)
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &Path, kind: EntryType, mode: u32, bytes: &[u8]) -> Result<()> {
    tar.append_data(&mut header(kind, mode, bytes.len() as u64), path, bytes)?;
    Ok(())
}

/// Of root, at the beginning of time.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// In hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a tar, as path and bytes.
///
/// # Errors
/// It cannot be read.
pub fn read(tar: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut archive = tar::Archive::new(File::open(tar).with_context(|| format!("opening {}", tar.display()))?);
    let mut files = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes)?;
        files.push((entry.path()?.into_owned(), bytes));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image {
            name: "example.test/app:1".into(),
            entrypoint: vec!["/bin/app".into()],
            command: Vec::new(),
            environment: vec!["PATH=/bin".into()],
            entries: vec![
                ("bin/app".into(), Content::Bytes(b"program".to_vec(), 0o755)),
                ("bin/other".into(), Content::Link("app".into())),
                ("var/lib/app".into(), Content::Folder(0o700)),
            ],
        }
    }

    #[test]
    fn a_name_without_a_registry_is_that_of_docker() {
        for (name, whole) in
            [("a:1", "docker.io/library/a:1"), ("b/a:1", "docker.io/b/a:1"), ("r.test/a:1", "r.test/a:1")]
        {
            assert_eq!(whole_name(name), whole);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["1.tar", "2.tar"].map(|name| folder.path().join(name));
        image().write(&first).unwrap();
        image().write(&second).unwrap();
        assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
    }

    #[test]
    fn every_blob_has_the_digest_that_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("image.tar");
        image().write(&out).unwrap();
        let files: HashMap<_, _> = read(&out).unwrap().into_iter().collect();
        let json = |path: &str| -> serde_json::Value { serde_json::from_slice(&files[Path::new(path)]).unwrap() };
        let blob = |digest: &serde_json::Value| {
            let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
            let path = format!("blobs/sha256/{digest}");
            assert_eq!(sha256(&files[Path::new(&path)]), digest);
            path
        };
        let index = json("index.json");
        assert_eq!(index["manifests"][0]["annotations"][CONTAINERD_NAME], "example.test/app:1");
        let manifest = json(&blob(&index["manifests"][0]["digest"]));
        let config = json(&blob(&manifest["config"]["digest"]));
        assert_eq!(config["config"]["User"], "0:0");
        assert_eq!(config["config"]["Entrypoint"][0], "/bin/app");
        let layer = &files[Path::new(&blob(&manifest["layers"][0]["digest"]))];
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&layer[..]), &mut plain).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&plain)));
        let mut layer = tar::Archive::new(&plain[..]);
        let paths: Vec<_> =
            layer.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, ["bin", "bin/app", "bin/other", "var", "var/lib", "var/lib/app"]);
    }
}
