//! `geoip dev up`: from nothing to a running system, and back to nothing.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use daemon::tls::Caller;
use pki::Program;

use super::claim::Claim;
use super::control::{Control, Reply, Request};
use super::fleet::{BinDir, Death, Fleet};
use super::layout::{DEFAULT_REGIONS, Layout, Listen, Node, socket};
use super::signals::Signals;
use super::{UpArgs, files, papers, table, tour};
use crate::args::Invocation;
use crate::contexts::{Context, Contexts, DEV};
use crate::exit::{Exit, usage};
use crate::output;
use crate::rpc::{self, Credentials};

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
    let mut signals = Signals::new()?;
    // Held until the end of this function, so that no other system starts in the directory.
    let claim = Claim::of(&dir)?;
    let mut control = match listen(&layout) {
        Ok(control) => control,
        Err(refused) => {
            claim.give_up();
            return Err(refused);
        }
    };
    let dev = prepare(&layout)?;
    let mut fleet = Fleet::new(&layout, bin);
    let mut before = None;
    let up = async {
        output::print(&format!("starting {} processes …\n", layout.nodes().count()))?;
        fleet.start().await?;
        before = use_context(&invocation.surroundings.contexts, &layout, &dev)?;
        show(&layout, &fleet, &dev.load()?, &invocation.surroundings.dev).await?;
        if args.once {
            return Ok(());
        }
        output::print("\nrunning until ^C\n")?;
        attend(&mut fleet, &mut control).await
    };
    let outcome = tokio::select! {
        biased;
        _ = signals.next() => anyhow::Ok(()),
        outcome = up => outcome,
    };
    if !args.once && outcome.is_ok() {
        // Whoever read this far may be gone, and everything must be ended all the same.
        let _ = output::print("ending …\n");
    }
    let impatient = end(&mut fleet, &mut signals).await;
    if let Some(before) = before {
        restore_context(&invocation.surroundings.contexts, before)?;
    }
    if let Some(status) = impatient {
        return Ok(Exit::Signalled(status));
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

/// Ends all, at once when one more signal comes: its exit status.
async fn end(fleet: &mut Fleet, signals: &mut Signals) -> Option<u8> {
    let mut impatient = None;
    let again = async { impatient = Some(signals.next().await) };
    let stubborn = fleet.stop(again).await;
    if impatient.is_none() {
        for name in stubborn {
            eprintln!("geoip: {name} did not leave in time and was killed");
        }
    }
    impatient
}

/// Makes sure that all ports are free, and takes the socket for `geoip dev kill` and the like.
fn listen(layout: &Layout) -> anyhow::Result<Control> {
    for node in layout.nodes() {
        node.listens.iter().try_for_each(|listen| free(node, listen))?;
    }
    Control::bind(&socket(&layout.dir))
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
        "certificates  {}\nlogs          {}\ncontext       {DEV}, in use until this ends\n\n",
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

/// Writes the context and makes it the current one. Returns which was current before.
fn use_context(file: &Path, layout: &Layout, dev: &Credentials) -> anyhow::Result<Option<String>> {
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
    contexts.context.insert(DEV.to_owned(), context);
    let before = contexts.current.replace(DEV.to_owned());
    contexts.save(file)?;
    Ok(before)
}

/// Makes `before` the current context again, unless it is gone or another one was chosen since.
fn restore_context(file: &Path, before: String) -> anyhow::Result<()> {
    let mut contexts = Contexts::load(file)?;
    let ours = contexts.current.as_deref() == Some(DEV);
    if before == DEV || !ours || !contexts.context.contains_key(&before) {
        return Ok(());
    }
    contexts.current = Some(before);
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
    fn the_context_that_was_current_is_so_again() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("contexts.toml");
        let layout = layout(&["us-central1"], None).unwrap();
        let dev = Credentials::new("/c".as_ref(), "/k".as_ref(), "/a".as_ref());
        assert_eq!(use_context(&file, &layout, &dev).unwrap(), None);
        let current = || Contexts::load(&file).unwrap().current.unwrap();
        let mut contexts = Contexts::load(&file).unwrap();
        for name in ["prod", "staging"] {
            contexts.context.insert(name.to_owned(), Context::default());
        }
        contexts.current = Some("prod".to_owned());
        contexts.save(&file).unwrap();

        let before = use_context(&file, &layout, &dev).unwrap().unwrap();
        assert_eq!((before.as_str(), current().as_str()), ("prod", DEV));
        restore_context(&file, "removed".to_owned()).unwrap();
        assert_eq!(current(), DEV);
        restore_context(&file, before.clone()).unwrap();
        assert_eq!(current(), "prod");
        assert!(Contexts::load(&file).unwrap().get(DEV).is_ok(), "it stays defined");

        let mut contexts = Contexts::load(&file).unwrap();
        contexts.current = Some("staging".to_owned());
        contexts.save(&file).unwrap();
        restore_context(&file, before).unwrap();
        assert_eq!(current(), "staging", "what was chosen meanwhile stays");
    }
}
