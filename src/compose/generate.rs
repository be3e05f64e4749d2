//! The compose file of a configuration: a function of its arguments, nothing is touched.
//!
//! Infrastructure runs from its images as written. One container, `stitch`, holds the name of
//! every declared service in the network and listens on their ports, so that `http://payments:8002`
//! from any container meets the proxy first. Real services that bring an image stand behind it as
//! `NAME-real`. The format is the common ground of `docker compose` and `docker-compose` 1.29.

use super::drive::FILE_NAME;
use super::network::{HOST_MACHINE, Network, Real, listen_ports};
use super::options::Options;
use super::ports::infra_at;
use super::yaml::{document, literal, pass};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use stitch_config::Data;
use stitch_config::model::{AccessLogTarget, Config, HostPattern, Kind, RouteAction, Service};

/// Our container's name, which no declared service may have.
const STITCH: &str = "stitch";
/// Where the configuration's directory is mounted.
const MOUNT: &str = "/etc/stitch";
/// Where our container can write.
const CA_FOLDER: &str = "/tmp/stitch-ca";
/// Seconds after the drain time before our container is killed.
const STOP_MARGIN: u64 = 5;
/// What programs read to find their HTTP proxy.
const PROXY_VARIABLES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];

/// A compose file and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    /// The text of the file.
    pub(crate) yaml: String,
    /// What may not work as in `stitch up`; the file says it too.
    pub(crate) warnings: Vec<String>,
    /// What the developer's machine reaches: `stitch` for the proxy or a service, and its url.
    pub(crate) published: Vec<(String, String)>,
}

/// Writes the compose file of a configuration.
pub(crate) fn generate(config: &Config, options: &Options) -> Generated {
    let mut network = Network::of(config);
    warn_about_files(config, options, &mut network.warnings);
    let published = published(config, &mut network.warnings);

    let mut services = Map::new();
    let infra = config.services.iter().filter(|service| service.kind == Kind::Infra);
    for service in infra {
        services.insert(service.name.to_string(), infra_entry(config, service, options));
    }
    services.insert(STITCH.to_owned(), stitch_entry(config, options, &network, &published));
    for real in &network.reals {
        services.insert(real.container.clone(), real_entry(config, real, &network.reals, options));
    }
    let mut file = Map::from_iter([("services".to_owned(), Value::Object(services))]);
    let volumes = named_volumes(config);
    if !volumes.is_empty() {
        file.insert("volumes".to_owned(), Value::Object(volumes));
    }
    Generated {
        yaml: header(options, &network.warnings) + &document(&Value::Object(file)),
        warnings: network.warnings,
        published: published.into_iter().map(|(name, port)| shown(config, name, port)).collect(),
    }
}

/// A published port as people ask for it.
fn shown(config: &Config, name: String, port: u16) -> (String, String) {
    let scheme = match config.proxy.tls {
        _ if is_bytes(config, &name) => "tcp",
        Some(_) => "https",
        None => "http",
    };
    (name, format!("{scheme}://127.0.0.1:{port}"))
}

fn is_bytes(config: &Config, name: &str) -> bool {
    config.service(name).is_some_and(|service| service.kind == Kind::Tcp)
}

fn header(options: &Options, warnings: &[String]) -> String {
    let file = one_line(&options.file);
    let mut header = format!(
        "# Written by `stitch compose {file}` and written anew each time: change {file} instead.\n"
    );
    for warning in warnings {
        header.push_str("# warning: ");
        header.push_str(&one_line(warning));
        header.push('\n');
    }
    header
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn warn_about_files(config: &Config, options: &Options, warnings: &mut Vec<String>) {
    for path in &options.outside {
        warnings.push(format!(
            "{} lies outside the directory of {}, which is all that the container sees",
            path.display(),
            options.file
        ));
    }
    if config.proxy.forward.intercept_tls {
        warnings.push(format!(
            "forward.intercept_tls: the CA is made in the stitch container and goes with it; `docker \
             compose -f {FILE_NAME} exec stitch stitch ca export` prints it"
        ));
    }
    if let AccessLogTarget::File(path) = &config.proxy.access_log.to {
        warnings.push(format!(
            "access_log goes to {}, but the configuration is mounted read-only; use stderr",
            path.display()
        ));
    }
}

/// Our ports on the loopback address of the developer's machine, so that the same `curl` lines
/// work as with `stitch up`.
fn published(config: &Config, warnings: &mut Vec<String>) -> Vec<(String, u16)> {
    let proxy = listen_ports(config).into_iter().map(|port| (STITCH.to_owned(), port));
    let service = |service: &Service| Some((service.name.to_string(), service.port?));
    let services = config.services.iter().filter_map(|entry| service(entry));
    let mut published: Vec<(String, u16)> = Vec::new();
    for (name, port) in proxy.chain(services) {
        if port == 0 {
            let instead = match is_bytes(config, &name) {
                true => "give it one".to_owned(),
                false => {
                    let shared = listen_ports(config).first().copied().unwrap_or_default();
                    format!("use http://{name}:{shared}")
                }
            };
            warnings.push(format!(
                "{name}: `port: 0` picks a port that no other container could know; {instead}"
            ));
        } else if let Some((infra, _)) = infra_at(config, port) {
            warnings.push(format!("{name}: port {port} of this machine is {infra}'s already"));
        } else {
            published.push((name, port));
        }
    }
    published
}

/// Infrastructure, as written.
fn infra_entry(config: &Config, service: &Service, options: &Options) -> Value {
    let mut entry = Map::new();
    insert_origin(&mut entry, service, options);
    insert_list(&mut entry, "ports", service.ports.iter().map(|port| literal(port)).collect());
    insert_map(&mut entry, "environment", environment(service));
    insert_volumes(&mut entry, service, options);
    let depends_on = infra_among(config, service);
    insert_map(&mut entry, "depends_on", depends_on.map(started).collect());
    Value::Object(entry)
}

fn stitch_entry(
    config: &Config,
    options: &Options,
    network: &Network,
    published: &[(String, u16)],
) -> Value {
    let file = format!("{MOUNT}/{}", options.file);
    let command = ["up".to_owned(), file].into_iter().chain(network.overrides.to_args());
    let command: Value = command.map(|arg| literal(&arg)).collect();
    let admin_port = network.overrides.admin.map(|admin| admin.port()).unwrap_or_default();
    let mut ports: Vec<u16> = published.iter().map(|(_, port)| *port).collect();
    if config.proxy.admin.token.is_some() {
        ports.push(admin_port);
    }
    let ports = ports.iter().map(|port| json!(format!("127.0.0.1:{port}:{port}")));
    // A variable without a value is taken from where compose runs.
    let mut variables = Map::from_iter([admin_variable(admin_port)]);
    if config.proxy.forward.intercept_tls {
        variables.insert("STITCH_CA_DIR".to_owned(), json!(CA_FOLDER));
    }
    variables.extend(options.variables.iter().map(|name| (name.clone(), Value::Null)));
    let infra = config.services.iter().filter(|service| service.kind == Kind::Infra);
    let grace = config.proxy.drain.as_secs().saturating_add(STOP_MARGIN);

    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    // Not `literal`: compose expands this one.
    put("image", json!(format!("${{STITCH_IMAGE:-{}}}", options.image)));
    put("command", command);
    if let Some(user) = &options.user {
        put("user", json!(user));
    }
    put("environment", Value::Object(variables));
    put(
        "volumes",
        json!([{ "type": "bind", "source": literal(&options.base), "target": MOUNT, "read_only": true }]),
    );
    put("ports", ports.collect());
    put("networks", json!({ "default": { "aliases": aliases(config) } }));
    if network.needs_host {
        put("extra_hosts", json!([format!("{HOST_MACHINE}:host-gateway")]));
    }
    put("healthcheck", healthcheck());
    put("stop_grace_period", json!(format!("{grace}s")));
    // Compose looks at this file alone to see what changed; this line changes with the mounted one.
    put("labels", json!({ "servicestitch.config": format!("{:016x}", options.fingerprint) }));
    insert_map(&mut entry, "depends_on", infra.map(|service| started(&service.name)).collect());
    Value::Object(entry)
}

/// Where `stitch health` asks, whoever calls it inside the container.
fn admin_variable(port: u16) -> (String, Value) {
    ("STITCH_ADMIN".to_owned(), json!(format!("http://127.0.0.1:{port}")))
}

fn healthcheck() -> Value {
    json!({
        "test": ["CMD", "stitch", "health"],
        "interval": "5s",
        "timeout": "3s",
        "retries": 3,
        "start_period": "10s",
    })
}

/// A real service behind its alias. It may call others from its first moment, so we are first.
fn real_entry(config: &Config, real: &Real, reals: &[Real], options: &Options) -> Value {
    let service = &real.service;
    let mut variables = environment(service);
    if service.command.as_ref().is_some_and(|command| command.proxied) {
        let port = listen_ports(config).first().copied().unwrap_or_default();
        let url = format!("http://{}@{STITCH}:{port}", service.name);
        variables.extend(PROXY_VARIABLES.map(|name| (name.to_owned(), json!(url))));
    }
    let others = reals.iter().filter(|other| service.depends_on.contains(&other.service.name));
    let depends_on = std::iter::once(STITCH)
        .chain(infra_among(config, service))
        .chain(others.map(|other| other.container.as_str()));

    let mut entry = Map::new();
    insert_origin(&mut entry, service, options);
    insert_list(&mut entry, "ports", service.ports.iter().map(|port| literal(port)).collect());
    insert_map(&mut entry, "environment", variables);
    insert_volumes(&mut entry, service, options);
    insert_map(&mut entry, "depends_on", depends_on.map(started).collect());
    Value::Object(entry)
}

fn infra_among<'a>(config: &'a Config, service: &'a Service) -> impl Iterator<Item = &'a str> {
    let infra = |name: &str| config.service(name).is_some_and(|it| it.kind == Kind::Infra);
    service.depends_on.iter().map(|name| &**name).filter(move |name| infra(name))
}

/// A `depends_on` entry: images of infrastructure seldom bring a health check to wait for.
fn started(name: &str) -> (String, Value) {
    (name.to_owned(), json!({ "condition": "service_started" }))
}

/// Every name that is ours in the network: services, their hosts, the hosts of routes.
fn aliases(config: &Config) -> Vec<&str> {
    let served = || config.services.iter().filter(|service| service.kind != Kind::Infra);
    let names = served().map(|service| &*service.name);
    let hosts = served().flat_map(|service| service.hosts.iter().filter_map(network_name));
    let routes = config.routes.iter().filter(|route| !matches!(route.action, RouteAction::Stitch));
    let routes = routes.flat_map(|route| route.matches.hosts.iter().filter_map(network_name));
    // A name that is also a real endpoint's must lead there, or stitch would ask itself.
    let endpoints = || served().flat_map(|service| &service.upstreams);
    let elsewhere = |host: &&str| {
        !endpoints().any(|endpoint| endpoint.host_port().is_some_and(|(name, _)| name == *host))
    };
    let mut aliases = Vec::new();
    for name in names.chain(hosts.chain(routes).filter(elsewhere)) {
        let ours = config.service(name).is_none_or(|service| service.kind != Kind::Infra);
        if ours && name != STITCH && !aliases.contains(&name) {
            aliases.push(name);
        }
    }
    aliases
}

/// A host that a network can give to a container; `*.localhost` never leaves a machine.
fn network_name(pattern: &HostPattern) -> Option<&str> {
    let host = pattern.host.as_str();
    let local = host == "localhost" || host.ends_with(".localhost");
    let single = !host.contains('*') && host.parse::<IpAddr>().is_err();
    (single && !local).then_some(host)
}

fn insert_list(entry: &mut Map<String, Value>, key: &str, items: Vec<Value>) {
    if !items.is_empty() {
        entry.insert(key.to_owned(), Value::Array(items));
    }
}

fn insert_map(entry: &mut Map<String, Value>, key: &str, items: Map<String, Value>) {
    if !items.is_empty() {
        entry.insert(key.to_owned(), Value::Object(items));
    }
}

/// `image` and `build`.
fn insert_origin(entry: &mut Map<String, Value>, service: &Service, options: &Options) {
    if let Some(image) = &service.image {
        entry.insert("image".to_owned(), literal(image));
    }
    if let Some(build) = &service.build {
        entry.insert("build".to_owned(), located_build(build, &options.base));
    }
}

/// A build whose context is found from where the compose file stands.
fn located_build(build: &Data, base: &str) -> Value {
    let remote = |context: &str| context.contains("://") || context.starts_with("git@");
    match build {
        Data::Text(context) if !remote(&context.text) => literal(&from_base(base, &context.text)),
        Data::Map(entries) => {
            let located = |(key, value): &(String, Data)| match key.as_str() {
                "context" => (key.clone(), located_build(value, base)),
                _ => (key.clone(), pass(value)),
            };
            entries.iter().map(located).collect::<Map<_, _>>().into()
        }
        other => pass(other),
    }
}

/// A path of the configuration, relative to it unless absolute or in the home directory.
fn from_base(base: &str, path: &str) -> String {
    if base == "." || path.starts_with(['/', '~']) {
        return path.to_owned();
    }
    match path.strip_prefix("./").unwrap_or(path) {
        "" | "." => base.to_owned(),
        path => format!("{base}/{path}"),
    }
}

fn insert_volumes(entry: &mut Map<String, Value>, service: &Service, options: &Options) {
    let located = |volume: &String| match volume.split_once(':') {
        Some((source, rest)) if source.starts_with('.') => {
            literal(&format!("{}:{rest}", from_base(&options.base, source)))
        }
        _ => literal(volume),
    };
    insert_list(entry, "volumes", service.volumes.iter().map(located).collect());
}

/// Volumes that are names and not paths have to be declared.
fn named_volumes(config: &Config) -> Map<String, Value> {
    let is_name = |source: &&str| source.starts_with(|c: char| c.is_ascii_alphanumeric());
    let volumes = config.services.iter().flat_map(|service| &service.volumes);
    let sources = volumes.filter_map(|volume| volume.split_once(':')).map(|(source, _)| source);
    sources.filter(is_name).map(|source| (source.to_owned(), json!({}))).collect()
}

/// `environment`, then `env`; values as the strings that programs see.
fn environment(service: &Service) -> Map<String, Value> {
    let mut variables = Map::new();
    match &service.environment {
        Some(Data::Map(entries)) => {
            variables.extend(entries.iter().map(|(name, value)| (name.clone(), scalar(value))));
        }
        Some(Data::List(items)) => variables.extend(items.iter().filter_map(assignment)),
        _ => {}
    }
    variables.extend(service.env.iter().map(|(name, value)| (name.clone(), literal(value))));
    variables
}

/// Some versions refuse booleans here. Nothing at all means: from where compose runs.
fn scalar(value: &Data) -> Value {
    match value {
        Data::Bool(_) | Data::Number(_) => Value::String(value.to_json().to_string()),
        other => pass(other),
    }
}

/// `NAME=value` or `NAME`.
fn assignment(item: &Data) -> Option<(String, Value)> {
    let Data::Text(text) = item else { return None };
    Some(match text.text.split_once('=') {
        Some((name, value)) => (name.to_owned(), literal(value)),
        None => (text.text.clone(), Value::Null),
    })
}

#[cfg(test)]
#[path = "generate_tests.rs"]
mod tests;
