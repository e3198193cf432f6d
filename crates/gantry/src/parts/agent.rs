//! The agent's program, which goes into the installer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::bail;
use tempfile::TempPath;

/// Name of the program, beside this one.
const NAME: &str = "gantry-agent";

/// The last bytes of a program that carries the agent: the agent, compressed by zstd, stands before its length (8 bytes, little
/// endian) and this mark. `cargo xtask release` makes such programs.
const MARK: &[u8; 16] = b"gantry-agent-1\r\n";

/// A file with the agent's program.
#[derive(Debug)]
pub(crate) struct Agent {
    path: PathBuf,
    /// Removes the file, where it came from inside this program.
    _unpacked: Option<TempPath>,
}

impl Agent {
    /// The named one, else the one beside this program, else the one inside.
    pub(crate) fn find(named: Option<&Path>) -> anyhow::Result<Agent> {
        let file = |path: PathBuf| Agent {
            path,
            _unpacked: None,
        };
        if let Some(path) = named {
            return Ok(file(path.to_owned()));
        }
        let program = std::env::current_exe()?;
        let beside = program.with_file_name(NAME);
        if beside.is_file() {
            return Ok(file(beside));
        }
        let Some(path) = unpacked(File::open(&program)?)? else {
            bail!(
                "there is no {}; name the agent's program with --agent",
                beside.display()
            );
        };
        Ok(Agent {
            path: path.to_path_buf(),
            _unpacked: Some(path),
        })
    }

    /// Where it is, while this value lives.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The agent inside a program, in a file of its own; `None` where there is none.
fn unpacked(mut program: File) -> std::io::Result<Option<TempPath>> {
    let mut end = [0; 8 + MARK.len()];
    let size = program.metadata()?.len();
    let Some(end_at) = size.checked_sub(end.len() as u64) else {
        return Ok(None);
    };
    program.seek(SeekFrom::Start(end_at))?;
    program.read_exact(&mut end)?;
    let (length, mark) = end.split_at(8);
    if mark != MARK {
        return Ok(None);
    }
    let length = length
        .iter()
        .rev()
        .fold(0, |sum, &octet| sum << 8 | u64::from(octet));
    let Some(start) = end_at.checked_sub(length) else {
        return Ok(None);
    };
    program.seek(SeekFrom::Start(start))?;
    let file = tempfile::NamedTempFile::new()?;
    zstd::stream::copy_decode(program.take(length), file.as_file())?;
    Ok(Some(file.into_temp_path()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn program(agent: &[u8], length: u64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"the program itself").unwrap();
        file.write_all(agent).unwrap();
        file.write_all(&length.to_le_bytes()).unwrap();
        file.write_all(MARK).unwrap();
        file
    }

    #[test]
    fn the_agent_is_found_at_the_end_of_a_program() {
        let agent = zstd::bulk::compress(b"static agent", 1).unwrap();
        let length = agent.len() as u64;
        let path = unpacked(program(&agent, length)).unwrap().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"static agent");
        assert!(unpacked(program(&agent, u64::MAX)).unwrap().is_none());
        let cut = program(&agent, length);
        cut.set_len(cut.metadata().unwrap().len() - 1).unwrap();
        assert!(unpacked(cut).unwrap().is_none());
        assert!(unpacked(tempfile::tempfile().unwrap()).unwrap().is_none());
    }
}
