//! What the in-memory engine holds: processes, images, and the rules by which they change.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::script::{self, Act};
use crate::engine::{
    BuildEvent, BuildMemory, EngineError, GroupSpec, ImageFacts, LogLine, Process, ProcessId,
    ProcessState, Stream,
};
use crate::model::{AppName, ConfigVars, ContainerOption, ImageId, StorageName, Timestamp};

/// An image and who it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) app: Option<AppName>,
    pub(super) reference: String,
    pub(super) facts: ImageFacts,
    /// The kept image it was built of.
    pub(super) source: Option<String>,
}

impl Image {
    /// Whether a reference means this image: its name, its id, or a name with its digest.
    pub(super) fn is_called(&self, reference: &str) -> bool {
        let facts = &self.facts;
        let has_digest = |digest: &str| facts.digests.iter().any(|known| known.ends_with(digest));
        match reference.split_once('@') {
            Some((_, digest)) => has_digest(digest),
            None => self.reference == reference || facts.id.as_str() == reference,
        }
    }
}

/// A process with what a container would keep of it.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) process: Process,
    pub(super) image: ImageId,
    pub(super) log: Vec<LogLine>,
    pub(super) listening: Vec<SocketAddr>,
    command: Option<String>,
    environment: ConfigVars,
    options: Vec<ContainerOption>,
}

/// Everything there is.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) is_down: bool,
    /// Whether the next look at the processes panics.
    pub(super) panics: bool,
    /// Whether nothing is started for now.
    pub(super) holds_starts: bool,
    /// Processes that cannot be changed.
    pub(super) stuck: HashSet<ProcessId>,
    /// Processes that cannot be changed at the next try.
    pub(super) stuck_once: HashSet<ProcessId>,
    pub(super) processes: BTreeMap<ProcessId, Held>,
    pub(super) images: Vec<Image>,
    /// What was published since, the newest last.
    pub(super) registry: Vec<(String, ImageFacts)>,
    pub(super) builds: VecDeque<Vec<Result<BuildEvent, EngineError>>>,
    pub(super) addresses: HashMap<AppName, IpAddr>,
    pub(super) scripts: HashMap<AppName, String>,
    /// What builds have left in their cache: each as much as its context.
    pub(super) cache_bytes: u64,
    /// What `build_memory` answers, where a test has decided it.
    pub(super) build_memory: Option<BuildMemory>,
    /// What is in the folders of the storage: a tar for each time it is read, the last one for good.
    pub(super) storage: HashMap<StorageName, VecDeque<Vec<u8>>>,
    started: u32,
}

impl World {
    pub(super) fn start(&mut self, group: &GroupSpec, index: u16) -> Result<Process, EngineError> {
        if !self
            .images
            .iter()
            .any(|image| image.facts.id == group.image)
        {
            return Err(EngineError::ImageMissing {
                image: group.image.to_string(),
                said: format!("No such image: {}", group.image),
            });
        }
        let same = self.processes.values().find(|held| {
            let process = &held.process;
            process.app == group.app
                && process.release == group.release
                && process.process_type == group.process_type
                && process.index == index
        });
        if let Some(held) = same {
            if held.process.state == ProcessState::Running {
                return Ok(held.process.clone());
            }
            let id = held.process.id.clone();
            self.processes.remove(&id);
        }
        self.started += 1;
        let id = ProcessId(format!("{:064x}", self.started));
        let held = Held {
            process: Process {
                id: id.clone(),
                app: group.app.clone(),
                release: group.release,
                process_type: group.process_type.clone(),
                index,
                state: ProcessState::Created,
                address: None,
                started_at: None,
            },
            image: group.image.clone(),
            log: Vec::new(),
            listening: Vec::new(),
            command: group.command.clone(),
            environment: group.environment.clone(),
            options: group.options.clone(),
        };
        self.processes.insert(id.clone(), held);
        self.begin(&id)
    }

    /// Starts a process that is there, and plays its command.
    pub(super) fn begin(&mut self, id: &ProcessId) -> Result<Process, EngineError> {
        self.started += 1;
        let made_up = made_up_address(self.started);
        let held = self.processes.get_mut(id).ok_or_else(|| gone(id))?;
        let app = &held.process.app;
        let address = self.addresses.get(app).copied().unwrap_or(made_up);
        held.process.state = ProcessState::Running;
        held.process.address = Some(address);
        held.process.started_at = Some(Timestamp::now());
        let script = self.scripts.get(app).or(held.command.as_ref());
        let acts = script.map_or_else(|| vec![Act::Stay], |line| script::read(line));
        for act in acts {
            match act {
                Act::Say(stream, text) => held.say(stream, text),
                Act::Exit(code) => held.end(code, false),
                Act::Copy | Act::Stay => {}
            }
        }
        Ok(held.process.clone())
    }

    /// Refuses to change a process that is stuck.
    pub(super) fn require_loose(&mut self, id: &ProcessId) -> Result<(), EngineError> {
        match self.stuck.contains(id) || self.stuck_once.remove(id) {
            true => Err(EngineError::Refused {
                said: format!("the container {} is stuck", id.short()),
            }),
            false => Ok(()),
        }
    }

    pub(super) fn held(&mut self, id: &ProcessId) -> Result<&mut Held, EngineError> {
        self.processes.get_mut(id).ok_or_else(|| gone(id))
    }

    /// Forgets the kept images of which only these were built.
    pub(super) fn release_sources(&mut self, removed: &[Image]) {
        for source in removed.iter().filter_map(|image| image.source.as_ref()) {
            let is_needed = |image: &Image| image.source.as_ref() == Some(source);
            if !self.images.iter().any(is_needed) {
                self.images.retain(|image| image.reference != *source);
            }
        }
    }

    /// Whether a process of any state was made from the image.
    pub(super) fn is_used(&self, image: &ImageId) -> bool {
        self.processes.values().any(|held| held.image == *image)
    }
}

impl Held {
    /// What Docker would tell of it.
    pub(super) fn inspected(&self) -> serde_json::Value {
        let environment = self.environment.iter();
        let environment: Vec<String> = environment
            .map(|(key, value)| format!("{key}={}", value.reveal()))
            .collect();
        serde_json::json!({
            "Id": self.process.id.0,
            "Image": self.image.as_str(),
            "Config": {"Cmd": self.command, "Env": environment},
            "HostConfig": {"Options": self.options},
        })
    }

    pub(super) fn say(&mut self, stream: Stream, text: String) {
        // Two lines never have the same time, as `LogQuery::since` wants it.
        let now = Timestamp::now();
        let at = match self.log.last() {
            Some(last) if last.at >= now => last
                .at
                .checked_add(jiff::SignedDuration::from_nanos(1))
                .unwrap_or(now),
            _ => now,
        };
        self.log.push(LogLine { at, stream, text });
    }

    /// Ends a running process; one that has ended stays as it is.
    pub(super) fn end(&mut self, code: i64, is_out_of_memory: bool) {
        if self.process.state != ProcessState::Running {
            return;
        }
        self.process.state = ProcessState::Exited {
            code,
            is_out_of_memory,
            at: Some(Timestamp::now()),
        };
        self.process.address = None;
        self.listening.clear();
    }
}

/// An address of its own for each start, on the loopback device: a test can listen there, on any of them at once with
/// 0.0.0.0, or on none.
fn made_up_address(number: u32) -> IpAddr {
    let [_, _, high, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 224, high, low))
}

fn gone(id: &ProcessId) -> EngineError {
    EngineError::Gone {
        what: format!("the container {}", id.short()),
    }
}
