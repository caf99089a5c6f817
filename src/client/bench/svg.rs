//! Latency by percentile as an SVG document.
//!
//! Both axes are logarithmic: x is the rarity 1/(1-p), so that the tail, which matters most, has as much room as the
//! bulk; y is the latency. The colours follow the reader's scheme (`prefers-color-scheme`), also where the document is
//! an image in a README. Self-contained: no script, no font, no external reference.

use std::fmt::Write;
use std::time::Duration;

use super::earlier_run::EarlierRun;
use super::figures::{STEPS_PER_HALF, in_unit, readable};
use super::latencies::Latencies;
use crate::client::json::Value;
use crate::client::xml::escaped;

// Pixels. Chosen: as wide as a README, with room at the left for `100 ms` and below for the percentiles.
const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 60.0;

/// Percentiles with a grid line and a label on the x axis.
const TICKS: [(f64, &str); 7] = [
    (0.0, "0%"),
    (0.5, "50%"),
    (0.9, "90%"),
    (0.99, "99%"),
    (0.999, "99.9%"),
    (0.9999, "99.99%"),
    (0.99999, "99.999%"),
];

/// The most earlier runs that a drawing has. Derived: each has a color and a dash pattern, which differ also where colors
/// look alike.
pub const MAX_OVERLAYS: usize = 4;

/// Percentiles whose latency is written at the curve.
const MARKS: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

// Each colour is written out for both schemes, because not every viewer knows custom properties.
const STYLE: &str = "
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #59636e; }
  .title { font-size: 16px; font-weight: 600; fill: #1f2328; }
  .mark { font-weight: 600; fill: #1f2328; stroke: #ffffff; stroke-width: 3; paint-order: stroke; }
  .ground { fill: #ffffff; stroke: #d0d7de; }
  .grid { stroke: #e6eaef; stroke-width: 1; }
  .area { fill: #0969da; opacity: 0.12; }
  .curve { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
  .run0 { stroke: #0969da; }
  .run1 { stroke: #bc4c00; stroke-dasharray: 8 4; }
  .run2 { stroke: #1a7f37; stroke-dasharray: 2 3; }
  .run3 { stroke: #8250df; stroke-dasharray: 12 3 2 3; }
  .run4 { stroke: #656d76; stroke-dasharray: 5 5; }
  .dot { fill: #ffffff; stroke: #0969da; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1; }
    .title, .mark { fill: #f0f6fc; }
    .mark { stroke: #0d1117; }
    .ground { fill: #0d1117; stroke: #3d444d; }
    .grid { stroke: #262c36; }
    .area { fill: #58a6ff; }
    .run0 { stroke: #58a6ff; }
    .run1 { stroke: #f0883e; }
    .run2 { stroke: #3fb950; }
    .run3 { stroke: #bc8cff; }
    .run4 { stroke: #9198a1; }
    .dot { fill: #0d1117; stroke: #58a6ff; }
  }
";

/// Latency by percentile of one run.
#[derive(Debug)]
pub struct Curve {
    title: String,
    /// Shares of the requests, in rising order, and the latency in nanoseconds that each did not exceed.
    points: Vec<(f64, f64)>,
}

impl Curve {
    /// The curve of these latencies.
    #[must_use]
    pub fn new(title: &str, latencies: &Latencies) -> Self {
        let steps = latencies.percentile_steps(STEPS_PER_HALF).into_iter();
        let points = steps.map(|step| (step.share, nanoseconds(step.latency))).collect();
        Self { title: title.into(), points }
    }

    /// The curve in the report of an earlier run.
    #[must_use]
    pub fn of_report(earlier: &EarlierRun) -> Self {
        let report = earlier.report();
        let points = report["latency_curve"].as_array().into_iter().flatten();
        let point = |point: &Value| Some((point["share"].as_f64()?, point["latency_us"].as_f64()? * 1e3));
        let title = report["title"].as_str().unwrap_or_default();
        Self { title: format!("{}: {title}", earlier.name), points: points.filter_map(point).collect() }
    }

    /// The number of digits of the rarest share, such as 2 for 99%; that of the maximum, 100%, is not one.
    fn rarest(&self) -> f64 {
        let shares = self.points.iter().map(|(share, _)| *share).filter(|share| *share < 1.0);
        shares.map(|share| (1.0 / (1.0 - share)).log10()).fold(1.0, f64::max)
    }
}

/// Maps percentiles and latencies to coordinates.
struct Scale {
    /// The right end of the x axis: log10 of 1/(1-p).
    rarest: f64,
    /// The ends of the y axis: log10 of the latency in nanoseconds.
    lowest: f64,
    highest: f64,
}

impl Scale {
    fn of(curves: &[Curve]) -> Self {
        let rarest = curves.iter().map(Curve::rarest).fold(1.0, f64::max).min(6.0);
        let latencies = || curves.iter().flat_map(|curve| curve.points.iter().map(|(_, latency)| *latency));
        let lowest = nice_below(latencies().fold(f64::INFINITY, f64::min));
        let highest = nice_above(latencies().fold(0.0, f64::max));
        Self { rarest, lowest: lowest.log10(), highest: highest.max(lowest * 2.0).log10() }
    }

    fn x(&self, share: f64) -> f64 {
        let rarity = (1.0 / (1.0 - share)).log10().min(self.rarest);
        LEFT + rarity / self.rarest * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, nanoseconds: f64) -> f64 {
        let height = (nanoseconds.max(1.0).log10() - self.lowest) / (self.highest - self.lowest);
        HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)
    }

    /// Whether this percentile is within the picture.
    fn shows(&self, share: f64) -> bool {
        (1.0 / (1.0 - share)).log10() <= self.rarest + 1e-9
    }
}

/// The whole SVG document: the curve of `latencies`, over those of earlier runs. Titles need not be escaped.
#[must_use]
pub fn document(title: &str, latencies: &Latencies, earlier: Vec<Curve>) -> String {
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\">\n<title>Latency by percentile: {title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"24\" y=\"32\">Latency by percentile</text>\n<text x=\"24\" y=\"52\">{title}</text>\n",
        WIDTH - 1.0,
        HEIGHT - 1.0,
        title = escaped(title),
    );
    let mut curves = earlier;
    curves.insert(0, Curve::new(title, latencies));
    if curves.iter().any(|curve| !curve.points.is_empty()) {
        let scale = Scale::of(&curves);
        axes(&mut svg, &scale);
        for (index, curve) in curves.iter().enumerate().rev() {
            draw(&mut svg, &scale, index, curve);
        }
        if latencies.count() > 0 {
            marks(&mut svg, &scale, latencies);
        }
        if curves.len() > 1 {
            legend(&mut svg, &curves);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, scale: &Scale) {
    for level in levels(scale) {
        let y = scale.y(level);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 10.0,
            y + 4.0,
            label(level)
        );
    }
    for (share, name) in TICKS.into_iter().filter(|&(share, _)| scale.shows(share)) {
        let x = scale.x(share);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 20.0,
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">share of requests with a reply within this time</text>",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 16.0
    );
}

/// Draws a curve, by its number the curve of this run or one of the earlier ones.
fn draw(svg: &mut String, scale: &Scale, number: usize, curve: &Curve) {
    let mut points = String::new();
    for (share, latency) in &curve.points {
        let _ = write!(points, "{:.1},{:.1} ", scale.x(*share), scale.y(*latency));
    }
    let points = points.trim_end();
    if number == 0 {
        let (end, ground) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let _ = writeln!(svg, "<polygon class=\"area\" points=\"{LEFT},{ground} {points} {end},{ground}\"/>");
    }
    let _ = writeln!(svg, "<polyline class=\"curve {}\" points=\"{points}\"/>", class(number));
}

/// The style of a curve.
fn class(number: usize) -> String {
    format!("run{}", number.min(MAX_OVERLAYS))
}

/// A line for each run at the bottom right, where curves seldom are.
fn legend(svg: &mut String, curves: &[Curve]) {
    let right = WIDTH - RIGHT - 12.0;
    let mut y = HEIGHT - BOTTOM - 14.0;
    for (number, curve) in curves.iter().enumerate().rev() {
        let title = if number == 0 { "this run" } else { curve.title.as_str() };
        let _ = writeln!(
            svg,
            "<line class=\"curve {}\" x1=\"{}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            class(number),
            right - 40.0,
            right - 48.0,
            y + 4.0,
            escaped(title),
        );
        y -= 18.0;
    }
}

fn marks(svg: &mut String, scale: &Scale, latencies: &Latencies) {
    for (share, name) in MARKS.into_iter().filter(|&(share, _)| scale.shows(share)) {
        mark(svg, scale, scale.x(share), name, latencies.at(share));
    }
    mark(svg, scale, WIDTH - RIGHT, "max", latencies.at(1.0));
}

fn mark(svg: &mut String, scale: &Scale, x: f64, name: &str, latency: Duration) {
    let y = scale.y(nanoseconds(latency));
    let (anchor, offset) = if x > WIDTH - RIGHT - 40.0 { ("end", 4.0) } else { ("middle", 0.0) };
    let _ = writeln!(
        svg,
        "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\
         <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name} {}</text>",
        x + offset,
        y - 12.0,
        readable(latency)
    );
}

/// The latencies with a grid line: 1, 2 and 5 times powers of ten, or only powers where those would be too many.
fn levels(scale: &Scale) -> Vec<f64> {
    let factors: &[f64] = if scale.highest - scale.lowest > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let decades = (0..=12).map(|exponent| 10f64.powi(exponent));
    let all = decades.flat_map(|decade| factors.iter().map(move |factor| decade * factor));
    all.filter(|level| (scale.lowest - 1e-9..=scale.highest + 1e-9).contains(&level.log10())).collect()
}

/// The largest of 1, 2, 5, 10, 20, ... that is at most `value`.
fn nice_below(value: f64) -> f64 {
    let decade = 10f64.powf(value.max(1.0).log10().floor());
    [5.0, 2.0].into_iter().map(|factor| factor * decade).find(|&nice| nice <= value).unwrap_or(decade)
}

/// The smallest of 1, 2, 5, 10, 20, ... that is at least `value`.
fn nice_above(value: f64) -> f64 {
    let decade = 10f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * decade).find(|&nice| nice >= value).unwrap_or(10.0 * decade)
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// A round latency as a label.
fn label(nanoseconds: f64) -> String {
    let (value, unit) = in_unit(nanoseconds);
    format!("{value:.0} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_enclose_a_value() {
        for (value, below, above) in [(1.0, 1.0, 1.0), (37.0, 20.0, 50.0), (99.0, 50.0, 100.0), (7e6, 5e6, 1e7)] {
            assert!((nice_below(value) - below).abs() < 1e-6 * below, "{value}");
            assert!((nice_above(value) - above).abs() < 1e-6 * above, "{value}");
        }
    }

    #[test]
    fn curve_is_within_the_picture() {
        let mut latencies = Latencies::new();
        latencies.record(25_000, 10_000);
        latencies.record(3_000_000, 90);
        latencies.record(40_000_000, 1);
        let scale = Scale::of(&[Curve::new("", &latencies)]);
        for share in [0.0, 0.5, 0.999, 0.999_999_9] {
            let (x, y) = (scale.x(share), scale.y(nanoseconds(latencies.at(share))));
            assert!((LEFT..=WIDTH - RIGHT).contains(&x), "{x}");
            assert!((TOP - 1.0..=HEIGHT - BOTTOM + 1.0).contains(&y), "{y}");
        }
    }

    #[test]
    fn title_is_escaped_and_an_empty_plot_is_valid() {
        let svg = document("a < b", &Latencies::new(), Vec::new());
        assert!(svg.contains("a &lt; b") && svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn earlier_runs_have_curves_and_lines_in_the_legend() {
        let mut latencies = Latencies::new();
        latencies.record(25_000, 1000);
        let curve = |title: &str| Curve { title: title.into(), points: vec![(0.0, 1e4), (0.9, 1e6), (1.0, 5e7)] };
        let svg = document("new", &latencies, vec![curve("old <1>"), curve("older")]);
        for part in ["class=\"curve run1\"", "class=\"curve run2\"", "old &lt;1&gt;", ">older<", ">this run<"] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(!document("new", &latencies, Vec::new()).contains("this run"));
    }
}
