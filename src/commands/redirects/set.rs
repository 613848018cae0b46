//! `redirects:set`

use clap::Args;
use mini_proxy::{Destination, Host, RedirectStatus};
use serde::{Deserialize, Serialize};

use crate::commands::domains::{refuse_address_of_other_app, taken, typed_address};
use crate::commands::{Authorized, Command, Dialog, Output, Page, Platform};
use crate::model::{Address, App, AppName, AppRedirect, DomainName, Kind, Permission, Problem};
use crate::store::StoreError;

/// Send visitors of an address elsewhere
///
/// The source is a domain, which need not be one of the app's, or a path of one or of all of the app's domains. A
/// destination without a path keeps path and query of the request, one without `https://` keeps its scheme. A path is
/// gone to as it is; where it ends with `/*`, that stands for what the request has behind the path of the source.
///
/// www to apex: redirects:set shop www.example.com example.com 308
///
/// A moved part: redirects:set shop /blog 'https://blog.example.com/*'
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The app
    pub app: AppName,
    /// What is redirected: DOMAIN, /PATH or DOMAIN/PATH
    #[arg(value_parser = typed_address)]
    pub source: Address,
    /// Where to: a host, a path or a URL
    pub destination: String,
    /// 301 or 302, or 308 or 307, which also keep the method of requests
    #[arg(default_value = "301")]
    #[serde(default = "moved")]
    pub code: u16,
}

fn moved() -> u16 {
    301
}

/// The redirect that was set.
#[derive(Debug, Serialize)]
pub struct Sent {
    app: AppName,
    source: Address,
    destination: String,
    code: u16,
}

impl Command for Set {
    type Output = Sent;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Sent, Problem> {
        let app = authorized.app()?;
        if RedirectStatus::from_code(self.code).is_none() {
            return Err(Problem::new(
                Kind::Usage,
                format!("{} is not the code of a redirect", self.code),
                "",
                "Give 301 (moved), 302 (for now), or 308 and 307, which keep the method",
            ));
        }
        let to: Destination = self.destination.parse().map_err(|error| {
            Problem::new(
                Kind::Invalid,
                format!("{} is no destination", self.destination.escape_debug()),
                format!("{error}"),
                "",
            )
        })?;
        let redirect = AppRedirect {
            app: app.id,
            address: self.source.clone(),
            to,
            code: self.code,
        };
        if let Some(domain) = &self.source.domain {
            refuse_address_of_other_app(platform, app, domain).await?;
        }
        refuse_loop(platform, app, &redirect).await?;
        match platform.store.set_redirect(&redirect).await {
            Ok(()) => {}
            Err(StoreError::Taken { name, by }) => return Err(taken(&name, by.as_ref())),
            Err(error) => return Err(error.into()),
        }
        platform.reconciler.wait_for(|_| true).await;
        dialog
            .header(format!(
                "Redirected {} to {} for {}",
                self.source, redirect.to, app.name
            ))
            .await;
        Ok(Sent {
            app: app.name.clone(),
            source: self.source,
            destination: redirect.to.to_string(),
            code: self.code,
        })
    }
}

/// A browser follows a circle some twenty times and then shows an error nobody understands.
async fn refuse_loop(
    platform: &Platform,
    app: &App,
    redirect: &AppRedirect,
) -> Result<(), Problem> {
    let exposure = platform.store.exposure(app.id).await?;
    let names = platform.reconciler.host_names(&app.name, &exposure);
    let others = platform.store.all_redirects().await?;
    if !leads_back(redirect, &names, &others) {
        return Ok(());
    }
    let next = if redirect.address.domain.is_none() && redirect.to.host().is_some() {
        "Name the domain to redirect from, such as www.example.com"
    } else {
        "Choose another destination; `redirects:report` shows the redirects there are"
    };
    Err(Problem::new(
        Kind::Invalid,
        format!(
            "A redirect from {} to {} would lead in a circle",
            redirect.address, redirect.to
        ),
        "",
        next,
    ))
}

/// Whether following `redirect`, and those `others` that redirect whole domains, comes back to it.
fn leads_back(redirect: &AppRedirect, names: &[DomainName], others: &[AppRedirect]) -> bool {
    let is_source = |host: &Host| match &redirect.address.domain {
        Some(domain) => domain.as_str() == host.as_str(),
        None => names.iter().any(|name| name.as_str() == host.as_str()),
    };
    let Some(first) = redirect.to.host() else {
        return meets(&redirect.address, &redirect.to);
    };
    let mut host = first.clone();
    let mut to = &redirect.to;
    // No chain without a circle is longer than there are redirects.
    for _ in 0..=others.len() {
        if is_source(&host) {
            return meets(&redirect.address, to);
        }
        let next = others.iter().find(|other| {
            let domain = other.address.domain.as_ref();
            other.address.path.is_none()
                && other.address != redirect.address
                && domain.is_some_and(|domain| domain.as_str() == host.as_str())
        });
        let Some(next) = next else {
            return false;
        };
        to = &next.to;
        match to.host() {
            Some(next) => host = next.clone(),
            None => return false,
        }
    }
    true
}

/// Whether a request that was sent to `to`, at the source's own host, is one for the source again.
fn meets(source: &Address, to: &Destination) -> bool {
    match (&source.path, to.path()) {
        (None, _) | (Some(_), None) => true,
        (Some(prefix), Some(path)) => {
            let path = path.split(['?', '#']).next().unwrap_or(path);
            path.strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

impl Output for Sent {
    fn print(&self, _page: &mut Page) {}
}

#[cfg(test)]
mod tests {
    use super::leads_back;
    use crate::model::{AppId, AppRedirect};

    fn redirect(source: &str, to: &str) -> AppRedirect {
        AppRedirect {
            app: AppId(1),
            address: source.parse().unwrap(),
            to: to.parse().unwrap(),
            code: 301,
        }
    }

    fn check(source: &str, to: &str, others: &[(&str, &str)], expected: bool) {
        let names = ["a.test".parse().unwrap(), "b.test".parse().unwrap()];
        let others: Vec<AppRedirect> = others.iter().map(|(from, to)| redirect(from, to)).collect();
        let found = leads_back(&redirect(source, to), &names, &others);
        assert_eq!(found, expected, "{source} to {to} with {others:?}");
    }

    #[test]
    fn circles_are_found() {
        check("www.a.test", "a.test", &[], false);
        check("a.test", "a.test", &[], true);
        check("a.test", "https://a.test", &[], true);
        check("a.test", "/x", &[], true);
        check("/old", "/new/*", &[], false);
        check("/old", "/old/x", &[], true);
        check("/old", "/older", &[], false);
        check("/old", "https://a.test/old/*", &[], true);
        check("/old", "https://a.test/new", &[], false);
        check("/old", "c.test", &[], false);
        check("a.test/x", "b.test", &[], false);
        check("a.test", "www.a.test", &[("www.a.test", "a.test")], true);
        check(
            "a.test",
            "c.test",
            &[("c.test", "d.test"), ("d.test", "a.test")],
            true,
        );
        check(
            "a.test",
            "c.test",
            &[("c.test", "d.test"), ("d.test", "c.test")],
            true,
        );
        check("a.test", "c.test", &[("c.test", "d.test")], false);
        // Setting it anew is no circle with itself.
        check("www.a.test", "a.test", &[("www.a.test", "b.test")], false);
    }
}
