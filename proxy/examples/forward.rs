//! Forwards hosts to fixed addresses, for benchmarks and for trying things by hand:
//!
//! `cargo run -p mini-proxy --example forward -- 127.0.0.1:8080 app.localhost=127.0.0.1:9000`
//!
//! A host may come several times, with an upstream each. Runs until its standard input ends. With the word
//! `--access-log` among the routes, requests are recorded, and their number is told at the end.

use mini_proxy::{
    AccessLogOptions, Listeners, Proxy, ProxySettings, RouteTable, Service, Upstream,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read as _;
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let address = words
        .next()
        .ok_or("where to listen? ADDRESS:PORT HOST=ADDRESS:PORT ...")?;
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let mut is_logged = false;
    for route in words {
        if route == "--access-log" {
            is_logged = true;
            continue;
        }
        let (host, address) = route
            .split_once('=')
            .ok_or("a route is HOST=ADDRESS:PORT")?;
        let upstream = Upstream {
            id: address.to_owned(),
            address: address.parse()?,
        };
        let service = services.entry(host.to_owned());
        let service = service.or_insert_with(|| Service::serving(host, []));
        service.upstreams.push(upstream);
    }
    let mut table = RouteTable::default();
    for (host, service) in services {
        table.insert(host.parse()?, service.into());
    }
    let settings = ProxySettings::default();
    let listeners = Listeners::bind(address.parse()?, settings.threads)?;
    eprintln!("listening on {}", listeners.local_address());
    let proxy = Proxy::start(vec![listeners], settings)?;
    let log = is_logged.then(|| proxy.handle().access_log(AccessLogOptions::default()));
    let counting = log.map(|mut log| {
        std::thread::spawn(move || {
            let mut records = 0;
            while let Some(batch) = log.blocking_next() {
                records += batch.len();
            }
            records
        })
    });
    proxy.handle().set_table(table);
    std::io::stdin().read_to_end(&mut Vec::new())?;
    eprintln!("{:#?}", proxy.handle().counters());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(proxy.shutdown(Duration::from_secs(10)));
    if let Some(Ok(records)) = counting.map(std::thread::JoinHandle::join) {
        eprintln!("{records} records");
    }
    Ok(())
}
