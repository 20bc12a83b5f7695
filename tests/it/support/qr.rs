//! Reads QR codes as they are drawn, with a reader that has nothing in common with what made them.

/// What the code says that an SVG path draws on a square of `size` units: dark modules as `M<x> <y>h<n>v1h-<n>z`.
pub fn read(size: usize, path: &str) -> String {
    let mut dark = vec![vec![false; size]; size];
    for run in path.split_terminator('z') {
        let (place, rest) =
            run.strip_prefix('M').and_then(|run| run.split_once('h')).unwrap_or_else(|| panic!("{run}"));
        let (x, y) = place.split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let length: usize = rest.split_once('v').unwrap().0.parse().unwrap();
        assert_eq!(rest, format!("{length}v1h-{length}"));
        dark[y][x..x + length].fill(true);
    }
    // Light all around, or no reader finds it.
    for edge in [0, 3, size - 4, size - 1] {
        assert!(dark.iter().all(|row| !row[edge]) && dark[edge].iter().all(|dark| !dark));
    }
    let scale = 4;
    let mut picture =
        rqrr::PreparedImage::prepare_from_bitmap(size * scale, size * scale, |x, y| dark[y / scale][x / scale]);
    let codes = picture.detect_grids();
    assert_eq!(codes.len(), 1);
    codes[0].decode().unwrap().1
}
