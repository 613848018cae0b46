//! The pages shown instead of an app's answer: small, without anything of any app but the one asked for.

use crate::body::ResponseBody;
use crate::client::Visitor;
use crate::fault::{Fault, Side};
use crate::https::Hsts;
use crate::policy::Policy;
use crate::service::Service;
use crate::table::Target;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response};
use std::fmt::Write as _;
use std::time::Duration;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What a page is made for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reader<'a> {
    /// The request's `Accept`.
    pub(crate) accept: Option<&'a HeaderValue>,
    /// The name of the app asked for, if its host is known.
    pub(crate) app: Option<&'a str>,
    /// The request's id, if it got one.
    pub(crate) request_id: Option<&'a HeaderValue>,
    /// What the app has pages of its own in.
    pub(crate) policy: Option<&'a Policy>,
    /// When to come again, if that is known.
    pub(crate) retry_after: Option<Duration>,
    /// What a browser that came over HTTPS is told about coming back.
    pub(crate) hsts: Option<&'a Hsts>,
}

impl<'a> Reader<'a> {
    /// A visitor of a service.
    pub(crate) fn at(service: &'a Service, visitor: &Visitor) -> Reader<'a> {
        Reader {
            app: Some(&service.name),
            policy: Some(&service.policy),
            hsts: service.hsts.as_ref().filter(|_| visitor.is_https),
            ..Reader::default()
        }
    }

    /// A visitor of a host that has a route, if any, but none for what is asked for.
    pub(crate) fn of_owner(owner: Option<&'a Target>, visitor: &Visitor) -> Reader<'a> {
        match owner {
            None => Reader::default(),
            Some(Target::Service(service)) => Reader::at(service, visitor),
            Some(Target::Redirect(redirect)) => Reader {
                app: Some(&redirect.name),
                policy: Some(&redirect.policy),
                hsts: redirect.hsts.as_ref().filter(|_| visitor.is_https),
                ..Reader::default()
            },
        }
    }
}

/// How a page is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    /// Browsers name `text/html`, API clients JSON; curl and the like accept anything and get plain text.
    fn of(accept: Option<&HeaderValue>) -> Form {
        let accept = accept.map_or(&b""[..], HeaderValue::as_bytes);
        let position = |wanted: &[u8]| {
            accept
                .windows(wanted.len())
                .position(|part| part.eq_ignore_ascii_case(wanted))
        };
        match (position(b"text/html"), position(b"json")) {
            (Some(html), Some(json)) if json < html => Form::Json,
            (Some(_), _) => Form::Html,
            (None, Some(_)) => Form::Json,
            (None, None) => Form::Text,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Form::Html => "text/html; charset=utf-8",
            Form::Json => "application/json",
            Form::Text => "text/plain; charset=utf-8",
        })
    }
}

/// The answer to a request that met a fault.
///
/// `Proxy-Status` (RFC 9209) tells tools that this came from the proxy, and why.
pub(crate) fn page(fault: Fault, reader: Reader<'_>) -> Response<ResponseBody> {
    let form = Form::of(reader.accept);
    let own = reader.policy.and_then(|policy| policy.page(fault));
    let (form, body) = match (form, own) {
        // Programs that ask for JSON get it: a page for people would only break them.
        (Form::Json, _) => (form, json(fault, reader)),
        (Form::Html | Form::Text, Some(own)) => (
            Form::Html,
            own.replace("{{status}}", fault.status().as_str()),
        ),
        (Form::Html, None) => (form, html(fault, reader)),
        (Form::Text, None) => (form, text(fault, reader)),
    };
    let mut response = Response::new(ResponseBody::Page(Some(Bytes::from(body))));
    *response.status_mut() = fault.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, form.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = reader.retry_after.or(fault.retry_after()) {
        // Whole seconds (RFC 9110 section 10.2.3), never too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    if let Some(hsts) = reader.hsts {
        hsts.set(headers);
    }
    if fault == Fault::PasswordWanted {
        headers.insert(WWW_AUTHENTICATE, basic(reader.app.unwrap_or_default()));
    }
    if let Ok(status) = HeaderValue::try_from(format!("mini; error={}", fault.code())) {
        headers.insert(PROXY_STATUS, status);
    }
    response
}

/// The challenge of RFC 7617 section 2, with the app's name as the realm.
fn basic(app: &str) -> HeaderValue {
    let realm: String = app.chars().filter(|c| !['"', '\\'].contains(c)).collect();
    let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Basic realm=\"app\""))
}

fn side(fault: Fault) -> &'static str {
    match fault.side() {
        Side::Client => "request",
        Side::App => "app",
        Side::Server => "server",
    }
}

fn facts(fault: Fault, reader: Reader<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let id = reader.request_id.and_then(|id| id.to_str().ok());
    [
        ("app", reader.app.map(str::to_owned)),
        ("side", Some(side(fault).to_owned())),
        ("request", id.map(str::to_owned)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

fn text(fault: Fault, reader: Reader<'_>) -> String {
    let words = fault.words();
    let mut text = format!(
        "error: {}\nwhy:   {}\nnext:  {}\n",
        words.what, words.why, words.next
    );
    for (name, value) in facts(fault, reader) {
        let _ = writeln!(text, "({name}: {value})");
    }
    text
}

fn json(fault: Fault, reader: Reader<'_>) -> String {
    let words = fault.words();
    let mut json = format!("{{\"status\":{}", fault.status().as_u16());
    let fixed = [
        ("error", fault.code()),
        ("what", words.what),
        ("why", words.why),
        ("next", words.next),
    ];
    let fixed = fixed
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()));
    for (name, value) in fixed.chain(facts(fault, reader)) {
        let _ = write!(json, ",\"{name}\":\"{}\"", JsonText(&value));
    }
    json.push_str("}\n");
    json
}

fn html(fault: Fault, reader: Reader<'_>) -> String {
    let words = fault.words();
    let status = fault.status();
    let mut facts_html = String::new();
    for (name, value) in facts(fault, reader) {
        let _ = write!(facts_html, "<dt>{name}<dd>{}", HtmlText(&value));
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <meta name=robots content=noindex><title>{what}</title><style>{STYLE}</style>\
         <main><p class=status>{code}</p><h1>{what}</h1><p>{why}</p><p>{next}</p><dl>{facts_html}</dl></main></html>\n",
        what = HtmlText(words.what),
        why = HtmlText(words.why),
        next = HtmlText(words.next),
        code = status.as_u16(),
    )
}

const STYLE: &str = ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
    body{margin:0;min-height:100vh;display:grid;place-items:center}main{max-width:34rem;padding:2rem}\
    h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}.status{margin:0;opacity:.6;font-variant-numeric:tabular-nums}\
    dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem;margin:2rem 0 0;font-size:.8rem;opacity:.7}\
    dd{margin:0;overflow-wrap:anywhere}";

/// Text as it may stand in an HTML element.
struct HtmlText<'a>(&'a str);

impl std::fmt::Display for HtmlText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Text as it may stand in a JSON string (RFC 8259 section 7).
struct JsonText<'a>(&'a str);

impl std::fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, HtmlText, JsonText, Reader, html, json, text};
    use crate::fault::Fault;
    use http::HeaderValue;

    fn check_form(accept: &str, expected: Form) {
        let accept = HeaderValue::from_str(accept).unwrap();
        assert_eq!(Form::of(Some(&accept)), expected, "{accept:?}");
    }

    #[test]
    fn a_page_takes_the_form_the_client_asks_for() {
        check_form(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Form::Html,
        );
        check_form("application/json", Form::Json);
        check_form("application/json, text/html;q=0.5", Form::Json);
        check_form("application/problem+json", Form::Json);
        check_form("*/*", Form::Text);
        assert_eq!(Form::of(None), Form::Text);
    }

    #[test]
    fn a_page_says_what_why_and_what_next() {
        let reader = Reader {
            app: Some("shop"),
            ..Reader::default()
        };
        let expected = "error: This app is stopped\n\
             why:   Its owner stopped it or scaled it to zero.\n\
             next:  If the app is yours, start it with ps:start, or scale it up with ps:scale.\n\
             (app: shop)\n(side: app)\n";
        assert_eq!(text(Fault::Stopped, reader), expected);
        let json = json(Fault::Stopped, reader);
        assert!(
            json.starts_with("{\"status\":503,\"error\":\"destination_unavailable\","),
            "{json}"
        );
        assert!(
            json.ends_with("\"app\":\"shop\",\"side\":\"app\"}\n"),
            "{json}"
        );
        let html = html(Fault::Stopped, reader);
        assert!(html.contains("<h1>This app is stopped</h1>"), "{html}");
        assert!(html.contains("<dt>app<dd>shop"), "{html}");
    }

    #[test]
    fn names_cannot_break_out_of_a_page() {
        assert_eq!(
            HtmlText("<a href='\"&'>").to_string(),
            "&lt;a href=&#39;&quot;&amp;&#39;&gt;"
        );
        assert_eq!(JsonText("a\"\\\n").to_string(), "a\\\"\\\\\\u000a");
    }
}
