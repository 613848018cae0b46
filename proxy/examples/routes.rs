//! Measures what many routes cost: choosing among them, changing one, the memory of each, and requests.
//!
//! `cargo run --release -p mini-proxy --example routes -- 10000`
//!
//! Prints figures and judges nothing. Requests go over loopback to one upstream, by turns to a proxy with one host
//! and to one with all; the median of the rounds is the figure to compare.

#![expect(clippy::print_stdout, reason = "its figures are its output")]

use mini_proxy::{
    Listeners, Proxy, ProxyHandle, ProxySettings, RouteTable, Service, ServiceState, Upstream,
};
use std::error::Error;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 9;
const REQUESTS: usize = 4_000;

fn main() -> Outcome<()> {
    let count: usize = match std::env::args().nth(1) {
        Some(count) => count.parse()?,
        None => 10_000,
    };
    let upstream = upstream()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;

    println!(
        "{count} hosts, {} data threads",
        ProxySettings::default().threads
    );
    // Kept to the end: what it takes would be given to the next otherwise.
    let names = remembering_names(count, upstream)?;
    let many = remembering(count, upstream)?;

    let handle = many.0.handle();
    choosing(&handle, count);
    changing(&handle, &runtime, count, upstream)?;

    let one = started(table(1, |_| service(0, 1, upstream))?)?;
    // One upstream for all, so that only the routes differ: else most of the time would go into connections.
    handle.set_table(table(count, |number| service(number, 0, upstream))?);
    let (mut of_one, mut of_many) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        of_one.push(requests(one.1, std::iter::repeat_n(0, REQUESTS))?);
        let hosts = (0..REQUESTS).map(|at| (at * 7919 + round) % count);
        of_many.push(requests(many.1, hosts)?);
    }
    println!("requests  {:>9.2} us each with one host", median(of_one));
    println!(
        "requests  {:>9.2} us each over {count} hosts",
        median(of_many)
    );
    for (proxy, _) in [one, many, names] {
        runtime.block_on(proxy.shutdown(Duration::from_secs(1)));
    }
    Ok(())
}

fn host(number: usize) -> String {
    format!("app-{number}.apps.example.com")
}

/// An app with an upstream of its own, whose id is as long as those of containers; release 0 shares one with all.
fn service(number: usize, release: usize, address: SocketAddr) -> Arc<Service> {
    let id = if release == 0 {
        "one for all".into()
    } else {
        format!("{number:032x}{release:032x}").into()
    };
    let upstream = Upstream { id, address };
    Arc::new(Service::serving(format!("app-{number}"), [upstream]))
}

fn table(count: usize, service: impl Fn(usize) -> Arc<Service>) -> Outcome<RouteTable> {
    let mut table = RouteTable::default();
    for number in 0..count {
        table.insert(host(number).parse()?, service(number));
    }
    Ok(table)
}

/// Starts with all hosts, and prints what they take before and after the data threads have met them.
fn remembering(count: usize, address: SocketAddr) -> Outcome<(Proxy, SocketAddr)> {
    let (proxy, listens) = met("route", count, |number| stopped(number, address))?;
    proxy
        .handle()
        .set_table(table(count, |number| service(number, 1, address))?);
    Ok((proxy, listens))
}

/// The same for names of one app, all in one service.
fn remembering_names(count: usize, address: SocketAddr) -> Outcome<(Proxy, SocketAddr)> {
    let one = stopped(0, address);
    met("name of one app", count, |_| Arc::clone(&one))
}

/// Each is met, and answered without a connection, which would take more memory than its route.
fn stopped(number: usize, address: SocketAddr) -> Arc<Service> {
    let service = Service::clone(&service(number, 1, address));
    let state = ServiceState::Stopped;
    Arc::new(Service { state, ..service })
}

fn met(
    what: &str,
    count: usize,
    service: impl Fn(usize) -> Arc<Service>,
) -> Outcome<(Proxy, SocketAddr)> {
    let before = resident_bytes()?;
    let (proxy, listens) = started(table(count, service)?)?;
    let show = |when: &str| {
        let bytes = resident_bytes()?.saturating_sub(before) / count;
        println!("memory    {bytes:>9} bytes a {what} {when}");
        Outcome::Ok(())
    };
    show("in the table")?;
    requests(listens, 0..count)?;
    show("once a data thread has met each")?;
    Ok((proxy, listens))
}

fn started(table: RouteTable) -> Outcome<(Proxy, SocketAddr)> {
    let settings = ProxySettings {
        // Else the idle connections to all apps would be the greater part of what is measured.
        max_idle_per_upstream: 1,
        ..ProxySettings::default()
    };
    let listeners = Listeners::bind(([127, 0, 0, 1], 0).into(), settings.threads)?;
    let address = listeners.local_address();
    let proxy = Proxy::start(vec![listeners], settings)?;
    proxy.handle().set_table(table);
    Ok((proxy, address))
}

fn choosing(handle: &ProxyHandle, count: usize) {
    let table = handle.table();
    let hosts: Vec<String> = (0..count).map(host).collect();
    let begun = Instant::now();
    for name in &hosts {
        let _ = black_box(table.choose(name, "/"));
    }
    println!(
        "choosing  {:>9.0} ns",
        begun.elapsed().as_nanos() as f64 / count as f64
    );
}

/// A new release of one app, with and without `update`; over once no data thread may use the old upstream.
fn changing(
    handle: &ProxyHandle,
    runtime: &tokio::runtime::Runtime,
    count: usize,
    address: SocketAddr,
) -> Outcome<()> {
    let (mut called, mut followed, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for release in 2..202 {
        let number = (release * 7919) % count;
        let name = host(number).parse()?;
        let table = handle.table();
        let chosen = table.choose(&host(number), "/")?;
        let served = chosen.service();
        let old = served.and_then(|service| service.upstreams.first());
        let old = old.ok_or("a host has no upstream")?;
        let begun = Instant::now();
        handle.update(|table| table.insert(name, service(number, release, address)));
        called.push(micros(begun));
        runtime.block_on(handle.wait_drained(&old.id));
        followed.push(micros(begun));
    }
    println!("changing  {:>9.1} us for one route", median(called));
    println!(
        "changing  {:>9.1} us until every data thread has followed",
        median(followed)
    );
    for release in 1_000..1_010 {
        let mut new = table(count, |number| service(number, 1, address))?;
        new.insert(host(0).parse()?, service(0, release, address));
        let begun = Instant::now();
        handle.set_table(new);
        whole.push(micros(begun));
    }
    println!(
        "changing  {:>9.1} us for a whole new table, compared with the old",
        median(whole)
    );
    Ok(())
}

/// Asks for the hosts one after the other on one connection; microseconds for each.
fn requests(proxy: SocketAddr, hosts: impl IntoIterator<Item = usize>) -> Outcome<f64> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4096];
    let (begun, mut count) = (Instant::now(), 0.0);
    for number in hosts {
        write!(stream, "GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(number))?;
        let mut read = 0;
        while !buffer.get(..read).is_some_and(is_whole) {
            let room = buffer.get_mut(read..).ok_or("too long an answer")?;
            match stream.read(room)? {
                0 => return Err("the proxy closed the connection".into()),
                bytes => read += bytes,
            }
        }
        count += 1.0;
    }
    Ok(micros(begun) / count)
}

/// The answer of the upstream, or the page of a stopped app, whose last line names the request.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"\r\n\r\nok") || answer.ends_with(b")\n")
}

/// Answers everything, with a thread for each connection.
fn upstream() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = move || answer(stream);
            let _ = std::thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn(serve);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Resident memory of this process (proc(5), statm, in pages of 4 KiB).
fn resident_bytes() -> Outcome<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .ok_or("statm has no second number")?
        .parse()?;
    Ok(pages * 4096)
}
