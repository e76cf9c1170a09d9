//! What a scene needs before it begins: data written, servers running, questions built. What several
//! entrants have in common is there once.

use std::io;

use tests::scratch::Scratch;

use crate::asker::Asker;
use crate::contender::{Contender, Product, Site};
use crate::cores::{self, Cores};
use crate::entrant::{Data, Entrant, Questions};
use crate::generator::Workload;
use crate::reloads::Reloads;
use crate::scene::Scene;

/// Everything that lasts as long as the scene.
pub struct Stage {
    scene: Scene,
    sites: Vec<(Data, Site)>,
    contenders: Vec<((Product, Data), Contender)>,
    workloads: Vec<(Script, Workload)>,
    // Last, for files go when nobody needs them any more.
    _scratch: Scratch,
}

/// What is asked, about what, and whether it is to be judged: an echo knows no answer.
type Script = (Data, Questions, bool);

/// One entrant, ready.
pub struct Part<'s> {
    /// Which.
    pub entrant: Entrant,
    /// Its server.
    pub contender: &'s Contender,
    /// Who asks it.
    pub asker: Asker<'s>,
    /// Who changes its zone meanwhile.
    pub reloads: Option<Reloads>,
}

impl Stage {
    /// Writes data, starts servers on their cores one after the other, and builds questions. Leaves
    /// this thread on the generator's core.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn build(scene: Scene, cores: Cores) -> io::Result<Self> {
        let scratch = Scratch::new("bench");
        let (mut sites, mut workloads, mut contenders) = (Vec::new(), Vec::new(), Vec::new());
        for Entrant { who, data, questions, .. } in scene.entrants {
            let folder = format!("site{}", sites.len());
            let site = once(&mut sites, *data, || Ok(data.site(&scratch, &folder)))?;
            let is_judged = who.product != Product::Echo;
            once(&mut workloads, (*data, *questions, is_judged), || {
                let workload = questions.workload(*data, site);
                Ok(if is_judged { workload } else { workload.echoed() })
            })?;
            let folder = format!("server{}", contenders.len());
            once(&mut contenders, (who.product, *data), || {
                cores::pin_to(&cores.of(who.product))?;
                Ok(Contender::start(who.product, site, &scratch, &folder))
            })?;
        }
        cores::pin(cores.generator)?;
        Ok(Self { scene, sites, contenders, workloads, _scratch: scratch })
    }

    /// Each entrant with those it needs.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn parts(&self) -> io::Result<Vec<Part<'_>>> {
        self.scene.entrants.iter().map(|entrant| self.part(*entrant)).collect()
    }

    fn part(&self, entrant: Entrant) -> io::Result<Part<'_>> {
        let Entrant { who, data, questions, clients, reloads } = entrant;
        let contender = found(&self.contenders, &(who.product, data))?;
        let script = (data, questions, who.product != Product::Echo);
        let workload = found(&self.workloads, &script)?;
        let site: &Site = found(&self.sites, &data)?;
        Ok(Part {
            entrant,
            contender,
            asker: Asker::new(self.scene.load, workload, contender.address, clients)?,
            reloads: reloads.then(|| Reloads::of(site.zone())).transpose()?,
        })
    }
}

/// What is known by this key, made where it is not yet.
fn once<K: PartialEq, V>(
    all: &mut Vec<(K, V)>,
    key: K,
    make: impl FnOnce() -> io::Result<V>,
) -> io::Result<&V> {
    let place = match all.iter().position(|(known, _)| *known == key) {
        Some(place) => place,
        None => {
            all.push((key, make()?));
            all.len() - 1
        }
    };
    Ok(&all[place].1)
}

fn found<'a, K: PartialEq, V>(all: &'a [(K, V)], key: &K) -> io::Result<&'a V> {
    let found = all.iter().find(|(known, _)| known == key);
    found.map(|(_, value)| value).ok_or_else(|| io::Error::other("an entrant is not prepared"))
}
