//! `/init` of the installer OS. Started by the kernel as `modprobe` it loads a module instead.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::MachineKey;
use agent::system::Modules;
use rustls::crypto::CryptoProvider;

const PAUSE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    if std::process::id() != 1 {
        return helper();
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let _ = provider.clone().install_default();
    let console = agent::Console::system();
    let provider = Arc::new(provider);
    // The first process must not end: the kernel would panic and the reason be lost.
    loop {
        match MachineKey::generate() {
            Err(error) => console.say(error.line()),
            Ok(key) => again_and_again(&provider, &key),
        }
        std::thread::sleep(PAUSE);
    }
}

/// One key for as long as the machine is up, whatever happens to the agent.
fn again_and_again(provider: &Arc<CryptoProvider>, key: &MachineKey) {
    loop {
        let run = std::panic::AssertUnwindSafe(|| agent::run(provider, key));
        let console = agent::Console::system();
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => console.say(error.line()),
            Err(_) => console.say("the installer's agent crashed; starting it again"),
        }
        std::thread::sleep(PAUSE);
    }
}

/// The kernel calls `modprobe -q -- NAME`.
fn helper() -> ExitCode {
    let mut names = std::env::args().skip_while(|argument| argument != "--").skip(1);
    let Some(name) = names.next() else {
        agent::Console::new(Vec::new()).say(format!(
            "gantry-agent {} runs as the first process of the installer OS",
            env!("CARGO_PKG_VERSION")
        ));
        return ExitCode::from(2);
    };
    Modules::of_running_kernel().load(&name);
    ExitCode::SUCCESS
}
