//! Logs: text or JSON on standard error, and also in a file when one is named.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::sync::Mutex;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::error::Error;
use crate::settings::{LogFormat, Settings};

/// Sets the process's log up. Fails when it is set up already.
pub fn start_logs(settings: &Settings) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| Error::Logs(error.to_string()))?;
    let file = settings.log_file.as_ref().map(|path| {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(Error::file("open the log file", path))
    });
    let file: Option<File> = file.transpose()?;
    let to_file = file.map(|file| -> Box<dyn Layer<Registry> + Send + Sync> {
        match settings.log_format {
            LogFormat::Text => Box::new(fmt::layer().with_ansi(false).with_writer(Mutex::new(file))),
            LogFormat::Json => Box::new(fmt::layer().json().with_writer(Mutex::new(file))),
        }
    });
    let to_terminal: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal();
            Box::new(fmt::layer().with_ansi(colour).with_writer(std::io::stderr))
        }
        LogFormat::Json => Box::new(fmt::layer().json().with_writer(std::io::stderr)),
    };
    let layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> =
        std::iter::once(to_terminal).chain(to_file).collect();
    let subscriber = tracing_subscriber::registry().with(layers).with(filter);
    subscriber
        .try_init()
        .map_err(|error| Error::Logs(error.to_string()))
}
