//! Families of what the HTTP server counts of itself.

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::families::{family, histogram, metric};
use crate::http::App;
use crate::http::figures::CLASSES;

/// All of them.
pub fn of(app: &App) -> impl Iterator<Item = MetricFamily> {
    let figures = &app.figures;
    let by_class = CLASSES.iter().zip(figures.answers());
    let requests = by_class.map(|(class, count)| one([("code", *class)], MetricType::COUNTER, count)).collect();
    let [calls, waits] = app.way.under_way();
    let under_way = [("call", calls), ("wait", waits)];
    let under_way = under_way.map(|(kind, count)| one([("kind", kind)], MetricType::GAUGE, count)).to_vec();
    let connections = vec![one([], MetricType::GAUGE, figures.connections())];
    let took = vec![histogram(&figures.took(), None)];
    let help = "Answers of the HTTP server since the start, by the class of their code.";
    let took_help = "How long the HTTP server took to answer, with what was waited for.";
    [
        family("http_requests_total", help, MetricType::COUNTER, requests),
        family("http_request_seconds", took_help, MetricType::HISTOGRAM, took),
        family("http_connections", "Connections to the HTTP server.", MetricType::GAUGE, connections),
        family("http_under_way", "Calls to the master for HTTP, and waits, under way.", MetricType::GAUGE, under_way),
    ]
    .into_iter()
    .flatten()
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
fn one<const N: usize>(labels: [(&str, &str); N], kind: MetricType, value: u64) -> Metric {
    metric(labels, kind, value as f64)
}
