//! A reverse proxy as a library: host names and paths to upstreams, over TLS or not, HTTP/1.1 and HTTP/2 on both
//! sides, forwarded by one runtime per core.
//!
//! Owns: listening sockets, TLS and which certificate is shown, getting certificates from an authority ([`acme`]),
//! the route table and its atomic swap, pooled upstream connections, forwarding in both directions, upgraded
//! connections, leaving out upstreams that fail, requests that wait for one, the pages shown when there is nothing to
//! forward to, drain; and what the [`Policy`] of a service asks for: who may pass, how often, with which password,
//! limits, compression of answers.
//!
//! Must not know: Docker, SQLite, what an app or a deploy is. It is handed a [`RouteTable`] and reports
//! which upstreams are still in use ([`ProxyHandle::in_flight`]); whoever starts and stops upstreams decides.
//!
//! A request lives on one thread: accepted by that thread's own listener, routed through that thread's view
//! of the table, sent over that thread's own idle connections. Threads share no lock per request.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mini_proxy::{Listeners, Proxy, ProxySettings, RouteTable, Service};
//! let settings = ProxySettings::default();
//! let listeners = Listeners::bind("127.0.0.1:8080".parse()?, settings.threads)?;
//! let proxy = Proxy::start(vec![listeners], settings)?;
//! let mut table = RouteTable::default();
//! table.insert("shop.example.com".parse()?, Service::serving("shop", []).into());
//! proxy.handle().set_table(table);
//! proxy.shutdown(std::time::Duration::from_secs(60)).await;
//! # Ok(()) }
//! ```

mod access_log;
pub mod acme;
mod body;
mod budget;
mod certificate;
mod certificates;
mod challenge;
mod choice;
mod chunked;
mod client;
mod connection;
mod counters;
mod deadline;
mod destination;
mod drain;
mod exchange;
mod fault;
mod forward;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod gathered;
mod handle;
mod headers;
mod health;
mod health_probe;
mod histogram;
mod hold;
mod host;
mod http1;
mod http2;
mod https;
mod interim;
mod ledger;
mod line;
mod listen;
mod listening;
mod metered;
mod pace;
mod packing;
mod pages;
mod path;
mod policy;
mod pool;
mod port_routes;
mod ports;
mod protocol;
mod proxy;
mod proxy_protocol;
mod received;
mod redirect;
mod references;
mod relayed;
mod rewound;
mod routes;
mod self_signed;
mod service;
mod settings;
mod sharded;
mod shared_connection;
mod shared_stream;
mod silence;
mod socket;
mod stamps;
mod table;
mod taken;
mod tls;
mod trace;
mod tunnel;
mod upstream;
mod websocket;
mod worker;

pub use access_log::{AccessBatch, AccessLog, AccessLogOptions, AccessRecord, Cut};
pub use certificate::{Certificate, CertificateError};
pub use certificates::Certificates;
pub use counters::{Counters, ServiceCounts};
pub use gate::{BasicAuth, Network, PasswordError, PasswordHash, Rate};
pub use handle::{HttpChallenges, ProxyHandle, TlsChallenges};
pub use histogram::Histogram;
pub use host::{Host, HostError, HostPattern};
pub use http::Version as HttpVersion;
pub use https::{Hsts, PlainHttp};
pub use listen::{BindError, Listeners};
pub use path::{PathPrefix, PathPrefixError};
pub use policy::{Maintenance, Policy};
pub use port_routes::PortRoutes;
pub use ports::{OpenPort, OpenPortError};
pub use protocol::Protocol;
pub use proxy::{Proxy, StartError};
pub use redirect::{Destination, DestinationError, Redirect, RedirectStatus};
pub use self_signed::SelfSigned;
pub use service::{Service, ServiceState, Upstream};
pub use settings::ProxySettings;
pub use table::{Chosen, HostRoutes, PathRoute, RouteTable, Target, Unrouted};
