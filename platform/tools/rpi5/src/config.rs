//! `config.txt`: what the board's firmware is told, as far as the card's contents depend on it.
use std::fmt;

/// Where the firmware's resident part ends: nothing may be loaded below (reserved-memory node `atf@0` of the board's tree).
pub const FIRMWARE_END: u64 = 0x8_0000;
/// Every board has RAM up to here before firmware says how much there is.
pub const SURE_RAM_END: u64 = 0x2800_0000;

/// The longest line that the firmware reads.
const LONGEST: usize = 98;

/// The files that the firmware loads, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The kernel's file.
    pub kernel: String,
    /// Its address.
    pub kernel_address: u64,
    /// The bundle's file.
    pub initramfs: String,
    /// Its address.
    pub initramfs_address: u64,
    /// The one device tree, where the firmware shall not choose.
    pub device_tree: Option<String>,
}

/// Why a `config.txt` is not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadConfig(String);

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "config.txt: {}", self.0)
    }
}

impl Config {
    /// Reads the lines that matter here; the firmware knows the others.
    pub fn read(text: &str) -> Result<Self, BadConfig> {
        let (mut kernel, mut kernel_address, mut initramfs, mut device_tree) = (None, None, None, None);
        for (number, line) in text.lines().enumerate() {
            if line.len() > LONGEST {
                return Err(BadConfig(format!(
                    "line {}: firmware ignores what is after column {LONGEST}",
                    number + 1
                )));
            }
            let line = line.trim();
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            if line.starts_with('[') {
                return Err(BadConfig(format!(
                    "line {}: {line}: sections are not understood here",
                    number + 1
                )));
            }
            if let Some(rest) = line.strip_prefix("initramfs ") {
                let Some((file, address)) = rest.trim().split_once(' ') else {
                    return Err(BadConfig(format!("line {}: write 'initramfs FILE ADDRESS'", number + 1)));
                };
                initramfs = Some((file.to_owned(), address_of(address, number)?));
                continue;
            }
            match line.split_once('=') {
                Some(("kernel", file)) => kernel = Some(file.to_owned()),
                Some(("kernel_address", text)) => kernel_address = Some(address_of(text, number)?),
                Some(("device_tree", file)) => device_tree = Some(file.to_owned()),
                Some(_) => {}
                None => return Err(BadConfig(format!("line {}: '{line}' is not NAME=VALUE", number + 1))),
            }
        }
        let missing = |what: &str| BadConfig(format!("no line '{what}': the card's layout hangs on it"));
        let (initramfs, initramfs_address) = initramfs.ok_or_else(|| missing("initramfs FILE ADDRESS"))?;
        Ok(Self {
            kernel: kernel.ok_or_else(|| missing("kernel=FILE"))?,
            kernel_address: kernel_address.ok_or_else(|| missing("kernel_address=ADDRESS"))?,
            initramfs,
            initramfs_address,
            device_tree,
        })
    }
}

fn address_of(text: &str, number: usize) -> Result<u64, BadConfig> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").ok_or(());
    let value = digits.and_then(|d| u64::from_str_radix(d, 16).map_err(|_| ()));
    value.map_err(|()| BadConfig(format!("line {}: '{text}' is not an address like 0x80000", number + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boards_own_file_is_understood() {
        let config = Config::read(include_str!("../../../rpi5/config.txt")).unwrap();
        assert_eq!((config.kernel.as_str(), config.kernel_address), ("axiom.img", 0x8_0000));
        assert_eq!((config.initramfs.as_str(), config.initramfs_address), ("axiom.bundle", 0x200_0000));
        assert_eq!(config.device_tree, None);
    }

    #[test]
    fn every_setting_says_why() {
        let mut before = "";
        for line in include_str!("../../../rpi5/config.txt").lines() {
            assert!(
                line.is_empty() || line.starts_with('#') || before.starts_with('#'),
                "'{line}' has no comment in front"
            );
            before = line;
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, message) in [
            (
                "kernel=a\nkernel_address=0x80000",
                "no line 'initramfs FILE ADDRESS': the card's layout hangs on it",
            ),
            ("initramfs b followkernel", "line 1: 'followkernel' is not an address like 0x80000"),
            ("initramfs b", "line 1: write 'initramfs FILE ADDRESS'"),
            ("\nkernel_address=524288", "line 2: '524288' is not an address like 0x80000"),
            ("[pi5]", "line 1: [pi5]: sections are not understood here"),
            ("enable_uart", "line 1: 'enable_uart' is not NAME=VALUE"),
            ("kernel=a\ninitramfs b 0x1", "no line 'kernel_address=ADDRESS': the card's layout hangs on it"),
        ] {
            assert_eq!(Config::read(text).unwrap_err().to_string(), format!("config.txt: {message}"));
        }
        let long = format!("kernel={}", "x".repeat(100));
        assert!(Config::read(&long).unwrap_err().to_string().contains("column 98"));
    }
}
