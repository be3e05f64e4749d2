//! Which ports are redirected: all, or a list with ranges.

use std::str::FromStr;

/// Ports of destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    /// Every port.
    All,
    /// These, first and last of each range.
    These(Vec<(u16, u16)>),
}

impl Ports {
    /// Each as iptables wants it: nothing for all, else `80` or `8000:8100`.
    pub(super) fn matches(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::These(ranges) => ranges
                .iter()
                .map(|(first, last)| match first == last {
                    true => Some(first.to_string()),
                    false => Some(format!("{first}:{last}")),
                })
                .collect(),
        }
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.split(',').map(|part| range(part.trim())).collect::<Result<_, _>>().map(Self::These)
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(format!("\"{text}\" is no port: write all, or ports such as 80,443,8000-8100")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        assert_eq!("all".parse(), Ok(Ports::All));
        let ports: Ports = "80, 443,8000-8100".parse().unwrap();
        assert_eq!(ports, Ports::These(vec![(80, 80), (443, 443), (8000, 8100)]));
        let expected = ["80", "443", "8000:8100"].map(|port| Some(port.to_owned()));
        assert_eq!(ports.matches(), expected);
        assert_eq!(Ports::All.matches(), [None]);
        for bad in ["", "0", "80,", "http", "90-80", "1-65536", "ALL"] {
            assert!(bad.parse::<Ports>().unwrap_err().contains("is no port"), "{bad}");
        }
    }
}
