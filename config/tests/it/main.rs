//! Whole files through the real loader: fixtures, defaults, includes, watching, robustness, docs.

#[cfg(test)]
mod auth;
#[cfg(test)]
mod balance;
#[cfg(test)]
mod breaker;
#[cfg(test)]
mod defaults;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod dump;
#[cfg(test)]
mod edge;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod health;
#[cfg(test)]
mod include;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod meaning;
#[cfg(test)]
mod overlay;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod retry;
#[cfg(test)]
mod robust;
#[cfg(test)]
mod transforms;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod words;

use stitch_config::{Config, Loaded, load_text};

/// The environment of every test.
fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("8001".to_owned()),
        "STITCH_TOKEN" => Some("hunter2".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Loaded {
    load_text("stitch.yaml", text, &env)
}

/// The configuration of a text without mistakes.
#[track_caller]
fn config(text: &str) -> Config {
    let loaded = read(text);
    assert!(!loaded.report.has_errors(), "{}", loaded.report.render(&loaded.sources));
    loaded.config
}
