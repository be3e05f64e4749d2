//! `stitch mockd`: the mock daemon alone.

use super::listeners::{ServicePorts, accept_options, bind, serve};
use super::prepare::{Prepared, prepare, prepare_first};
use super::reload::{Reload, follow_changes, refuse_ports, told};
use super::signals::Signals;
use super::stop::{exit_code, settle_events, wind_down};
use crate::bind_error::Purpose;
use crate::cli::Format;
use crate::compose::Overrides;
use crate::exit::{ExitCode, Failure};
use crate::report::{Listening, Reloaded, Reporter, ServiceLine};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use stitch_config::Config;
use stitch_config::model::{Kind, Mode};
use stitch_config::overlay::Changes;
use stitch_config::watch::Fingerprint;
use stitch_mockd::Daemon;
use stitch_mockd::events::{Events, choose};
use stitch_net::{AcceptOptions, Drain, HttpPort, Workers};
use tokio::sync::mpsc;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct MockdOptions {
    pub(crate) file: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) ports: bool,
    pub(crate) format: Format,
}

/// Serves mocks until a signal ends it.
pub(crate) fn run_mockd(options: &MockdOptions) -> Result<ExitCode, Failure> {
    let seed = fastrand::u64(..) >> 16;
    let prepared = prepare_first(&options.file, &Overrides::default(), seed, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(run(options, prepared, seed));
    runtime.shutdown_background();
    exit
}

async fn run(options: &MockdOptions, prepared: Prepared, seed: u64) -> Result<ExitCode, Failure> {
    let signals = Signals::listen()?;
    let drain = Drain::default();
    let Prepared { config, engine, fingerprint, overlay, .. } = prepared;
    let listener = bind(options.listen, &Purpose::Mockd)?;
    let address = listener.address.tcp().unwrap_or(options.listen);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Arc::new(Workers::start("stitch-mockd", workers)?);
    let accepting = accept_options(workers, &config.proxy.limits, drain.clone());
    let daemon = Daemon::new(engine.clone());
    let mut ports = ServicePorts::default();
    open_ports(&mut ports, options, &config, &daemon, &accepting)?;
    serve(listener, daemon.listener(None), &accepting, Default::default());

    let (bus, line) = choose(&config, "127.0.0.1").await.map_err(Failure::runtime)?;
    tracing::info!("{line}");
    let name = bus.name().to_owned();
    let events = Events::start(bus, daemon.clone());
    engine.publish_to(events.publisher());
    events.update(&engine).await;

    let reporter = Reporter::new(options.format);
    reporter.ready(&Listening {
        mockd: Some(super::proxy::url(address)),
        events: Some(name),
        seed: Some(config.seed.unwrap_or(seed)),
        services: lines(&config, &ports),
        overlay,
        ..Listening::default()
    })?;
    let reload =
        MockdReload { options, seed, reporter, daemon, events: events.clone(), ports, accepting };
    // There is no admin API here that could ask for anything.
    let (_, requests) = mpsc::channel(1);
    let (asked, mut signals) = follow_changes(reload, fingerprint, signals, requests).await;
    wind_down(reporter, &drain, config.proxy.drain, &mut signals).await;
    settle_events(&events).await;
    told(reporter.stopped());
    Ok(exit_code(asked))
}

/// What reloading the daemon needs.
struct MockdReload<'a> {
    options: &'a MockdOptions,
    seed: u64,
    reporter: Reporter,
    daemon: Arc<Daemon>,
    events: Arc<Events>,
    ports: ServicePorts,
    accepting: AcceptOptions,
}

impl Reload for MockdReload<'_> {
    type Request = Infallible;

    async fn serve(&mut self, never: Infallible, _: Fingerprint) -> Fingerprint {
        match never {}
    }

    async fn reload(&mut self) -> Fingerprint {
        let previous = self.daemon.engine();
        let (file, seed) = (&self.options.file, self.seed);
        let (changes, overrides) = (Changes::default(), Overrides::default());
        let next = match prepare(file, &changes, &overrides, seed, Some(&previous), None) {
            Ok(next) => next,
            Err(refused) => {
                told(self.reporter.reload_failed(&refused.report, &refused.sources));
                return refused.fingerprint;
            }
        };
        let Self { options, daemon, ports, accepting, .. } = self;
        match open_ports(ports, options, &next.config, daemon, accepting) {
            Err(failure) => refuse_ports(self.reporter, &failure, &next.sources),
            Ok(()) => {
                self.daemon.replace(next.engine.clone());
                self.events.update(&next.engine).await;
                eprint!("{}", next.report.render(&next.sources));
                let services = lines(&next.config, &self.ports);
                told(self.reporter.reloaded(&Reloaded {
                    services: &services,
                    overlay: next.overlay.as_deref(),
                    dropped: &[],
                }));
            }
        }
        next.fingerprint
    }
}

fn open_ports(
    ports: &mut ServicePorts,
    options: &MockdOptions,
    config: &Config,
    daemon: &Arc<Daemon>,
    accepting: &AcceptOptions,
) -> Result<(), Failure> {
    if options.ports {
        let changes = ports.plan(config, &[Kind::Http])?;
        ports.apply(changes, accepting, |name| {
            Arc::new(HttpPort::new(daemon.listener(Some(name)), accepting.header_bytes))
        });
    }
    Ok(())
}

fn lines(config: &Config, ports: &ServicePorts) -> Vec<ServiceLine> {
    let mocked = config.services.iter().filter(|service| !service.endpoints.is_empty());
    mocked
        .map(|service| {
            let urls = ports.address(&service.name).map(super::proxy::url).into_iter().collect();
            ServiceLine::new(service, Mode::Mock, urls)
        })
        .collect()
}
