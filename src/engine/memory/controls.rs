//! What a test does to the in-memory engine from outside.

use std::net::{IpAddr, SocketAddr};

use super::MemoryEngine;
use super::build::image_id;
use crate::engine::{BuildEvent, BuildMemory, EngineError, ImageFacts, ProcessId, Stream};
use crate::model::{AppName, ImageId, StorageName};

impl MemoryEngine {
    /// From now on nobody answers: every call is `Unavailable`, while what runs goes on.
    pub fn go_down(&self) {
        self.world().is_down = true;
        self.tell();
    }

    /// Answers again.
    pub fn come_back(&self) {
        self.world().is_down = false;
        self.tell();
    }

    /// Has the next look at the processes panic.
    pub fn panic_once(&self) {
        self.world().panics = true;
    }

    /// From now on nothing is started: who asks for it waits until [`MemoryEngine::go_on_starting`].
    pub fn hold_starts(&self) {
        self.world().holds_starts = true;
    }

    /// Starts what waits for it.
    pub fn go_on_starting(&self) {
        self.world().holds_starts = false;
        self.tell();
    }

    /// From now on a process can be neither stopped nor removed nor started again.
    pub fn hold_fast(&self, id: &ProcessId) {
        self.world().stuck.insert(id.clone());
    }

    /// The next try to stop, remove or start a process again is refused.
    pub fn refuse_once(&self, id: &ProcessId) {
        self.world().stuck_once.insert(id.clone());
    }

    /// It can be again.
    pub fn let_loose(&self, id: &ProcessId) {
        self.world().stuck.remove(id);
        self.tell();
    }

    /// Ends a process as if by itself, with this exit status; nothing happens to one that does not run.
    pub fn crash(&self, id: &ProcessId, code: i64) {
        if let Ok(held) = self.world().held(id) {
            held.end(code, false);
        }
        self.tell();
    }

    /// Ends a process as the kernel does when memory runs out.
    pub fn run_out_of_memory(&self, id: &ProcessId) {
        if let Ok(held) = self.world().held(id) {
            held.end(137, true);
        }
        self.tell();
    }

    /// Writes a line to a process's log.
    pub fn say(&self, id: &ProcessId, stream: Stream, text: &str) {
        if let Ok(held) = self.world().held(id) {
            held.say(stream, text.to_owned());
        }
        self.tell();
    }

    /// What `listening` answers for a process.
    pub fn set_listening(&self, id: &ProcessId, addresses: Vec<SocketAddr>) {
        if let Ok(held) = self.world().held(id) {
            held.listening = addresses;
        }
    }

    /// What `read_storage` answers for a folder: one after the other, and the last one for good.
    pub fn set_storage(&self, name: &StorageName, tars: Vec<Vec<u8>>) {
        self.world().storage.insert(name.clone(), tars.into());
    }

    /// The address every process of the app gets from its next start on, in place of a made-up one of its own.
    pub fn set_address(&self, app: &AppName, address: IpAddr) {
        self.world().addresses.insert(app.clone(), address);
    }

    /// What every process of the app does from its next start on, whatever its command says.
    pub fn set_script(&self, app: &AppName, line: &str) {
        self.world().scripts.insert(app.clone(), line.to_owned());
    }

    /// Puts a base image here.
    pub fn add_image(&self, reference: &str, exposed_ports: &[u16]) -> ImageId {
        let id = image_id(&reference);
        let facts = ImageFacts {
            id: id.clone(),
            exposed_ports: exposed_ports.to_vec(),
            has_command: true,
            size_bytes: 0,
            digests: vec![digest_of(reference, &id)],
        };
        self.keep_image(None, reference, facts, None);
        id
    }

    /// Puts an image here that no registry has.
    pub fn add_local_image(&self, reference: &str, exposed_ports: &[u16]) {
        let facts = ImageFacts {
            id: image_id(&("local", reference)),
            exposed_ports: exposed_ports.to_vec(),
            has_command: true,
            size_bytes: 1 << 20,
            digests: Vec::new(),
        };
        self.keep_image(None, reference, facts, None);
    }

    /// From now on a name stands for another image in the registry, which `fetch` brings.
    pub fn publish(&self, reference: &str, exposed_ports: &[u16]) {
        let mut world = self.world();
        let number = world.registry.len();
        let id = image_id(&(reference, number));
        let facts = ImageFacts {
            digests: vec![digest_of(reference, &id)],
            id,
            exposed_ports: exposed_ports.to_vec(),
            has_command: true,
            size_bytes: 1 << 20,
        };
        world.registry.push((reference.to_owned(), facts));
    }

    /// Puts an image of an app here that no build has made.
    pub fn add_image_of(&self, app: &AppName, reference: &str) -> ImageId {
        let id = image_id(&reference);
        let facts = ImageFacts {
            id: id.clone(),
            exposed_ports: Vec::new(),
            has_command: true,
            size_bytes: 5 << 20,
            digests: Vec::new(),
        };
        self.keep_image(Some(app), reference, facts, None);
        id
    }

    /// What `build_memory` answers from now on.
    pub fn set_build_memory(&self, memory: BuildMemory) {
        self.world().build_memory = Some(memory);
    }

    /// What the next build that is not scripted yet says, whatever its context.
    pub fn script_build(&self, events: Vec<Result<BuildEvent, EngineError>>) {
        self.world().builds.push_back(events);
    }
}

/// What a registry knows an image by.
fn digest_of(reference: &str, id: &ImageId) -> String {
    let end = reference.rfind('/').map_or(0, |at| at + 1);
    let (folder, name) = reference.split_at_checked(end).unwrap_or(("", reference));
    let name = name.split([':', '@']).next().unwrap_or(name);
    format!("{folder}{name}@{id}")
}
