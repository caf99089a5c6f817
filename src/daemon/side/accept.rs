//! The choice between the two text formats of metrics, by the header field Accept (RFC 9110, section 12.5.1).

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4 of Prometheus.
    Prometheus,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The versions of `OpenMetrics` that 1.0.0 is compatible with.
const OPEN_METRICS_VERSIONS: [&str; 2] = ["1.0.0", "0.0.1"];

/// The format for these values of Accept: `OpenMetrics` if it is named, and not after the other format.
#[must_use]
pub fn negotiate<'a>(values: impl Iterator<Item = &'a str>) -> Format {
    let ranges: Vec<Range<'_>> = values.flat_map(|value| value.split(',')).map(Range::parse).collect();
    let best = |media_type: &str, versions: &[&str]| {
        let weights = ranges.iter().filter(|range| range.includes(media_type, versions)).map(|range| range.weight);
        weights.fold(0.0, f32::max)
    };
    let open_metrics = best("application/openmetrics-text", &OPEN_METRICS_VERSIONS);
    if open_metrics > 0.0 && open_metrics >= best("text/plain", &["0.0.4"]) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

/// An element of Accept.
struct Range<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    weight: f32,
}

impl<'a> Range<'a> {
    fn parse(element: &'a str) -> Self {
        let mut parts = element.split(';').map(str::trim);
        let mut range = Self { media_type: parts.next().unwrap_or_default(), version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value.trim_matches('"')),
                // what is no number is not wanted
                "q" => range.weight = value.parse().unwrap_or(0.0),
                _ => {}
            }
        }
        range
    }

    /// Whether it names this media type, in one of these versions or in any.
    fn includes(&self, media_type: &str, versions: &[&str]) -> bool {
        let has_version = self.version.is_none_or(|version| versions.contains(&version));
        self.media_type.eq_ignore_ascii_case(media_type) && has_version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_chosen_when_it_is_named() {
        for accept in [
            // Prometheus 2.42, and 3
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"",
        ] {
            assert_eq!(negotiate([accept].into_iter()), Format::OpenMetrics, "{accept}");
        }
    }

    #[test]
    fn everybody_else_gets_the_format_of_prometheus() {
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text;q=0.2,text/plain;q=0.3",
        ] {
            assert_eq!(negotiate([accept].into_iter()), Format::Prometheus, "{accept}");
        }
        assert_eq!(negotiate([].into_iter()), Format::Prometheus);
    }
}
