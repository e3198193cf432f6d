//! The kernel arguments that concern the agent. All of them are public and prove nothing.

use std::time::Duration;

use resources::Mac;

/// What the boot script told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelArguments {
    /// `gantry.boot_id`.
    pub boot_id: Option<String>,
    /// `gantry.server`, `HOST:PORT`.
    pub server: Option<String>,
    /// `gantry.site`, the name in the appliance's certificate.
    pub site: Option<String>,
    /// `gantry.time`, since the Unix epoch.
    pub time: Option<Duration>,
    /// `BOOTIF`: hardware type and MAC address with dashes, as PXELINUX passes it.
    pub boot_mac: Option<Mac>,
}

impl KernelArguments {
    /// Reads `/proc/cmdline`. The last of two equal names counts, as in the kernel; what is malformed counts as absent.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut arguments = Self::default();
        for word in words(line) {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            let text = || Some(value.to_owned()).filter(|value| !value.is_empty());
            match name {
                "gantry.boot_id" => arguments.boot_id = text(),
                "gantry.server" => arguments.server = text(),
                "gantry.site" => arguments.site = text(),
                "gantry.time" => {
                    let time = value.parse::<jiff::Timestamp>().ok();
                    arguments.time = time.and_then(|time| time.as_duration().try_into().ok());
                }
                "BOOTIF" => {
                    let mac = value.strip_prefix("01-").unwrap_or(value);
                    arguments.boot_mac = mac.parse().ok();
                }
                _ => {}
            }
        }
        arguments
    }
}

/// Splits at blanks that are not inside double quotes; the quotes go.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.trim().chars() {
        match letter {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => words.push(String::new()),
            other => {
                if let Some(word) = words.last_mut() {
                    word.push(other);
                }
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_script_writes() {
        let line = "initrd=initramfs BOOTIF=01-52-54-00-12-34-56 gantry.boot_id=00ff gantry.server=192.0.2.1:7443 \
                    gantry.site=\"lab.gantry.internal\" gantry.time=2026-11-21T00:00:00Z console=ttyS0,115200 quiet\n";
        let arguments = KernelArguments::parse(line);
        assert_eq!(
            arguments,
            KernelArguments {
                boot_id: Some("00ff".into()),
                server: Some("192.0.2.1:7443".into()),
                site: Some("lab.gantry.internal".into()),
                time: Some(Duration::from_secs(1_795_219_200)),
                boot_mac: Some("52:54:00:12:34:56".parse().unwrap()),
            }
        );
        let bad = KernelArguments::parse("BOOTIF=none gantry.time=yesterday gantry.boot_id= gantry.boot_id");
        assert_eq!(bad, KernelArguments::default());
    }
}
