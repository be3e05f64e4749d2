//! `stitch mockd`: the mock daemon alone.

use super::listeners::{ServicePorts, accept_options, bind, serve};
use super::prepare::{Prepared, prepare, prepare_first};
use super::reload::{refused_ports, told};
use super::signals::{Asked, Signals};
use crate::bind_error::Purpose;
use crate::cli::Format;
use crate::compose::Overrides;
use crate::exit::{ExitCode, Failure};
use crate::report::{Listening, Reporter, ServiceLine};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stitch_config::Config;
use stitch_config::model::Mode;
use stitch_mockd::Daemon;
use stitch_mockd::events::{Events, choose};
use stitch_net::{AcceptOptions, Drain, Workers};

const POLL: Duration = Duration::from_millis(250);

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
    let prepared = prepare_first(&options.file, &Overrides::default(), seed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(run(options, prepared, seed));
    runtime.shutdown_background();
    exit
}

async fn run(
    options: &MockdOptions,
    mut prepared: Prepared,
    seed: u64,
) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()?;
    let drain = Drain::default();
    let config = prepared.config.clone();
    let listener = bind(options.listen, &Purpose::Mockd)?;
    let address = listener.address;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Arc::new(Workers::start("stitch-mockd", workers)?);
    let accepting = accept_options(workers, &config.proxy.limits, drain.clone());
    let daemon = Daemon::new(prepared.engine.clone());
    let mut ports = ServicePorts::default();
    open_ports(&mut ports, options, &config, &daemon, &accepting)?;
    serve(listener, daemon.listener(None), &accepting, Default::default());

    let (bus, line) = choose(&config, "127.0.0.1").await.map_err(Failure::runtime)?;
    tracing::info!("{line}");
    let name = bus.name().to_owned();
    let events = Events::start(bus, daemon.clone());
    prepared.engine.publish_to(events.publisher());
    events.update(&prepared.engine).await;

    let reporter = Reporter::new(options.format);
    reporter.ready(&Listening {
        mockd: Some(super::proxy::url(address)),
        events: Some(name),
        seed: Some(config.seed.unwrap_or(seed)),
        services: lines(&config, &ports),
        ..Listening::default()
    })?;
    let asked = loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(POLL) => match prepared.fingerprint.changed() {
                true => Asked::Reload,
                false => continue,
            },
            asked = signals.next() => asked,
        };
        if asked != Asked::Reload {
            break asked;
        }
        match prepare(&options.file, &Overrides::default(), seed, Some(&prepared.engine)) {
            Err(refused) => {
                told(reporter.reload_failed(&refused.report, &refused.sources));
                prepared.fingerprint = refused.fingerprint;
            }
            Ok(next) => {
                let opened = open_ports(&mut ports, options, &next.config, &daemon, &accepting);
                if let Err(failure) = opened {
                    // Nothing of this file is in force; the next change is tried again.
                    let message = failure.message().unwrap_or_default();
                    told(reporter.reload_failed(&refused_ports(&message), &next.sources));
                    prepared.fingerprint = next.fingerprint;
                    continue;
                }
                daemon.replace(next.engine.clone());
                events.update(&next.engine).await;
                told(reporter.reloaded(&lines(&next.config, &ports)));
                prepared = next;
            }
        }
    };
    told(reporter.draining());
    drain.drain(config.proxy.drain).await;
    told(reporter.stopped());
    Ok(if asked == Asked::Interrupt { ExitCode::Interrupted } else { ExitCode::Ok })
}

fn open_ports(
    ports: &mut ServicePorts,
    options: &MockdOptions,
    config: &Config,
    daemon: &Arc<Daemon>,
    accepting: &AcceptOptions,
) -> Result<(), Failure> {
    if options.ports {
        let changes = ports.plan(config)?;
        ports.apply(changes, accepting, |name| daemon.listener(Some(name)));
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
