//! Bars: rows of them under a heading each, on one axis, as SVG that is legible at a phone's width and on light and dark.
//!
//! A row's name stands above its bars, so that long names need no margin; a bar may go on as a thin line (to the largest sample) and
//! have a tick (the middle one). Every bar is labelled with its figure and unit.
use crate::draw::{COLOURS, WIDTH, escape};
use std::fmt::Write;

/// A bar.
#[derive(Clone, Debug, Default)]
pub struct Bar {
    /// Begins there.
    pub from: f64,
    /// Ends there.
    pub to: f64,
    /// A thin line goes on to there.
    pub most: f64,
    /// A tick across it.
    pub middle: Option<f64>,
    /// Number of its colour.
    pub colour: usize,
    /// What stands after it.
    pub label: String,
}

/// Bars with a name.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Above them.
    pub name: String,
    /// One below the other.
    pub bars: Vec<Bar>,
}

/// Rows on one axis.
pub struct Panel {
    /// A heading, where a picture has several panels.
    pub title: String,
    /// Names of colours.
    pub legend: Vec<(String, usize)>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The axis's name.
    pub axis: String,
    /// The lowest value of a logarithmic axis; linear from 0 without it.
    pub logarithmic: Option<f64>,
    /// How a place on the axis is written.
    pub format: fn(f64) -> String,
}

const LEFT: f64 = 8.0;
/// Room for labels after the longest bar.
const RIGHT: f64 = 190.0;
const NAME: f64 = 17.0;
const BAR: f64 = 13.0;
const GAP: f64 = 7.0;
const LEGEND: f64 = 20.0;

impl Panel {
    /// Legend lines: names are set one after the other while there is room.
    fn legend_places(&self) -> Vec<(f64, f64)> {
        let (mut x, mut y) = (LEFT, 0.0);
        let mut places = Vec::new();
        for (name, _) in &self.legend {
            let width = 34.0 + name.chars().count() as f64 * 7.2;
            if x + width > f64::from(WIDTH) && x > LEFT {
                (x, y) = (LEFT, y + LEGEND);
            }
            places.push((x, y));
            x += width;
        }
        places
    }

    fn heading(&self) -> f64 {
        if self.title.is_empty() { 0.0 } else { 24.0 }
    }

    fn legend_height(&self) -> f64 {
        self.legend_places().last().map_or(0.0, |p| p.1 + LEGEND + 4.0)
    }

    /// Pixels that it needs.
    fn height(&self) -> f64 {
        let rows: f64 = self.rows.iter().map(|r| NAME + r.bars.len() as f64 * BAR + GAP).sum();
        self.heading() + self.legend_height() + rows + 44.0
    }

    /// Pixel of a value.
    fn x(&self, value: f64, most: f64) -> f64 {
        let width = f64::from(WIDTH) - LEFT - RIGHT;
        let share = match self.logarithmic {
            Some(low) => (value.max(low) / low).ln() / (most.max(low * 1.01) / low).ln(),
            None => value.max(0.0) / most,
        };
        LEFT + width * share.min(1.0)
    }

    fn ticks(&self, most: f64) -> Vec<f64> {
        match self.logarithmic {
            Some(low) => {
                let first = low.log10().ceil() as i32;
                (first..).map(|e| 10f64.powi(e)).take_while(|v| *v <= most).collect()
            }
            None => {
                let step = 10f64.powf((most / 4.0).log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|f| f * step).into_iter().find(|s| most / s <= 5.0);
                let step = step.unwrap_or(most);
                (0..=5).map(|n| f64::from(n) * step).take_while(|v| *v <= most).collect()
            }
        }
    }

    fn draw(&self, out: &mut String, top: f64) {
        let most =
            self.rows.iter().flat_map(|r| &r.bars).fold(f64::MIN_POSITIVE, |m, b| m.max(b.to).max(b.most));
        let mut y = top;
        let text = |out: &mut String, x: f64, y: f64, size: u32, more: &str, text: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"currentColor\" {more}>{}</text>",
                escape(text)
            );
        };
        if !self.title.is_empty() {
            text(out, LEFT, y + 15.0, 14, "font-weight=\"600\"", &self.title);
            y += self.heading();
        }
        for ((name, colour), (x, line)) in self.legend.iter().zip(self.legend_places()) {
            let at = y + line;
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>",
                at + 3.0,
                hex(*colour)
            );
            text(out, x + 17.0, at + 13.5, 13, "", name);
        }
        y += self.legend_height();
        let bottom = top + self.height() - 38.0;
        for tick in self.ticks(most) {
            let x = self.x(tick, most);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {y:.1}V{bottom:.1}\" stroke=\"currentColor\" stroke-opacity=\".15\"/>"
            );
            let anchor = if x < LEFT + 12.0 { "start" } else { "middle" };
            text(
                out,
                x,
                bottom + 14.0,
                12,
                &format!("text-anchor=\"{anchor}\" opacity=\".8\""),
                &round((self.format)(tick)),
            );
        }
        text(out, LEFT, bottom + 31.0, 12, "opacity=\".8\"", &self.axis);
        for row in &self.rows {
            text(out, LEFT, y + 13.0, 13, "", &row.name);
            y += NAME;
            for bar in &row.bars {
                let (from, to) = (self.x(bar.from, most), self.x(bar.to, most));
                let (colour, height) = (hex(bar.colour), BAR - 3.0);
                let width = (to - from).max(1.5);
                let _ = writeln!(
                    out,
                    "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
                );
                let mut end = from + width;
                if bar.most > bar.to {
                    end = self.x(bar.most, most).max(end);
                    let _ = writeln!(
                        out,
                        "<path d=\"M{to:.1} {:.1}H{end:.1}\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                        y + height / 2.0
                    );
                }
                if let Some(middle) = bar.middle {
                    let x = self.x(middle, most);
                    let _ = writeln!(
                        out,
                        "<path d=\"M{x:.1} {:.1}V{:.1}\" stroke=\"currentColor\" stroke-width=\"2\"/>",
                        y - 1.0,
                        y + height + 1.0
                    );
                }
                text(out, end + 5.0, y + height - 0.5, 12, "", &bar.label);
                y += BAR;
            }
            y += GAP;
        }
    }
}

/// A tick is a round figure: its zeros after the point say nothing.
fn round(text: String) -> String {
    let Some((number, unit)) = text.split_once(' ').filter(|(number, _)| number.contains('.')) else {
        return text;
    };
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

fn hex(colour: usize) -> String {
    let c = COLOURS[colour % COLOURS.len()];
    format!("#{:02x}{:02x}{:02x}", c.0, c.1, c.2)
}

/// The panels, one below the other.
pub fn svg(title: &str, panels: &[Panel]) -> String {
    let height: f64 = panels.iter().map(|p| p.height() + 8.0).sum();
    let mut out = format!(
        "<svg role=\"img\" aria-label=\"{}\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         font-family=\"system-ui, sans-serif\" xmlns=\"http://www.w3.org/2000/svg\">\n",
        escape(title)
    );
    let mut top = 4.0;
    for panel in panels {
        panel.draw(&mut out, top);
        top += panel.height() + 8.0;
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(logarithmic: Option<f64>, to: f64) -> Panel {
        Panel {
            title: "A < B".into(),
            legend: vec![("Axiom".into(), 0), ("Linux".into(), 1)],
            rows: vec![Row {
                name: "x".into(),
                bars: vec![Bar {
                    from: 1.0,
                    to,
                    most: to * 2.0,
                    middle: Some(to / 2.0),
                    colour: 0,
                    label: format!("{to}"),
                }],
            }],
            axis: "time".into(),
            logarithmic,
            format: |v| format!("{v}"),
        }
    }

    #[test]
    fn pictures_are_drawn_for_every_size() {
        for to in [0.0, 1e-9, 1.0, 7.0, 1e12] {
            for low in [None, Some(0.5)] {
                let svg = svg("title", &[panel(low, to)]);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{to}: {svg}");
                assert!(svg.contains("A &lt; B") && svg.contains("currentColor"), "{svg}");
            }
        }
    }

    #[test]
    fn axes_have_round_figures() {
        for (text, expected) in [("1.00 ms", "1 ms"), ("2.50 s", "2.5 s"), ("100 ms", "100 ms"), ("10", "10")]
        {
            assert_eq!(round(text.into()), expected);
        }
        assert_eq!(panel(None, 7.0).ticks(14.0), [0.0, 5.0, 10.0]);
        assert_eq!(panel(Some(10.0), 7.0).ticks(2000.0), [10.0, 100.0, 1000.0]);
    }
}
