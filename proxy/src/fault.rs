//! Why a request got a page of ours instead of an app's answer, and whose side failed.

use http::StatusCode;
use std::time::Duration;

/// The situations in which we answer ourselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The request names no host.
    HostMissing,
    /// The request names several hosts.
    HostRepeated,
    /// What it names is no host name.
    HostMalformed,
    /// A path that leads to different places, depending on how it is read.
    PathAmbiguous,
    /// Over HTTP/2: its `Host` field is another than its `:authority`.
    HostDisagrees,
    /// The connection was made for another host, and its certificate does not cover this one.
    Misdirected,
    /// What it asks for is no path.
    TargetMalformed,
    /// A method we do not forward: CONNECT.
    MethodRefused,
    /// A body framed in a way that two servers may read differently.
    FramingRefused,
    /// The client stopped sending the body of its request.
    BodyStalled,
    /// The client sent the body of its request too slowly.
    BodyTooSlow,
    /// The client's body broke off or was malformed.
    BodyBroken,
    /// The body is larger than the app takes.
    BodyTooLarge,
    /// The app does not answer this address.
    AddressDenied,
    /// The client asks more often than the app lets it.
    RateExceeded,
    /// The app answers those with a password only.
    PasswordWanted,
    /// The client gave too many wrong passwords.
    GuessesExceeded,
    /// Too many passwords wait to be looked at.
    GuardsBusy,
    /// The app is being worked on.
    Maintenance,
    /// The app has as many requests under way as it may.
    TooManyRequests,
    /// No app has this host.
    HostUnknown,
    /// An app has this host, but there is nothing at this path of it.
    PathUnknown,
    /// The app exists, but nothing has been deployed.
    NotDeployed,
    /// The app is stopped.
    Stopped,
    /// The app should serve, but has no process now.
    NoProcess,
    /// The app is paused, and the request has waited long enough.
    Paused,
    /// Too many requests wait for the app already.
    Crowded,
    /// No process of the app accepts connections.
    Refused,
    /// No process of the app accepted a connection in time.
    ConnectTimedOut,
    /// The app closed the connection before it answered.
    ClosedEarly,
    /// The app was asked for a WebSocket, over HTTP/2 or for a client of HTTP/2, and did not agree to one.
    NoWebSockets,
    /// What the app answered is not HTTP, or not the version it is set to speak.
    NotHttp,
    /// The app did not begin to answer in time.
    Silent,
    /// This server has run out of something, such as file descriptors or ports.
    Exhausted,
}

/// Who has to do something about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    App,
    Server,
}

/// A fault in the reader's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Words {
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
    pub(crate) next: &'static str,
}

impl Fault {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Fault::HostMissing
            | Fault::HostRepeated
            | Fault::HostMalformed
            | Fault::PathAmbiguous
            | Fault::HostDisagrees
            | Fault::TargetMalformed
            | Fault::FramingRefused
            | Fault::BodyBroken => StatusCode::BAD_REQUEST,
            Fault::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Fault::MethodRefused => StatusCode::METHOD_NOT_ALLOWED,
            Fault::BodyStalled | Fault::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Fault::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Fault::AddressDenied => StatusCode::FORBIDDEN,
            Fault::RateExceeded | Fault::GuessesExceeded => StatusCode::TOO_MANY_REQUESTS,
            Fault::PasswordWanted => StatusCode::UNAUTHORIZED,
            Fault::GuardsBusy | Fault::Maintenance | Fault::TooManyRequests => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Fault::HostUnknown | Fault::PathUnknown => StatusCode::NOT_FOUND,
            Fault::NotDeployed
            | Fault::Refused
            | Fault::ClosedEarly
            | Fault::NoWebSockets
            | Fault::NotHttp => StatusCode::BAD_GATEWAY,
            Fault::Stopped
            | Fault::NoProcess
            | Fault::Paused
            | Fault::Crowded
            | Fault::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
            Fault::ConnectTimedOut | Fault::Silent => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// After what time it is worth trying again, where that is likely (RFC 9110 section 10.2.3).
    pub(crate) fn retry_after(self) -> Option<Duration> {
        matches!(self, Fault::NoProcess | Fault::Paused | Fault::Crowded)
            .then_some(Duration::from_secs(5))
    }

    pub(crate) fn side(self) -> Side {
        match self {
            Fault::HostMissing
            | Fault::HostRepeated
            | Fault::HostMalformed
            | Fault::PathAmbiguous
            | Fault::HostDisagrees
            | Fault::Misdirected
            | Fault::TargetMalformed
            | Fault::MethodRefused
            | Fault::FramingRefused
            | Fault::BodyStalled
            | Fault::BodyTooSlow
            | Fault::BodyBroken
            | Fault::BodyTooLarge
            | Fault::AddressDenied
            | Fault::RateExceeded
            | Fault::PasswordWanted
            | Fault::GuessesExceeded
            | Fault::HostUnknown
            | Fault::PathUnknown => Side::Client,
            Fault::NotDeployed
            | Fault::Stopped
            | Fault::NoProcess
            | Fault::Paused
            | Fault::Crowded
            | Fault::Refused
            | Fault::ConnectTimedOut
            | Fault::ClosedEarly
            | Fault::NoWebSockets
            | Fault::NotHttp
            | Fault::Silent => Side::App,
            Fault::Maintenance | Fault::TooManyRequests => Side::App,
            Fault::Exhausted | Fault::GuardsBusy => Side::Server,
        }
    }

    /// The word in our JSON and the error type of RFC 9209 section 2.3 in `Proxy-Status`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Fault::HostMissing
            | Fault::HostRepeated
            | Fault::HostMalformed
            | Fault::PathAmbiguous
            | Fault::HostDisagrees
            | Fault::Misdirected
            | Fault::TargetMalformed
            | Fault::FramingRefused
            | Fault::BodyStalled
            | Fault::BodyTooSlow
            | Fault::BodyBroken => "http_request_error",
            Fault::MethodRefused
            | Fault::BodyTooLarge
            | Fault::AddressDenied
            | Fault::RateExceeded
            | Fault::PasswordWanted
            | Fault::GuessesExceeded => "http_request_denied",
            Fault::TooManyRequests => "connection_limit_reached",
            Fault::HostUnknown | Fault::PathUnknown => "destination_not_found",
            Fault::NotDeployed
            | Fault::Stopped
            | Fault::NoProcess
            | Fault::Paused
            | Fault::Maintenance => "destination_unavailable",
            Fault::Crowded => "connection_limit_reached",
            Fault::Refused => "connection_refused",
            Fault::ConnectTimedOut => "connection_timeout",
            Fault::ClosedEarly => "connection_terminated",
            Fault::NoWebSockets => "http_upgrade_failed",
            Fault::NotHttp => "http_protocol_error",
            Fault::Silent => "http_response_timeout",
            Fault::Exhausted | Fault::GuardsBusy => "proxy_internal_error",
        }
    }

    pub(crate) fn words(self) -> Words {
        let (what, why, next) = match self {
            Fault::HostMissing => (
                "This request names no host",
                "Many sites live at this address, and the Host header says which one is meant.",
                "Send the request with a Host header.",
            ),
            Fault::HostRepeated => (
                "This request names more than one host",
                "It has several Host headers, and which one is meant cannot be known.",
                "Send the request with one Host header.",
            ),
            Fault::HostMalformed => (
                "This request names no valid host",
                "The Host header holds something that is not a host name.",
                "Check the address and try again.",
            ),
            Fault::PathAmbiguous => (
                "The path of this request is not clear",
                "It can be read in two ways, which lead to different apps.",
                "Send it without `.` and `..`, empty segments, backslashes and encoded slashes.",
            ),
            Fault::HostDisagrees => (
                "This request names more than one host",
                "Its Host header and its :authority differ, and which one is meant cannot be known.",
                "Send the request with :authority alone.",
            ),
            Fault::Misdirected => (
                "This request came over a connection to another host",
                "The certificate of this connection does not cover the host that the request names.",
                "Open a new connection for this host; browsers do so by themselves.",
            ),
            Fault::TargetMalformed => (
                "This request asks for no valid path",
                "A path begins with a slash.",
                "Check the address and try again.",
            ),
            Fault::MethodRefused => (
                "This method is not allowed",
                "CONNECT asks for a tunnel to another place, which this server does not provide.",
                "Use another method.",
            ),
            Fault::FramingRefused => (
                "The body of this request is framed in a way that is not accepted",
                "Its Transfer-Encoding is something other than chunked.",
                "Send it with a Content-Length or with Transfer-Encoding: chunked alone.",
            ),
            Fault::BodyStalled => (
                "The request did not arrive in full",
                "The client stopped sending its body.",
                "Check the connection and send it again.",
            ),
            Fault::BodyTooSlow => (
                "The request did not arrive in time",
                "The client sent its body more slowly than this app accepts.",
                "Check the connection and send it again. If the app is yours, see min-upload-rate in proxy:report.",
            ),
            Fault::BodyBroken => (
                "The request did not arrive in full",
                "Its body broke off or was malformed.",
                "Send it again.",
            ),
            Fault::BodyTooLarge => (
                "The body of this request is too large",
                "It is larger than what this app accepts.",
                "Send less. If the app is yours, raise the limit: proxy:set APP max-body-size SIZE.",
            ),
            Fault::AddressDenied => (
                "This app is not open to you",
                "Its owner chose the addresses that may use it, and yours is not among them.",
                "If the app is yours, see allow-list and deny-list in proxy:report.",
            ),
            Fault::RateExceeded => (
                "You ask too often",
                "This app answers so many requests of one client in a time, and no more.",
                "Try again in a moment. If the app is yours, see rate-limit in proxy:report.",
            ),
            Fault::PasswordWanted => (
                "This app asks for a password",
                "There was none with the request, or not the right one.",
                "Log in. If the app is yours, see who may with http-auth:report.",
            ),
            Fault::GuessesExceeded => (
                "There were too many wrong passwords",
                "More of them from this address are not looked at for a while.",
                "Try again in a moment.",
            ),
            Fault::GuardsBusy => (
                "This server is overloaded",
                "Too many passwords wait to be looked at.",
                "Try again in a moment.",
            ),
            Fault::Maintenance => (
                "This app is being worked on",
                "Its owner has closed it for a while.",
                "Try again later. If the app is yours, open it with maintenance:off.",
            ),
            Fault::TooManyRequests => (
                "This app is busy",
                "It has as many requests under way as it takes at once.",
                "Try again in a moment. If the app is yours, see max-in-flight in proxy:report.",
            ),
            Fault::HostUnknown => (
                "No app lives at this address",
                "This server has no app with this domain.",
                "Check the address. If the app is yours, add the domain to it with domains:add.",
            ),
            Fault::PathUnknown => (
                "Nothing lives at this path",
                "The app at this address has no route for it.",
                "Check the address. If the app is yours, see routes:report and redirects:report.",
            ),
            Fault::NotDeployed => (
                "Nothing has been deployed here yet",
                "The app exists, but has no release.",
                "If the app is yours, push to it: git push mini main.",
            ),
            Fault::Stopped => (
                "This app is stopped",
                "Its owner stopped it or scaled it to zero.",
                "If the app is yours, start it with ps:start, or scale it up with ps:scale.",
            ),
            Fault::NoProcess => (
                "This app is not running right now",
                "None of its processes is ready for requests.",
                "Try again in a moment. If the app is yours, look at ps:report and logs.",
            ),
            Fault::Paused => (
                "This app is paused",
                "Its owner has requests wait, and this one has waited as long as it may.",
                "Try again in a moment. If the app is yours, let it go on with proxy:resume.",
            ),
            Fault::Crowded => (
                "This app is not running right now",
                "As many requests as may wait for it do so already.",
                "Try again in a moment. If the app is yours, look at proxy:report and ps:report.",
            ),
            Fault::Refused => (
                "This app does not accept connections",
                "None of its processes answered at the port it should listen on.",
                "Try again in a moment. If the app is yours, look at logs and check that it listens on $PORT.",
            ),
            Fault::ConnectTimedOut => (
                "This app does not accept connections",
                "None of its processes accepted a connection in time.",
                "Try again in a moment. If the app is yours, look at ps:report and logs.",
            ),
            Fault::ClosedEarly => (
                "This app broke off",
                "It closed the connection before it answered.",
                "Whether it has acted on the request is not known. If the app is yours, look at logs.",
            ),
            Fault::NoWebSockets => (
                "This app takes no WebSockets",
                "It was asked for one and did not agree. Apps that speak HTTP/2 are asked over that (RFC 8441), or else over HTTP/1.1.",
                "If the app is yours, let it take them in one of these ways, or by a process type that speaks HTTP/1.1.",
            ),
            Fault::NotHttp => (
                "This app gave an answer that cannot be understood",
                "What it sent is not the HTTP it is set to speak.",
                "If the app is yours, check that it speaks plain HTTP/1.1 on $PORT, or HTTP/2 if it is set to.",
            ),
            Fault::Silent => (
                "This app took too long to answer",
                "It accepted the request, but did not begin to answer in time.",
                "Whether it has acted on the request is not known. If the app is yours, look at logs.",
            ),
            Fault::Exhausted => (
                "This server is overloaded",
                "It could not open a connection to the app. The app is not to blame.",
                "Try again in a moment. If the server is yours, look at its open files and its log.",
            ),
        };
        Words { what, why, next }
    }
}
