//! The pages a person may open: the status page and what codes mean.

use std::sync::Arc;

use aami_model::{Code, code};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use super::call::Id;
use crate::app::{App, Refusal};

/// Nothing is loaded from anywhere, no script runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn html(title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;\
         color:#1c2024;background:#fff}}h1{{font-size:1.4rem}}code,pre{{font:14px ui-monospace,monospace;\
         background:#f1f3f5;padding:.1em .3em;border-radius:4px}}pre{{padding:1rem;overflow-x:auto}}\
         td{{padding:.2rem 1.5rem .2rem 0;vertical-align:top}}a{{color:#0b5cad}}\
         @media(prefers-color-scheme:dark){{body{{color:#e6e8ea;background:#16191c}}code,pre{{background:#24292e}}\
         a{{color:#7ab8ff}}}}</style><body>{body}</body></html>"
    );
    (
        [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-store"),
        ],
        page,
    )
        .into_response()
}

fn escape(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut out, c| {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '"' => out.push_str("&quot;"),
                c => out.push(c),
            }
            out
        })
}

/// What is true of this control plane, as far as a stranger may know it.
pub(super) async fn status(State(app): State<Arc<App>>) -> Response {
    let store = if app.readiness.check(app.store.revision()).await {
        "answers"
    } else {
        "does not answer"
    };
    let uptime = app.started.elapsed().as_secs();
    let body = format!(
        "<h1>AAMI control plane</h1><table>\
         <tr><td>Version<td>{}<tr><td>Cluster<td>{}<tr><td>Store<td>{store}\
         <tr><td>Up for<td>{} h {} min</table>\
         <p>Nodes, tokens and events are shown to those who have a key, with the command line:</p>\
         <pre>aami status --server {}</pre>\
         <p><a href=\"/api/v1/openapi.json\">The API</a> &middot; <a href=\"/health/ready\">Health</a></p>",
        env!("CARGO_PKG_VERSION"),
        escape(&app.cluster_name()),
        uptime / 3600,
        uptime % 3600 / 60,
        escape(&app.reach.public_url),
    );
    html("AAMI", &body)
}

/// The pages of the guide that answers and scripts name.
const GUIDE: [(&str, &str); 4] = [
    ("enrolling", include_str!("../../../../docs/guide/enrolling.md")),
    ("agent", include_str!("../../../../docs/guide/agent.md")),
    ("TOKENS", include_str!("../../../../docs/guide/TOKENS.md")),
    (
        "TROUBLESHOOTING",
        include_str!("../../../../docs/guide/TROUBLESHOOTING.md"),
    ),
];

/// A page of the guide, as it is written.
pub(super) async fn guide(Id(id): Id<String>) -> Result<Response, Refusal> {
    let name = id.strip_suffix(".md").unwrap_or(&id);
    let page = GUIDE.iter().find(|(known, _)| *known == name);
    let (name, text) = page.ok_or_else(|| Refusal::not_found("page of the guide"))?;
    let body = format!("<pre style=\"white-space:pre-wrap\">{}</pre>", escape(text));
    Ok(html(name, &body))
}

/// What a code means, from the registry.
pub(super) async fn explain(Id(id): Id<String>) -> Result<Response, Refusal> {
    let name = id.strip_suffix(".md").unwrap_or(&id);
    let found: &Code =
        Code::find(name).ok_or_else(|| Refusal::new(code::NOT_FOUND, "there is no such code"))?;
    let body = format!(
        "<h1>{} {}</h1><p><strong>{}</strong></p><p>{}</p><h2>What to do</h2><p>{}</p>",
        found.id(),
        found.symbol,
        escape(found.sentence),
        escape(found.explain),
        escape(found.hint),
    );
    Ok(html(&found.id(), &body))
}
