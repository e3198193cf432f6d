//! `cargo xtask release`: what people download: the program as tarball, Debian package and container image, its bill of
//! materials, checksums, and with `--parts` the bundle of installer and node images that are built.
//!
//! The same commit gives the same files but for what the compilers do: times are those of the commit, owners root.

mod artifacts;
mod debian;
mod files;
mod oci;
mod run;
mod sbom;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;

use crate::workspace::Workspace;
use crate::{elf, programs};
use artifacts::Release;
use run::{output, run};

/// The program's largest size, in bytes.
const LARGEST: u64 = 25_000_000;

/// The last bytes of a program that carries the agent (`crates/gantry/src/parts/agent.rs`).
const MARK: &[u8; 16] = b"gantry-agent-1\r\n";

/// What is made.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder for the files; default: `release-files` in the target folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Profile of the programs: `release`, or `dev`, which is built faster, for trying the packages.
    #[arg(long, default_value = "release", value_parser = ["release", "dev"])]
    profile: String,
    /// Also from a tree with changes that are in no commit.
    #[arg(long)]
    dirty: bool,
    /// Sign checksums and the bundle's index with this secret key of minisign (made without a password).
    #[arg(long, value_name = "FILE", requires = "public_key")]
    sign: Option<PathBuf>,
    /// The key's public half; it goes into the program, which then trusts bundles that the key has signed.
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Also export the bundle of what `gantry image build` has built.
    #[arg(long)]
    parts: bool,
}

/// The story of the Debian package, and the variable that tells it where that is.
const STORY: (&str, &str) = ("package", "GANTRY_PACKAGE");

/// What these stories need of a release: it is made quickly, from the tree as it is.
pub(crate) fn for_stories(names: &[&str]) -> anyhow::Result<Option<(&'static str, PathBuf)>> {
    if !names.contains(&STORY.0) {
        return Ok(None);
    }
    let out = Workspace::load()?.target.join("package-files");
    make(&Options {
        out: Some(out.clone()),
        profile: "dev".to_owned(),
        dirty: true,
        sign: None,
        public_key: None,
        parts: false,
    })?;
    let package = out.join(debian::file_name(env!("CARGO_PKG_VERSION")));
    Ok(Some((STORY.1, package)))
}

/// Makes everything.
pub(crate) fn make(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    if !options.dirty {
        is_clean(&workspace.root)?;
    }
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| workspace.target.join("release-files"));
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let release = Release {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: output(
            Command::new("git")
                .current_dir(&workspace.root)
                .args(["log", "-1", "--format=%ct"]),
        )?,
        gantry: build(options, &workspace, &out)?,
        compression: if options.profile == "dev" {
            "-Znone"
        } else {
            "-Zxz"
        },
        workspace,
        out,
    };
    let staged = files::stage(&release)?;
    let mut made = vec![
        files::tarball(&release, &staged)?,
        debian::package(&release, &staged)?,
        oci::archive(&release)?,
        sbom::write(&release)?,
    ];
    run(Command::new("rm").arg("-r").arg(&staged))?;
    made.push(checksums(&release, &made)?);
    if let Some(key) = &options.sign {
        sign(key, &release.out.join("SHA256SUMS"))?;
        made.push(release.out.join("SHA256SUMS.minisig"));
    }
    if options.parts {
        let parts = release.out.join("parts");
        run(Command::new(&release.gantry)
            .args(["image", "export"])
            .arg(&parts))?;
        // Made anew by each appliance, with its own agent.
        std::fs::remove_file(parts.join("boot/initramfs"))?;
        if let Some(key) = &options.sign {
            sign(key, &parts.join("index.json"))?;
        }
        made.push(parts);
    }
    for file in made {
        let size = output(Command::new("du").args(["-sb"]).arg(&file))?;
        let bytes: f64 = size.split_whitespace().next().unwrap_or_default().parse()?;
        eprintln!("{:>8.1} MB  {}", bytes / 1e6, file.display());
    }
    Ok(())
}

fn is_clean(root: &Path) -> anyhow::Result<()> {
    let changes = output(
        Command::new("git")
            .current_dir(root)
            .args(["status", "--porcelain"]),
    )?;
    if !changes.is_empty() {
        bail!("the tree has changes that are in no commit; commit them, or pass --dirty:\n{changes}");
    }
    Ok(())
}

/// Builds both programs and puts the agent, compressed, behind the program, where `gantry` finds it: the agent, its length in
/// 8 bytes, and [`MARK`].
fn build(options: &Options, workspace: &Workspace, out: &Path) -> anyhow::Result<PathBuf> {
    let folder = if options.profile == "dev" {
        "debug"
    } else {
        "release"
    };
    let mut environment = Vec::new();
    if let Some(file) = &options.public_key {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let key = text.trim().lines().next_back().unwrap_or_default().to_owned();
        environment.push(("GANTRY_RELEASE_KEY", key));
    }
    let [gantry, agent] = programs::SHIPPED;
    let arguments = ["--profile", &options.profile, "--bin", gantry, "--bin", agent];
    programs::build(&arguments, &environment)?;
    let inside = workspace.target.join("agent-inside.zst");
    run(Command::new("zstd")
        .args([
            "-q",
            "-f",
            if options.profile == "dev" { "-3" } else { "-19" },
            "-o",
        ])
        .arg(&inside)
        .arg(programs::program(folder, agent)?))?;
    let program = out.join(gantry);
    std::fs::copy(programs::program(folder, gantry)?, &program)?;
    if options.profile == "dev" {
        run(Command::new("strip").arg(&program))?;
    }
    let inside = std::fs::read(&inside)?;
    let mut octets = std::fs::read(&program)?;
    if let Some(needs) = elf::dynamic_need(&octets)? {
        bail!("{} is not static: it has {needs}", program.display());
    }
    octets.extend_from_slice(&inside);
    octets.extend_from_slice(&(inside.len() as u64).to_le_bytes());
    octets.extend_from_slice(MARK);
    std::fs::write(&program, &octets)?;
    if octets.len() as u64 > LARGEST {
        eprintln!(
            "warning: the program has {:.1} MB, and {:.1} MB are the goal",
            octets.len() as f64 / 1e6,
            LARGEST as f64 / 1e6
        );
    }
    Ok(program)
}

fn checksums(release: &Release, files: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let mut command = Command::new("sha256sum");
    command.current_dir(&release.out);
    for file in files {
        command.arg(file.file_name().context("file without a name")?);
    }
    let to = release.out.join("SHA256SUMS");
    std::fs::write(&to, format!("{}\n", output(&mut command)?))?;
    Ok(to)
}

/// Signs a file with a key that has no password.
fn sign(key: &Path, file: &Path) -> anyhow::Result<()> {
    run(Command::new("minisign")
        .args(["-S", "-W", "-s"])
        .arg(key)
        .arg("-m")
        .arg(file))
}
