//! `stitch up` and `stitch proxy`: the proxy with mocks behind it, in this process or in another.

use super::change::Request;
use super::control::{ControlPlane, spawn_upkeep};
use super::listeners::{ServicePorts, accept_options, bind, handle, serve_proxied};
use super::prepare::{Prepared, prepare_first};
use super::reload::{ProxyReload, follow_changes, serve_during, told};
use super::remote::RemoteMocks;
use super::run_time::RunTime;
use super::signals::{Asked, Signals};
use super::stop::{exit_code, settle_events, wind_down};
use crate::bind_error::Purpose;
use crate::cli::{Endpoint, Format};
use crate::compose::Overrides;
use crate::exit::{ExitCode, Failure, context};
use crate::report::{Listening, Reporter, ServiceLine};
use crate::supervise::{State, Supervisor};
use arc_swap::ArcSwap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use stitch_config::Config;
use stitch_config::model::{Kind, ListenAddress, Mode, Service, Workers as WorkerCount};
use stitch_config::overlay::{Values, Written};
use stitch_control::{Metrics, Readiness};
use stitch_mockd::Engine;
use stitch_mockd::events::{Events, choose};
use stitch_net::{AcceptOptions, Address, Drain, Listener, MockSet, Proxied, Workers};
use stitch_proxy::health::Checks;
use stitch_proxy::{
    AccessLog, Credentials, EventFlow, Gate, OwnAddresses, Proxy, Role, ServicePort, Snapshot,
    TransparentPort, follow_names, log_breakers, watch_breakers,
};
use tokio::sync::mpsc;

/// How long the ready line waits for commands that are starting: their first start may compile.
const COMMANDS: Duration = Duration::from_secs(300);
/// How often those that keep it waiting are named.
const NOTICE: Duration = Duration::from_secs(10);

/// How many changes may wait to be made.
const REQUESTS: usize = 64;

/// What answers where no real service does.
#[derive(Clone, Debug)]
pub(crate) enum Behind {
    /// Mocks, events and commands in this process (`up`).
    Everything,
    /// A mock daemon elsewhere (`proxy --mockd URL`).
    Mockd(Endpoint),
}

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct ProxyOptions {
    pub(crate) file: PathBuf,
    pub(crate) overrides: Overrides,
    pub(crate) behind: Behind,
    pub(crate) format: Format,
}

/// The running process, as reload and the admin API see it.
pub(super) struct Running {
    pub(super) proxy: Arc<Proxy>,
    pub(super) engine: ArcSwap<Engine>,
    pub(super) events: Option<Arc<Events>>,
    /// Set when there are commands to look after.
    pub(super) supervisor: OnceLock<Supervisor>,
    pub(super) ports: Mutex<ServicePorts>,
    pub(super) accepting: AcceptOptions,
    /// Whether clients have to say who is really calling; fixed at start.
    pub(super) proxy_protocol: bool,
    pub(super) own: OwnAddresses,
    pub(super) remote: Option<RemoteMocks>,
    pub(super) checks: Checks,
    /// What was changed at run time, and what the files say beneath it.
    run_time: Mutex<(RunTime, Values)>,
    /// To whoever puts changes in force.
    pub(super) requests: mpsc::Sender<Request>,
}

/// Serves until a signal ends it.
pub(crate) fn run_proxy(options: &ProxyOptions) -> Result<ExitCode, Failure> {
    // First, so that nothing is counted into the void.
    let metrics = Metrics::install().map_err(Failure::runtime)?;
    let seed = fastrand::u64(..) >> 16;
    let prepared =
        prepare_first(&options.file, &options.overrides, seed, Some(&Credentials::default()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(run(options, prepared, seed, metrics));
    // What still runs has had its time.
    runtime.shutdown_background();
    exit
}

async fn run(
    options: &ProxyOptions,
    prepared: Prepared,
    seed: u64,
    metrics: Metrics,
) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    let drain = Drain::default();
    let readiness = Arc::new(Readiness::default());
    readiness.wait_for("listeners", "not bound yet");
    let config = prepared.config.clone();

    let bound = Bound::bind(&config)?;
    let workers = Arc::new(Workers::start("stitch-worker", worker_count(&config))?);
    let accepting = accept_options(workers, &config.proxy.limits, drain.clone());
    let control = ControlPlane::new(readiness.clone(), metrics.clone(), &config);
    let remote = match &options.behind {
        Behind::Everything => None,
        Behind::Mockd(endpoint) => Some(RemoteMocks::new(endpoint)),
    };
    let log = AccessLog::open(&config.proxy.access_log)
        .map_err(|error| Failure::runtime(context("cannot open the access log", error)))?;
    let (engine, credentials) = (&prepared.engine, prepared.credentials.clone());
    let snapshot = compile(&config, engine, remote.as_ref(), &bound.own(), credentials, None);
    let proxy = Proxy::new(snapshot, log, control.builtin());
    spawn_warden(&proxy, &drain);
    tokio::spawn(follow_names(proxy.clone()));
    let events = match &options.behind {
        Behind::Everything => Some(start_events(&config, &proxy, &prepared.engine).await?),
        Behind::Mockd(_) => None,
    };
    let (events, bus) = events.unzip();

    let (asking, mut requests) = mpsc::channel(REQUESTS);
    let running = Arc::new(Running {
        proxy: proxy.clone(),
        engine: ArcSwap::new(prepared.engine.clone()),
        events,
        supervisor: OnceLock::new(),
        ports: Mutex::default(),
        accepting,
        proxy_protocol: config.proxy.proxy_protocol,
        own: bound.own(),
        remote,
        checks: Checks::default(),
        run_time: Mutex::new((RunTime::default(), prepared.values)),
        requests: asking,
    });
    control.connect(running.clone());
    running.apply_ports(running.plan_ports(&config)?);
    let admin = bound.admin_address;
    let listening = bound.accept(&running, &control);
    readiness.arrived("listeners");
    spawn_upkeep(metrics);
    let reporter = Reporter::new(options.format);
    let mut reloader = ProxyReload { options, seed, reporter, running: &running };
    let mut watched = prepared.fingerprint;
    if matches!(options.behind, Behind::Everything) {
        // Builds take a while; who changes their mind meanwhile need not wait.
        let start = running.start_commands(&config, &listening, &readiness);
        let asked =
            serve_during(&mut reloader, &mut watched, &mut signals, &mut requests, start).await;
        if let Some(asked) = asked {
            drop(requests);
            return stop(&running, reporter, &drain, &config, (asked, signals)).await;
        }
    }
    // Who is still being started is not asked yet whether they are well.
    running.checks.follow(&running.proxy.snapshot());

    reporter.ready(&Listening {
        proxy: listening.first().map(|address| shown(address, scheme(&config))),
        also: listening.iter().skip(1).map(|address| shown(address, scheme(&config))).collect(),
        transparent: running.own.transparent.iter().map(ToString::to_string).collect(),
        mockd: running.remote.as_ref().map(|remote| remote.url().to_owned()),
        admin: Some(url(admin)),
        events: bus,
        seed: Some(config.seed.unwrap_or(seed)),
        overlay: prepared.overlay,
        services: running.lines(),
    })?;
    let asked = follow_changes(reloader, watched, signals, requests).await;
    stop(&running, reporter, &drain, &config, asked).await
}

/// Lets requests in flight finish, then ends everything else.
async fn stop(
    running: &Running,
    reporter: Reporter,
    drain: &Drain,
    config: &Config,
    (asked, mut signals): (Asked, Signals),
) -> Result<ExitCode, Failure> {
    wind_down(reporter, drain, config.proxy.drain, &mut signals).await;
    if let Some(events) = &running.events {
        settle_events(events).await;
    }
    running.checks.end();
    if let Some(supervisor) = running.supervisor.get() {
        supervisor.shutdown().await;
    }
    told(reporter.stopped());
    Ok(exit_code(asked))
}

/// Picks the bus, says which and why, and lets events flow. Returns the bus's name too.
async fn start_events(
    config: &Config,
    proxy: &Arc<Proxy>,
    engine: &Arc<Engine>,
) -> Result<(Arc<Events>, String), Failure> {
    let (bus, line) = choose(config, "127.0.0.1").await.map_err(Failure::runtime)?;
    tracing::info!("{line}");
    let name = bus.name().to_owned();
    let events = Events::start(bus, Arc::new(EventFlow(proxy.clone())));
    engine.publish_to(events.publisher());
    events.update(engine).await;
    Ok((events, name))
}

/// Makes time pass for breakers, logs what they do, and ends the streams of those who follow them, which would hold up
/// the end of the process.
fn spawn_warden(proxy: &Proxy, drain: &Drain) {
    let (breakers, ending) = (proxy.breakers().clone(), drain.begun());
    tokio::spawn(watch_breakers(breakers.clone()));
    tokio::spawn(log_breakers(breakers.transitions().follow(None)));
    tokio::spawn(async move {
        ending.cancelled().await;
        breakers.transitions().close();
    });
}

fn worker_count(config: &Config) -> usize {
    match config.proxy.workers {
        WorkerCount::Count(count) => count,
        WorkerCount::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// Compiles a snapshot over mocks in this process or elsewhere.
pub(super) fn compile(
    config: &Arc<Config>,
    engine: &Arc<Engine>,
    remote: Option<&RemoteMocks>,
    own: &OwnAddresses,
    credentials: Credentials,
    previous: Option<&Snapshot>,
) -> Snapshot {
    match remote {
        None => Snapshot::compile(config.clone(), &**engine, own.clone(), credentials, previous),
        Some(remote) => {
            let mocks: Box<dyn MockSet> = Box::new(remote.over(engine.clone()));
            Snapshot::compile(config.clone(), &*mocks, own.clone(), credentials, previous)
        }
    }
}

/// The listeners that last as long as the process.
struct Bound {
    proxy: Vec<Listener>,
    transparent: Vec<Listener>,
    admin: Listener,
    admin_address: SocketAddr,
}

impl Bound {
    fn bind(config: &Config) -> Result<Self, Failure> {
        let listen = config.proxy.listen.iter().map(|listen| match listen {
            ListenAddress::Tcp(address) => Address::Tcp(*address),
            ListenAddress::Unix(path) => Address::Unix(path.clone()),
        });
        let admin = bind(config.proxy.admin.listen, &Purpose::Admin)?;
        Ok(Self {
            admin_address: admin.address.tcp().unwrap_or(config.proxy.admin.listen),
            proxy: listen
                .map(|address| bind(address, &Purpose::Proxy))
                .collect::<Result<_, _>>()?,
            transparent: (config.proxy.transparent.iter())
                .map(|address| bind(*address, &Purpose::Transparent))
                .collect::<Result<_, _>>()?,
            admin,
        })
    }

    fn own(&self) -> OwnAddresses {
        let addresses = |listeners: &[Listener]| {
            listeners.iter().filter_map(|listener| listener.address.tcp()).collect()
        };
        OwnAddresses {
            listeners: addresses(&self.proxy),
            admin: self.admin_address,
            transparent: addresses(&self.transparent),
        }
    }

    /// Begins to accept; returns where the proxy listens.
    fn accept(self, running: &Running, control: &ControlPlane) -> Vec<Address> {
        let mut addresses = Vec::new();
        for listener in self.proxy {
            addresses.push(listener.address.clone());
            let gate = Arc::new(Gate::new(running.proxy.clone(), Role::Gateway));
            serve_proxied(listener, gate, &running.accepting, running.proxy_protocol);
        }
        for listener in self.transparent {
            let port = TransparentPort::new(running.proxy.clone(), running.accepting.header_bytes);
            handle(listener, Arc::new(port), &running.accepting, Default::default());
        }
        control.serve(self.admin, &running.accepting);
        addresses
    }
}

impl Running {
    /// What was changed at run time.
    pub(super) fn run_time(&self) -> RunTime {
        self.run_time.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Something is in force now with these changes over what the files say.
    pub(super) fn set_run_time(&self, run_time: RunTime, values: Values) {
        *self.run_time.lock().unwrap_or_else(PoisonError::into_inner) = (run_time, values);
    }

    /// The mode of a service as its files have it.
    pub(super) fn mode_in_files(&self, service: &Service) -> Mode {
        let values = &self.run_time.lock().unwrap_or_else(PoisonError::into_inner).1;
        let written = values.with_overlay.get(&service.name, "mode").map(Written::to_json);
        let written = written.as_ref().and_then(|mode| Mode::parse(mode.as_str()?));
        let has_mock = !service.endpoints.is_empty() || !service.subscriptions.is_empty();
        written.unwrap_or_else(|| Mode::default_for(!service.upstreams.is_empty(), has_mock))
    }

    /// Binds the service ports that a configuration wants besides those that are there.
    pub(super) fn plan_ports(
        &self,
        config: &Config,
    ) -> Result<super::listeners::PortChanges, Failure> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.plan(config, &[Kind::Http, Kind::Tcp])
    }

    /// Opens and closes service ports as planned.
    pub(super) fn apply_ports(&self, changes: super::listeners::PortChanges) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.apply(changes, &self.accepting, |name| {
            let port = ServicePort::new(self.proxy.clone(), name, self.accepting.header_bytes);
            Arc::new(Proxied::new(Arc::new(port), self.proxy_protocol))
        });
    }

    /// Starts local services and waits until they are up, for a while.
    async fn start_commands(
        &self,
        config: &Config,
        listening: &[Address],
        readiness: &Arc<Readiness>,
    ) {
        let proxy = listening.iter().find_map(Address::tcp).map(reachable);
        // Known from the start, so that an end in between stops what was started.
        let supervisor = self.supervisor.get_or_init(|| Supervisor::start(config, proxy));
        let commands = config.services.iter().filter(|service| service.command.is_some());
        for service in commands {
            readiness.wait_for(&service.name, "starting");
        }
        let told = readiness.clone();
        let mut known: Vec<String> = Vec::new();
        tokio::spawn(supervisor.watch(move |states| {
            // What left the file is missed no more.
            for gone in known.iter().filter(|&name| states.iter().all(|one| one.name != *name)) {
                told.arrived(gone);
            }
            known = states.iter().map(|command| command.name.clone()).collect();
            for command in states {
                match command.state {
                    State::Up => told.arrived(&command.name),
                    state => told.wait_for(&command.name, state.as_str()),
                }
            }
        }));
        let mut late = Vec::new();
        for _ in 0..COMMANDS.as_secs() / NOTICE.as_secs() {
            late = supervisor.wait_ready(NOTICE).await;
            let waiting: Vec<_> = late.iter().filter(|one| one.state != State::CrashLoop).collect();
            if waiting.is_empty() {
                break;
            }
            for one in waiting {
                tracing::info!(service = %one.name, state = one.state.as_str(), "Waiting for it");
            }
        }
        for one in late {
            tracing::warn!(service = %one.name, state = one.state.as_str(), "Not up yet");
        }
    }

    /// The lines of the table and the ready event.
    pub(super) fn lines(&self) -> Vec<ServiceLine> {
        let snapshot = self.proxy.snapshot();
        let line = |declared: &Arc<Service>| {
            let service = snapshot.service(&declared.name);
            let mode = service.map_or(Mode::Mock, |service| service.mode());
            ServiceLine::new(declared, mode, self.urls(declared))
        };
        snapshot.config.services.iter().map(line).collect()
    }

    /// Where a service can be reached: its own port, and its host on the shared listener.
    pub(super) fn urls(&self, service: &Service) -> Vec<String> {
        let scheme = scheme(&self.proxy.snapshot().config);
        let own = self.ports.lock().unwrap_or_else(PoisonError::into_inner).address(&service.name);
        match service.kind {
            Kind::Http => {}
            Kind::Tcp => {
                let at = |address| format!("tcp://{}", reachable(address));
                return own.map(at).into_iter().collect();
            }
            Kind::Infra => return Vec::new(),
        }
        let shared = self.own.listeners.first().and_then(|address| {
            let exact = service.hosts.iter().filter(|host| !host.host.starts_with('*'));
            // Browsers and most resolvers know names under localhost without being told.
            let local = exact.clone().find(|host| host.host.ends_with(".localhost"));
            let host = local.or(exact.clone().next())?;
            Some(format!("{scheme}://{}:{}", host.host, host.port.unwrap_or(address.port())))
        });
        own.map(|address| url_of(scheme, address)).into_iter().chain(shared).collect()
    }
}

/// Where something on this machine reaches a listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What listeners and service ports are shown with: with certificates they take TLS as well.
fn scheme(config: &Config) -> &'static str {
    if config.proxy.tls.is_some() { "https" } else { "http" }
}

/// Where a listener is, for people.
fn shown(address: &Address, scheme: &str) -> String {
    address.tcp().map_or_else(|| address.to_string(), |address| url_of(scheme, address))
}

fn url_of(scheme: &str, address: SocketAddr) -> String {
    format!("{scheme}://{}", reachable(address))
}

/// The URL of a listener without TLS.
pub(super) fn url(address: SocketAddr) -> String {
    url_of("http", address)
}

/// Where the configuration is, for reload.
impl ProxyOptions {
    pub(super) fn path(&self) -> &Path {
        &self.file
    }
}
