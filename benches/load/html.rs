//! The report as one page with plots.

use std::collections::BTreeMap;
use std::error::Error;

use plotters::prelude::*;

use crate::report::{Figures, median};
use crate::rig::Trouble;
use crate::run::Bridge;

const SIZE: (u32, u32) = (620, 340);
const BRIDGES: [(Bridge, RGBColor); 3] = [
    (Bridge::Service, RGBColor(0, 90, 181)),
    (Bridge::Target, RGBColor(0, 90, 181)),
    (Bridge::Floor, RGBColor(220, 50, 32)),
];

type Points = Vec<(f64, f64)>;

/// A line of a plot.
struct Line {
    name: String,
    color: RGBColor,
    points: Points,
}

/// `table` is shown as it is.
pub fn page(title: &str, table: &str, all: &[Figures]) -> Result<String, Trouble> {
    let by_calls = |name: &str, value: fn(&Figures) -> Option<f64>| {
        let line = |(bridge, color): &(Bridge, RGBColor)| {
            let of_bridge = all.iter().filter(|figures| figures.which == *bridge && !figures.refused);
            let mut by_calls: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
            for (calls, value) in of_bridge.filter_map(|figures| Some((figures.calls, value(figures)?))) {
                by_calls.entry(calls).or_default().push(value);
            }
            let points =
                by_calls.into_iter().filter_map(|(calls, values)| Some((calls.into(), median(values)?))).collect();
            Line { name: format!("{}{name}", bridge.name()), color: *color, points }
        };
        BRIDGES.iter().map(line).filter(|line| !line.points.is_empty()).collect::<Vec<_>>()
    };
    let mut turns = by_calls(" p99", |figures| figures.turn.p99);
    turns.extend(by_calls(" p50", |figures| figures.turn.p50));
    let of_each = |points: fn(&Figures) -> &Points| {
        let line = |figures: &Figures| Line {
            name: format!("{}, {} calls", figures.which.name(), figures.calls),
            color: BRIDGES.iter().find(|(bridge, _)| *bridge == figures.which).map_or(BLACK, |(_, color)| *color),
            points: points(figures).clone(),
        };
        all.iter().map(line).collect::<Vec<_>>()
    };
    let plots = [
        plot("Turn latency against load", ("calls", "ms"), &turns),
        plot("CPU per call against load", ("calls", "% of a core"), &by_calls("", |figures| Some(figures.cpu))),
        plot("Memory against load", ("calls", "MiB"), &by_calls("", |figures| Some(figures.rss_mib))),
        plot("Memory over time", ("s", "MiB"), &of_each(|figures| &figures.memory_curve)),
        plot("Spacing of frames", ("percentile", "ms"), &of_each(|figures| &figures.spacing_curve)),
    ];
    let plots: Result<String, Trouble> = plots.into_iter().collect();
    let (title, table) = (escape(title), escape(table));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Load: {title}</title>\n\
         <style>body{{font:15px sans-serif;margin:2em;max-width:82em}}figure{{display:inline-block;margin:0}}</style>\n\
         <h1>{title}</h1>\n{}\n<pre>{table}</pre>\n</html>",
        plots?
    ))
}

fn plot(title: &str, axes: (&str, &str), lines: &[Line]) -> Result<String, Trouble> {
    let mut svg = String::new();
    draw(&mut svg, title, axes, lines).map_err(|error| Trouble(format!("plot {title:?}: {error}")))?;
    Ok(format!("<figure>{svg}</figure>"))
}

fn draw(svg: &mut String, title: &str, (x, y): (&str, &str), lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let highest = |value: fn(&(f64, f64)) -> f64| points().map(value).fold(0.0, f64::max).max(1e-3) * 1.05;
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(55)
        .build_cartesian_2d(0.0..highest(|point| point.0), 0.0..highest(|point| point.1))?;
    chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).draw()?;
    for line in lines {
        let color = line.color;
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color).point_size(3))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
