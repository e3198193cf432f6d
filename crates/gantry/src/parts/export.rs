//! Export of the image cache to a parts folder, which an appliance reads without access to the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use appliance::Parts;
use image_builder::{BootFiles, ReleaseFacts, ReleaseRecipe, built_in_release};
use parts_bundle::Index;
use resources::gantry::{Release, ReleaseSpec};
use resources::keys;

use super::Agent;

/// What the name of an image's manifest has behind that of the image.
const MANIFEST: &str = ".manifest.json";

/// What was exported.
#[derive(Debug)]
pub(crate) struct Exported {
    /// The node images that are built, that of the newest release first.
    pub(crate) node_images: Vec<PathBuf>,
}

/// Exports what the cache holds, with an index that makes the folder a bundle. Without the boot part there is nothing to boot
/// machines with, which is an error.
pub(crate) fn export(cache: &Path, agent: &Agent, folder: &Path) -> anyhow::Result<Exported> {
    let Some(boot) = BootFiles::in_cache(cache)? else {
        bail!("the boot files are not built; build them with: gantry image build");
    };
    let to = folder.join(Parts::BOOT);
    fs::create_dir_all(&to).with_context(|| to.display().to_string())?;
    let mut files = Vec::new();
    for from in boot.files() {
        let name = from.file_name().context("boot file without a name")?;
        place(from, &to.join(name))?;
        files.push((format!("{}/{}", Parts::BOOT, name.to_string_lossy()), None));
    }
    for (part, name) in [("kubernetes", "kubectl"), ("etcd", "etcd")] {
        if export_program(cache, folder, part, name)? {
            files.push((format!("{}/{name}", Parts::PROGRAMS), None));
        }
    }
    super::complete(folder, agent)?;
    let mut node_images = Vec::new();
    for recipe in ReleaseRecipe::ALL {
        let Some(facts) = built_in_release(cache, recipe)? else {
            continue;
        };
        let version = Some(recipe.minor.to_owned());
        let image = node_image(&facts, folder)?;
        if let Some(chart) = &facts.chart_file {
            let to = folder.join(Parts::CHARTS);
            fs::create_dir_all(&to).with_context(|| to.display().to_string())?;
            place(chart, &to.join(&facts.chart.source))?;
            files.push((
                format!("{}/{}", Parts::CHARTS, facts.chart.source),
                version.clone(),
            ));
        }
        let release = serde_json::to_vec_pretty(&release_object(facts.spec()))?;
        let name = match recipe == ReleaseRecipe::NEWEST {
            true => Parts::NEWEST_RELEASE.to_owned(),
            false => Parts::release_file(recipe.minor),
        };
        fs::write(folder.join(&name), release)?;
        let file = image.file_name().unwrap_or_default().to_string_lossy();
        files.push((format!("{}/{file}", Parts::IMAGES), version.clone()));
        files.push((format!("{}/{file}{MANIFEST}", Parts::IMAGES), version.clone()));
        files.push((name, version));
        node_images.push(image);
    }
    Index::of(folder, env!("CARGO_PKG_VERSION"), files)?.write(folder)?;
    Ok(Exported { node_images })
}

/// A program of a part of the newest release, into the folder of programs. Tells whether it is built.
fn export_program(cache: &Path, folder: &Path, part: &str, name: &str) -> anyhow::Result<bool> {
    let parts = image_builder::list(cache, ReleaseRecipe::NEWEST)?;
    let built = parts
        .into_iter()
        .filter(|known| known.name == part)
        .find_map(|known| known.built);
    let Some(program) = built
        .map(|built| built.path.join(name))
        .filter(|program| program.is_file())
    else {
        return Ok(false);
    };
    let to = folder.join(Parts::PROGRAMS);
    fs::create_dir_all(&to).with_context(|| to.display().to_string())?;
    place(&program, &to.join(name))?;
    Ok(true)
}

fn node_image(facts: &ReleaseFacts, folder: &Path) -> anyhow::Result<PathBuf> {
    let to = folder.join(Parts::IMAGES);
    fs::create_dir_all(&to).with_context(|| to.display().to_string())?;
    let name = facts.node.path.file_name().context("node image without a name")?;
    let image = to.join(name);
    place(&facts.node.path, &image)?;
    let mut manifest = image.clone().into_os_string();
    manifest.push(MANIFEST);
    fs::write(&manifest, serde_json::to_vec(&facts.node.manifest)?)?;
    Ok(image)
}

/// Copies the file, which then has nothing in common with where it came from: whatever is done to it there or here changes
/// no other. It appears complete or not at all.
fn place(from: &Path, to: &Path) -> anyhow::Result<()> {
    let draft = to.with_extension("draft");
    let _ = fs::remove_file(&draft);
    fs::copy(from, &draft).with_context(|| format!("copy {} to {}", from.display(), draft.display()))?;
    fs::rename(&draft, to).with_context(|| to.display().to_string())
}

/// The Releases whose parts this program can build, built or not.
pub(crate) fn planned_releases() -> Result<Vec<Release>, image_builder::Error> {
    let planned = ReleaseRecipe::ALL.into_iter().map(image_builder::planned_release);
    planned.map(|spec| spec.map(release_object)).collect()
}

/// The Release object of these parts.
fn release_object(spec: ReleaseSpec) -> Release {
    let name = format!("kubernetes-{}", spec.patch_version.trim_start_matches('v'));
    let mut release = Release::new(&name, spec);
    release.metadata.labels = Some([(keys::MOVE.to_owned(), String::new())].into());
    release
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placing_again_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "1").unwrap();
        let name = folder.path().join("name");
        std::os::unix::fs::symlink(&from, &name).unwrap();
        place(&from, &to).unwrap();
        place(&name, &to).unwrap();
        assert!(!fs::symlink_metadata(&to).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&to).unwrap(), "1");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        fs::write(&to, "2").unwrap();
        assert_eq!(fs::read_to_string(&from).unwrap(), "1", "the cache keeps its own");
    }

    #[test]
    fn an_empty_cache_tells_the_command_that_fills_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = export(
            folder.path(),
            &Agent::find(Some(Path::new("/bin/true"))).unwrap(),
            &folder.path().join("parts"),
        )
        .unwrap_err();
        assert!(error.to_string().contains("gantry image build"), "{error}");
    }
}
