//! The hook itself, `mini hook NAME`: hands git's input to the server, prints what comes back, exits with the answer.
//!
//! Plain blocking code, for it has one thing to do and is to start at once.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::hook_frame::{self, About, Answer, Ask, Update};
use super::{pkt_line, unix_socket};

/// Runs the hook `kind` (`pre-receive`, `proc-receive`, `post-receive`) on standard input and output; returns its exit
/// status.
pub fn run(kind: &str) -> u8 {
    let (mut stdin, mut stdout) = (io::stdin().lock(), BufWriter::new(io::stdout().lock()));
    let result = match kind {
        "pre-receive" => whole_push(About::Admit, &mut stdin),
        "proc-receive" => each_branch(&mut stdin, &mut stdout),
        "post-receive" => whole_push(About::Commit, &mut stdin),
        _ => Err(io::Error::other(format!("there is no hook `{kind}`"))),
    };
    match result {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            // The client may be the one that is gone, and then nobody reads this either.
            let _ = writeln!(
                io::stderr(),
                " !     The push could not be taken to the server: {error}\n !     push again"
            );
            1
        }
    }
}

/// pre-receive and post-receive: one question about all refs.
fn whole_push(about: About, stdin: &mut impl BufRead) -> io::Result<bool> {
    let mut updates = Vec::new();
    for line in stdin.lines() {
        updates.push(update(&line?)?);
    }
    let mut server = Server::connect()?;
    let verdict = server.ask(about, options_of_environment(), updates)?;
    Ok(verdict.is_ok())
}

/// proc-receive: one question for each branch, and a verdict for each in git's own form.
fn each_branch(stdin: &mut impl Read, stdout: &mut impl Write) -> io::Result<bool> {
    let greeting = pkt_line::read_section(stdin)?;
    let greeting = greeting.first().map(String::as_str).unwrap_or_default();
    let (version, abilities) = greeting.split_once('\0').unwrap_or((greeting, ""));
    if version != "version=1" {
        return Err(io::Error::other(
            "git speaks another version of proc-receive",
        ));
    }
    let has_options = abilities.split(' ').any(|word| word == "push-options");
    let answer = if has_options {
        "version=1\0push-options\n"
    } else {
        "version=1\n"
    };
    pkt_line::write(stdout, answer)?;
    pkt_line::flush(stdout)?;
    let commands = pkt_line::read_section(stdin)?;
    let options = if has_options {
        pkt_line::read_section(stdin)?
    } else {
        Vec::new()
    };
    let mut server = Server::connect()?;
    for command in &commands {
        let update = update(command)?;
        let reference = update.reference.clone();
        match server.ask(About::Prepare, options.clone(), vec![update])? {
            // Fall through: git itself moves the branch, which a shallow push needs (CRATES.md, section 2).
            Ok(Mover::Git) => {
                pkt_line::write(stdout, &format!("ok {reference}\n"))?;
                pkt_line::write(stdout, "option fall-through\n")?;
            }
            Ok(Mover::Another) => pkt_line::write(stdout, &format!("ok {reference}\n"))?,
            Err(reason) => pkt_line::write(stdout, &format!("ng {reference} {reason}\n"))?,
        }
    }
    pkt_line::flush(stdout)?;
    Ok(true)
}

/// `OLD NEW REF`, as git gives it to every hook.
fn update(line: &str) -> io::Result<Update> {
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    match (words.next(), words.next(), words.next()) {
        (Some(old), Some(new), Some(reference)) => Ok(Update {
            reference,
            old,
            new,
        }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Push options as pre-receive and post-receive get them (githooks(5)).
fn options_of_environment() -> Vec<String> {
    let count = variable("GIT_PUSH_OPTION_COUNT")
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or(0);
    (0..count)
        .map_while(|number| variable(&format!("GIT_PUSH_OPTION_{number}")))
        .collect()
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Who moves the branch of a push that is accepted.
#[derive(Debug, Clone, Copy)]
enum Mover {
    /// The git that started this hook.
    Git,
    /// Another push of the same commit has done it.
    Another,
}

/// The connection to the running server.
struct Server {
    push: String,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Server {
    fn connect() -> io::Result<Self> {
        let missing = |name| io::Error::other(format!("{name} is not set"));
        let push = variable("MINI_PUSH").ok_or_else(|| missing("MINI_PUSH"))?;
        let path = std::env::var_os("MINI_HOOK_SOCKET");
        let path = path.ok_or_else(|| missing("MINI_HOOK_SOCKET"))?;
        let writer = unix_socket::connect(Path::new(&path))?;
        Ok(Self {
            push,
            reader: BufReader::new(writer.try_clone()?),
            writer,
        })
    }

    /// Asks and shows what is streamed back, line by line as it comes; returns the verdict.
    fn ask(
        &mut self,
        about: About,
        options: Vec<String>,
        updates: Vec<Update>,
    ) -> io::Result<Result<Mover, String>> {
        let ask = Ask {
            push: self.push.clone(),
            options,
            about,
            updates,
        };
        hook_frame::write(&mut self.writer, &ask)?;
        let mut stderr = io::stderr().lock();
        let mut mover = Mover::Git;
        loop {
            match hook_frame::read(&mut self.reader)? {
                // Standard error is not buffered: each write is a packet of git's side-band.
                Answer::Text(text) => stderr.write_all(text.as_bytes())?,
                Answer::Moved => mover = Mover::Another,
                Answer::End(verdict) => return Ok(verdict.map(|()| mover)),
            }
        }
    }
}
