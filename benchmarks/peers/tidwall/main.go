// The Go peer: tidwall/rtree and tidwall/geojson, of which Tile38's search is made, without its server.
//
// FENCES POINTS are files as benchmarks/peers/program.py writes them; what is answered on the standard input's lines
// stands there too. Only the matching of all points is timed.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/tidwall/geojson/geometry"
	"github.com/tidwall/rtree"
)

type reader struct{ data []byte }

func (r *reader) int() int {
	n := int32(binary.LittleEndian.Uint32(r.data))
	r.data = r.data[4:]
	return int(n)
}

func (r *reader) float() float64 {
	f := math.Float64frombits(binary.LittleEndian.Uint64(r.data))
	r.data = r.data[8:]
	return f
}

func (r *reader) points(count int) []geometry.Point {
	points := make([]geometry.Point, count)
	for n := range points {
		points[n].X = r.float()
		points[n].Y = r.float()
	}
	return points
}

func opened(path string) *reader {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return &reader{data}
}

func main() {
	in := opened(os.Args[1])
	polygons := make([]*geometry.Poly, in.int())
	tree := new(rtree.RTreeG[int32])
	for n := range polygons {
		rings := make([][]geometry.Point, in.int())
		for k := range rings {
			rings[k] = in.points(in.int())
		}
		// the same index within a polygon that Tile38 makes: a quadtree from 64 points on
		polygons[n] = geometry.NewPoly(rings[0], rings[1:], geometry.DefaultIndexOptions)
		rect := polygons[n].Rect()
		tree.Insert([2]float64{rect.Min.X, rect.Min.Y}, [2]float64{rect.Max.X, rect.Max.Y}, int32(n))
	}
	in = opened(os.Args[2])
	points := in.points(in.int())

	found := make([]int32, 0, 16*len(points))
	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for lines.Scan() {
		began := time.Now()
		found = found[:0]
		for n, point := range points {
			at := [2]float64{point.X, point.Y}
			tree.Search(at, at, func(_, _ [2]float64, fence int32) bool {
				if polygons[fence].ContainsPoint(point) {
					found = append(found, int32(n), fence)
				}
				return true
			})
		}
		fmt.Printf("%.9f\n", time.Since(began).Seconds())
		if path, asked := strings.CutPrefix(lines.Text(), "answer "); asked {
			bytes := make([]byte, 0, 4*len(found))
			for _, number := range found {
				bytes = binary.LittleEndian.AppendUint32(bytes, uint32(number))
			}
			if err := os.WriteFile(path, bytes, 0o644); err != nil {
				panic(err)
			}
			fmt.Println("written")
		}
	}
}
