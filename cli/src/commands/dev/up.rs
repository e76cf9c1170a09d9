//! `geoip dev up`: from nothing to a running system, and back to nothing.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use daemon::shutdown;
use daemon::tls::Caller;
use pki::Program;

use super::control::{Control, Reply, Request};
use super::fleet::{BinDir, Death, Fleet};
use super::layout::{DEFAULT_REGIONS, Layout, Listen, Node, marker, socket};
use super::{UpArgs, files, papers, table, tour};
use crate::args::Invocation;
use crate::contexts::{Context, Contexts};
use crate::exit::{Exit, usage};
use crate::output;
use crate::rpc::{self, Credentials};

/// The context that `dev up` writes and uses.
const CONTEXT: &str = "dev";

pub(crate) async fn run(invocation: &Invocation, dir: &Path, args: UpArgs) -> anyhow::Result<Exit> {
    let dir = std::path::absolute(dir)?;
    let regions = match args.regions.is_empty() {
        true => DEFAULT_REGIONS.map(str::to_owned).to_vec(),
        false => args.regions,
    };
    let layout = match Layout::new(&dir, &regions, args.trust_domain, args.port_base) {
        Ok(layout) => layout,
        Err(error) => return usage(error.to_string()),
    };
    let bin = bin_dir(args.bin_dir)?;
    let stop = shutdown::on_signals()?;
    // Held until the end of this function, so that no other system starts in the directory.
    let _lock = claim(&dir)?;
    for node in layout.nodes() {
        node.listens.iter().try_for_each(|listen| free(node, listen))?;
    }
    let dev = prepare(&layout)?;
    let mut control = Control::bind(&socket(&dir))?;
    let mut fleet = Fleet::new(&layout, bin);
    let up = async {
        output::print(&format!("starting {} processes …\n", layout.nodes().count()))?;
        fleet.start().await?;
        write_context(invocation, &layout, &dev)?;
        show(&layout, &fleet, &dev.load()?, &invocation.surroundings.dev).await?;
        if args.once {
            return Ok(());
        }
        output::print("\nrunning until ^C\n")?;
        attend(&mut fleet, &mut control).await
    };
    let outcome = tokio::select! {
        biased;
        () = stop.cancelled() => anyhow::Ok(()),
        outcome = up => outcome,
    };
    if !args.once && outcome.is_ok() {
        output::print("ending …\n")?;
    }
    for stubborn in fleet.stop().await {
        eprintln!("geoip: {stubborn} did not leave in time and was killed");
    }
    match outcome.map_err(anyhow::Error::downcast::<Death>) {
        Ok(()) => Ok(Exit::Ok),
        Err(Ok(death)) => {
            tell(&death);
            Ok(Exit::Failed)
        }
        Err(Err(other)) => Err(other),
    }
}

/// What died, and below it the end of its log.
fn tell(death: &Death) {
    eprint!("geoip: {death}, which ends:\n{}", death.tail);
}

/// Answers `dev kill` and the like, and reports deaths, for as long as it is polled.
async fn attend(fleet: &mut Fleet, control: &mut Control) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            death = fleet.death() => tell(&death),
            Some((request, reply)) = control.asked.recv() => {
                let outcome = match &request {
                    Request::Kill { region } => fleet.kill(region).await,
                    Request::Revive { region } => fleet.revive(region).await,
                    Request::Status => Ok(String::new()),
                };
                let told = match outcome {
                    Ok(message) => Reply { ok: true, message, members: fleet.status() },
                    Err(error) => {
                        Reply { ok: false, message: format!("{error:#}"), members: Vec::new() }
                    }
                };
                if request != Request::Status {
                    output::print(&format!("{}\n", told.message))?;
                }
                // Whoever asked may have gone: what was asked is done all the same.
                let _ = reply.send(told);
            }
        }
    }
}

/// The table, the tour and what to try next.
async fn show(
    layout: &Layout,
    fleet: &Fleet,
    tls: &Arc<Caller>,
    usual: &Path,
) -> anyhow::Result<()> {
    output::print(&format!("\n{}\n", table(&fleet.status())))?;
    output::print(&format!(
        "certificates  {}\nlogs          {}\ncontext       {CONTEXT}, in use from now on\n\n",
        layout.pki().display(),
        layout.dir.join("logs").display(),
    ))?;
    if let Err(cause) = tour::wait_until_seen(layout, tls).await {
        eprintln!("geoip: not every target is seen up yet: {cause}");
    }
    output::print(&tour::take(layout, tls).await?)?;
    output::print(&hints(layout, usual))
}

/// `usual`: where `geoip dev` looks when it is told no directory.
fn hints(layout: &Layout, usual: &Path) -> String {
    let dir = match layout.dir == usual {
        true => String::new(),
        false => format!(" --dir {}", layout.dir.display()),
    };
    let (service, port) = (layout.service(), layout.ports.grpc);
    let region = &layout.sites[0].region;
    format!(
        "\nTry, in another terminal:\n  \
         geoip ping -u {service}:{port} --subnet 141.2.0.0/24\n  \
         geoip ping -u {service}:{port} -c 30 & sleep 3; geoip dev kill {region}{dir}\n  \
         geoip dev revive {region}{dir}\n  \
         geoip dig {service} +subnet=137.132.0.0/24\n  \
         geoip explain --client 128.135.0.1 {service}\n  \
         geoip status\n"
    )
}

/// The programs' directory, with both programs in it.
fn bin_dir(given: Option<PathBuf>) -> anyhow::Result<BinDir> {
    let dir = match given {
        Some(dir) => dir,
        None => {
            let own = std::env::current_exe().context("where geoip itself is")?;
            own.parent().context("geoip lies in no directory")?.to_owned()
        }
    };
    let bin = BinDir(dir);
    for program in [Program::Geoping, Program::Dnsrouter] {
        let file = bin.program(program);
        if !file.is_file() {
            return usage(format!(
                "{} is missing: build it (`cargo build`), or say where it is by --bin-dir",
                file.display()
            ));
        }
    }
    Ok(bin)
}

/// Makes the directory ours, and ours alone. The marker says that its files may be overwritten.
fn claim(dir: &Path) -> anyhow::Result<File> {
    let shown = dir.display();
    let file = marker(dir);
    let used = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("{shown}")),
    };
    if used && !file.exists() {
        bail!("{shown} has files in it and was not made by `geoip dev up`: choose another --dir");
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o700)))
        .with_context(|| format!("{shown}: cannot make it"))?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = lock.with_context(|| format!("{}: cannot write it", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(
            "a system runs in {shown} already: `geoip dev status` shows it; end it by ^C there, \
             or choose another --dir"
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{}: cannot lock it", file.display()))
        }
    }
}

/// Binds and lets go, so that a taken port is named before anything has started.
fn free(node: &Node, listen: &Listen) -> anyhow::Result<()> {
    let tcp = TcpListener::bind(listen.at).map(drop);
    let bound = tcp.and_then(|()| match listen.udp {
        true => UdpSocket::bind(listen.at).map(drop),
        false => Ok(()),
    });
    let (at, port) = (listen.at, listen.at.port());
    let what = format!("{at} ({} of {})", listen.what, node.name);
    match bound {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {port} is taken: another program listens on {what}. End it \
             (`ss -lntup 'sport = :{port}'` shows it), or use other ports: geoip dev up \
             --port-base 18000"
        ),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => bail!(
            "{what}: this machine has no such address; where only 127.0.0.1 exists, add it \
             first: `sudo ifconfig lo0 alias {} up`",
            at.ip()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {what}")),
    }
}

/// Directories, certificates and configurations. Returns the user's credentials.
fn prepare(layout: &Layout) -> anyhow::Result<Credentials> {
    let folders = layout.sites.iter().map(|site| layout.dir.join(&site.region));
    for folder in folders.chain([layout.dir.join("logs"), layout.dir.join("run")]) {
        fs::create_dir_all(&folder)
            .with_context(|| format!("{}: cannot make it", folder.display()))?;
    }
    for node in layout.nodes() {
        // Each run begins its logs anew; one that is not there yet is no loss.
        let _ = fs::remove_file(&node.log);
    }
    let dev = papers::issue(layout)?;
    let own = std::env::current_exe().context("where geoip itself is")?;
    files::write(layout, |certificate| papers::renewal(&own, &layout.pki(), certificate))?;
    Ok(dev)
}

fn write_context(
    invocation: &Invocation,
    layout: &Layout,
    dev: &Credentials,
) -> anyhow::Result<()> {
    let file = &invocation.surroundings.contexts;
    let mut contexts = Contexts::load(file)?;
    let (pair, ca) = dev.clone().into_files();
    let (cert, key) = pair.unzip();
    let context = Context {
        servers: layout.sites.iter().map(|s| rpc::at(s.dnsrouter.at("control"))).collect(),
        dns: layout.sites.iter().map(|site| site.dnsrouter.at("dns")).collect(),
        cert,
        key,
        ca: Some(ca),
    };
    contexts.context.insert(CONTEXT.to_owned(), context);
    contexts.current = Some(CONTEXT.to_owned());
    contexts.save(file)
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::layout;
    use super::*;

    #[test]
    fn hints_name_the_directory_only_when_it_is_needed() {
        let layout = layout(&["us-central1"], None).unwrap();
        let usual = hints(&layout, &layout.dir);
        assert!(usual.contains("\n  geoip dev revive us-central1\n"), "{usual}");
        assert!(usual.contains("\n  geoip dig geo.test-net.io +subnet="), "{usual}");
        let unusual = hints(&layout, Path::new("/elsewhere"));
        assert!(unusual.contains("\n  geoip dev revive us-central1 --dir /d\n"), "{unusual}");
    }

    #[test]
    fn a_taken_port_is_named_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let layout = layout(&["us-central1"], None).unwrap();
        let node = &layout.sites[0].geoping;
        let error = free(node, &Listen { what: "grpc", at, udp: false }).unwrap_err().to_string();
        let start = format!(
            "port {} is taken: another program listens on {at} (grpc of us-central1-a)",
            at.port()
        );
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains("--port-base"), "{error}");
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let error = claim(dir.path()).unwrap_err().to_string();
        assert!(error.contains("was not made by `geoip dev up`"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_is_claimed_once_at_a_time_and_private() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a/b");
        let lock = claim(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let error = claim(&dir).unwrap_err().to_string();
        assert!(error.contains("runs in"), "{error}");
        drop(lock);
        assert!(claim(&dir).is_ok());
    }
}
