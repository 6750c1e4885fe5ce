//! Telling Prometheus what to scrape.

use super::codes;

codes! { Discovery;
    PROMETHEUS_UNREACHABLE = 1, Failed, 502;
    "Prometheus does not answer.";
    "Check that it runs and its address.";
    "The address configured for Prometheus refused the connection or answered with something else."

    NODE_NOT_SCRAPED = 2, NotHealthy, 424;
    "Prometheus does not scrape the node yet.";
    "Wait for its next refresh, then look at its targets page.";
    "The node is in service discovery, but Prometheus has not reported `up == 1` for it within the time allowed."
}
