//! The Rust peer: an R*-tree of the fences' boxes (`rstar`, bulk loaded), then the exact test of `geo`.
//!
//! FENCES POINTS are files as `benchmarks/peers/program.py` writes them; what is answered on the standard input's
//! lines stands there too. The third argument is the form of the exact test: `monotone` (MonotonicPolygons),
//! `interval` (IntervalTreeMultiPolygon) or `plain` (Polygon). Only the matching of all points is timed.

use std::fs;
use std::io::{self, BufRead, Write};
use std::time::Instant;

use geo::algorithm::indexed::IntervalTreeMultiPolygon;
use geo::algorithm::monotone::MonotonicPolygons;
use geo::orient::Direction;
use geo::{Contains, Coord, Intersects, LineString, MultiPolygon, Orient, Point, Polygon};
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{RTree, AABB};

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn int(&mut self) -> usize {
        let (head, rest) = self.0.split_at(4);
        self.0 = rest;
        i32::from_le_bytes(head.try_into().unwrap()) as usize
    }

    fn float(&mut self) -> f64 {
        let (head, rest) = self.0.split_at(8);
        self.0 = rest;
        f64::from_le_bytes(head.try_into().unwrap())
    }

    fn ring(&mut self) -> LineString<f64> {
        let count = self.int();
        LineString((0..count).map(|_| Coord { x: self.float(), y: self.float() }).collect())
    }

    fn polygon(&mut self) -> Polygon<f64> {
        let mut rings: Vec<LineString<f64>> = (0..self.int()).map(|_| LineString(vec![])).collect();
        for ring in rings.iter_mut() {
            *ring = self.ring();
        }
        Polygon::new(rings.remove(0), rings)
    }
}

fn bounds(polygon: &Polygon<f64>) -> ([f64; 2], [f64; 2]) {
    let (mut low, mut high) = ([f64::MAX; 2], [f64::MIN; 2]);
    for c in &polygon.exterior().0 {
        low = [low[0].min(c.x), low[1].min(c.y)];
        high = [high[0].max(c.x), high[1].max(c.y)];
    }
    (low, high)
}

type Tree = RTree<GeomWithData<Rectangle<[f64; 2]>, u32>>;

/// The (point, fence) pairs of all points. Written once for each form, so that nothing is dispatched within.
fn matched(tree: &Tree, points: &[Coord<f64>], found: &mut Vec<(u32, u32)>, inside: impl Fn(usize, Coord<f64>) -> bool) {
    found.clear();
    for (at, &point) in points.iter().enumerate() {
        for near in tree.locate_in_envelope_intersecting(AABB::from_point([point.x, point.y])) {
            if inside(near.data as usize, point) {
                found.push((at as u32, near.data));
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (fences, points) = (fs::read(&arguments[1]).unwrap(), fs::read(&arguments[2]).unwrap());
    let mut reader = Reader(&fences);
    let polygons: Vec<Polygon<f64>> = (0..reader.int()).map(|_| reader.polygon()).collect();
    let mut reader = Reader(&points);
    let points: Vec<Coord<f64>> = (0..reader.int()).map(|_| Coord { x: reader.float(), y: reader.float() }).collect();

    let boxes = polygons.iter().enumerate().map(|(n, polygon)| {
        let (low, high) = bounds(polygon);
        GeomWithData::new(Rectangle::from_corners(low, high), n as u32)
    });
    let tree: Tree = RTree::bulk_load(boxes.collect());
    let mut found: Vec<(u32, u32)> = Vec::new();

    match arguments[3].as_str() {
        "monotone" => {
            let prepared: Vec<MonotonicPolygons<f64>> = polygons.into_iter().map(MonotonicPolygons::from).collect();
            serve(&mut found, |found| matched(&tree, &points, found, |n, p| prepared[n].intersects(&p)));
        }
        "interval" => {
            // it winds: holes must run the other way round
            let oriented = polygons.iter().map(|p| MultiPolygon(vec![p.orient(Direction::Default)]));
            let prepared: Vec<_> = oriented.map(|p| IntervalTreeMultiPolygon::new(&p)).collect();
            serve(&mut found, |found| matched(&tree, &points, found, |n, p| prepared[n].contains(&Point(p))));
        }
        _ => serve(&mut found, |found| matched(&tree, &points, found, |n, p| polygons[n].intersects(&p))),
    }
}

fn serve(found: &mut Vec<(u32, u32)>, work: impl Fn(&mut Vec<(u32, u32)>)) {
    println!("ready");
    for line in io::stdin().lock().lines() {
        let line = line.unwrap();
        let began = Instant::now();
        work(found);
        println!("{:.9}", began.elapsed().as_secs_f64());
        if let Some(path) = line.strip_prefix("answer ") {
            let bytes: Vec<u8> = found.iter().flat_map(|(p, f)| [p.to_le_bytes(), f.to_le_bytes()].concat()).collect();
            fs::write(path, bytes).unwrap();
            println!("written");
        }
        io::stdout().flush().unwrap();
    }
}
