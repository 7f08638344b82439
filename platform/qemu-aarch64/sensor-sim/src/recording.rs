//! Motion to replay: three axes, in g.

use std::path::Path;

/// A recording.
pub struct Recording {
    /// Where it comes from.
    pub name: String,
    samples: Vec<[f64; 3]>,
}

impl Recording {
    /// Reads lines `x,y,z`.
    pub fn read(path: &Path) -> Result<Recording, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Recording::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, name: &str) -> Result<Recording, String> {
        let mut samples = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let values: Vec<f64> = line.split(',').filter_map(|v| v.trim().parse().ok()).collect();
            let [x, y, z] = values[..] else {
                return Err(format!("{name}:{}: '{line}' is not three numbers x,y,z in g", n + 1));
            };
            samples.push([x, y, z]);
        }
        if samples.is_empty() {
            return Err(format!("{name}: the recording has no samples"));
        }
        Ok(Recording { name: name.into(), samples })
    }

    /// What is replayed unless another recording is given: a walking person's ankle (its file says where it is from).
    pub fn built_in() -> Result<Recording, String> {
        let text = include_str!("../recordings/daphnet-s06r02-ankle.csv");
        Recording::parse(text, "daphnet-s06r02-ankle.csv")
    }

    /// Samples before it starts again.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Sample `index`, round and round.
    pub fn at(&self, index: usize) -> [f64; 3] {
        self.samples[index % self.samples.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_that_ships_is_whole() {
        let r = Recording::built_in().unwrap();
        assert_eq!(r.len(), 2000);
        let mean = (0..r.len()).map(|i| r.at(i)[1]).sum::<f64>() / r.len() as f64;
        assert!((0.8..1.4).contains(&mean), "the vertical axis carries gravity: {mean}");
    }

    #[test]
    fn lines_are_read_and_bad_ones_named() {
        let r = Recording::parse("# a comment\n0.5, -1, 0\n\n1,2,3\n", "f").unwrap();
        assert_eq!((r.len(), r.at(0), r.at(3)), (2, [0.5, -1.0, 0.0], [1.0, 2.0, 3.0]));
        let refused = |text| Recording::parse(text, "f").err().unwrap();
        assert_eq!(refused("1,2,3\n1,2\n"), "f:2: '1,2' is not three numbers x,y,z in g");
        assert_eq!(refused("#\n"), "f: the recording has no samples");
    }
}
