//! Programs from the Go module proxy: a module of ours requires the project and names its commands as tools, or
//! holds a `main` of its own (the `main.go` of `images/kubernetes`, `images/etcd` and `images/coredns` say why).
//! `go.sum` pins every byte; nothing is resolved at build time.

use std::os::unix::fs::symlink;

use crate::command::Run;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::parts::job::Job;
use crate::versions::{ReleaseRecipe, Versions};
use crate::{host, recipe};

/// Import path and the program's name.
type Program = (&'static str, &'static str);

/// Names that the one Kubernetes program is called by.
pub(super) const KUBERNETES_NAMES: [&str; 7] = [
    "kubelet",
    "kubeadm",
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
];

struct Module {
    programs: &'static [Program],
    /// Names that the first program is called by beside its own.
    names: &'static [&'static str],
    /// flannel's UDP backend is C; it is linked statically.
    cgo: bool,
}

const fn module(part: Part) -> Module {
    let (programs, names): (&[Program], &[&str]) = match part {
        Part::Etcd => (&[(".", "etcd")], &["etcdutl"]),
        Part::Coredns => (&[(".", "coredns")], &[]),
        Part::Flannel => (&[("github.com/flannel-io/flannel", "flanneld")], &[]),
        _ => (&[(".", "kube")], &KUBERNETES_NAMES),
    };
    Module {
        programs,
        names,
        cgo: matches!(part, Part::Flannel),
    }
}

/// Without these kubeadm takes itself for v0.0.0 and refuses to work.
fn linker_flags(part: Part, versions: &Versions) -> String {
    let mut flags = "-s -w".to_owned();
    let mut set = |name: &str, value: &str| flags += &format!(" -X {name}={value}");
    match part {
        Part::Kubernetes => {
            let version = &versions.kubernetes;
            let mut numbers = version.trim_start_matches('v').split('.');
            let (major, minor) = (
                numbers.next().unwrap_or_default(),
                numbers.next().unwrap_or_default(),
            );
            for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
                set(&format!("{package}.gitVersion"), version);
                set(&format!("{package}.gitMajor"), major);
                set(&format!("{package}.gitMinor"), minor);
                set(&format!("{package}.gitTreeState"), "clean");
            }
        }
        Part::Flannel => {
            set(
                "github.com/flannel-io/flannel/pkg/version.Version",
                &versions.flannel,
            );
            flags += " -extldflags -static";
        }
        _ => {}
    }
    flags
}

/// Names and texts of the files of the Go module of a part.
fn sources(release: ReleaseRecipe, part: Part) -> impl Iterator<Item = (&'static str, &'static str)> {
    let belongs = move |path: &str| {
        release
            .sources(part)
            .iter()
            .any(|source| path.starts_with(source))
    };
    recipe::FILES
        .iter()
        .filter(move |file| belongs(file.path))
        .map(|file| (file.path.rsplit('/').next().unwrap_or(file.path), file.text))
}

/// Builds the programs into the job's directory.
pub(crate) fn build(job: &Job<'_>) -> Result<()> {
    let go = host::go(job.part)?;
    let module = module(job.part);
    for (name, text) in sources(job.release, job.part) {
        recipe::write(&job.work.join(name), text, false)?;
    }
    job.step(format!("compile {} program(s)", module.programs.len()));
    let flags = linker_flags(job.part, &job.release.versions()?);
    for (package, program) in module.programs {
        let run = Run::new(&go)
            .folder(&job.work)
            .env("CGO_ENABLED", if module.cgo { "1" } else { "0" })
            .env("GOOS", "linux")
            .env("GOARCH", "amd64")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=readonly")
            .args([
                "build",
                "-v",
                "-trimpath",
                "-buildvcs=false",
                // The linker drops it anyway; making it is a tenth of the compiler's time.
                "-gcflags=all=-dwarf=false",
                "-ldflags",
                &flags,
                "-o",
            ])
            .arg(job.out.join(program))
            .arg(package);
        job.run(run)?;
    }
    let called = module.programs.iter().take(1).flat_map(|(_, program)| {
        let names = module.names.iter();
        names.map(move |name| (program, job.out.join(name)))
    });
    for (program, link) in called {
        symlink(program, &link).map_err(Error::file("link", &link))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_a_tool_of_its_module() {
        let module = module(Part::Flannel);
        let text = recipe::text("flannel/go.mod").unwrap();
        for (package, _) in module.programs {
            assert!(
                text.lines()
                    .any(|line| line.trim().trim_start_matches("tool ") == *package),
                "{package}"
            );
        }
    }

    /// What the Corefile of kubeadm names, and what people add to it.
    #[test]
    fn coredns_has_the_plugins_of_a_cluster() {
        let source = recipe::text("coredns/main.go").unwrap();
        for plugin in [
            "cache",
            "errors",
            "file",
            "forward",
            "health",
            "hosts",
            "kubernetes",
            "loadbalance",
            "log",
            "loop",
            "metrics",
            "ready",
            "reload",
            "rewrite",
            "template",
        ] {
            let import = format!("_ \"github.com/coredns/coredns/plugin/{plugin}\"");
            assert!(source.contains(&import), "{plugin}");
        }
    }

    #[test]
    fn the_one_program_answers_to_every_name() {
        let source = recipe::text("kubernetes/main.go").unwrap();
        for name in KUBERNETES_NAMES {
            assert!(source.contains(&format!("case \"{name}\":")), "{name}");
        }
        assert_eq!(source.matches("case \"").count(), KUBERNETES_NAMES.len());
    }

    #[test]
    fn kubernetes_knows_its_version() {
        let flags = linker_flags(Part::Kubernetes, &ReleaseRecipe::NEWEST.versions().unwrap());
        assert!(
            flags.contains("-X k8s.io/component-base/version.gitVersion=v1.35.4"),
            "{flags}"
        );
        assert!(flags.contains("version.gitMinor=35"), "{flags}");
    }
}
