//! No path leads out of a foreign file system.

use std::os::unix::fs::{PermissionsExt, symlink};

use agent::{FileTree, NewFile, Placed};

fn file<'a>(path: &'a str, contents: &'a str) -> NewFile<'a> {
    NewFile {
        path,
        contents: contents.as_bytes(),
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        mode: 0o640,
        directory_mode: 0o750,
    }
}

#[test]
fn links_and_dots_stay_inside() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    std::fs::create_dir_all(root.join("real/run")).unwrap();
    std::fs::create_dir(outer.path().join("outside")).unwrap();
    symlink("/real", root.join("absolute")).unwrap();
    symlink("../../outside", root.join("escape")).unwrap();
    symlink(outer.path().join("outside/victim"), root.join("real/link")).unwrap();
    std::fs::write(outer.path().join("outside/victim"), "safe").unwrap();
    let tree = FileTree::open(&root).unwrap();

    tree.place(&file("/absolute/run/a", "1")).unwrap();
    assert_eq!(std::fs::read_to_string(root.join("real/run/a")).unwrap(), "1");
    // A link as the last part is replaced, not followed.
    tree.place(&file("/real/link", "2")).unwrap();
    assert!(
        std::fs::symlink_metadata(root.join("real/link"))
            .unwrap()
            .is_file()
    );
    let _ = tree.place(&file("/escape/b", "3"));
    assert_eq!(
        std::fs::read_dir(outer.path().join("outside")).unwrap().count(),
        1
    );
    assert_eq!(
        std::fs::read_to_string(outer.path().join("outside/victim")).unwrap(),
        "safe"
    );
    for path in ["relative", "/../a", "/a/../../b", "/", "/a/", "", "/a\0b"] {
        assert!(tree.place(&file(path, "x")).is_err(), "{path:?}");
    }
}

#[test]
fn the_same_again_is_left_alone_and_a_change_is_not() {
    let root = tempfile::tempdir().unwrap();
    let tree = FileTree::open(root.path()).unwrap();
    assert_eq!(tree.place(&file("/etc/new/a", "1")).unwrap(), Placed::Written);
    assert_eq!(
        tree.place(&file("/etc/new/a", "1")).unwrap(),
        Placed::AlreadyThere
    );
    let mode = |path: &str| {
        std::fs::metadata(root.path().join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!((mode("etc/new/a"), mode("etc/new")), (0o640, 0o750));
    let other_mode = NewFile {
        mode: 0o600,
        ..file("/etc/new/a", "1")
    };
    assert_eq!(tree.place(&other_mode).unwrap(), Placed::Written);
    assert_eq!(mode("etc/new/a"), 0o600);
    assert_eq!(tree.place(&file("/etc/new/a", "22")).unwrap(), Placed::Written);
    assert_eq!(std::fs::read_dir(root.path().join("etc/new")).unwrap().count(), 1);
    assert!(tree.place(&file("/etc/new", "x")).is_err());
}
