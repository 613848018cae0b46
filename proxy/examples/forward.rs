//! Forwards hosts to fixed addresses, for benchmarks and for trying things by hand:
//!
//! `cargo run -p mini-proxy --example forward -- 127.0.0.1:8080 https=127.0.0.1:8443 app.localhost=127.0.0.1:9000`
//!
//! A host may come several times, with an upstream each; `HOST=h2c:ADDRESS` speaks HTTP/2 to it. With
//! `https=ADDRESS`, TLS is spoken there with certificates made for the hosts, written to `forward.pem`, and
//! both listeners serve. With the word `--access-log`, requests are recorded, and their number is told at the end.
//! Runs until its standard input ends.

use mini_proxy::{
    AccessLogOptions, Certificate, Certificates, Listeners, PlainHttp, Protocol, Proxy,
    ProxySettings, RouteTable, Service, Upstream,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let address = words
        .next()
        .ok_or("where to listen? ADDRESS:PORT [https=ADDRESS:PORT] HOST=ADDRESS:PORT ...")?;
    let settings = ProxySettings::default();
    let mut listeners = vec![Listeners::bind(address.parse()?, settings.threads)?];
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
        if host == "https" {
            listeners.push(Listeners::bind(address.parse()?, settings.threads)?.tls());
            continue;
        }
        let service = services.entry(host.to_owned());
        let service = service.or_insert_with(|| Service {
            plain_http: PlainHttp::Serve,
            ..Service::serving(host, [])
        });
        let address = match address.strip_prefix("h2c:") {
            Some(address) => {
                service.protocol = Protocol::H2c;
                address
            }
            None => address,
        };
        service.upstreams.push(Upstream {
            id: address.into(),
            address: address.parse()?,
        });
    }
    for listeners in &listeners {
        eprintln!("listening on {}", listeners.local_address());
    }
    let has_tls = listeners.iter().any(Listeners::is_tls);
    let proxy = Proxy::start(listeners, settings)?;
    if has_tls {
        let hosts: Vec<&str> = services.keys().map(String::as_str).collect();
        let day = Duration::from_secs(24 * 60 * 60);
        let made = Certificate::self_signed(&hosts, SystemTime::now(), day)?;
        std::fs::write("forward.pem", &made.chain_pem)?;
        let mut certificates = Certificates::default();
        certificates.insert_for_its_names(&Arc::new(made.certificate));
        proxy.handle().set_certificates(certificates);
    }
    let mut table = RouteTable::default();
    for (host, service) in services {
        table.insert(host.parse()?, service.into());
    }
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
