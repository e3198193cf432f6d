//! Cilium's Helm chart, from the Go module that holds it: downloaded by Go's own client, compared with the digest of the
//! recipe, and packed as Helm packs charts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use tar::{Builder, EntryType, Header};

use crate::chart::ChartRecipe;
use crate::command::Run;
use crate::error::{Error, Result};
use crate::host;
use crate::parts::job::Job;

/// File of the part.
pub(crate) const CHART: &str = "cilium.tgz";

/// What `go mod download -json` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    #[serde(default)]
    dir: PathBuf,
    #[serde(default)]
    sum: String,
}

/// Downloads the module and packs its chart.
pub(super) fn build(job: &Job<'_>) -> Result<()> {
    let recipe = ChartRecipe::read()?;
    job.step(format!("download {} {}", recipe.module, recipe.version));
    let folder = download(job, &recipe)?.join(&recipe.folder);
    job.step("pack the chart");
    let to = job.out.join(CHART);
    pack(&folder, &to).map_err(|source| Error::File {
        action: "pack",
        path: to,
        source,
    })
}

fn download(job: &Job<'_>, recipe: &ChartRecipe) -> Result<PathBuf> {
    let mut answer = String::new();
    let run = Run::new(host::go(job.part)?)
        .folder(&job.work)
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .args(["mod", "download", "-json"])
        .arg(format!("{}@{}", recipe.module, recipe.version));
    run.lines(job.cancel, &mut |line| {
        answer.push_str(line);
        answer.push('\n');
    })?;
    let wrong = |reason: String| Error::Recipe {
        file: format!("{} {}", recipe.module, recipe.version),
        reason,
    };
    // What Go says of its progress stands before the answer.
    let json = answer.find('{').map(|at| &answer[at..]).unwrap_or_default();
    let found: Downloaded = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    if found.sum != recipe.sum {
        return Err(wrong(format!(
            "the module has the digest {}, and the recipe names {}",
            found.sum, recipe.sum
        )));
    }
    Ok(found.dir)
}

/// Packs a chart's folder so that the same files give the same bytes.
fn pack(folder: &Path, to: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    gather(folder, &mut files)?;
    files.sort();
    let mut tar = Builder::new(GzEncoder::new(File::create(to)?, Compression::best()));
    for file in files {
        let content = fs::read(&file)?;
        let inner = file.strip_prefix(folder).unwrap_or(&file);
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        tar.append_data(&mut header, Path::new("cilium").join(inner), content.as_slice())?;
    }
    tar.into_inner()?.finish()?.sync_all()
}

/// The files of a chart; sources of generated files are none of it.
fn gather(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, into)?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.ends_with(".gotmpl") && name != "values.yaml.tmpl" {
            into.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let chart = folder.path().join("chart");
        fs::create_dir_all(chart.join("templates")).unwrap();
        for (name, text) in [
            ("Chart.yaml", "name: x"),
            ("templates/a.yaml", "a"),
            ("README.md.gotmpl", "source"),
        ] {
            fs::write(chart.join(name), text).unwrap();
        }
        let packed = |name: &str| {
            let to = folder.path().join(name);
            pack(&chart, &to).unwrap();
            fs::read(to).unwrap()
        };
        let one = packed("one.tgz");
        assert_eq!(one, packed("two.tgz"));
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(one.as_slice()));
        let names = tar.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            entry.path().unwrap().display().to_string()
        });
        let names: Vec<String> = names.collect();
        assert_eq!(names, ["cilium/Chart.yaml", "cilium/templates/a.yaml"]);
    }
}
