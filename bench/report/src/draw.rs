//! Drawing: SVG that is legible on light and on dark. Axes and text take the surrounding text's colour, and the series' colours are of
//! middle brightness.
use axiom_bench_metrics::Unit;
use axiom_bench_metrics::human::Human;
use plotters::coord::Shift;
use plotters::prelude::*;

/// A chart.
pub struct Chart {
    /// File name without its end.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What is drawn, and the circumstances.
    pub caption: String,
    /// An `svg` element whose lines and text have the colour of the text around it.
    pub svg: String,
}

impl Chart {
    /// A file of its own, which follows the reader's colour scheme.
    pub fn standalone(&self) -> String {
        let style = "<style>svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}</style>";
        let text =
            format!("<title>{}</title><desc>{}</desc>{style}", escape(self.title), escape(&self.caption));
        match self.svg.find('>') {
            Some(end) => format!("{}{text}{}\n", &self.svg[..=end], &self.svg[end + 1..]),
            None => self.svg.clone(),
        }
    }
}

/// Text for XML and HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Stands for the surrounding text's colour until the chart is done.
pub const INK: RGBColor = RGBColor(1, 2, 3);
const INK_HEX: &str = "#010203";
/// The series' colours.
pub const COLOURS: [RGBColor; 11] = [
    RGBColor(0x3b, 0x82, 0xc4),
    RGBColor(0xe0, 0x7b, 0x39),
    RGBColor(0x3a, 0x9d, 0x5d),
    RGBColor(0xa0, 0x6c, 0xc4),
    RGBColor(0xd1, 0x49, 0x5b),
    RGBColor(0x2a, 0x9d, 0x9d),
    RGBColor(0xb8, 0x90, 0x2a),
    RGBColor(0x8a, 0x8f, 0x98),
    RGBColor(0xc7, 0x5f, 0xa0),
    RGBColor(0x7a, 0x8c, 0x3a),
    RGBColor(0x9c, 0x6b, 0x4f),
];
/// Width of a picture: text stays legible where it is shown at 600 pixels.
pub const WIDTH: u32 = 640;

/// What is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The result of drawing.
pub type Drawn = Result<(), String>;

/// The sentence for a drawing that failed.
pub fn failed<E: std::fmt::Display>(error: E) -> String {
    format!("a chart cannot be drawn: {error}")
}

/// Text of that size in pixels. (The SVG back end writes a font's size divided by 1.24.)
pub fn font(size: f64) -> TextStyle<'static> {
    ("sans-serif", size * 1.24).into_font().color(&INK)
}

/// A chart that `draw` fills.
pub fn chart(
    name: &'static str,
    title: &'static str,
    caption: String,
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Chart, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    let svg = svg.replace(INK_HEX, "currentColor");
    let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{}\" ", escape(title)), 1);
    // Legible at a phone's width, and no wider than it was drawn for.
    let svg = svg.replacen("<svg ", "<svg font-family=\"system-ui, sans-serif\" ", 1);
    Ok(Chart { name, title, caption, svg })
}

/// A figure with the unit that suits it; `ns`, `bytes` and so on are the metrics' units.
pub fn human(value: f64, unit: &str) -> String {
    let unit = Unit::of(unit).unwrap_or(Unit::Count);
    Human(value, unit).to_string().replace(" us", " \u{b5}s")
}

/// A time with the unit that suits it.
pub fn time(ns: f64) -> String {
    human(ns, "ns")
}

/// A line of a diagram.
pub struct Line {
    /// For the legend.
    pub label: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Number of its colour.
    pub colour: usize,
    /// Another system's.
    pub dashed: bool,
    /// Draws a mark at each point.
    pub marks: bool,
}

/// Names that stand beside each other in the legend: two where all of them have the room.
fn legend_columns(lines: &[Line]) -> usize {
    let longest = lines.iter().map(|line| line.label.chars().count()).max();
    if longest.unwrap_or(0) <= 36 { 2 } else { 1 }
}

/// Names of the lines, below the diagram, each with its line as it is drawn.
pub fn legend(area: &Area<'_>, lines: &[Line]) -> Drawn {
    let columns = legend_columns(lines);
    for (index, line) in lines.iter().enumerate() {
        let (x, y) = ((index % columns) as i32 * 314 + 12, (index / columns) as i32 * 20 + 4);
        let colour = COLOURS[line.colour % COLOURS.len()];
        let strokes: &[(i32, i32)] = if line.dashed { &[(0, 8), (13, 21), (26, 34)] } else { &[(0, 34)] };
        for (from, to) in strokes {
            let stroke = PathElement::new([(x + from, y + 7), (x + to, y + 7)], colour.stroke_width(3));
            area.draw(&stroke).map_err(failed)?;
        }
        area.draw(&Text::new(line.label.clone(), (x + 40, y), font(13.0))).map_err(failed)?;
    }
    Ok(())
}

/// Pixels that the legend needs.
pub fn legend_height(lines: &[Line]) -> u32 {
    lines.len().div_ceil(legend_columns(lines)) as u32 * 20 + 10
}

/// Draws lines over a given pair of axes.
macro_rules! lines {
    ($area:expr, $lines:expr, $x:expr, $y:expr, $x_name:expr, $y_name:expr, $x_format:expr, $y_format:expr, $x_labels:expr) => {{
        let height = $area.dim_in_pixel().1 as i32 - legend_height($lines) as i32;
        let (upper, lower) = $area.split_vertically(height);
        let mut builder = ChartBuilder::on(&upper);
        builder.margin(8).margin_right(24).x_label_area_size(46).y_label_area_size(76);
        let mut chart = builder.build_cartesian_2d($x, $y).map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc($x_name)
            .y_desc($y_name)
            .x_labels($x_labels)
            .x_label_formatter(&$x_format)
            .y_label_formatter(&$y_format)
            .axis_style(INK.mix(0.6))
            .light_line_style(INK.mix(0.0))
            .bold_line_style(INK.mix(0.15))
            .label_style(font(12.0))
            .axis_desc_style(font(13.0))
            .draw()
            .map_err(failed)?;
        for line in $lines {
            let colour = COLOURS[line.colour % COLOURS.len()];
            let points = line.points.iter().copied();
            if line.dashed {
                let path = DashedLineSeries::new(points, 7, 4, colour.stroke_width(2));
                chart.draw_series(path).map_err(failed)?;
            } else {
                chart.draw_series(LineSeries::new(points, colour.stroke_width(2))).map_err(failed)?;
            }
            if line.marks {
                let marks = line.points.iter().map(|p| Circle::new(*p, 4, colour.filled()));
                chart.draw_series(marks).map_err(failed)?;
            }
        }
        legend(&lower, $lines)
    }};
}
pub(crate) use lines;
