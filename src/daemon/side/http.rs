//! HTTP/1.1 as far as three pages need it (RFC 9112): the head of a request, and a whole response.
//!
//! A connection carries one request. Its content, if it has any, is not read: no method that is served has one.

use std::time::SystemTime;

use super::accept::{Format, negotiate};

/// The maximum number of header fields. Chosen: browsers send about twenty and Prometheus six; the parser needs an
/// array of this length.
const MAX_FIELDS: usize = 64;
/// The media type of texts for people.
const PLAIN: &str = "text/plain; charset=utf-8";

/// A page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `/metrics`, in this format.
    Metrics(Format),
    /// `/livez`.
    Live,
    /// `/readyz`.
    Ready,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The page.
    pub page: Page,
    /// The method is HEAD: the response has no content.
    pub is_head: bool,
}

/// The status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 400: the request is malformed.
    BadRequest,
    /// 404: there is no such page.
    NotFound,
    /// 405: the method is neither GET nor HEAD.
    MethodNotAllowed,
    /// 408: the request did not become complete in time.
    RequestTimeout,
    /// 431: the head of the request is too long, or has too many fields (RFC 6585).
    FieldsTooLarge,
    /// 503: not alive, or not ready.
    Unavailable,
    /// 505: the version is not 1.0 or 1.1.
    VersionNotSupported,
}

impl Status {
    /// Code and reason phrase.
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::FieldsTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: Status,
    /// The response has no content.
    pub is_head: bool,
}

impl Refusal {
    /// A refusal of a request whose method is not known.
    #[must_use]
    pub fn of(status: Status) -> Self {
        Self { status, is_head: false }
    }

    /// The whole response, which has nothing of the request in it.
    #[must_use]
    pub fn response(self) -> Vec<u8> {
        let text = match self.status {
            Status::NotFound => "404 Not Found: the pages are /metrics, /livez and /readyz",
            other => other.line(),
        };
        Response::text(self.status, text).bytes(self.is_head)
    }
}

/// Reads the head of a request, which `bytes` begin with; `None` if it is not complete.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Result<Request, Refusal>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => None,
        Ok(httparse::Status::Complete(_)) => Some(interpret(&request)),
        Err(httparse::Error::TooManyHeaders) => Some(Err(Refusal::of(Status::FieldsTooLarge))),
        Err(httparse::Error::Version) => Some(Err(Refusal::of(Status::VersionNotSupported))),
        Err(_) => Some(Err(Refusal::of(Status::BadRequest))),
    }
}

fn interpret(request: &httparse::Request<'_, '_>) -> Result<Request, Refusal> {
    let method = request.method.unwrap_or_default();
    let is_head = method == "HEAD";
    let refuse = |status| Err(Refusal { status, is_head });
    let fields = |name: &'static str| {
        let named = request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value)
    };
    // RFC 9112, section 3.2
    let hosts = fields("host").count();
    if hosts > 1 || (hosts == 0 && request.version == Some(1)) {
        return refuse(Status::BadRequest);
    }
    if method != "GET" && !is_head {
        return refuse(Status::MethodNotAllowed);
    }
    let page = match path(request.path.unwrap_or_default()) {
        "/metrics" => Page::Metrics(negotiate(fields("accept").filter_map(|value| std::str::from_utf8(value).ok()))),
        "/livez" => Page::Live,
        "/readyz" => Page::Ready,
        _ => return refuse(Status::NotFound),
    };
    Ok(Request { page, is_head })
}

/// The path of a request target, which may be a whole URI (RFC 9112, section 3.2.2), without the query.
fn path(target: &str) -> &str {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |start| &rest[start..]),
        _ => target,
    };
    target.split('?').next().unwrap_or_default()
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// The media type of the content.
    pub media_type: &'static str,
    /// The content.
    pub content: String,
}

impl Response {
    /// A line for people.
    #[must_use]
    pub fn text(status: Status, line: &str) -> Self {
        Self { status, media_type: PLAIN, content: format!("{line}\n") }
    }

    /// The bytes of the whole response; without its content for the method HEAD.
    #[must_use]
    pub fn bytes(&self, is_head: bool) -> Vec<u8> {
        let Self { status, media_type, content } = self;
        let date = httpdate::fmt_http_date(SystemTime::now());
        // RFC 9110, section 15.5.6
        let allow = if *status == Status::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {line}\r\nDate: {date}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
            line = status.line(),
            length = content.len(),
        );
        let content = if is_head { "" } else { content };
        [head.as_bytes(), content.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(request: &str) -> Result<Request, Refusal> {
        parse(request.as_bytes()).expect("a complete request")
    }

    fn refused(request: &str) -> Status {
        page(request).expect_err("a refusal").status
    }

    #[test]
    fn pages_are_found_by_their_paths() {
        let found =
            |target: &str| page(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).map(|request| request.page);
        assert_eq!(found("/metrics"), Ok(Page::Metrics(Format::Prometheus)));
        assert_eq!(found("/livez"), Ok(Page::Live));
        for target in ["/readyz", "/readyz?verbose", "http://127.0.0.1:9383/readyz", "/readyz?a=b://c"] {
            assert_eq!(found(target), Ok(Page::Ready), "{target}");
        }
        for target in ["/", "/metric", "/metrics/", "*", "http://a", "//readyz", "/a://b/readyz", "/%72eadyz"] {
            assert_eq!(found(target).expect_err(target).status, Status::NotFound, "{target}");
        }
    }

    #[test]
    fn requests_are_get_and_head_of_http_1() {
        assert_eq!(page("GET /livez HTTP/1.0\r\n\r\n"), Ok(Request { page: Page::Live, is_head: false }));
        assert_eq!(page("HEAD /livez HTTP/1.1\r\nhost:\r\n\r\n"), Ok(Request { page: Page::Live, is_head: true }));
        assert_eq!(page("\r\nGET /livez HTTP/1.0\n\n").map(|request| request.page), Ok(Page::Live));
        assert_eq!(refused("POST /livez HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), Status::MethodNotAllowed);
        assert_eq!(refused("get /livez HTTP/1.0\r\n\r\n"), Status::MethodNotAllowed);
        assert_eq!(refused("GET /livez HTTP/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(refused("GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Status::BadRequest);
        assert_eq!(refused("GET /livez HTTP/2.0\r\n\r\n"), Status::VersionNotSupported);
        assert_eq!(refused("\x08\0\0\x02hi"), Status::BadRequest);
        assert_eq!(refused("GET /livez\r\n\r\n"), Status::BadRequest);
        assert_eq!(parse(b"GET /livez HTTP/1.1\r\nHost: a\r\n"), None);
    }

    #[test]
    fn the_number_of_fields_has_a_limit() {
        let with = |number: usize| page(&format!("GET /livez HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(number)));
        assert!(with(MAX_FIELDS).is_ok());
        assert_eq!(with(MAX_FIELDS + 1), Err(Refusal::of(Status::FieldsTooLarge)));
    }

    #[test]
    fn the_format_of_metrics_is_negotiated() {
        let request = "GET /metrics HTTP/1.0\r\nAccept: text/html\r\naccept: application/openmetrics-text\r\n\r\n";
        assert_eq!(page(request).map(|request| request.page), Ok(Page::Metrics(Format::OpenMetrics)));
    }

    #[test]
    fn responses_are_complete_and_end_the_connection() {
        let response = Response::text(Status::Ok, "ready");
        let text = String::from_utf8(response.bytes(false)).expect("text");
        let (head, content) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: ") && head.ends_with("\r\nConnection: close"), "{head}");
        assert!(head.contains("\r\nContent-Length: 6\r\n") && !head.contains("Allow"), "{head}");
        assert_eq!(content, "ready\n");
        let head_only = String::from_utf8(response.bytes(true)).expect("text");
        assert!(head_only.contains("\r\nContent-Length: 6\r\n") && head_only.ends_with("\r\n\r\n"), "{head_only}");
        let refusal = String::from_utf8(Refusal::of(Status::MethodNotAllowed).response()).expect("text");
        assert!(refusal.contains("\r\nAllow: GET, HEAD\r\n"), "{refusal}");
    }

    proptest! {
        #[test]
        fn a_result_does_not_depend_on_how_the_request_is_split(
            text in prop_oneof![
                "[ -~\r\n]{0,100}",
                "(GET|HEAD|PUT) /(metrics|livez)?( HTTP/[12]\\.[01])?\r?\n(Host: a\r?\n){0,2}(A: ?b\r\n)?\r?\n.{0,20}",
            ],
        ) {
            let whole = parse(text.as_bytes());
            let first = (0..=text.len()).find_map(|end| parse(&text.as_bytes()[..end]));
            prop_assert_eq!(first, whole);
        }
    }
}
