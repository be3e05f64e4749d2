//! What to run, taken from the configuration: one spec per command, and who waits for whom.

use super::probe::Probe;
use crate::proxy_env::ProxyAddress;
use crate::trust::Trust;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use stitch_config::model::{Config, Service};

/// Everything about a command that makes a restart necessary when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// Its service.
    pub(super) name: Arc<str>,
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// Where it runs.
    pub(super) directory: PathBuf,
    /// What is added to our own environment.
    pub(super) env: Vec<(String, String)>,
    /// How it shows that it is up.
    pub(super) probe: Probe,
}

/// What commands find around them that are `proxied`.
#[derive(Clone, Debug)]
pub(super) struct Around {
    /// Where they send their calls; nowhere when the proxy has no address that programs know.
    pub(super) proxy: Option<ProxyAddress>,
    /// The CA that they trust.
    pub(super) trust: Option<Trust>,
}

impl Around {
    fn variables(&self, name: &str) -> impl Iterator<Item = (String, String)> {
        let proxy = self.proxy.clone().map(|proxy| proxy.named(Some(name)).variables());
        let trust = self.trust.iter().flat_map(Trust::variables);
        proxy.into_iter().flatten().chain(trust).map(|(name, value)| (name.to_owned(), value))
    }
}

/// The command of every service that has one, in file order.
pub(super) fn specs(config: &Config, around: &Around) -> Vec<Spec> {
    config.services.iter().filter_map(|service| spec(service, around)).collect()
}

fn spec(service: &Service, around: &Around) -> Option<Spec> {
    let command = service.command.as_ref()?;
    let proxied = command.proxied.then(|| around.variables(&service.name));
    // The file has the last word, even on proxy variables.
    let env = proxied.into_iter().flatten().chain(service.env.iter().cloned()).collect();
    let here = command.directory.as_os_str().is_empty();
    Some(Spec {
        name: service.name.clone(),
        argv: command.argv.clone(),
        directory: if here { PathBuf::from(".") } else { command.directory.clone() },
        env,
        probe: Probe::of(service),
    })
}

/// For each command, the commands that must be up before it is started. Services without a command
/// are nobody's to wait for; an edge that would close a circle is left out.
pub(super) fn prerequisites(config: &Config) -> BTreeMap<Arc<str>, Vec<Arc<str>>> {
    let mut edges: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
    for service in config.services.iter().filter(|service| service.command.is_some()) {
        let name = &service.name;
        for wanted in &service.depends_on {
            let runs = config.service(wanted).is_some_and(|service| service.command.is_some());
            if runs && !waits_for(&edges, wanted, name) {
                edges.entry(name.clone()).or_default().push(wanted.clone());
            }
        }
    }
    edges
}

/// Whether one command waits for another, directly or not, or is the same.
fn waits_for(edges: &BTreeMap<Arc<str>, Vec<Arc<str>>>, one: &Arc<str>, other: &Arc<str>) -> bool {
    // The edges so far hold no circle, so this ends.
    one == other
        || edges.get(one).is_some_and(|next| next.iter().any(|one| waits_for(edges, one, other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn around() -> Around {
        Around { proxy: Some("127.0.0.1:8080".parse().unwrap()), trust: None }
    }

    #[test]
    fn only_commands_are_run() {
        let config = testing::config(
            "services:
  users: { url: 'http://localhost:8000', command: 'cargo run -q', env: { PORT: '8000' } }
  other: { url: 'http://localhost:8001' }
",
        );
        let specs = specs(&config, &around());
        assert_eq!(specs.len(), 1);
        assert_eq!(specs[0].argv, ["cargo", "run", "-q"]);
        assert_eq!(specs[0].directory, PathBuf::from("."));
        assert_eq!(specs[0].env, [("PORT".to_owned(), "8000".to_owned())]);
    }

    #[test]
    fn a_proxied_command_is_known_by_name_and_the_file_has_the_last_word() {
        let config = testing::config(
            "services:
  web: { url: 'http://localhost:1', command: ./web, proxied: true, env: { NO_PROXY: example.com } }
",
        );
        let env = &specs(&config, &around())[0].env;
        assert!(env.contains(&("http_proxy".into(), "http://web@127.0.0.1:8080".into())));
        assert_eq!(env.last(), Some(&("NO_PROXY".into(), "example.com".into())));
    }

    fn orders(services: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let mut config = testing::config("services: { a: { url: 'http://h:1', command: x } }");
        let template = config.services[0].clone();
        config.services = services
            .iter()
            .map(|(name, after)| {
                let mut service = Service::clone(&template);
                service.name = (*name).into();
                service.depends_on = after.iter().map(|name| (*name).into()).collect();
                if name.starts_with("mock") {
                    service.command = None;
                }
                service.into()
            })
            .collect();
        let text = |name: &Arc<str>| name.to_string();
        let edges = prerequisites(&config);
        edges.iter().map(|(name, after)| (text(name), after.iter().map(text).collect())).collect()
    }

    #[test]
    fn commands_wait_for_commands() {
        let edges =
            orders(&[("web", &["api", "mock"]), ("api", &["db"]), ("db", &[]), ("mock", &[])]);
        let expected = [("api", "db"), ("web", "api")];
        assert_eq!(edges, expected.map(|(name, after)| (name.into(), vec![after.into()])));
    }

    #[test]
    fn a_circle_is_opened() {
        let edges = orders(&[("a", &["b", "a"]), ("b", &["c"]), ("c", &["a"])]);
        let expected = [("a", "b"), ("b", "c")];
        assert_eq!(edges, expected.map(|(name, after)| (name.into(), vec![after.into()])));
    }
}
