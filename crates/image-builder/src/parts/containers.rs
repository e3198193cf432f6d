//! The container images that a node brings along, under the names that kubeadm expects: static programs, and
//! programs from Debian with their libraries. `images/containers/images.json` names all of them. What several
//! images have in common is one layer, which a node stores and maps once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::command::Run;
use crate::container_list::{CONTAINER_LIST, ContainerImage};
use crate::error::{Error, Result};
use crate::json_file::write_json;
use crate::oci::{self, Image, Layer, Node, Packed};
use crate::part::Part;
use crate::parts::job::Job;
use crate::recipe;
use crate::versions::{ReleaseRecipe, with_versions};

const RECIPE: &str = "containers/images.json";
/// Programs and libraries: the tree without its kernel.
const USERLAND: [&str; 9] = [
    "./bin",
    "./sbin",
    "./lib",
    "./lib64",
    "./etc",
    "./usr/bin",
    "./usr/sbin",
    "./usr/lib64",
    "./usr/lib/x86_64-linux-gnu",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    bases: BTreeMap<String, Base>,
    images: Vec<Wanted>,
}

/// A layer that several images share; a node stores it once.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Base {
    /// Programs of other parts.
    binaries: Vec<Binary>,
    /// Programs of Debian, with the libraries they are linked to.
    programs: Vec<String>,
    /// Folders of plug-ins, with the libraries they are linked to.
    trees: Vec<String>,
    files: Vec<String>,
    links: BTreeMap<String, String>,
    /// Commands that busybox is called by.
    busybox: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    image: String,
    /// From the bottom up.
    #[serde(default)]
    bases: Vec<String>,
    binary: Option<Binary>,
    #[serde(default)]
    links: BTreeMap<String, String>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(default)]
    entrypoint: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Binary {
    /// Part that built it, or `pause`.
    part: String,
    file: String,
    to: String,
}

/// Builds the archives and their list.
pub(crate) fn build(job: &Job<'_>) -> Result<()> {
    let recipe = read_recipe(job.release)?;
    job.step("pause");
    let pause = compile_pause(job)?;
    job.step("programs from Debian");
    let root = job.debian_tree(&USERLAND)?;
    let pack = |layer: &Layer| oci::pack(layer).map_err(Error::file("pack", &job.work));
    let skeleton = pack(&skeleton())?;
    let mut bases = BTreeMap::new();
    for (name, base) in &recipe.bases {
        bases.insert(name.as_str(), pack(&base_layer(job, &root, base)?)?);
    }

    job.step("images");
    let mut list = Vec::new();
    for (number, wanted) in recipe.images.iter().enumerate() {
        let own = own_layer(job, wanted, &pause)?;
        let own = if own.is_empty() { None } else { Some(pack(&own)?) };
        let shared = wanted.bases.iter().filter_map(|base| bases.get(base.as_str()));
        let layers = [&skeleton].into_iter().chain(shared).chain(&own).collect();
        list.push(write(job, wanted, layers)?);
        job.percent(u8::try_from((number + 1) * 100 / recipe.images.len()).unwrap_or(100));
    }
    write_json(&job.out.join(CONTAINER_LIST), &list)
}

/// References of all images of a release.
pub(crate) fn names(release: ReleaseRecipe) -> Result<Vec<String>> {
    Ok(read_recipe(release)?
        .images
        .into_iter()
        .map(|image| image.image)
        .collect())
}

fn read_recipe(release: ReleaseRecipe) -> Result<Recipe> {
    let text = with_versions(recipe::text(RECIPE)?, &release.versions()?);
    let wrong = |reason: String| Error::Recipe {
        file: RECIPE.to_owned(),
        reason,
    };
    let recipe: Recipe = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let unknown = recipe
        .images
        .iter()
        .flat_map(|image| &image.bases)
        .find(|base| !recipe.bases.contains_key(*base));
    unknown.map_or(Ok(()), |base| Err(wrong(format!("there is no base {base:?}"))))?;
    Ok(recipe)
}

fn compile_pause(job: &Job<'_>) -> Result<PathBuf> {
    let source = recipe::unpack("pause/pause.c", &job.work)?;
    let program = job.work.join("pause");
    job.run(
        Run::new("musl-gcc")
            .args(["-static", "-Os", "-s", "-Wall", "-Werror", "-o"])
            .arg(&program)
            .arg(source),
    )?;
    Ok(program)
}

/// What every image has: the directories that programs expect, and names for two users.
fn skeleton() -> Layer {
    let text = |text: &str| Node::Text {
        text: text.to_owned(),
        mode: 0o644,
    };
    let mut layer = Layer::from([
        (
            "etc/passwd".to_owned(),
            text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        ),
        ("etc/group".to_owned(), text("root:x:0:\nnobody:x:65534:\n")),
        ("tmp".to_owned(), Node::Directory(0o1777)),
        ("run".to_owned(), Node::Directory(0o755)),
        ("var/run".to_owned(), Node::Link("/run".to_owned())),
    ]);
    for name in ["bin", "sbin", "lib", "lib64"] {
        layer.insert(name.to_owned(), Node::Link(format!("usr/{name}")));
        layer.insert(format!("usr/{name}"), Node::Directory(0o755));
    }
    layer
}

fn base_layer(job: &Job<'_>, root: &Path, base: &Base) -> Result<Layer> {
    let mut layer = Layer::new();
    for binary in &base.binaries {
        add_binary(&mut layer, binary, job.input(Part::named(&binary.part)?)?);
    }
    for path in &base.files {
        add(&mut layer, root, path)?;
    }
    for tree in &base.trees {
        let folder = within(root, tree)?;
        for entry in fs::read_dir(&folder)
            .map_err(Error::file("list", &folder))?
            .flatten()
        {
            let path = format!("{tree}/{}", entry.file_name().to_string_lossy());
            add_linked(job, &mut layer, root, &path)?;
        }
    }
    for program in &base.programs {
        add_linked(job, &mut layer, root, program)?;
    }
    for (path, target) in &base.links {
        layer.insert(key(path), Node::Link(target.clone()));
    }
    for command in &base.busybox {
        layer.insert(format!("usr/bin/{command}"), Node::Link("busybox".to_owned()));
    }
    Ok(layer)
}

/// Adds a program or library and what the dynamic linker would load for it.
fn add_linked(job: &Job<'_>, layer: &mut Layer, root: &Path, path: &str) -> Result<()> {
    add(layer, root, path)?;
    let listing = Run::new("chroot")
        .arg(root)
        .arg("ldd")
        .arg(path)
        .output(job.cancel)?;
    libraries(&listing).try_for_each(|library| add(layer, root, library))
}

/// Paths in the output of `ldd`: `libc.so.6 => /lib/x/libc.so.6 (0x..)` or `/lib64/ld-linux-x86-64.so.2 (0x..)`.
fn libraries(listing: &str) -> impl Iterator<Item = &str> {
    listing
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

fn add(layer: &mut Layer, root: &Path, path: &str) -> Result<()> {
    let from = within(root, path)?;
    let mode =
        fs::metadata(&from).map(|data| std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o755);
    let mode = mode.map_err(Error::file("read", &from))?;
    layer.insert(key(path), Node::Copy { from, mode });
    Ok(())
}

/// The path in a layer: no leading slash, and `/usr` merged.
fn key(path: &str) -> String {
    let path = path.trim_start_matches('/');
    let merged = ["bin/", "sbin/", "lib/", "lib64/"]
        .iter()
        .any(|folder| path.starts_with(folder));
    if merged {
        format!("usr/{path}")
    } else {
        path.to_owned()
    }
}

/// The file behind a path of the tree, which must not lead out of it.
fn within(root: &Path, path: &str) -> Result<PathBuf> {
    let missing = || Error::MissingInTree {
        what: path.to_owned(),
        recipe: RECIPE,
    };
    let root = root.canonicalize().map_err(Error::file("resolve", root))?;
    let real = root.join(key(path)).canonicalize().map_err(|_| missing())?;
    if real.starts_with(&root) {
        Ok(real)
    } else {
        Err(missing())
    }
}

fn add_binary(layer: &mut Layer, binary: &Binary, folder: &Path) {
    let from = folder.join(&binary.file);
    layer.insert(key(&binary.to), Node::Copy { from, mode: 0o755 });
}

fn own_layer(job: &Job<'_>, wanted: &Wanted, pause: &Path) -> Result<Layer> {
    let mut layer = Layer::new();
    if let Some(binary) = &wanted.binary {
        let folder = match binary.part.as_str() {
            "pause" => pause.parent().unwrap_or(&job.work),
            part => job.input(Part::named(part)?)?,
        };
        add_binary(&mut layer, binary, folder);
    }
    for (path, target) in &wanted.links {
        layer.insert(key(path), Node::Link(target.clone()));
    }
    for (path, source) in &wanted.scripts {
        layer.insert(
            key(path),
            Node::Text {
                text: recipe::text(source)?.to_owned(),
                mode: 0o755,
            },
        );
    }
    Ok(layer)
}

fn write(job: &Job<'_>, wanted: &Wanted, layers: Vec<&Packed>) -> Result<ContainerImage> {
    let name = &wanted.image;
    let short = name.rsplit('/').next().unwrap_or(name).replace(':', "-");
    let file = format!("{short}.tar");
    let path = job.out.join(&file);
    let binary = wanted.binary.iter().map(|binary| binary.to.clone());
    let entrypoint = if wanted.entrypoint.is_empty() {
        binary.collect()
    } else {
        wanted.entrypoint.clone()
    };
    let image = Image {
        name,
        layers,
        entrypoint,
    };
    let digest = oci::write(&image, &path).map_err(Error::file("write", &path))?;
    let size = fs::metadata(&path).map_err(Error::file("read", &path))?.len();
    Ok(ContainerImage {
        image: name.clone(),
        digest,
        file,
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_names_what_kubeadm_expects() {
        let images: Vec<String> = read_recipe(ReleaseRecipe::NEWEST)
            .unwrap()
            .images
            .into_iter()
            .map(|image| image.image)
            .collect();
        // `kubeadm config images list --kubernetes-version v1.35.4`
        for expected in [
            "registry.k8s.io/kube-apiserver:v1.35.4",
            "registry.k8s.io/kube-controller-manager:v1.35.4",
            "registry.k8s.io/kube-scheduler:v1.35.4",
            "registry.k8s.io/kube-proxy:v1.35.4",
            "registry.k8s.io/coredns/coredns:v1.13.1",
            "registry.k8s.io/pause:3.10.1",
            "registry.k8s.io/etcd:3.6.6-0",
        ] {
            assert!(images.iter().any(|image| image == expected), "{expected}");
        }
        assert!(images.iter().all(|image| !image.contains('@')), "{images:?}");
    }

    #[test]
    fn every_binary_and_script_exists_in_a_recipe() {
        let recipe = read_recipe(ReleaseRecipe::NEWEST).unwrap();
        for image in &recipe.images {
            assert!(
                image.binary.is_some() || !image.entrypoint.is_empty(),
                "{} starts nothing",
                image.image
            );
            let shared = image.bases.iter().flat_map(|base| &recipe.bases[base].binaries);
            for binary in shared
                .chain(&image.binary)
                .filter(|binary| binary.part != "pause")
            {
                assert!(
                    Part::Containers
                        .inputs()
                        .contains(&Part::named(&binary.part).unwrap())
                );
            }
            for source in image.scripts.values() {
                assert!(recipe::is_script(source), "{source}");
            }
        }
    }

    #[test]
    fn the_dynamic_linkers_list_is_read() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibnftables.so.1 => /lib/x86_64-linux-gnu/libnftables.so.1 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<&str> = libraries(listing).collect();
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libnftables.so.1",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert_eq!(key(found[1]), "usr/lib64/ld-linux-x86-64.so.2");
        assert_eq!(libraries("\tstatically linked\n").count(), 0);
    }
}
