//! What is done and seen at the provider behind the driver's back. Each hook is optional.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Exit status of a program of hooks that does not know the hook (EX_UNAVAILABLE).
const NO_SUCH_HOOK: i32 = 69;
/// Longest time for one hook.
const LIMIT: Duration = Duration::from_mins(2);

/// One hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook<'a> {
    /// Answers with the number of machines and of everything else that drivers make.
    CountObjects,
    /// Answers with the number of sessions that are open.
    CountSessions,
    /// Makes a machine of this name that bears nobody's mark.
    CreateForeign(&'a str),
    /// Switches the machine of this name off.
    PowerOff(&'a str),
    /// Removes the machine of this name, whatever its state. None of that name is fine.
    Remove(&'a str),
    /// Answers with the user data that the machine of this name has got, in hexadecimal digits.
    ReadUserdata(&'a str),
}

impl<'a> Hook<'a> {
    /// Name and argument, as a program of hooks gets them.
    #[must_use]
    pub const fn arguments(self) -> (&'static str, Option<&'a str>) {
        match self {
            Self::CountObjects => ("count-objects", None),
            Self::CountSessions => ("count-sessions", None),
            Self::CreateForeign(name) => ("create-foreign", Some(name)),
            Self::PowerOff(name) => ("power-off", Some(name)),
            Self::Remove(name) => ("remove", Some(name)),
            Self::ReadUserdata(name) => ("read-userdata", Some(name)),
        }
    }
}

/// Hooks of a provider.
#[tonic::async_trait]
pub trait PeerHooks: Send + Sync {
    /// Carries one out. None when there is no such hook.
    ///
    /// # Errors
    /// Why it failed, for people.
    async fn call(&self, hook: Hook<'_>) -> Result<Option<String>, String>;
}

/// Hooks that are a program's: it gets the hook's name and argument, and its standard output is the answer.
#[derive(Debug, Clone)]
pub struct CommandHooks {
    /// The program.
    pub program: PathBuf,
}

#[tonic::async_trait]
impl PeerHooks for CommandHooks {
    async fn call(&self, hook: Hook<'_>) -> Result<Option<String>, String> {
        let (name, argument) = hook.arguments();
        let failed = |problem: String| format!("hook {name} of {}: {problem}", self.program.display());
        let output = Command::new(&self.program)
            .arg(name)
            .args(argument)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(LIMIT, output)
            .await
            .map_err(|_| failed(format!("no end after {} s", LIMIT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        if output.status.code() == Some(NO_SUCH_HOOK) {
            return Ok(None);
        }
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(failed(format!("{}: {}", output.status, text.trim())));
        }
        Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }
}
