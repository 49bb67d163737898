//! The page that a browser shows: files that are part of the program, and the headers that keep a browser from running
//! anything else.
//!
//! Promises: nothing is loaded from elsewhere, and no script runs that does not stand in `web/`; a file that the
//! browser has already is not sent again, and never used without asking.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;

use super::problem::Problem;

/// What the page may do: its own files and the API, and nothing else. A text can never become markup or script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// What an answer of the API may do when somebody opens it as though it were a page: nothing.
const POLICY_OF_DATA: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const INDEX: &str = "index.html";

const VIEWS: [&str; 9] =
    ["/", "/queues", "/queues/{queue}", "/jobs", "/jobs/{job}", "/dead", "/workers", "/schedules", "/storage"];

struct File {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal)*) => {
        &[$(File { name: $name, bytes: include_bytes!(concat!("web/", $name)) }),*]
    };
}

/// All of `web/`; a test holds it against the directory.
static FILES: &[File] = files! {
    "api.js" "cron.js" "html.js" "icon.svg" "index.html" "jobs.css" "live.js" "main.js" "parts.css" "route.js"
    "session.js" "style.css" "theme.js" "words.js"
    "pages/dead.js" "pages/job.js" "pages/jobs.js" "pages/now.js" "pages/queue.js" "pages/queues.js"
    "pages/schedules.js" "pages/storage.js" "pages/workers.js"
    "parts/badge.js" "parts/bytes.js" "parts/change.js" "parts/chart.js" "parts/copy.js" "parts/dialog.js"
    "parts/loaded.js" "parts/notice.js" "parts/pace.js" "parts/queuechoice.js" "parts/shares.js" "parts/spark.js"
    "parts/steady.js" "parts/story.js" "parts/submit.js" "parts/table.js" "parts/theme.js"
    "vendor/LICENSE-htm" "vendor/LICENSE-preact" "vendor/LICENSE-uplot" "vendor/hooks.js" "vendor/htm.js"
    "vendor/preact.js" "vendor/uPlot.css" "vendor/uPlot.js"
};

/// Tells one content of a file from another one: a browser asks by it whether its copy still holds.
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |file: &File| format!("\"{:08x}-{:x}\"", crc32fast::hash(file.bytes), file.bytes.len());
    FILES.iter().map(|file| HeaderValue::try_from(tag(file)).expect("digits are a header")).collect()
});

/// Each view has an address of its own, and all are the same document: `main.js` looks at the address.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    VIEWS
        .into_iter()
        .fold(Router::new(), |router, view| router.route(view, get(index)))
        .route("/page/{*name}", get(file))
}

async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    named(INDEX, &headers).ok_or_else(|| Problem::nowhere("/"))
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    named(&name, &headers).ok_or_else(|| Problem::nowhere(&format!("/page/{name}")))
}

/// The page as the answer to a path that leads nowhere, if it is a browser that asks.
pub fn nowhere(headers: &HeaderMap) -> Option<Response> {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut page = accepts.contains("text/html").then(|| named(INDEX, &HeaderMap::new())).flatten()?;
    *page.status_mut() = StatusCode::NOT_FOUND;
    Some(page)
}

fn named(name: &str, asked: &HeaderMap) -> Option<Response> {
    let at = FILES.iter().position(|file| file.name == name)?;
    let (file, tag) = (&FILES[at], &TAGS[at]);
    let has_it = asked.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut response = Response::new(if has_it { Body::empty() } else { Body::from(file.bytes) });
    *response.status_mut() = if has_it { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(type_of(name)));
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Some(response)
}

fn type_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Puts on every answer what keeps a browser from taking it for something else, or keeping it.
pub async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY_OF_DATA));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn walk(at: &Path, from: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, from, found);
            } else {
                found.insert(path.strip_prefix(from).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_is_served_and_nothing_else() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page/web");
        let mut found = BTreeSet::new();
        walk(&web, &web, &mut found);
        let served: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(served, found);
        assert!(named("../mod.rs", &HeaderMap::new()).is_none());
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let first = named("main.js", &HeaderMap::new()).unwrap();
        assert_eq!(first.status(), StatusCode::OK);
        let mut again = HeaderMap::new();
        again.insert(IF_NONE_MATCH, first.headers()[ETAG].clone());
        assert_eq!(named("main.js", &again).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert_eq!(named("live.js", &again).unwrap().status(), StatusCode::OK, "the tag is that of another file");
    }

    /// Our own modules never make markup of a text, and load nothing but one another.
    #[test]
    fn no_module_parses_markup_or_reaches_out() {
        const NEVER: [&str; 9] = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "dangerously",
            "://",
        ];
        for file in FILES.iter().filter(|file| !file.name.starts_with("vendor/") && file.name != "icon.svg") {
            let text = std::str::from_utf8(file.bytes).unwrap();
            for word in NEVER {
                assert!(!text.contains(word), "{} has {word:?}", file.name);
            }
        }
    }
}
